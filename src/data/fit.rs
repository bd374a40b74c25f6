//! Fits pictures of any size to the square image that a network takes. Training, every command and the web page use this code,
//! and the same pixels give the same bits in all of them, because all but the last division is in whole numbers.
//!
//! The contract, from pixels on: red, green, blue and alpha, a byte each and not multiplied by alpha, in rows from above,
//! already turned upright. What is transparent is laid on white; a network of one channel gets Rec. 709 luma; then [`Fit`] says
//! how the square is filled. How a file becomes pixels is the decoder's: a browser's and the program's may differ by a step in
//! a JPEG or a picture of 16 bits, and agree in all that is stored without loss in 8.

use std::fmt;

use super::picture::Picture;
use crate::{Error, Result};

/// How a picture of any shape is fitted to the square image that a network takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// `crop`: the picture is resized by an antialiased bicubic filter (Catmull and Rom's), so that its short side is the
    /// network's, and the square in its middle is cut out.
    Crop,
    /// `letterbox`: zeros are put around the picture up to the smallest multiple of the network's side that covers the long side,
    /// then squares of pixels are averaged, as [`Dataset::prepared`](super::Dataset::prepared) does it.
    Letterbox,
    /// `stretch`: the whole picture, whatever its shape, is resized to the square by an antialiased bicubic filter.
    Stretch,
}

impl Fit {
    const ALL: [(&str, Self); 3] =
        [("crop", Self::Crop), ("letterbox", Self::Letterbox), ("stretch", Self::Stretch)];

    /// Reads the name of a way to fit pictures: `crop`, `letterbox` or `stretch`.
    ///
    /// # Errors
    /// `BadConfig` for another, under the key `fit`.
    pub fn parse(text: &str) -> Result<Self> {
        let found = Self::ALL.iter().find(|(name, _)| *name == text);
        found.map(|&(_, fit)| fit).ok_or_else(|| Error::BadConfig {
            key: "fit".into(),
            value: format!("{text:?}"),
            allowed: format!("one of {}", Self::ALL.map(|(name, _)| name).join(", ")),
        })
    }

    /// Returns how pictures are fitted for a network of which only the channels are known: colour images, presumably photographs,
    /// are cropped; all others, presumably small square drawings, are letterboxed.
    pub fn usual(channels: u32) -> Self {
        if channels == 3 { Self::Crop } else { Self::Letterbox }
    }

    /// Reads from a checkpoint's metadata (`lapidary.fit`) how pictures are fitted; where it does not say, they are cropped for
    /// a network of three channels and letterboxed for any other.
    ///
    /// # Errors
    /// The errors of [`Fit::parse`].
    pub fn stored(metadata: Option<&str>, channels: u32) -> Result<Self> {
        metadata.map_or_else(|| Ok(Self::usual(channels)), Self::parse)
    }
}

impl fmt::Display for Fit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = Self::ALL.iter().find(|(_, fit)| fit == self);
        out.write_str(found.map_or("", |(name, _)| name))
    }
}

/// Fits a picture in memory to a network's square image: \[`channels`, `side`, `side`\] in \[0, 1\], with 1 or 3 channels, from
/// `width`×`height` RGBA pixels: a byte each, not multiplied by alpha, in rows from above, already turned upright.
///
/// # Errors
/// `Mismatch` where the bytes are not `width`×`height` pixels of four, for a side of 0 or above 16,384, and for other channels.
pub fn fit_rgba(
    rgba: &[u8],
    [width, height]: [u32; 2],
    channels: u32,
    side: u32,
    fit: Fit,
) -> Result<Vec<f32>> {
    let wanted = u64::from(width) * u64::from(height) * 4;
    if rgba.is_empty() || rgba.len() as u64 != wanted {
        return Err(Error::mismatch(
            "picture",
            format!("{} bytes", rgba.len()),
            format!("{wanted}, four for each of {width}×{height} pixels, and at least one pixel"),
        ));
    }
    Picture::from_rgba(width, height, rgba).fitted(channels, side, fit)
}

/// Shrinks one plane for [`Fit::Letterbox`]: pads it with zeros to a square and writes the mean of each block of pixels,
/// divided by 255, as `side`×`side` values. `sums` is room for as many sums.
pub(super) fn letterbox(
    plane: &[u8],
    [height, width]: [u32; 2],
    side: u32,
    sums: &mut [u64],
    out: &mut [f32],
) {
    let factor = height.max(width).div_ceil(side.max(1));
    let covered = u64::from(side) * u64::from(factor);
    let before = |length: u32| ((covered - u64::from(length)) / 2) as usize;
    let (top, left) = (before(height), before(width));
    let (side, factor) = (side as usize, factor.max(1) as usize);
    let area = (255 * factor as u64 * factor as u64) as f32;
    sums.fill(0);
    for (y, row) in plane.chunks_exact((width as usize).max(1)).enumerate() {
        let start = (y + top) / factor * side;
        let into = sums.get_mut(start..start + side).unwrap_or_default();
        for (x, &pixel) in row.iter().enumerate() {
            if let Some(sum) = into.get_mut((x + left) / factor) {
                *sum += u64::from(pixel);
            }
        }
    }
    for (value, &sum) in out.iter_mut().zip(sums.iter()) {
        *value = sum as f32 / area;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red grows to the right, green downwards; blue is full.
    fn colours(width: u32, height: u32, alpha: u8) -> Vec<u8> {
        let pixel = |i: u32| [(i % width * 8) as u8, (i / width * 8) as u8, 255, alpha];
        (0..width * height).flat_map(pixel).collect()
    }

    #[test]
    fn the_three_ways_to_fill_a_square() {
        let (wide, [width, height]) = (colours(24, 8, 255), [24, 8]);
        let fitted = |fit| fit_rgba(&wide, [width, height], 3, 8, fit).unwrap();
        let crop = fitted(Fit::Crop);
        // The middle eight columns as they are: red begins at column 8.
        assert_eq!(crop[0], 64.0 / 255.0);
        assert_eq!((crop[64], crop[64 + 8], crop[128]), (0.0, 8.0 / 255.0, 1.0));
        let letterbox = fitted(Fit::Letterbox);
        // Three times smaller: its rows lie at 8 to 15 of 24, so that one of them is in the squares of row 2, three in those of
        // rows 3 and 4, and the last one in those of row 5.
        assert_eq!(&letterbox[..16], &[0.0; 16]);
        assert!((letterbox[24] - 8.0 / 255.0).abs() < 1e-6 && letterbox[128 + 24] == 1.0);
        assert!((letterbox[128 + 16] - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(&letterbox[48..64], &[0.0; 16]);
        let stretch = fitted(Fit::Stretch);
        // All columns are there: the reds' mean is that of the whole picture.
        let mean = stretch[..64].iter().sum::<f32>() / 64.0;
        assert!((mean - 92.0 / 255.0).abs() < 0.01 && stretch[128..].iter().all(|&b| b == 1.0));
    }

    #[test]
    fn what_lies_under_transparency_does_not_count() {
        let [mut clear, mut other] = [colours(8, 8, 0), colours(8, 8, 0)];
        other.chunks_exact_mut(4).for_each(|pixel| pixel[1] = 99);
        let fitted = |rgba: &[u8]| fit_rgba(rgba, [8, 8], 3, 8, Fit::Crop).unwrap();
        assert_eq!(fitted(&clear), [1.0; 192]);
        assert_eq!(fitted(&clear), fitted(&other));
        // Half of blue on white: red and green are half white.
        for pixel in clear.chunks_exact_mut(4) {
            pixel.copy_from_slice(&[0, 0, 255, 128]);
        }
        let half = fitted(&clear);
        assert_eq!((half[0], half[64], half[128]), (127.0 / 255.0, 127.0 / 255.0, 1.0));
    }

    #[test]
    fn grey_networks_get_luma() {
        let rgba = [[255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 255, 255], [9, 9, 9, 255]].concat();
        let grey = fit_rgba(&rgba, [2, 2], 1, 2, Fit::Letterbox).unwrap();
        assert_eq!(grey, [54.0, 182.0, 18.0, 9.0].map(|value| value / 255.0));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |bytes: usize, size, channels, side| {
            let fitted = fit_rgba(&vec![0; bytes], size, channels, side, Fit::Crop);
            fitted.unwrap_err().to_string()
        };
        assert!(refused(15, [2, 2], 3, 8).contains("16, four for each of 2×2"));
        assert!(refused(0, [0, 2], 3, 8).contains("at least one pixel"));
        assert!(refused(16, [2, 2], 4, 8).contains("1 or 3 channels"));
        assert!(refused(16, [2, 2], 3, 0).contains("side 0"));
        assert!(Fit::parse("fill").unwrap_err().to_string().contains("crop, letterbox, stretch"));
    }
}
