//! Turns images in GPU memory into a texture that the host app draws.

use crate::gpu::{Buffer, Gpu};
use crate::graph::{Graph, Shape, Value};
use crate::lower::Program;
use crate::ops::Rgba8;
use crate::{Error, Result};

/// A texture and what draws images into it.
#[derive(Debug)]
pub(super) struct Picture {
    program: Program,
    words: Value,
    /// Words between the beginnings of two rows of pixels.
    stride: u32,
    texture: wgpu::Texture,
}

impl Picture {
    /// Prepares the texture for images that lie in a buffer, `columns` in a row. Err if that is larger than the device's
    /// textures.
    pub async fn new(gpu: &Gpu, images: (&Buffer, Shape), columns: u32) -> Result<Self> {
        let (buffer, shape) = images;
        let mut graph = Graph::default();
        let x = graph.input(shape);
        let words = graph.push(Rgba8 { columns }, &[x])?;
        let pixels = graph.shape(words)?;
        let (width, height) = (columns * shape.width(), pixels.height());
        let most = gpu.device().limits().max_texture_dimension_2d;
        if width > most || height > most {
            let given = format_args!("{width} by {height} pixels");
            return Err(Error::mismatch(
                "picture",
                given,
                format_args!("at most {most} on a side, the device's limit for textures"),
            ));
        }
        let given = [(x, buffer.clone())];
        let program = Program::plain(gpu, &graph, &[words], &[x], &given).await?;
        let descriptor = wgpu::TextureDescriptor {
            label: Some("lapidary images"),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba8Unorm,
            usage: wgpu::TextureUsages::COPY_DST
                | wgpu::TextureUsages::COPY_SRC
                | wgpu::TextureUsages::TEXTURE_BINDING,
            view_formats: &[],
        };
        let make = |device: &wgpu::Device| device.create_texture(&descriptor);
        let texture = gpu.checked("making a texture", make).await?;
        Ok(Self { program, words, stride: pixels.width(), texture })
    }

    /// Appends to an encoder the drawing of the images into the texture, as the images are when that is run.
    pub fn record(&mut self, encoder: &mut wgpu::CommandEncoder) -> Result<()> {
        self.program.record(encoder);
        let layout = wgpu::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(self.stride * 4),
            rows_per_image: None,
        };
        let buffer = self.program.buffer(self.words)?.raw();
        let source = wgpu::TexelCopyBufferInfo { buffer, layout };
        let target = self.texture.as_image_copy();
        encoder.copy_buffer_to_texture(source, target, self.texture.size());
        Ok(())
    }

    pub fn texture(&self) -> &wgpu::Texture {
        &self.texture
    }
}
