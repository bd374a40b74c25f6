//! Copies buffers to textures ahead of a launch, because CPU rasterisers read textures faster: see
//! [`Access::Texels`](super::Access::Texels).

use super::buffer::Counted;
use super::{Gpu, TEXEL_COLUMNS, Words};
use crate::Result;

/// Words of a texel: four numbers.
fn texel_words(half: bool) -> u32 {
    if half { 2 } else { 4 }
}

/// A texture of whole rows, overwritten for every launch that reads it.
#[derive(Debug)]
pub(super) struct Texels {
    texture: wgpu::Texture,
    view: wgpu::TextureView,
    half: bool,
    _counted: Counted,
}

/// A copy from a buffer to a texture, before a launch.
#[derive(Debug)]
pub(super) struct Copy {
    buffer: wgpu::Buffer,
    offset: u64,
    texels: u32,
    /// Bytes of a texel.
    texel: u32,
    texture: wgpu::Texture,
}

impl Texels {
    /// Makes a texture of this many rows, of single or of half precision.
    pub async fn new(gpu: &Gpu, rows: u32, half: bool) -> Result<Self> {
        let bytes = u64::from(rows) * u64::from(TEXEL_COLUMNS) * u64::from(4 * texel_words(half));
        let make = |device: &wgpu::Device| {
            device.create_texture(&wgpu::TextureDescriptor {
                label: Some("texels"),
                size: extent(TEXEL_COLUMNS, rows),
                mip_level_count: 1,
                sample_count: 1,
                dimension: wgpu::TextureDimension::D2,
                format: match half {
                    true => wgpu::TextureFormat::Rgba16Float,
                    false => wgpu::TextureFormat::Rgba32Float,
                },
                usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
                view_formats: &[],
            })
        };
        let texture = gpu.checked(&format!("allocating {bytes} bytes of texels"), make).await?;
        let view = texture.create_view(&Default::default());
        Ok(Self { texture, view, half, _counted: Counted::new(gpu, bytes) })
    }

    /// Returns the texture as a resource for a bind group.
    pub fn resource(&self) -> wgpu::BindingResource<'_> {
        wgpu::BindingResource::TextureView(&self.view)
    }

    /// Makes a copy of these words of a buffer, which begin at a whole texel, to the start of the texture.
    pub fn copy(&self, buffer: &wgpu::Buffer, words: Words) -> Copy {
        Copy {
            buffer: buffer.clone(),
            offset: u64::from(words.first) * 4,
            texels: words.count.div_ceil(texel_words(self.half)),
            texel: 4 * texel_words(self.half),
            texture: self.texture.clone(),
        }
    }
}

impl Copy {
    /// Records the copy: whole rows, then the rest of one.
    pub fn record(&self, encoder: &mut wgpu::CommandEncoder) {
        let (rows, rest) = (self.texels / TEXEL_COLUMNS, self.texels % TEXEL_COLUMNS);
        if rows > 0 {
            self.rectangle(encoder, 0, extent(TEXEL_COLUMNS, rows));
        }
        if rest > 0 {
            self.rectangle(encoder, rows, extent(rest, 1));
        }
    }

    fn rectangle(&self, encoder: &mut wgpu::CommandEncoder, row: u32, size: wgpu::Extent3d) {
        let bytes_per_row = TEXEL_COLUMNS * self.texel;
        let from = wgpu::TexelCopyBufferInfo {
            buffer: &self.buffer,
            layout: wgpu::TexelCopyBufferLayout {
                offset: self.offset + u64::from(row) * u64::from(bytes_per_row),
                bytes_per_row: Some(bytes_per_row),
                rows_per_image: None,
            },
        };
        let to = wgpu::TexelCopyTextureInfo {
            texture: &self.texture,
            mip_level: 0,
            origin: wgpu::Origin3d { x: 0, y: row, z: 0 },
            aspect: wgpu::TextureAspect::All,
        };
        encoder.copy_buffer_to_texture(from, to, size);
    }
}

fn extent(width: u32, height: u32) -> wgpu::Extent3d {
    wgpu::Extent3d { width, height, depth_or_array_layers: 1 }
}
