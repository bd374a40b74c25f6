//! Endless batches of one kind, each a pure function of its step: any thread may make any of them.

use std::fmt;
use std::sync::Arc;

use super::augment::CropFlip;
use super::fractal::Fractal;
use super::order::EpochOrder;
use super::prepared::Prepared;
use super::seed::Random;
use crate::{Error, Result};

/// The most values in a batch: 1 GiB of f32.
const MAX_VALUES: u128 = 1 << 28;

/// What one step reads from one source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// NCHW in `[0, 1]`.
    pub images: Vec<f32>,
    /// One an image; empty for `builtin:fractal`.
    pub labels: Vec<u32>,
}

/// Batches of labelled images in shuffled order, or of random fields.
pub struct BatchSource {
    name: String,
    seed: u64,
    batch_size: usize,
    kind: Kind,
}

enum Kind {
    Images { images: Arc<Prepared>, order: EpochOrder, augment: Option<CropFlip> },
    Fractal(Fractal),
}

impl BatchSource {
    /// Images without replacement: every epoch has its own order, a pure function of (`seed`, `name`, epoch), and a batch may
    /// straddle two. `name` tells this source's random numbers from other sources' of the run, such as `"generation"`. The
    /// augmentation of image i in step s depends on (`seed`, `name`, s, i).
    ///
    /// # Errors
    /// `Mismatch` where `batch_size` is 0 or a batch would pass 1 GiB.
    pub fn images(
        name: &str,
        seed: u64,
        batch_size: usize,
        images: Arc<Prepared>,
        augment: Option<CropFlip>,
    ) -> Result<Self> {
        check_size(name, batch_size, images.image_len())?;
        // A `Prepared` has fewer than 2^32 images.
        let order = EpochOrder::new(seed, format!("{name}/order"), images.len() as u32);
        Ok(Self {
            name: name.into(),
            seed,
            batch_size,
            kind: Kind::Images { images, order, augment },
        })
    }

    /// Random fields: image i of step s is number s × `batch_size` + i of those under (`seed`, `name`).
    ///
    /// # Errors
    /// As [`BatchSource::images`].
    pub fn fractal(name: &str, seed: u64, batch_size: usize, fractal: Fractal) -> Result<Self> {
        let side = fractal.side() as usize;
        check_size(name, batch_size, fractal.channels() as usize * side * side)?;
        Ok(Self { name: name.into(), seed, batch_size, kind: Kind::Fractal(fractal) })
    }

    /// As given at making.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Images in a batch.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// The shape of a batch's images: N, C, H, W.
    pub fn shape(&self) -> [usize; 4] {
        let (channels, side) = match &self.kind {
            Kind::Images { images, .. } => (images.channels(), images.side()),
            Kind::Fractal(fractal) => (fractal.channels(), fractal.side()),
        };
        [self.batch_size, channels as usize, side as usize, side as usize]
    }

    /// The batch of a step, the same whenever and wherever it is asked for.
    ///
    /// # Errors
    /// `Mismatch` beyond 2^64 images.
    pub fn batch(&self, step: u64) -> Result<Batch> {
        let first = step
            .checked_mul(self.batch_size as u64)
            .filter(|first| first.checked_add(self.batch_size as u64).is_some())
            .ok_or_else(|| {
                Error::mismatch("batch", format!("step {step}"), "fewer than 2^64 images")
            })?;
        let mut batch = Batch::default();
        batch.images.reserve_exact(self.shape().iter().product());
        for index in 0..self.batch_size as u64 {
            match &self.kind {
                Kind::Fractal(fractal) => {
                    let purpose = format!("{}/fractal", self.name);
                    batch.images.extend(fractal.image(&mut Random::new(
                        self.seed,
                        &purpose,
                        0,
                        first + index,
                    )));
                }
                Kind::Images { images, order, augment } => {
                    let random =
                        Random::new(self.seed, &format!("{}/augment", self.name), step, index);
                    append(
                        &mut batch,
                        images,
                        order.image_at(first + index),
                        augment.as_ref(),
                        random,
                    )?;
                }
            }
        }
        Ok(batch)
    }
}

impl fmt::Debug for BatchSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "BatchSource({:?}, {:?})", self.name, self.shape())
    }
}

fn append(
    batch: &mut Batch,
    images: &Prepared,
    index: Option<u32>,
    augment: Option<&CropFlip>,
    mut random: Random,
) -> Result<()> {
    let index = index.unwrap_or_default() as usize;
    let (Some(image), Some(&label)) = (images.image(index), images.labels().get(index)) else {
        return Err(Error::mismatch(
            "batch",
            format!("image {index}"),
            format!("below {}", images.len()),
        ));
    };
    let start = batch.images.len();
    batch.images.extend_from_slice(image);
    batch.labels.push(label);
    if let (Some(augment), Some(out)) = (augment, batch.images.get_mut(start..)) {
        augment.apply(&mut random, image, images.channels(), images.side(), out)?;
    }
    Ok(())
}

fn check_size(name: &str, batch_size: usize, image_len: usize) -> Result<()> {
    if batch_size == 0 || batch_size as u128 * image_len as u128 > MAX_VALUES {
        return Err(Error::mismatch(
            "batch source",
            format!("batches of {batch_size} × {image_len} values for {name:?}"),
            format!("1 to {MAX_VALUES} values"),
        ));
    }
    Ok(())
}
