//! Operations on one decoded picture: lays transparent pixels on white, resizes a part of it, fits it to the square image that a
//! network takes. It reads no files.

use std::fmt::Display;

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::{InnerPixel, U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

use super::fit::{Fit, letterbox};
use crate::{Error, Result};

/// The most rows or columns of a picture, before and after resizing.
pub(super) const LARGEST: u32 = 1 << 14;

/// RGB bytes of any size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    width: u32,
    height: u32,
    /// The pixels in rows, each with its colours side by side.
    pixels: Vec<u8>,
}

/// A part of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub left: u32,
    pub top: u32,
    pub width: u32,
    pub height: u32,
}

impl Picture {
    /// Makes a picture of `width`×`height` pixels of three bytes (red, green, blue).
    pub fn new(width: u32, height: u32, pixels: Vec<u8>) -> Self {
        Self { width, height, pixels }
    }

    /// Makes a picture of `width`×`height` pixels of four bytes (red, green, blue, alpha) and lays them on white. A picture is
    /// made to be seen on paper, so the colours of transparent pixels do not matter.
    pub fn from_rgba(width: u32, height: u32, rgba: &[u8]) -> Self {
        let on_white = |value: u8, alpha: u8| {
            let (value, alpha) = (u32::from(value), u32::from(alpha));
            ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
        };
        let (pixels, _) = rgba.as_chunks::<4>();
        let mut rgb = Vec::with_capacity(3 * pixels.len());
        for &[red, green, blue, alpha] in pixels {
            rgb.extend([red, green, blue].map(|value| on_white(value, alpha)));
        }
        Self::new(width, height, rgb)
    }

    /// Makes a picture of one plane of grey values or three of colours.
    ///
    /// # Errors
    /// `Mismatch` for other channels or another number of bytes.
    pub fn from_planes(channels: u32, [height, width]: [u32; 2], planes: &[u8]) -> Result<Self> {
        let plane = width as usize * height as usize;
        let pixels = match (channels, planes.len()) {
            (1, length) if length == plane => planes.iter().flat_map(|&grey| [grey; 3]).collect(),
            (3, length) if length == 3 * plane => {
                let value = |i: usize| planes.get(i % 3 * plane + i / 3).copied();
                (0..length).filter_map(value).collect()
            }
            (_, length) => {
                let given = format!("{length} bytes for {channels}×{height}×{width}");
                return Err(Error::mismatch(
                    "picture",
                    given,
                    "1 or 3 channels, and a byte for each pixel of each channel",
                ));
            }
        };
        Ok(Self::new(width, height, pixels))
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub fn width(&self) -> u32 {
        self.width
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Returns all pixels as planes of values in \[0, 1\].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn to_unit(&self) -> Vec<f32> {
        let planes = self.planes(3, self.whole());
        planes.into_iter().map(|byte| f32::from(byte) / 255.0).collect()
    }

    /// Fits the picture to a network of `channels` (1 or 3) and `side`: \[C, H, W\] in \[0, 1\].
    ///
    /// # Errors
    /// `Mismatch` for other channels, and for a side of 0 or above 16,384.
    pub fn fitted(&self, channels: u32, side: u32, fit: Fit) -> Result<Vec<f32>> {
        if ![1, 3].contains(&channels) || !(1..=LARGEST).contains(&side) {
            return Err(Error::mismatch(
                "picture",
                format!("{channels} channels of side {side}"),
                format!("1 or 3 channels and a side of 1 to {LARGEST}"),
            ));
        }
        let bytes = match fit {
            Fit::Crop => self.square(channels, side)?,
            Fit::Stretch => self.planes_at(channels, self.whole(), [side, side])?,
            Fit::Letterbox => {
                let planes = self.planes(channels, self.whole());
                let plane = self.width as usize * self.height as usize;
                let one = side as usize * side as usize;
                let (mut sums, mut out) = (vec![0; one], vec![0.0; channels as usize * one]);
                for (from, to) in planes.chunks_exact(plane.max(1)).zip(out.chunks_exact_mut(one)) {
                    letterbox(from, [self.height, self.width], side, &mut sums, to);
                }
                return Ok(out);
            }
        };
        Ok(bytes.into_iter().map(|byte| f32::from(byte) / 255.0).collect())
    }

    /// Returns a part of the picture, resized to `columns`×`rows` pixels.
    pub fn resized(&self, part: Bounds, size: [u32; 2], filter: FilterType) -> Result<Self> {
        let from = [self.width, self.height];
        let pixels = resize::<U8x3>(&self.pixels, from, part, size, filter)?;
        Ok(Self::new(size[0], size[1], pixels))
    }

    /// Mirrors the picture left to right.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn mirror(&mut self) {
        let (pixels, _) = self.pixels.as_chunks_mut::<3>();
        pixels.chunks_exact_mut(self.width.max(1) as usize).for_each(<[_]>::reverse);
    }

    /// Returns a square of the picture's pixels as they are, in planes.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn tile(&self, left: u32, top: u32, side: u32) -> Vec<u8> {
        self.planes(3, Bounds { left, top, width: side, height: side })
    }

    /// The square in the middle at `side`×`side`, by an antialiased bicubic filter (Catmull and Rom's), in planes of colours or
    /// one of luma.
    fn square(&self, channels: u32, side: u32) -> Result<Vec<u8>> {
        let short = self.width.min(self.height);
        let (left, top) = ((self.width - short) / 2, (self.height - short) / 2);
        self.planes_at(channels, Bounds { left, top, width: short, height: short }, [side, side])
    }

    fn whole(&self) -> Bounds {
        Bounds { left: 0, top: 0, width: self.width, height: self.height }
    }

    /// Returns a part in its own size, as planes of colours or one plane of luma.
    fn planes(&self, channels: u32, part: Bounds) -> Vec<u8> {
        let (pixels, _) = self.pixels.as_chunks::<3>();
        let columns = part.left as usize..(part.left + part.width) as usize;
        let rows = pixels.chunks_exact(self.width.max(1) as usize);
        let rows = rows.skip(part.top as usize).take(part.height as usize);
        let pixels = rows.flat_map(|row| row.get(columns.clone()).unwrap_or_default());
        if channels == 1 {
            return pixels.map(luma).collect();
        }
        let plane = |c: usize| pixels.clone().filter_map(move |pixel| pixel.get(c)).copied();
        (0..3).flat_map(plane).collect()
    }

    /// Returns a part resized to `size`; unchanged where it has that size already.
    fn planes_at(&self, channels: u32, part: Bounds, size: [u32; 2]) -> Result<Vec<u8>> {
        if [part.width, part.height] == size {
            return Ok(self.planes(channels, part));
        }
        if channels == 3 {
            let resized = self.resized(part, size, FilterType::CatmullRom)?;
            return Ok(resized.planes(3, resized.whole()));
        }
        let grey = self.planes(1, part);
        let from = [part.width, part.height];
        let all = Bounds { left: 0, top: 0, ..part };
        resize::<U8>(&grey, from, all, size, FilterType::CatmullRom)
    }
}

/// Computes Rec. 709 luma in whole numbers; three equal bytes give that byte.
fn luma(&[red, green, blue]: &[u8; 3]) -> u8 {
    let sum = 2126 * u32::from(red) + 7152 * u32::from(green) + 722 * u32::from(blue);
    (sum / 10_000) as u8
}

/// Resizes a part of `width`×`height` pixels of one type, antialiased. Nothing outside the part is looked at. In fixed
/// point: the same bytes on every machine. The kind is a type so that no code is made for those that are not used.
pub(super) fn resize<P: PixelTrait + InnerPixel>(
    pixels: &[u8],
    [width, height]: [u32; 2],
    part: Bounds,
    [columns, rows]: [u32; 2],
    filter: FilterType,
) -> Result<Vec<u8>> {
    let failed = |error: &dyn Display| {
        Error::mismatch(
            "resizing",
            format_args!("an area that does not fit ({error})"),
            "an area within the picture",
        )
    };
    let image = TypedImageRef::<P>::from_buffer(width, height, pixels);
    let image = image.map_err(|error| failed(&error))?;
    let part = TypedCroppedImage::from_ref(&image, part.left, part.top, part.width, part.height);
    let part = part.map_err(|error| failed(&error))?;
    let mut bytes = vec![0; columns as usize * rows as usize * P::size()];
    let made = TypedImage::<P>::from_buffer(columns, rows, &mut bytes);
    let mut made = made.map_err(|error| failed(&error))?;
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter));
    let resized = Resizer::new().resize_typed(&part, &mut made, &options);
    resized.map_err(|error| failed(&error))?;
    Ok(bytes)
}
