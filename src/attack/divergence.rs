//! The attack of TRADES (Zhang and others 2019, arXiv 1901.08573, algorithm 1): moves images away from the network's
//! prediction for the clean image, whatever the label.

use super::forward::{Batch, buffers, check_radius, check_step};
use super::{Attack, Found, Objective, Start};
use crate::Result;
use crate::gpu::{Buffer, Timing};
use crate::graph::{Graph, Shape, Summary};
use crate::lower::Program;
use crate::model::{BatchSize, DeviceWeights, Mode, Model, Weights};
use crate::ops::{
    self, Copy, Draw, LangevinStep, Level, Norm, PgdStep, RandomFill, Reduce, Scale, Softmax,
};

/// Deviation of the noise that a search begins with: at the image itself the divergence has no slope. TRADES's code (arXiv
/// 1901.08573) has the same.
const START_NOISE: f32 = 0.001;

/// Settings of TRADES's attack, which moves images away from the network's prediction for the clean image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Divergence {
    /// The norm in which the length of a step and the radius of the ball are measured.
    pub norm: Norm,
    /// The radius of the ball around each image that the attack stays in; finite.
    pub eps: f32,
    /// The length of one step, measured in `norm`.
    pub step_size: f32,
    /// The number of steps of an attack.
    pub steps: u32,
}

impl Default for Divergence {
    /// Ten steps of 0.1 in the L2 ball of radius 0.5.
    fn default() -> Self {
        Self { norm: Norm::L2, eps: 0.5, step_size: 0.1, steps: 10 }
    }
}

/// Runs TRADES's attack, which maximises KL(f(clean image) ‖ f(x)), on batches of one size, ready on a device, with frozen batch
/// norm statistics. A step needs no read-back and no new buffers.
#[derive(Debug)]
pub struct DivergenceAttack {
    settings: Divergence,
    batch: Batch,
    control: Buffer,
    start: Program,
    step: Program,
}

impl DivergenceAttack {
    /// Prepares the attack for a network and batches of one size.
    pub async fn new(
        model: &dyn Model,
        weights: &DeviceWeights,
        size: BatchSize,
        settings: Divergence,
    ) -> Result<Self> {
        check_step(settings.step_size)?;
        check_radius(settings.norm, settings.eps, size.words(model)?)?;
        let gpu = weights.gpu();
        let batch = Batch::new(gpu, model, size, Objective::LogSumExp).await?;
        let images = size.images;
        let classes = Shape::matrix(images, model.classes())?;
        let [control, reference] = buffers(gpu, [5, classes.elements()]).await?;

        // What the network says of the origin, and the images near it.
        let mut graph = Graph::default();
        let [x, origin] = [(); 2].map(|()| graph.input(batch.shape));
        let words = graph.input(Shape::vector(5)?);
        let probabilities = graph.input(classes);
        let parameters = Weights::inputs(&mut graph, &model.parameters())?;
        let logits = model.logits(&mut graph, origin, &parameters, Mode::Frozen)?;
        let softmax = graph.push(Softmax { log: false }, &[logits])?;
        graph.push_all(Copy, &[softmax, probabilities])?;
        graph.push_all(Copy, &[origin, x])?;
        let noise = graph.push(RandomFill { shape: batch.shape, draw: Draw::Normal }, &[words])?;
        let shift = LangevinStep { step_size: 0.0, noise_size: START_NOISE };
        graph.push_all(shift, &[x, noise, noise])?;
        let mut given = weights.bindings(&parameters)?;
        given.push((x, batch.images.clone()));
        given.push((origin, batch.origin.clone()));
        given.push((words, control.clone()));
        given.push((probabilities, reference.clone()));
        let changing = [x, origin, words, probabilities];
        let start = Program::new(gpu, &graph, &[], &changing, &given).await?;

        let mut graph = Graph::default();
        let [x, origin] = [(); 2].map(|()| graph.input(batch.shape));
        let (probabilities, seed) = (graph.input(classes), graph.input(Shape::per_image(images)?));
        let parameters = Weights::inputs(&mut graph, &model.parameters())?;
        let logits = model.logits(&mut graph, x, &parameters, Mode::Frozen)?;
        let log = graph.push(Softmax { log: true }, &[logits])?;
        // Up to the entropy of the reference, which has no slope.
        let minus = graph.push(Reduce::PerImage, &[probabilities, log])?;
        let divergence = graph.push(Scale { factor: -1.0 }, &[minus])?;
        let level = Level::in_precision(gpu.preferences().precision, false);
        let gradient = ops::image_gradient(&mut graph, [divergence, seed], [logits, x], level)?;
        let Divergence { norm, eps, step_size, .. } = settings;
        graph.push_all(PgdStep { norm, step_size, eps, clamp: true }, &[x, gradient, origin])?;
        let mut given = weights.bindings(&parameters)?;
        given.push((x, batch.images.clone()));
        given.push((origin, batch.origin.clone()));
        given.push((probabilities, reference));
        given.push((seed, batch.seed.clone()));
        let changing = [x, origin, probabilities];
        let step = Program::new(gpu, &graph, &[], &changing, &given).await?;
        Ok(Self { settings, batch, control, start, step })
    }

    /// Returns the device buffer of the clean images that the attack moves away from.
    pub fn origin_buffer(&self) -> &Buffer {
        &self.batch.origin
    }

    /// Returns the settings that the attack was made with.
    pub fn settings(&self) -> &Divergence {
        &self.settings
    }
}

impl Attack for DivergenceAttack {
    /// Starts near the images, with noise drawn from seed, stream and the images' ids, which count up from the first: the
    /// rest of `ids` is not read, nor are labels. Err for a start apart from the images.
    async fn start(&mut self, start: &Start<'_>) -> Result<()> {
        start.begins_at_images("trades")?;
        self.batch.write(start).await?;
        let Start { seed, stream, .. } = *start;
        let first = start.ids.and_then(<[u32]>::first).copied().unwrap_or(0);
        let words = [seed as u32, (seed >> 32) as u32, stream, 0, first];
        self.batch.gpu.write(&self.control, &words).await?;
        self.start.submit().await
    }

    async fn run(&mut self, steps: u32, progress: impl FnMut(u32) -> Result<()>) -> Result<()> {
        self.step.run(steps, progress).await
    }

    async fn images(&self) -> Result<Vec<f32>> {
        self.batch.read(&self.batch.images).await
    }

    async fn found(&self) -> Result<Found> {
        let images = self.images().await?;
        Ok(Found { images, within: vec![true; self.batch.count], flat: 0 })
    }

    async fn profile(&mut self, repetitions: u32) -> Result<Vec<Timing>> {
        self.step.profile(repetitions).await
    }

    fn steps(&self) -> u32 {
        self.settings.steps
    }

    fn image_buffer(&self) -> &Buffer {
        &self.batch.images
    }

    fn label_buffer(&self) -> &Buffer {
        &self.batch.labels
    }

    fn summary(&self) -> &Summary {
        self.step.summary()
    }
}
