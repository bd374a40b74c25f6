//! What a configuration may name as out-of-distribution images, where sampling starts.

use std::fmt;

use super::augment::Augment;
use super::fractal::Fractal;
#[cfg(not(target_arch = "wasm32"))]
use super::pictures::Pictures;
#[cfg(not(target_arch = "wasm32"))]
use super::source::Reading;
use super::source::{Source, bad};
use super::stream::BatchSource;
use crate::{Error, Result};

/// The name of the random numbers that samples start from: the same seed gives the program and the page the same images.
pub const SAMPLE_STARTS: &str = "sample-starts";

/// Out-of-distribution images.
#[derive(Clone, Debug, PartialEq)]
pub enum Ood {
    /// `builtin:fractal`, random fields.
    Fractal,
    /// `builtin:noise`, each value uniform by itself.
    Noise,
    /// The training part of labelled images, or unlabelled ones.
    Images(Source),
    /// `0.7*builtin:fractal + 0.3*some/path`: each image from one of several, drawn with these weights.
    Mixture(Vec<(f64, Self)>),
}

impl Ood {
    /// Reads `builtin:fractal`, `builtin:noise`, what [`Source::parse`] reads, or several of these with a weight each:
    /// `WEIGHT*NAME + WEIGHT*NAME`, with a space on both sides of each plus. Weights are relative to their sum.
    ///
    /// # Errors
    /// `BadConfig` for an empty text, for other builtins, and for a weight that is not above 0.
    pub fn parse(text: &str) -> Result<Self> {
        let allowed = "builtin:fractal, builtin:noise, builtin:fashion, the path of a data folder or file, or a mixture of \
             them as 0.7*builtin:fractal + 0.3*some/path";
        let parts: Vec<&str> = text.split(" + ").map(str::trim).collect();
        if let [one] = parts.as_slice() {
            return match *one {
                "builtin:fractal" => Ok(Self::Fractal),
                "builtin:noise" => Ok(Self::Noise),
                one => Source::parse(one).map(Self::Images).map_err(|_| bad("ood", text, allowed)),
            };
        }
        let part = |part: &&str| {
            let (weight, name) = part.split_once('*')?;
            let weight = weight.trim().parse().ok().filter(|w: &f64| *w > 0.0 && w.is_finite())?;
            Some((weight, Self::parse(name.trim()).ok()?))
        };
        let parts: Option<Vec<_>> = parts.iter().map(part).collect();
        parts.map(Self::Mixture).ok_or_else(|| bad("ood", text, allowed))
    }

    /// Batches of these images at `channels`×`side`×`side`; those from files as [`Augment::CropFlip`] changes them. The other
    /// arguments are [`BatchSource::images`]'s.
    ///
    /// # Errors
    /// Those of reading and preparing, and `Mismatch` for another number of channels.
    pub fn batches(
        &self,
        name: &str,
        seed: u64,
        batch_size: usize,
        channels: u32,
        side: u32,
    ) -> Result<BatchSource> {
        #[cfg(not(target_arch = "wasm32"))]
        let max_bad = Pictures::MAX_BAD;
        #[cfg(target_arch = "wasm32")]
        let max_bad = 0.0;
        self.augmented(name, seed, batch_size, [channels, side], Augment::CropFlip, max_bad)
    }

    /// The same with a recipe for those from files, and with so many damaged pictures (a share below 1, a number from 1 on).
    ///
    /// # Errors
    /// As [`Ood::batches`].
    pub fn augmented(
        &self,
        name: &str,
        seed: u64,
        batch_size: usize,
        [channels, side]: [u32; 2],
        augment: Augment,
        max_bad: f64,
    ) -> Result<BatchSource> {
        match self {
            Self::Fractal => {
                BatchSource::fractal(name, seed, batch_size, Fractal::new(channels, side)?)
            }
            Self::Noise => BatchSource::noise(name, seed, batch_size, [channels, side]),
            Self::Images(source) => {
                #[cfg(not(target_arch = "wasm32"))]
                let images = source.images(Reading::new(side, max_bad, &[augment]))?;
                #[cfg(target_arch = "wasm32")]
                let images =
                    std::sync::Arc::new(source.load(super::Part::Train, side)?.prepared(side)?);
                if images.channels() != channels {
                    return Err(Error::mismatch(
                        "out-of-distribution images",
                        format!("{} channels in {source}", images.channels()),
                        channels,
                    ));
                }
                BatchSource::images(name, seed, batch_size, images, augment)
            }
            Self::Mixture(parts) => {
                let part = |(i, (weight, ood)): (usize, &(f64, Self))| {
                    let (name, shape) = (format!("{name}/{i}"), [channels, side]);
                    let part = ood.augmented(&name, seed, batch_size, shape, augment, max_bad)?;
                    Ok((*weight, part))
                };
                let parts = parts.iter().enumerate().map(part).collect::<Result<Vec<_>>>()?;
                BatchSource::mixture(name, seed, parts)
            }
        }
    }
}

impl fmt::Display for Ood {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fractal => out.write_str("builtin:fractal"),
            Self::Noise => out.write_str("builtin:noise"),
            Self::Images(source) => source.fmt(out),
            Self::Mixture(parts) => {
                for (i, (weight, part)) in parts.iter().enumerate() {
                    write!(out, "{}{weight}*{part}", if i == 0 { "" } else { " + " })?;
                }
                Ok(())
            }
        }
    }
}
