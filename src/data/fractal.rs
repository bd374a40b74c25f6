//! `builtin:fractal`: out-of-distribution images made from nothing, random fields whose power falls with frequency as
//! natural images' does.

use std::fmt;
use std::sync::Arc;

use rustfft::Fft;
use rustfft::num_complex::Complex64;

use super::dataset::{MAX_CHANNELS, MAX_SIDE};
use super::seed::Random;
use crate::{Error, Result};

/// Share of the common field in each channel's amplitude where there are several; the own field's is √(1 − 0.8²) = 0.6, so
/// two channels correlate by 0.64.
const COMMON: f64 = 0.8;
const OWN: f64 = 0.6;

/// A generator of random fields of one size whose power falls with frequency, as natural images' does; it holds the plan of their
/// Fourier transform.
///
/// A field is the inverse real Fourier transform of complex normal numbers times f^(−b/2), f in cycles per pixel (1/side
/// for the mean), so that power is 1/f^b; b is uniform in `[1, 4]`. It is brought to mean 0 and standard deviation 1, times a
/// contrast uniform in `[0.1, 0.5]`, plus an offset uniform in `[0, 0.8]`, clamped to `[0, 1]`. With several channels each is
/// 0.8 × a common field + 0.6 × its own, normalised, with the image's b and contrast; a channel's offset is the image's plus a
/// tint uniform in ±0.15.
///
/// The transform runs in f64 on the scalar code path, so its bits do not depend on the CPU's vector units.
#[derive(Clone)]
pub struct Fractal {
    channels: u32,
    side: u32,
    inverse: Arc<dyn Fft<f64>>,
    /// ln f², (side/2 + 1)×side, columns of the spectrum one after the other.
    log_frequency: Vec<f64>,
}

impl Fractal {
    /// Makes a generator of images \[`channels`, `side`, `side`\].
    ///
    /// # Errors
    /// `Mismatch` where channels are not 1 to 16 or the side is not 1 to 4096.
    pub fn new(channels: u32, side: u32) -> Result<Self> {
        if !(1..=MAX_CHANNELS).contains(&channels) || !(1..=MAX_SIDE).contains(&side) {
            return Err(Error::mismatch(
                "fractal images",
                format!("{channels} channels, side {side}"),
                format!("1 to {MAX_CHANNELS} channels, side 1 to {MAX_SIDE}"),
            ));
        }
        let cycles = |index: u32| f64::from(index.min(side - index)) / f64::from(side);
        let log_frequency = (0..=side / 2)
            .flat_map(|kx| (0..side).map(move |ky| (kx, ky)))
            .map(|(kx, ky)| match (kx, ky) {
                (0, 0) => f64::from(side).powi(-2).ln(),
                _ => (cycles(kx).powi(2) + cycles(ky).powi(2)).ln(),
            })
            .collect();
        let inverse = inverse_transform(side as usize);
        Ok(Self { channels, side, inverse, log_frequency })
    }

    /// Returns the number of colour channels.
    pub fn channels(&self) -> u32 {
        self.channels
    }

    /// Returns the height and width of the images.
    pub fn side(&self) -> u32 {
        self.side
    }

    /// Draws the next image from a stream of random numbers, CHW in `[0, 1]`.
    pub fn image(&self, random: &mut Random) -> Vec<f32> {
        let b = random.uniform(1.0, 4.0);
        let contrast = random.uniform(0.1, 0.5);
        let offset = random.uniform(0.0, 0.8);
        let common = self.field(random, b);
        let finish = |field: &[f64], offset: f64, image: &mut Vec<f32>| {
            image.extend(
                field.iter().map(|value| (value * contrast + offset).clamp(0.0, 1.0) as f32),
            );
        };
        let mut image = Vec::with_capacity(common.len() * self.channels as usize);
        if self.channels == 1 {
            finish(&common, offset, &mut image);
            return image;
        }
        for _ in 0..self.channels {
            let tint = random.uniform(-0.15, 0.15);
            let mut field = self.field(random, b);
            for (own, common) in field.iter_mut().zip(&common) {
                *own = OWN * *own + COMMON * common;
            }
            normalise(&mut field);
            finish(&field, offset + tint, &mut image);
        }
        image
    }

    /// Draws one normalised field with power 1/f^b, in rows.
    fn field(&self, random: &mut Random, b: f64) -> Vec<f64> {
        let side = self.side as usize;
        let mut columns: Vec<Complex64> = self
            .log_frequency
            .iter()
            .map(|log_frequency| {
                let (re, im) = random.normal_pair();
                Complex64::new(re, im) * (-b / 4.0 * log_frequency).exp()
            })
            .collect();
        self.inverse.process(&mut columns);

        // Row y of the half spectrum, made whole: the right half mirrors the left one's conjugate, and what a real signal
        // cannot have, an imaginary part at zero and at the Nyquist frequency, is dropped (as NumPy's irfft2 does).
        let half = |kx: usize, y: usize| columns.get(kx * side + y).copied().unwrap_or_default();
        let mut rows: Vec<Complex64> = (0..side)
            .flat_map(|y| (0..side).map(move |kx| (kx, y)))
            .map(|(kx, y)| match kx {
                _ if kx == 0 || 2 * kx == side => half(kx, y).re.into(),
                _ if 2 * kx < side => half(kx, y),
                _ => half(side - kx, y).conj(),
            })
            .collect();
        self.inverse.process(&mut rows);
        let mut field: Vec<f64> = rows.into_iter().map(|value| value.re).collect();
        normalise(&mut field);
        field
    }
}

impl fmt::Debug for Fractal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Fractal({0}×{1}×{1})", self.channels, self.side)
    }
}

/// Makes image number `index` of the random images `builtin:fractal` under `seed`, CHW in `[0, 1]`. For many images make one
/// [`Fractal`].
///
/// # Errors
/// The errors of [`Fractal::new`].
pub fn fractal(seed: u64, index: u64, channels: u32, side: u32) -> Result<Vec<f32>> {
    Ok(Fractal::new(channels, side)?.image(&mut Random::new(seed, "fractal", 0, index)))
}

#[cfg(not(target_arch = "wasm32"))]
fn inverse_transform(side: usize) -> Arc<dyn Fft<f64>> {
    rustfft::FftPlannerScalar::new().plan_fft_inverse(side)
}

/// Computes the inverse Fourier transform by its definition: in f32 the images are those of the fast transform up to
/// roundings in the last place, and the many algorithms of the FFT crate's planner stay out of a page's file.
#[cfg(target_arch = "wasm32")]
fn inverse_transform(side: usize) -> Arc<dyn Fft<f64>> {
    Arc::new(rustfft::algorithm::Dft::new(side, rustfft::FftDirection::Inverse))
}

/// Scales a field to mean 0 and standard deviation 1; a constant field becomes 0.
fn normalise(field: &mut [f64]) {
    let count = field.len() as f64;
    let mean = field.iter().sum::<f64>() / count;
    let std = (field.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    for value in field {
        *value = (*value - mean) / (std + 1e-8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_is_the_sum_of_its_waves() {
        // The double transform against the definition of the inverse real transform, for an even and an odd side.
        for side in [6_usize, 5] {
            let fractal = Fractal::new(1, side as u32).unwrap();
            let field = fractal.field(&mut Random::new(1, "test", 0, 0), 2.0);
            let mut random = Random::new(1, "test", 0, 0);
            let spectrum: Vec<Complex64> = fractal
                .log_frequency
                .iter()
                .map(|log| {
                    let (re, im) = random.normal_pair();
                    Complex64::new(re, im) / (0.5 * log).exp()
                })
                .collect();
            let mut expected = Vec::new();
            for y in 0..side {
                for x in 0..side {
                    let mut sum = 0.0;
                    for kx in 0..=side / 2 {
                        let twice = if kx == 0 || 2 * kx == side { 1.0 } else { 2.0 };
                        for ky in 0..side {
                            let angle =
                                std::f64::consts::TAU * (kx * x + ky * y) as f64 / side as f64;
                            sum += twice
                                * (spectrum[kx * side + ky] * Complex64::from_polar(1.0, angle)).re;
                        }
                    }
                    expected.push(sum);
                }
            }
            normalise(&mut expected);
            for (given, wanted) in field.iter().zip(&expected) {
                assert!((given - wanted).abs() < 1e-6, "side {side}: {given} {wanted}");
            }
        }
    }

    #[test]
    fn one_pixel_is_its_offset() {
        let image = Fractal::new(3, 1).unwrap().image(&mut Random::new(0, "test", 0, 0));
        assert!(image.len() == 3 && image.iter().all(|value| (0.0..=1.0).contains(value)));
    }
}
