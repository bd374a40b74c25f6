//! Makes the images that `sample` starts from: random fields, noise, or the user's own pictures.

use std::path::Path;

use super::args::Start;
use crate::Result;
use crate::data::{
    Augment, BatchSource, Fit, Prepared, Random, SAMPLE_STARTS, photograph, picture_files,
};
use crate::graph::Shape;
use crate::train::Data;
use std::sync::Arc;

/// The images that sampling starts from, batch by batch, which are the same as [`images`] returns where they are random fields,
/// noise or pictures.
#[derive(Debug)]
pub enum Starts {
    /// A stream of batches of images, with the number of the next batch.
    Batches(BatchSource, u64),
    /// A stream of random numbers for images of noise, with the number of values in a batch.
    Noise(Random, usize),
}

impl Starts {
    /// Makes batches of `batch` start images of this many channels; side, augmentation and limit of damaged pictures are the
    /// table's. Pictures that lie in a folder are taken whole, in an order that the seed determines, each once before any is
    /// taken again.
    pub fn new(start: &Start, seed: u64, batch: usize, data: &Data, channels: u32) -> Result<Self> {
        let side = data.side;
        let Start::Images(text) = start else {
            let values = batch * Shape::square(1, channels, side)?.elements() as usize;
            return Ok(Self::Noise(Random::new(seed, SAMPLE_STARTS, 0, 0), values));
        };
        let files = picture_files(Path::new(text));
        if !files.is_empty() {
            let fit = data.fit()?.unwrap_or(Fit::usual(channels));
            let read = |file| photograph(file, channels, side, fit);
            let images = files.iter().map(|file| read(file)).collect::<Result<Vec<_>>>()?.concat();
            let all = Prepared::from_f32(channels, side, 1, images, vec![0; files.len()])?;
            let all = Arc::new(all);
            let batches = BatchSource::images(SAMPLE_STARTS, seed, batch, all, Augment::None)?;
            return Ok(Self::Batches(batches, 0));
        }
        let batches = data.open(text, channels)?.batches(SAMPLE_STARTS, seed, batch)?;
        Ok(Self::Batches(batches, 0))
    }

    /// Leaves out this many batches of start images.
    pub fn skip(&mut self, batches: usize) {
        for _ in 0..batches {
            match self {
                Self::Batches(_, step) => *step += 1,
                Self::Noise(random, values) => {
                    for _ in 0..*values {
                        random.bits();
                    }
                }
            }
        }
    }

    /// Returns the next batch of start images.
    pub fn batch(&mut self) -> Result<Vec<f32>> {
        match self {
            Self::Batches(batches, step) => {
                *step += 1;
                Ok(batches.batch(*step - 1)?.images)
            }
            Self::Noise(random, values) => {
                Ok((0..*values).map(|_| random.uniform(0.0, 1.0) as f32).collect())
            }
        }
    }
}

/// Returns `count` start images as [`Starts::new`] takes them, the same for the same seed.
pub fn images(
    start: &Start,
    seed: u64,
    count: usize,
    data: &Data,
    channels: u32,
) -> Result<Vec<f32>> {
    Starts::new(start, seed, count, data, channels)?.batch()
}
