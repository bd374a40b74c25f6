//! Judges the samples that `paper-table` compares by one ordinarily trained classifier, the same for all methods: whether they
//! show the class they were asked for, and how near they are to real test images in its logits.

use std::path::Path;

use pollster::block_on;
use serde_json::{Value, json};

use crate::cli::evaluate;
use crate::cli::labels::Labels;
use crate::cli::session::Session;
use crate::eval::{Classifier, Features, Gaussian, argmax, coverage, kernel_distance};
use crate::gpu::Gpu;
use crate::model::{BatchSize, DeviceWeights};
use crate::train::Loaded;
use crate::{Error, Result};

/// The number of images in a batch.
const BATCH: u32 = 64;
/// Neighbours of precision and recall.
const NEIGHBOURS: usize = 3;
/// Subsets of the kernel distance and their size, and the seed by which they are drawn.
const SUBSETS: (usize, usize) = (100, 1000);
const SEED: u64 = 0;

/// A second classifier on a device that judges samples, with its view of the real test images.
pub struct Judge {
    classifier: Classifier,
    classes: usize,
    words: usize,
    real: Features,
    scale: Scale,
}

/// Mean and standard deviation of each logit on real images, in whose units distances are.
struct Scale(Vec<(f64, f64)>);

impl Scale {
    fn of(logits: &[f32], classes: usize) -> Self {
        let count = (logits.len() / classes.max(1)).max(1) as f64;
        let column =
            |class| logits.iter().skip(class).step_by(classes).map(|value| f64::from(*value));
        let each = |class| {
            let mean = column(class).sum::<f64>() / count;
            let variance = column(class).map(|value| (value - mean).powi(2)).sum::<f64>() / count;
            // A logit that never changes stays as it is.
            (mean, if variance > 0.0 { variance.sqrt() } else { 1.0 })
        };
        Self((0..classes).map(each).collect())
    }

    fn features(&self, logits: &[f32]) -> Result<Features> {
        let scaled = |(value, (mean, deviation)): (&f32, &(f64, f64))| {
            ((f64::from(*value) - mean) / deviation) as f32
        };
        let values = logits.iter().zip(self.0.iter().cycle()).map(scaled).collect();
        Features::new(values, self.0.len())
    }
}

impl Judge {
    /// Opens the network in a run's folder as the judge, which classifies the samples of all others. Its test images are those of
    /// `data`, or of the run's own set.
    pub fn new(session: &Session, gpu: &Gpu, run: &Path, data: Option<&str>) -> Result<Self> {
        let loaded = Loaded::new(Some(run), None)?;
        let Loaded { model, checkpoint, side, .. } = &loaded;
        let test = evaluate::images(session, &loaded, data, &Labels::default())?;
        let weights =
            block_on(DeviceWeights::upload(gpu, &model.parameters(), &checkpoint.weights))?;
        let size = BatchSize { images: BATCH, side: *side };
        let mut classifier = block_on(Classifier::new(model, &weights, size))?;
        let classes = classifier.classes();
        let logits = block_on(classifier.logits(test.images()))?;
        let scale = Scale::of(&logits, classes);
        let real = scale.features(&logits)?;
        let words = (model.channels() * side * side) as usize;
        Ok(Self { classifier, classes, words, real, scale })
    }

    /// Judges the samples in a file of f32 values, NCHW, where the label of sample i is i mod K.
    pub fn judge(&mut self, samples: &Path) -> Result<Value> {
        let bytes = std::fs::read(samples).map_err(|error| Error::bad_file(samples, error))?;
        if bytes.is_empty() || !bytes.len().is_multiple_of(4 * self.words) {
            let reason = format!(
                "it has {} bytes, but needs a multiple of {}, the bytes of one image",
                bytes.len(),
                4 * self.words
            );
            return Err(Error::bad_file(samples, reason));
        }
        let images: Vec<f32> =
            bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
        let logits = block_on(self.classifier.logits(&images))?;
        let named = argmax(&logits, self.classes);
        let count = named.len();
        let right =
            named.iter().enumerate().filter(|(i, named)| **named as usize == i % self.classes);
        let agreement = right.count() as f64 / count as f64;
        let seen = self.scale.features(&logits)?;
        let distance = Gaussian::of(&self.real)?.distance(&Gaussian::of(&seen)?)?;
        let kernel = kernel_distance(&self.real, &seen, SUBSETS, SEED)?;
        let covered = coverage(&self.real, &seen, NEIGHBOURS)?;
        Ok(json!({
            "samples": count,
            "real": self.real.len(),
            "agreement": agreement,
            "distance": distance,
            "kernel_distance": kernel.mean,
            "precision": covered.precision,
            "recall": covered.recall,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_are_scaled_by_real_ones() {
        let scale = Scale::of(&[1.0, 5.0, 3.0, 5.0], 2);
        let scaled = scale.features(&[1.0, 5.0, 4.0, 7.0]).unwrap();
        let rows: Vec<_> = scaled.rows().collect();
        assert_eq!(rows, [[-1.0, 0.0], [2.0, 2.0]]);
    }
}
