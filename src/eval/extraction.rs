//! Computes features and ImageNet logits of any number of images by a feature extractor, in batches of one size.

use super::Features;
use crate::gpu::Gpu;
use crate::graph::{Graph, Shape, Value};
use crate::lower::Program;
use crate::model::{Checkpoint, DeviceWeights, Extractor, Weights, filled};
use crate::{Error, Result};

/// Computes features of images by a feature extractor such as FID's Inception-v3, in batches of one size.
#[derive(Debug)]
pub struct Extraction {
    extractor: Extractor,
    program: Program,
    x: Value,
    features: Value,
    logits: Value,
    batch: usize,
    words: usize,
}

/// Features and ImageNet logits of images, as a feature extractor computed them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// The features, D numbers for each image.
    pub features: Vec<f32>,
    /// The ImageNet logits, K numbers for each image.
    pub logits: Vec<f32>,
}

impl Extraction {
    /// Prepares a feature extractor for batches of `images` images of `channels` (1 or 3) and `side` by `side` pixels.
    pub async fn new(
        gpu: &Gpu,
        checkpoint: &Checkpoint,
        [images, channels, side]: [u32; 3],
    ) -> Result<Self> {
        let extractor = Extractor::from_checkpoint(checkpoint)?;
        let parameters = extractor.parameters();
        let weights = DeviceWeights::upload(gpu, &parameters, &checkpoint.weights).await?;
        let mut graph = Graph::default();
        let shape = Shape::new(images, channels, side, side)?;
        let x = graph.input(shape);
        let inputs = Weights::inputs(&mut graph, &parameters)?;
        let made = extractor.push(&mut graph, x, &inputs)?;
        let wanted = [made.features, made.logits];
        let given = weights.bindings(&inputs)?;
        let program = Program::new(gpu, &graph, &wanted, &[x], &given).await?;
        Ok(Self {
            extractor,
            program,
            x,
            features: made.features,
            logits: made.logits,
            batch: images as usize,
            words: (shape.elements() / images) as usize,
        })
    }

    /// Returns which network extracts the features.
    pub fn extractor(&self) -> Extractor {
        self.extractor
    }

    /// Extracts the features of whole images, NCHW in \[0, 1\]; `progress` is given the number of images done. Err for
    /// part of an image.
    pub async fn see(
        &mut self,
        images: &[f32],
        mut progress: impl FnMut(usize) -> Result<()>,
    ) -> Result<Seen> {
        if !images.len().is_multiple_of(self.words) {
            let given = format_args!("{} values", images.len());
            let wanted =
                format_args!("a multiple of {}, the number of values in one image", self.words);
            return Err(Error::mismatch("feature extractor", given, wanted));
        }
        let mut seen = Seen::default();
        let mut done = 0;
        for part in images.chunks(self.batch * self.words) {
            let batch = filled(part, self.batch * self.words, 0.0);
            self.program.write(self.x, &batch).await?;
            self.program.run(1, |_| Ok(())).await?;
            let both = self.program.read_all(&[self.features, self.logits]).await?;
            let count = part.len() / self.words;
            let widths = [self.extractor.width(), self.extractor.classes()];
            for ((to, from), width) in
                [&mut seen.features, &mut seen.logits].into_iter().zip(both).zip(widths)
            {
                to.extend(from.into_iter().take(count * width as usize));
            }
            done += count;
            progress(done)?;
        }
        Ok(seen)
    }

    /// Returns the features in `seen` as a matrix with a row for each image.
    pub fn features(&self, seen: &Seen) -> Result<Features> {
        Features::new(seen.features.clone(), self.extractor.width() as usize)
    }
}
