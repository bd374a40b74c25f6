//! Decodes a picture's file into pixels. The format is recognised by the file's bytes, not by its name; pictures are turned
//! upright, and transparent pixels are laid on white.

use std::fmt::Display;
use std::io::Cursor;
use std::panic::catch_unwind;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader, Limits};

use super::fit::Fit;
use super::picture::{LARGEST, Picture};
use crate::files;
use crate::{Error, Result};

/// The picture formats' names, for messages.
pub(super) const FORMATS: &str = "PNG, JPEG, WebP, GIF, BMP or TIFF";
/// The file name extensions of pictures.
const EXTENSIONS: [&str; 9] = ["png", "jpg", "jpeg", "jpe", "webp", "gif", "bmp", "tif", "tiff"];
/// The most bytes of one picture's file.
const MOST_ENCODED: u64 = 1 << 29;
/// Bytes that a decoder may ask for. Another picture of three bytes for each pixel is made where there is transparency or
/// 16 bits: a GiB is never passed.
const MOST_DECODED: u64 = 1 << 29;
/// The most bytes of a PNG's colour profiles and texts, unpacked: they can be packed a thousandfold.
const MOST_BESIDE: u64 = 8 << 20;

/// Whether a file's name ends as a picture's.
pub(crate) fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|given| EXTENSIONS.iter().any(|known| given.eq_ignore_ascii_case(known)))
}

/// The picture in a file, as [`decode`].
///
/// # Errors
/// `BadFile` for what is no regular file, is longer than 512 MiB, or cannot be decoded.
pub(super) fn read(path: &Path) -> Result<Picture> {
    let bytes = encoded(path)?;
    decode(&bytes).map_err(|reason| Error::bad_file(path, reason))
}

/// Reads a picture's file without decoding it.
///
/// # Errors
/// `BadFile` for what is no regular file, or is longer than 512 MiB.
pub(super) fn encoded(path: &Path) -> Result<Vec<u8>> {
    files::read(path, MOST_ENCODED)
}

/// The picture in a file's bytes, upright and on white, or why there is none. Of a moving picture it is the first.
pub(super) fn decode(bytes: &[u8]) -> std::result::Result<Picture, String> {
    // Whatever a decoder does with a damaged file, others are read.
    catch_unwind(|| pixels(bytes))
        .unwrap_or_else(|_| Err("the decoder of the picture's format crashed".into()))
}

/// Reads a picture file as the image that a network takes: \[`channels`, `side`, `side`\] in \[0, 1\], with 1 or 3 channels. PNG,
/// JPEG, WebP, GIF (its first picture), BMP and TIFF are recognised by their bytes; pictures are turned upright as their EXIF
/// data says, laid on white where they are transparent, and fitted to the square.
///
/// # Errors
/// `BadFile` where the file is no sound picture, has a side above 16,384 pixels, or needs more than 512 MiB to be decoded;
/// `Mismatch` for other channels or sides.
pub fn photograph(path: &Path, channels: u32, side: u32, fit: Fit) -> Result<Vec<f32>> {
    read(path)?.fitted(channels, side, fit)
}

fn pixels(bytes: &[u8]) -> std::result::Result<Picture, String> {
    let failed = |error: &dyn Display| error.to_string();
    if bytes.starts_with(&[0xff, 0xd8]) && !is_whole_jpeg(bytes) {
        return Err("cut off: the end of the JPEG picture is missing".into());
    }
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let mut reader = reader.map_err(|error| failed(&error))?;
    // ISO's container of HEIC and AVIF: a length, "ftyp" and a brand.
    if bytes.get(4..8) == Some(b"ftyp") {
        return Err(format!("a HEIC or AVIF picture, or a video, but only {FORMATS} are read"));
    }
    if !reader.format().is_some_and(|format| format.reading_enabled()) {
        return Err(format!(
            "the first bytes are not those of a picture in one of the formats {FORMATS}"
        ));
    }
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(LARGEST), Some(LARGEST));
    limits.max_alloc = Some(room(bytes));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| failed(&error))?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 || width > LARGEST || height > LARGEST {
        return Err(format!(
            "the picture has {width}×{height} pixels, but width and height have to be 1 to {LARGEST}"
        ));
    }
    if decoder.total_bytes() > MOST_DECODED {
        let needed = decoder.total_bytes();
        return Err(format!(
            "the picture's {width}×{height} pixels need {needed} bytes of memory, but at most {MOST_DECODED} are allowed"
        ));
    }
    let orientation = decoder.orientation().map_err(|error| failed(&error))?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| failed(&error))?;
    image.apply_orientation(orientation);
    let (width, height) = (image.width(), image.height());
    if image.color().has_alpha() {
        return Ok(Picture::from_rgba(width, height, &image.into_rgba8()));
    }
    Ok(Picture::new(width, height, image.into_rgb8().into_raw()))
}

/// Returns the most bytes that a decoder may allocate for this picture. A PNG has its size at a fixed place, so that its
/// colour profiles cannot take the memory of the pixels.
fn room(bytes: &[u8]) -> u64 {
    let side = |at: usize| {
        let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(u64::from(u32::from_be_bytes(bytes).min(LARGEST)))
    };
    match (bytes.starts_with(b"\x89PNG"), side(16), side(20)) {
        // At most four channels of 16 bits, and the decoder's copies of rows.
        (true, Some(width), Some(height)) => {
            (8 * width * height + MOST_BESIDE + 64 * width).min(MOST_DECODED)
        }
        _ => MOST_DECODED,
    }
}

/// Whether an end-of-image marker follows the last start-of-scan marker: within a scan no byte 0xff is followed by either.
/// The decoder fills in grey for what is missing.
fn is_whole_jpeg(bytes: &[u8]) -> bool {
    let last = bytes.windows(2).rposition(|two| two == [0xff, 0xda]);
    let scan = last.and_then(|at| bytes.get(at..)).unwrap_or_default();
    scan.windows(2).any(|two| two == [0xff, 0xd9])
}
