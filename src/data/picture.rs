//! One picture: decoded, turned upright, and parts of it brought to a size.

use std::fmt::Display;
use std::io::Cursor;
use std::panic::catch_unwind;
use std::path::Path;

use fast_image_resize::images::{CroppedImage, Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::{DynamicImage, ImageDecoder, ImageReader, Limits};

use crate::{Error, Result};

/// Rows and columns of a picture, at most.
const LARGEST: u32 = 1 << 14;

/// RGB bytes of any size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    width: u32,
    height: u32,
    /// Pixel by pixel.
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
    /// Takes `width`×`height` pixels of three bytes.
    pub fn new(width: u32, height: u32, pixels: Vec<u8>) -> Self {
        Self { width, height, pixels }
    }

    /// The picture in a PNG or JPEG file's bytes, upright and without transparency, or why there is none.
    pub fn decode(bytes: &[u8]) -> std::result::Result<Self, String> {
        // Whatever a decoder does with a damaged file, others are read.
        let decoded = catch_unwind(|| decode(bytes));
        decoded.unwrap_or_else(|_| Err("its decoder gave up".into()))
    }

    pub fn width(&self) -> u32 {
        self.width
    }

    pub fn height(&self) -> u32 {
        self.height
    }

    /// A part at `columns`×`rows`, in red, green and blue planes.
    pub fn resized(&self, part: Bounds, size: [u32; 2], filter: FilterType) -> Result<Vec<u8>> {
        let from = [self.width, self.height];
        let pixels = resize(&self.pixels, 3, from, part, size, filter)?;
        let (pixels, _) = pixels.as_chunks::<3>();
        let mut planes = Vec::with_capacity(3 * pixels.len());
        planes.extend(pixels.iter().map(|[red, _, _]| red));
        planes.extend(pixels.iter().map(|[_, green, _]| green));
        planes.extend(pixels.iter().map(|[_, _, blue]| blue));
        Ok(planes)
    }

    /// A square of pixels as they are, in planes.
    pub fn tile(&self, left: u32, top: u32, side: u32) -> Vec<u8> {
        let (pixels, _) = self.pixels.as_chunks::<3>();
        let rows = pixels.chunks_exact(self.width.max(1) as usize);
        let columns = left as usize..(left + side) as usize;
        let rows = rows.skip(top as usize).take(side as usize);
        let square: Vec<&[u8; 3]> =
            rows.flat_map(|row| row.get(columns.clone()).unwrap_or_default()).collect();
        (0..3).flat_map(|c| square.iter().filter_map(move |pixel| pixel.get(c)).copied()).collect()
    }

    /// The square in the middle at `side`×`side`, by an antialiased bicubic filter (Catmull and Rom's), in planes.
    pub fn square(&self, side: u32) -> Result<Vec<u8>> {
        let short = self.width.min(self.height);
        let (left, top) = ((self.width - short) / 2, (self.height - short) / 2);
        if short == side {
            return Ok(self.tile(left, top, side));
        }
        let middle = Bounds { left, top, width: short, height: short };
        self.resized(middle, [side, side], FilterType::CatmullRom)
    }
}

/// A picture's file at `side`×`side`: upright, its short side brought to `side` by an antialiased bicubic filter
/// (Catmull and Rom's), and the middle of the long one; transparency is dropped. Red, green and blue planes in \[0, 1\].
///
/// # Errors
/// `BadFile` where the file is no sound PNG or JPEG, or has a side above 16,384 pixels.
pub fn photograph(path: &Path, side: u32) -> Result<Vec<f32>> {
    let bytes = std::fs::read(path).map_err(|error| Error::bad_file(path, error))?;
    let picture = Picture::decode(&bytes).map_err(|reason| Error::bad_file(path, reason))?;
    let square = picture.square(side)?;
    Ok(square.into_iter().map(|byte| f32::from(byte) / 255.0).collect())
}

fn decode(bytes: &[u8]) -> std::result::Result<Picture, String> {
    let failed = |error: &dyn Display| error.to_string();
    if bytes.starts_with(&[0xff, 0xd8]) && !is_whole_jpeg(bytes) {
        return Err("it has been cut off: no end follows its last scan".into());
    }
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let mut reader = reader.map_err(|error| failed(&error))?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(LARGEST), Some(LARGEST));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| failed(&error))?;
    let orientation = decoder.orientation().map_err(|error| failed(&error))?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| failed(&error))?;
    image.apply_orientation(orientation);
    let (width, height) = (image.width(), image.height());
    if width == 0 || height == 0 {
        return Err(format!("a picture of {width}×{height}"));
    }
    Ok(Picture { width, height, pixels: image.into_rgb8().into_raw() })
}

/// Whether an end-of-image marker follows the last start-of-scan marker: within a scan no byte 0xff is followed by either.
/// The decoder fills in grey for what is missing.
fn is_whole_jpeg(bytes: &[u8]) -> bool {
    let last = bytes.windows(2).rposition(|two| two == [0xff, 0xda]);
    let scan = last.and_then(|at| bytes.get(at..)).unwrap_or_default();
    scan.windows(2).any(|two| two == [0xff, 0xd9])
}

/// A part of `width`×`height` pixels of 1 or 3 bytes at another size, antialiased. Nothing outside the part is looked at.
/// In fixed point: the same bytes on every machine.
pub(super) fn resize(
    pixels: &[u8],
    bytes: usize,
    [width, height]: [u32; 2],
    part: Bounds,
    [columns, rows]: [u32; 2],
    filter: FilterType,
) -> Result<Vec<u8>> {
    let failed = |error: &dyn Display| Error::mismatch("resizing", error, "a part of a picture");
    let kind = if bytes == 1 { PixelType::U8 } else { PixelType::U8x3 };
    let image = ImageRef::new(width, height, pixels, kind).map_err(|error| failed(&error))?;
    let part = CroppedImage::new(&image, part.left, part.top, part.width, part.height);
    let part = part.map_err(|error| failed(&error))?;
    let mut made = Image::new(columns, rows, kind);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter));
    let resized = Resizer::new().resize(&part, &mut made, &options);
    resized.map_err(|error| failed(&error))?;
    Ok(made.into_vec())
}
