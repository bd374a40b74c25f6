//! Endless streams of training batches: the batch of a step depends on the step's number alone, so any thread may make any batch.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::augment::Augment;
#[cfg(not(target_arch = "wasm32"))]
use super::fit::Fit;
use super::fractal::Fractal;
use super::order::EpochOrder;
#[cfg(not(target_arch = "wasm32"))]
use super::pictures::Pictures;
use super::prepared::Prepared;
use super::seed::Random;
use super::source::LabelledImages;
use crate::{Error, Result};

/// The most values in a batch: 1 GiB of f32.
const MAX_VALUES: u128 = 1 << 28;

/// The images and labels that one step reads from one source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The images, NCHW in `[0, 1]`.
    pub images: Vec<f32>,
    /// The label of each image; empty where the source has none.
    pub labels: Vec<u32>,
}

/// A stream of batches: labelled images in shuffled order, random images, or a mixture of these.
pub struct BatchSource {
    name: String,
    seed: u64,
    batch_size: usize,
    /// The range of images in a batch that this process makes: all, or its share.
    made: Range<usize>,
    /// The number of channels, and the height and width, which are equal.
    shape: [u32; 2],
    kind: Kind,
}

enum Kind {
    Images {
        images: Arc<Prepared>,
        order: EpochOrder,
        augment: Augment,
    },
    #[cfg(not(target_arch = "wasm32"))]
    Pictures {
        pictures: Pictures,
        fit: Fit,
        order: EpochOrder,
        augment: Augment,
    },
    Fractal(Fractal),
    Noise,
    /// Several sources, each with the sum of its share and those before it.
    Mixture(Vec<(f64, BatchSource)>),
}

impl BatchSource {
    /// Makes a stream of labelled images, drawn without replacement: every epoch has its own order, a pure function of (`seed`,
    /// `name`, epoch), and a batch may straddle two epochs. `name` tells this source's random numbers from other sources' of
    /// the run, such as `"generation"`. The augmentation of image i in step s depends on (`seed`, `name`, s, i).
    ///
    /// # Errors
    /// `Mismatch` where `batch_size` is 0 or a batch would pass 1 GiB.
    pub fn images(
        name: &str,
        seed: u64,
        batch_size: usize,
        images: impl Into<LabelledImages>,
        augment: Augment,
    ) -> Result<Self> {
        let images = images.into();
        let shape = [images.channels(), images.side()];
        // In memory or on disk, they are fewer than 2^32.
        let order = EpochOrder::new(seed, format!("{name}/order"), images.len() as u32);
        let kind = match images {
            LabelledImages::Prepared(images) => Kind::Images { images, order, augment },
            #[cfg(not(target_arch = "wasm32"))]
            LabelledImages::Pictures { pictures, fit, .. } => {
                Kind::Pictures { pictures, fit, order, augment }
            }
        };
        Self::new(name, seed, batch_size, shape, kind)
    }

    /// Makes a stream of random fields: image i of step s is number s × `batch_size` + i of the fields that `seed` and `name`
    /// determine.
    ///
    /// # Errors
    /// The errors of [`BatchSource::images`].
    pub fn fractal(name: &str, seed: u64, batch_size: usize, fractal: Fractal) -> Result<Self> {
        let shape = [fractal.channels(), fractal.side()];
        Self::new(name, seed, batch_size, shape, Kind::Fractal(fractal))
    }

    /// Makes a stream of images of independent values, uniform in \[0, 1): image i of step s is number s × `batch_size` + i of
    /// the images that `seed` and `name` determine.
    ///
    /// # Errors
    /// The errors of [`BatchSource::images`].
    pub fn noise(name: &str, seed: u64, batch_size: usize, shape: [u32; 2]) -> Result<Self> {
        Self::new(name, seed, batch_size, shape, Kind::Noise)
    }

    /// Makes a stream that mixes several sources, without labels. The source of image i of step s is drawn, with the
    /// weights of `parts`, from (`seed`, `name`, s, i), and the image is that source's own image i of step s. The sources should
    /// differ in name, so that their random numbers differ.
    ///
    /// # Errors
    /// `Mismatch` where there is none, or batches differ in shape.
    pub fn mixture(name: &str, seed: u64, parts: Vec<(f64, Self)>) -> Result<Self> {
        let wanted = "sources of one shape with weights above 0";
        let Some((shape, batch_size)) = parts.first().map(|(_, one)| (one.shape, one.batch_size))
        else {
            return Err(Error::mismatch("mixture of images", "no source", wanted));
        };
        let fits = |(weight, part): &(f64, Self)| {
            part.shape == shape && part.batch_size == batch_size && *weight > 0.0
        };
        if let Some((weight, part)) = parts.iter().find(|part| !fits(part)) {
            return Err(Error::mismatch(
                "mixture of images",
                format!(
                    "the source {:?} of weight {weight}, shape {:?} and batch {}",
                    part.name, part.shape, part.batch_size
                ),
                wanted,
            ));
        }
        let sum: f64 = parts.iter().map(|(weight, _)| weight).sum();
        let mut below = 0.0;
        let parts = parts.into_iter().map(|(weight, part)| {
            below += weight / sum;
            (below, part)
        });
        let kind = Kind::Mixture(parts.collect());
        Self::new(name, seed, batch_size, shape, kind)
    }

    fn new(name: &str, seed: u64, batch_size: usize, shape: [u32; 2], kind: Kind) -> Result<Self> {
        let [channels, side] = shape.map(u128::from);
        let values = channels * side * side;
        if batch_size == 0 || batch_size as u128 * values > MAX_VALUES {
            return Err(Error::mismatch(
                "batch source",
                format!("batches of {batch_size} × {values} values for the source {name:?}"),
                format!("1 to {MAX_VALUES} values in a batch"),
            ));
        }
        Ok(Self { name: name.into(), seed, batch_size, made: 0..batch_size, shape, kind })
    }

    /// Restricts the stream to the images of each batch whose indices are in `made`; each image stays the same as in the whole
    /// batch.
    ///
    /// # Errors
    /// `Mismatch` for none of them, or for images beyond the batch.
    pub fn of_batch(self, made: Range<usize>) -> Result<Self> {
        if made.is_empty() || made.end > self.batch_size {
            let wanted =
                format!("a range that is not empty within the batch's {} images", self.batch_size);
            return Err(Error::mismatch("batch source", format!("images {made:?}"), wanted));
        }
        Ok(Self { made, ..self })
    }

    /// Returns the name that the stream was made with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the number of images in a batch, or in the part of it that this stream makes.
    pub fn batch_size(&self) -> usize {
        self.made.len()
    }

    /// Returns the shape of a batch's images: N, C, H, W.
    pub fn shape(&self) -> [usize; 4] {
        let [channels, side] = self.shape.map(|length| length as usize);
        [self.made.len(), channels, side, side]
    }

    /// Makes the batch of a step, the same whenever and wherever it is asked for.
    ///
    /// # Errors
    /// `Mismatch` beyond 2^64 images; `BadFile` where too many pictures are damaged.
    pub fn batch(&self, step: u64) -> Result<Batch> {
        let first = step
            .checked_mul(self.batch_size as u64)
            .filter(|first| first.checked_add(self.batch_size as u64).is_some())
            .ok_or_else(|| {
                Error::mismatch(
                    "batch",
                    format!("step {step}"),
                    "a step whose images, numbered from step 0 on, have numbers below 2^64",
                )
            })?;
        let mut images = vec![0.0; self.shape().iter().product()];
        let mut labels = Vec::new();
        let image_len = images.len() / self.made.len().max(1);
        let numbers = self.made.start as u64..;
        for (index, image) in numbers.zip(images.chunks_exact_mut(image_len.max(1))) {
            labels.extend(self.image([step, index], first + index, image)?);
        }
        Ok(Batch { images, labels })
    }

    /// Writes image `position` of the endless stream, which is number `index` of `step`; its label, if there is one.
    fn image(&self, at: [u64; 2], position: u64, out: &mut [f32]) -> Result<Option<u32>> {
        let [step, index] = at;
        let random = |purpose: &str, step, index| {
            Random::new(self.seed, &format!("{}/{purpose}", self.name), step, index)
        };
        match &self.kind {
            Kind::Fractal(fractal) => {
                let image = fractal.image(&mut random("fractal", 0, position));
                out.copy_from_slice(&image);
                Ok(None)
            }
            Kind::Noise => {
                let mut random = random("noise", 0, position);
                out.fill_with(|| (random.bits() >> 40) as f32 / (1 << 24) as f32);
                Ok(None)
            }
            Kind::Mixture(parts) => {
                let drawn = random("mixture", step, index).uniform(0.0, 1.0);
                // The last share may have been rounded to less than 1.
                let part = parts.iter().find(|(below, _)| drawn < *below).or(parts.last());
                part.map_or(Ok(None), |(_, part)| part.image(at, position, out))?;
                Ok(None)
            }
            Kind::Images { images, order, augment } => {
                let number = order.image_at(position).unwrap_or_default() as usize;
                let found = images.image(number).zip(images.labels().get(number));
                let (image, &label) = found.ok_or_else(|| {
                    let wanted = format!("a number below {}, the number of images", images.len());
                    Error::mismatch("batch", format!("image {number} (counted from 0)"), wanted)
                })?;
                let (channels, side) = (images.channels(), images.side());
                augment.apply(&mut random("augment", step, index), image, channels, side, out)?;
                Ok(Some(label))
            }
            #[cfg(not(target_arch = "wasm32"))]
            Kind::Pictures { pictures, fit, order, augment } => {
                let number = order.image_at(position).unwrap_or_default();
                let (picture, label) = pictures.sound(number)?;
                let [channels, side] = self.shape;
                let mut random = random("augment", step, index);
                augment.apply_to_picture(&mut random, &picture, (channels, side, *fit), out)?;
                Ok(Some(label))
            }
        }
    }
}

impl fmt::Debug for BatchSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "BatchSource({:?}, {:?})", self.name, self.shape())
    }
}
