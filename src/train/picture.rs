//! Draws up to 16 images as one PNG picture, a grid of 4 rows and columns, for TensorBoard to show.

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use std::io::Cursor;

use crate::{Error, Result};

/// Rows and columns at most.
const ACROSS: u32 = 4;

/// Draws up to 16 images of \[N, C, side, side\] in \[0, 1\]: returns width, height and the file. None for other channels
/// than 1 and 3.
pub(super) fn grid(
    images: &[f32],
    channels: u32,
    side: u32,
) -> Result<Option<([u32; 2], Vec<u8>)>> {
    if channels != 1 && channels != 3 {
        return Ok(None);
    }
    let plane = side as usize * side as usize;
    let one = plane * channels as usize;
    let size = ACROSS * side;
    let mut picture = RgbImage::new(size, size);
    for (number, image) in (0..ACROSS * ACROSS).zip(images.chunks_exact(one.max(1))) {
        let (left, top) = (number % ACROSS * side, number / ACROSS * side);
        for pixel in 0..side.saturating_mul(side) {
            let value = |channel: u32| {
                let at = (channel % channels) as usize * plane + pixel as usize;
                // Langevin samples may lie outside of the box.
                let value = image.get(at).copied().unwrap_or_default().clamp(0.0, 1.0);
                (value * 255.0).round() as u8
            };
            let colour = Rgb([value(0), value(1), value(2)]);
            picture.put_pixel(left + pixel % side, top + pixel / side, colour);
        }
    }
    let mut bytes = Cursor::new(Vec::new());
    let wrong = |error| Error::bug("PNG file", error);
    DynamicImage::from(picture).write_to(&mut bytes, ImageFormat::Png).map_err(wrong)?;
    Ok(Some(([size; 2], bytes.into_inner())))
}
