//! Computes logits and class probabilities of images in GPU memory inside another app, in each frame as much of the
//! work as fits the time that the app allows.

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

/// A classifier inside a host app, which is a program that lends its GPU device: the forward pass over a batch of images, with
/// frozen batch norm statistics, is recorded into the app's command encoder.
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
    /// Makes a classifier for a network and batches of one size.
    pub fn of<'a>(
        model: &'a dyn Model,
        weights: &'a DeviceWeights,
        size: BatchSize,
    ) -> ClassifierBuilder<'a> {
        ClassifierBuilder { model, weights, size, images: None }
    }

    /// Replaces the batch's images, NCHW; the next submission sees them. Err for another number of values, for values outside of
    /// \[0, 1\], and on a lost device.
    pub async fn write(&mut self, images: &[f32]) -> Result<()> {
        check_pixels("images", images, self.words)?;
        self.program.write(self.x, images).await
    }

    /// Appends a part of the forward pass over the images to the host's command encoder, as much as `budget` allows, and returns
    /// whether this part ends the pass. If it does, the logits are those of the images once the encoder's commands have run, and
    /// the next call begins a new pass. [`Budget::Steps`] of 1 or more appends all that is left of the pass, of 0 nothing. Err on
    /// a lost device, with nothing recorded. [`crate::embed`] describes which device the encoder must belong to.
    pub fn record(&mut self, encoder: &mut wgpu::CommandEncoder, budget: Budget) -> Result<bool> {
        self.gpu.alive()?;
        let whole = self.slices.record(&mut self.program, encoder, budget, 1) == 1;
        if whole {
            self.slices.restart();
        }
        Ok(whole)
    }

    /// Returns the GPU time of one forward pass, as it was measured when the classifier was built.
    pub fn pace(&self) -> Duration {
        self.slices.pace()
    }

    /// Returns the buffer in GPU memory of the images to classify, NCHW f32 in \[0, 1\]; passes of the host app may write it.
    pub fn image_buffer(&self) -> Result<&Buffer> {
        self.program.buffer(self.x)
    }

    /// Returns the buffer in GPU memory with the logits, f32 \[N, K\], which each recorded pass fills.
    pub fn logits(&self) -> Result<&Buffer> {
        self.program.buffer(self.logits)
    }

    /// Returns the buffer in GPU memory with the class probabilities (softmax), f32 \[N, K\], which each recorded pass fills.
    pub fn probabilities(&self) -> Result<&Buffer> {
        self.program.buffer(self.probabilities)
    }
}

impl<'a> ClassifierBuilder<'a> {
    /// Classifies images that already lie in this buffer, such as a sampler's [`image_buffer`](super::Ascent::image_buffer);
    /// otherwise the classifier has a buffer of its own.
    #[must_use]
    pub fn images(mut self, images: &'a Buffer) -> Self {
        self.images = Some(images);
        self
    }

    /// Allocates buffers, compiles kernels and measures how long a forward pass takes. Err for batch sizes that the network or
    /// the device cannot run, and for a device whose limits are too low; the error lists them as [`check`](super::check) does.
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
