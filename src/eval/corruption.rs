//! Damages images by noise, blur, lower contrast, brightness, pixelation or JPEG compression, in five severities: corruptions
//! after CIFAR-10-C (Hendrycks and Dietterich 2019, arXiv 1903.12261), made here, with the benchmark's parameters where those are
//! numbers. Results are not comparable with those on CIFAR-10-C's own files.

use std::fmt;
use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageFormat};

use crate::data::Random;
use crate::{Error, Result};

/// A kind of image corruption, such as noise, blur or JPEG compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corruption {
    /// Adds independent, normally distributed noise to each value.
    GaussianNoise,
    /// Blurs the image with a Gaussian kernel.
    GaussianBlur,
    /// Lowers the contrast: moves values towards each channel's mean.
    Contrast,
    /// Adds the same amount to all values.
    Brightness,
    /// Makes the image coarser: the pixels of each cell of a grid become their mean.
    Pixelate,
    /// Compresses the image as JPEG and decodes it again.
    Jpeg,
}

/// All kinds of corruption.
pub const ALL: [Corruption; 6] = [
    Corruption::GaussianNoise,
    Corruption::GaussianBlur,
    Corruption::Contrast,
    Corruption::Brightness,
    Corruption::Pixelate,
    Corruption::Jpeg,
];

/// The levels of severity that each corruption has, 1 to 5.
pub const SEVERITIES: std::ops::RangeInclusive<u32> = 1..=5;

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::GaussianNoise => "Gaussian noise",
            Self::GaussianBlur => "Gaussian blur",
            Self::Contrast => "contrast",
            Self::Brightness => "brightness",
            Self::Pixelate => "pixelate",
            Self::Jpeg => "JPEG",
        })
    }
}

impl Corruption {
    /// Returns corrupted copies of images, NCHW in \[0, 1\], the same for the same seed. Err for part of an image, a severity
    /// outside 1 to 5, or a picture of other than 1 or 3 channels for JPEG.
    pub fn apply(
        self,
        images: &[f32],
        [channels, side]: [u32; 2],
        severity: u32,
        seed: u64,
    ) -> Result<Vec<f32>> {
        self.apply_to_part((images, 0), [channels, side], severity, seed)
    }

    /// Corrupts a part of a set of images, from number `first` of the set on, with the same result as if the whole set were
    /// corrupted at once.
    ///
    /// # Errors
    /// The errors of [`Corruption::apply`].
    pub fn apply_to_part(
        self,
        (images, first): (&[f32], usize),
        [channels, side]: [u32; 2],
        severity: u32,
        seed: u64,
    ) -> Result<Vec<f32>> {
        let (channels, side) = (channels as usize, side as usize);
        let words = channels * side * side;
        if !SEVERITIES.contains(&severity) || words == 0 || !images.len().is_multiple_of(words) {
            let given = format!(
                "{} values for images of {channels}×{side}×{side}, severity {severity}",
                images.len()
            );
            return Err(Error::mismatch("corruption", given, "whole images, severity 1 to 5"));
        }
        let level = |levels: [f64; 5]| levels.into_iter().nth(severity as usize - 1).unwrap_or(0.0);
        let mut damaged = Vec::with_capacity(images.len());
        for (index, image) in (first as u64..).zip(images.chunks(words)) {
            let planes = image.chunks(side * side);
            match self {
                Self::GaussianNoise => {
                    let scale = level([0.04, 0.06, 0.08, 0.09, 0.10]);
                    let mut random = Random::new(seed, "corruption", severity.into(), index);
                    damaged.extend(
                        image.iter().map(|&value| value + (scale * random.normal_pair().0) as f32),
                    );
                }
                Self::GaussianBlur => {
                    let sigma = level([0.4, 0.6, 0.7, 0.8, 1.0]) * side as f64 / 32.0;
                    planes.for_each(|plane| damaged.extend(blurred(plane, side, sigma)));
                }
                Self::Contrast => {
                    let factor = level([0.75, 0.5, 0.4, 0.3, 0.15]) as f32;
                    for plane in planes {
                        let mean = plane.iter().sum::<f32>() / plane.len() as f32;
                        damaged.extend(plane.iter().map(|value| (value - mean) * factor + mean));
                    }
                }
                Self::Brightness => {
                    let shift = level([0.05, 0.1, 0.15, 0.2, 0.3]) as f32;
                    damaged.extend(image.iter().map(|value| value + shift));
                }
                Self::Pixelate => {
                    let small = (level([0.95, 0.9, 0.85, 0.75, 0.65]) * side as f64) as usize;
                    planes.for_each(|plane| damaged.extend(pixelated(plane, side, small.max(1))));
                }
                Self::Jpeg => {
                    let quality = level([80.0, 65.0, 58.0, 50.0, 40.0]) as u8;
                    damaged.extend(compressed(image, [channels, side], quality)?);
                }
            }
        }
        damaged.iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0));
        Ok(damaged)
    }
}

/// Separable, cut off at four deviations, edges repeated.
fn blurred(plane: &[f32], side: usize, sigma: f64) -> Vec<f32> {
    let reach = (4.0 * sigma).ceil() as isize;
    let weight = |at: isize| (-0.5 * (at as f64 / sigma).powi(2)).exp();
    let total: f64 = (-reach..=reach).map(weight).sum();
    let last = side as isize - 1;
    let pass = |from: &[f32], rows: bool| -> Vec<f32> {
        let value = |at: usize| {
            let (row, column) = ((at / side) as isize, (at % side) as isize);
            let tap = |step: isize| {
                let (row, column) = if rows { (row + step, column) } else { (row, column + step) };
                let place = row.clamp(0, last) * side as isize + column.clamp(0, last);
                weight(step) * f64::from(from.get(place as usize).copied().unwrap_or_default())
            };
            ((-reach..=reach).map(tap).sum::<f64>() / total) as f32
        };
        (0..from.len()).map(value).collect()
    };
    pass(&pass(plane, true), false)
}

/// The mean of each of `small` × `small` cells, nearest pixels back.
fn pixelated(plane: &[f32], side: usize, small: usize) -> Vec<f32> {
    let cell = |at: usize| at * small / side;
    let mut sums = vec![(0.0_f32, 0.0_f32); small * small];
    for (at, value) in plane.iter().enumerate() {
        if let Some((sum, count)) = sums.get_mut(cell(at / side) * small + cell(at % side)) {
            *sum += value;
            *count += 1.0;
        }
    }
    let back = |at: usize| {
        let mean = sums.get(cell(at / side) * small + cell(at % side));
        mean.map_or(0.0, |(sum, count)| sum / count)
    };
    (0..plane.len()).map(back).collect()
}

fn compressed(image: &[f32], [channels, side]: [usize; 2], quality: u8) -> Result<Vec<f32>> {
    let failed = |error: image::ImageError| Error::bug("JPEG corruption", error);
    let kind = match channels {
        1 => ExtendedColorType::L8,
        3 => ExtendedColorType::Rgb8,
        _ => {
            let given = format_args!("images of {channels} channels");
            return Err(Error::mismatch("JPEG corruption", given, "1 or 3"));
        }
    };
    let plane = side * side;
    let byte = |at: usize| {
        let value = image.get(at % channels * plane + at / channels).copied().unwrap_or_default();
        (value.clamp(0.0, 1.0) * 255.0).round() as u8
    };
    let pixels: Vec<u8> = (0..image.len()).map(byte).collect();
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, quality)
        .encode(&pixels, side as u32, side as u32, kind)
        .map_err(failed)?;
    let decoded = image::load(Cursor::new(file), ImageFormat::Jpeg).map_err(failed)?;
    let pixels = if channels == 1 {
        decoded.into_luma8().into_raw()
    } else {
        decoded.into_rgb8().into_raw()
    };
    let value = |at: usize| {
        let place = at % plane * channels + at / plane;
        f32::from(pixels.get(place).copied().unwrap_or_default()) / 255.0
    };
    Ok((0..image.len()).map(value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_worse_and_nothing_leaves_the_range() {
        // Two coloured images with edges and a gradient.
        let (channels, side) = (3, 16);
        let value = |i: usize| if i % 8 < 4 { 0.9 } else { (i / 16 % 16) as f32 / 20.0 };
        let images: Vec<f32> = (0..2 * 3 * 256).map(value).collect();
        for corruption in ALL {
            let apart = |severity| -> f32 {
                let made = corruption.apply(&images, [channels, side], severity, 3).unwrap();
                assert!(made.iter().all(|value| (0.0..=1.0).contains(value)), "{corruption}");
                made.iter().zip(&images).map(|(a, b)| (a - b).powi(2)).sum()
            };
            let all: Vec<f32> = SEVERITIES.map(apart).collect();
            assert!(all[0] > 0.0 && all[4] > all[0], "{corruption}: {all:?}");
        }
        assert!(ALL[0].apply(&images, [3, 16], 6, 0).is_err());
        assert!(ALL[0].apply(&images[1..], [3, 16], 1, 0).is_err());
    }
}
