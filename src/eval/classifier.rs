//! Computes a network's logits for any number of images, in batches of one size.

use crate::graph::{Graph, Summary, Value};
use crate::lower::Program;
use crate::model::{BatchSize, DeviceWeights, Mode, Model, Weights, filled};
use crate::{Error, Result};

/// Computes the logits of images with a network whose batch norm statistics are frozen, in batches of one size.
#[derive(Debug)]
pub struct Classifier {
    program: Program,
    x: Value,
    logits: Value,
    batch: usize,
    words: usize,
    classes: usize,
}

impl Classifier {
    /// Prepares a classifier for a network and batches of one size.
    pub async fn new(model: &dyn Model, weights: &DeviceWeights, size: BatchSize) -> Result<Self> {
        let mut graph = Graph::default();
        let shape = size.shape(model)?;
        let x = graph.input(shape);
        let inputs = Weights::inputs(&mut graph, &model.parameters())?;
        let logits = model.logits(&mut graph, x, &inputs, Mode::Frozen)?;
        let given = weights.bindings(&inputs)?;
        let program = Program::new(weights.gpu(), &graph, &[logits], &[x], &given).await?;
        let (batch, words) = (size.images as usize, size.words(model)?);
        Ok(Self { program, x, logits, batch, words, classes: model.classes() as usize })
    }

    /// Computes K logits for each image. `images` are any number of whole images, NCHW in \[0, 1\]. Err for part of an image, and
    /// `NonFinite` for logits that are NaN or infinite.
    pub async fn logits(&mut self, images: &[f32]) -> Result<Vec<f32>> {
        if !images.len().is_multiple_of(self.words) {
            let given = format_args!("{} values", images.len());
            return Err(Error::mismatch(
                "classifier",
                given,
                format_args!("a multiple of {}, the number of values in one image", self.words),
            ));
        }
        let mut logits = Vec::new();
        for part in images.chunks(self.batch * self.words) {
            let batch = filled(part, self.batch * self.words, 0.0);
            self.program.write(self.x, &batch).await?;
            self.program.run(1, |_| Ok(())).await?;
            let mut all = self.program.read(self.logits).await?;
            all.truncate(part.len() / self.words * self.classes);
            logits.extend(all);
        }
        if let Some((at, &value)) = logits.iter().enumerate().find(|(_, logit)| !logit.is_finite())
        {
            return Err(Error::NonFinite { image: at / self.classes.max(1), value });
        }
        Ok(logits)
    }

    /// Returns what one batch costs: kernel launches, arithmetic, memory.
    pub fn summary(&self) -> &Summary {
        self.program.summary()
    }

    /// Returns the number of classes, K.
    pub fn classes(&self) -> usize {
        self.classes
    }
}

/// Returns the class of the largest logit of each image; of equal ones the first.
pub fn argmax(logits: &[f32], classes: usize) -> Vec<u32> {
    let largest = |row: &[f32]| {
        let mut best = (0, f32::NEG_INFINITY);
        for (class, &logit) in (0..).zip(row) {
            if logit > best.1 {
                best = (class, logit);
            }
        }
        best.0
    };
    logits.chunks(classes.max(1)).map(largest).collect()
}
