//! Computes logits and class probabilities of images in GPU memory inside another app, a bounded slice of the work in each frame.

use super::slices::Slices;
use super::{Budget, needs};
use crate::attack::check_pixels;
use crate::gpu::{Buffer, Gpu};
use crate::graph::{Graph, Value};
use crate::lower::Program;
use crate::model::{BatchSize, DeviceWeights, Mode, Model, Weights};
use crate::ops::Softmax;
use crate::{Error, Result};
use std::fmt;
use std::time::Duration;

/// A network in frozen mode over a batch of images, recorded into the host's encoder.
#[derive(Debug)]
pub struct HostClassifier {
    gpu: Gpu,
    program: Program,
    slices: Slices,
    x: Value,
    /// Values of an image.
    words: usize,
    logits: Value,
    probabilities: Value,
}

/// Settings of a [`HostClassifier`], checked by [`build`](ClassifierBuilder::build).
pub struct ClassifierBuilder<'a> {
    model: &'a dyn Model,
    weights: &'a DeviceWeights,
    size: BatchSize,
    images: Option<&'a Buffer>,
}

impl HostClassifier {
    /// Makes it for batches of this size.
    pub fn of<'a>(
        model: &'a dyn Model,
        weights: &'a DeviceWeights,
        size: BatchSize,
    ) -> ClassifierBuilder<'a> {
        ClassifierBuilder { model, weights, size, images: None }
    }

    /// Replaces the images, NCHW, before the next submission. Err for another number of values, for values outside of \[0,
    /// 1\], and on a lost device.
    pub async fn write(&mut self, images: &[f32]) -> Result<()> {
        check_pixels("images", images, self.words)?;
        self.program.write(self.x, images).await
    }

    /// Appends a slice of a pass over the images, and returns whether the pass ends with it. If so, the results belong to
    /// the images once this has run, and the next slice begins a new pass. A budget of steps is a whole pass (0: nothing).
    /// Err on a lost device, with nothing recorded. [`crate::embed`] describes which device the encoder must belong to.
    pub fn record(&mut self, encoder: &mut wgpu::CommandEncoder, budget: Budget) -> Result<bool> {
        self.gpu.alive()?;
        let whole = self.slices.record(&mut self.program, encoder, budget, 1) == 1;
        if whole {
            self.slices.restart();
        }
        Ok(whole)
    }

    /// GPU time of a pass, as it was measured when this was built.
    pub fn pace(&self) -> Duration {
        self.slices.pace()
    }

    /// The images, NCHW f32 in \[0, 1\]; the host's passes may write them.
    pub fn image_buffer(&self) -> Result<&Buffer> {
        self.program.buffer(self.x)
    }

    /// The buffer of logits, f32 \[N, K\].
    pub fn logits(&self) -> Result<&Buffer> {
        self.program.buffer(self.logits)
    }

    /// Softmax of the logits, f32 \[N, K\].
    pub fn probabilities(&self) -> Result<&Buffer> {
        self.program.buffer(self.probabilities)
    }
}

impl<'a> ClassifierBuilder<'a> {
    /// Classifies images that lie in a buffer already, such as a sampler's [`image_buffer`](super::Ascent::image_buffer);
    /// without it the classifier has a buffer of its own.
    #[must_use]
    pub fn images(mut self, images: &'a Buffer) -> Self {
        self.images = Some(images);
        self
    }

    /// Allocates, compiles and measures the pace. Err as for [`AscentBuilder`](super::AscentBuilder::build).
    pub async fn build(self) -> Result<HostClassifier> {
        let Self { model, weights, size, images: buffer } = self;
        let gpu = weights.gpu();
        needs::expect(gpu)?;
        let mut graph = Graph::default();
        let shape = size.shape(model)?;
        let x = graph.input(shape);
        let inputs = Weights::inputs(&mut graph, &model.parameters())?;
        let logits = model.logits(&mut graph, x, &inputs, Mode::Frozen)?;
        let probabilities = graph.push(Softmax { log: false }, &[logits])?;
        let mut given = weights.bindings(&inputs)?;
        if let Some(buffer) = buffer {
            if buffer.words() != shape.elements() {
                let given = format_args!("a buffer of {} words", buffer.words());
                return Err(Error::mismatch(
                    "classifier",
                    given,
                    format_args!("{} words for images of {shape}", shape.elements()),
                ));
            }
            given.push((x, buffer.clone()));
        }
        let mut program = Program::new(gpu, &graph, &[logits, probabilities], &[x], &given).await?;
        let slices = Slices::new(&mut program).await?;
        let (gpu, words) = (gpu.clone(), size.words(model)?);
        Ok(HostClassifier { gpu, program, slices, x, words, logits, probabilities })
    }
}

impl fmt::Debug for ClassifierBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("ClassifierBuilder").field("size", &self.size).finish_non_exhaustive()
    }
}
