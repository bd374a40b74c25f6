//! Parses the setting that names out-of-distribution images (`data.ood` and options like it), and opens them. Samples and the
//! contrastive images of training start from these images.

use std::fmt;

use super::augment::Augment;
use super::checksum::Checksum;
use super::fit::Fit;
use super::fractal::Fractal;
use super::source::{Found, Source, bad};
use super::stream::BatchSource;
use crate::{Error, Result};

/// The name of the random stream that sampling's start images are drawn from: with the same seed, the command-line program and
/// the web page draw the same images.
pub const SAMPLE_STARTS: &str = "sample-starts";

/// A source of out-of-distribution images.
#[derive(Clone, Debug, PartialEq)]
pub enum Ood {
    /// The images that `builtin:fractal` names: random fields with a power-law spectrum.
    Fractal,
    /// The images that `builtin:noise` names, whose values are independent and uniform.
    Noise,
    /// Out-of-distribution images from files: the training part of labelled images, or images without labels.
    Images(Source),
    /// A mixture such as `0.7*builtin:fractal + 0.3*some/path`: each image comes from one of several sources, drawn with these
    /// weights.
    Mixture(Vec<(f64, Self)>),
}

impl Ood {
    /// Parses the name of out-of-distribution images: `builtin:fractal`, `builtin:noise`, what [`Source::parse`] reads, or a
    /// weighted sum of these: `WEIGHT*NAME + WEIGHT*NAME`, with a space on both sides of each plus. Weights are relative to their
    /// sum.
    ///
    /// # Errors
    /// `BadConfig` for an empty text, for other builtins, and for a weight that is not above 0.
    pub fn parse(text: &str) -> Result<Self> {
        let allowed = "builtin:fractal, builtin:noise, builtin:fashion, the path of a data folder or file, or a mixture of \
             them, such as 0.7*builtin:fractal + 0.3*some/path";
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

    /// Reads the files of out-of-distribution images, once for all streams of batches, as images of \[`channels`, `side`,
    /// `side`\]. They are fitted by `fit` (`None` letterboxes arrays, and fits pictures by [`Fit::usual`]); batches augment
    /// them by the recipe `augment`. At most `max_bad` of them may be damaged: a share of all if below 1, a number from 1 on.
    ///
    /// # Errors
    /// The errors of reading and preparing, `BadFile` where too many are damaged, and `Mismatch` for another number of channels.
    pub fn open(
        &self,
        shape: [u32; 2],
        fit: Option<Fit>,
        augment: Augment,
        max_bad: f64,
    ) -> Result<OodImages> {
        let [channels, side] = shape;
        let kind = match self {
            Self::Fractal => Kind::Fractal(Fractal::new(channels, side)?),
            Self::Noise => Kind::Noise,
            Self::Images(source) => {
                let found = source.images(shape, fit, augment, max_bad)?;
                if found.images.channels() != channels {
                    return Err(Error::mismatch(
                        "out-of-distribution images",
                        format!("images of {} channels in {source}", found.images.channels()),
                        format!("images of {channels} channels"),
                    ));
                }
                Kind::Images(found)
            }
            Self::Mixture(parts) => {
                let part = |(weight, ood): &(f64, Self)| {
                    Ok((*weight, ood.open(shape, fit, augment, max_bad)?))
                };
                Kind::Mixture(parts.iter().map(part).collect::<Result<_>>()?)
            }
        };
        Ok(OodImages { shape, augment, kind })
    }
}

/// Out-of-distribution images: generated at random, read into memory, or read from files when they are asked for.
#[derive(Clone, Debug)]
pub struct OodImages {
    shape: [u32; 2],
    augment: Augment,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Fractal(Fractal),
    Noise,
    Images(Found),
    Mixture(Vec<(f64, OodImages)>),
}

impl OodImages {
    /// Makes an endless stream of batches of these images. `name` tells its random numbers from those of other streams under
    /// the same `seed`.
    ///
    /// # Errors
    /// The errors of [`BatchSource::images`].
    pub fn batches(&self, name: &str, seed: u64, batch_size: usize) -> Result<BatchSource> {
        match &self.kind {
            Kind::Fractal(fractal) => BatchSource::fractal(name, seed, batch_size, fractal.clone()),
            Kind::Noise => BatchSource::noise(name, seed, batch_size, self.shape),
            Kind::Images(Found { images, .. }) => {
                BatchSource::images(name, seed, batch_size, images.clone(), self.augment)
            }
            Kind::Mixture(parts) => {
                let part = |(i, (weight, part)): (usize, &(f64, Self))| {
                    Ok((*weight, part.batches(&format!("{name}/{i}"), seed, batch_size)?))
                };
                let parts = parts.iter().enumerate().map(part).collect::<Result<Vec<_>>>()?;
                BatchSource::mixture(name, seed, parts)
            }
        }
    }

    /// Returns the number of images; `None` for an endless source.
    pub fn len(&self) -> Option<usize> {
        match &self.kind {
            Kind::Images(found) => Some(found.images.len()),
            Kind::Fractal(_) | Kind::Noise | Kind::Mixture(_) => None,
        }
    }

    /// Returns false: there is always an image.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Returns `count` images to measure a network's scores on (all if there are fewer), in batches of `batch_size`, without
    /// augmentation.
    ///
    /// # Errors
    /// The errors of [`BatchSource::images`].
    pub fn measured(&self, seed: u64, count: usize, batch_size: usize) -> Result<Measured> {
        let left = self.len().map_or(count, |all| all.min(count));
        let source = self.unchanged().batches("evaluation", seed, batch_size.min(left).max(1))?;
        Ok(Measured { source, step: 0, left })
    }

    /// Returns these images without augmentation.
    fn unchanged(&self) -> Self {
        let kind = match &self.kind {
            Kind::Mixture(parts) => {
                let parts = parts.iter().map(|(weight, part)| (*weight, part.unchanged()));
                Kind::Mixture(parts.collect())
            }
            kind => kind.clone(),
        };
        Self { shape: self.shape, augment: Augment::None, kind }
    }

    /// Returns a fingerprint of the images that come from files, by which a run recognises its data; `None` where nothing comes
    /// from files.
    pub fn checksum(&self) -> Option<u64> {
        match &self.kind {
            Kind::Fractal(_) | Kind::Noise => None,
            Kind::Images(found) => Some(found.checksum),
            Kind::Mixture(parts) => {
                let bytes = parts.iter().filter_map(|(_, part)| part.checksum());
                let bytes: Vec<u8> = bytes.flat_map(u64::to_le_bytes).collect();
                (!bytes.is_empty()).then(|| Checksum::new().feed(bytes).value())
            }
        }
    }

    /// Returns one sentence for each picture that could not be read so far.
    pub fn damaged(&self) -> Vec<String> {
        match &self.kind {
            Kind::Fractal(_) | Kind::Noise => Vec::new(),
            Kind::Images(found) => [found.damaged.clone(), found.images.damaged()].concat(),
            Kind::Mixture(parts) => parts.iter().flat_map(|(_, part)| part.damaged()).collect(),
        }
    }
}

/// Images on which a network's scores are measured, handed out a batch at a time.
#[derive(Debug)]
pub struct Measured {
    source: BatchSource,
    step: u64,
    left: usize,
}

impl Measured {
    /// Returns the number of images that are still to come.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Returns the next images, NCHW; `None` after the last.
    ///
    /// # Errors
    /// `BadFile` where too many pictures are damaged.
    pub fn next_batch(&mut self) -> Result<Option<Vec<f32>>> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut images = self.source.batch(self.step)?.images;
        let size = self.source.batch_size();
        let now = size.min(self.left);
        images.truncate(images.len() / size * now);
        (self.step, self.left) = (self.step + 1, self.left - now);
        Ok(Some(images))
    }

    /// Returns all images that are still to come, at once, for small numbers of them.
    ///
    /// # Errors
    /// The errors of [`Measured::next_batch`].
    pub fn all(mut self) -> Result<Vec<f32>> {
        let mut images = Vec::new();
        while let Some(batch) = self.next_batch()? {
            images.extend(batch);
        }
        Ok(images)
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
