//! The attack of stage 1: momentum on L1-normalised gradients (Dong et al. 2018, arXiv 1710.06081), and
//! of all iterates, the start among them, the one of highest loss.

use super::forward::{Batch, Forward};
use super::{Objective, program};
use crate::gpu::{Buffer, Gpu};
use crate::graph::{Graph, Program, Shape, Summary};
use crate::model::{DeviceWeights, Mode, Model};
use crate::ops::{Copy, Fill, KeepBest, MomentumStep, Norm};
use crate::{Error, Result};

/// Settings of an attack; see [`MomentumStep`] for the formulas. The running statistics stay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MomentumPgd {
    /// Of step and ball.
    pub norm: Norm,
    /// Radius of the ball around the start; finite.
    pub eps: f32,
    /// Length of a step.
    pub step_size: f32,
    /// Steps of [`MomentumAttack::attack`].
    pub steps: u32,
    /// Part of the last direction that stays; the reference's is 0.9.
    pub momentum: f32,
    /// What is climbed.
    pub objective: Objective,
}

/// An attack on batches of one size, made ready on a device.
#[derive(Debug)]
pub struct MomentumAttack {
    settings: MomentumPgd,
    batch: Batch,
    best: Best,
    /// Judges the images, then moves them.
    step: Program,
    /// Judges what the last step made.
    last: Program,
    reset: Program,
}

/// State besides the images.
#[derive(Debug)]
struct Best {
    momentum: Buffer,
    images: Buffer,
    objective: Buffer,
}

impl MomentumAttack {
    /// Of `images` images of `side` by `side` pixels. `optimise`: see [`program`].
    pub async fn new(
        model: &dyn Model,
        weights: &DeviceWeights,
        [images, side]: [u32; 2],
        settings: MomentumPgd,
        optimise: bool,
    ) -> Result<Self> {
        let gpu = weights.gpu();
        let batch = Batch::new(gpu, model, [images, side], settings.objective).await?;
        let words = [batch.shape.elements(), batch.shape.elements(), images];
        let [momentum, best_images, objective] =
            <[Buffer; 3]>::try_from(gpu.allocate(&words).await?)
                .map_err(|made| Error::mismatch("attack", made.len(), "3 buffers"))?;
        let best = Best { momentum, images: best_images, objective };
        let step = judge(model, weights, &batch, &best, settings, true, optimise).await?;
        let last = judge(model, weights, &batch, &best, settings, false, optimise).await?;
        let reset = reset(gpu, &batch, &best).await?;
        Ok(Self { settings, batch, best, step, last, reset })
    }

    /// Sets the images, NCHW in \[0, 1\], and their labels. Err for other numbers than the attack was made
    /// for.
    pub async fn start(&self, images: &[f32], labels: &[u32]) -> Result<()> {
        self.batch.write(images, labels).await?;
        self.reset.submit().await
    }

    /// The same with a ball around `origin`: a random start.
    pub async fn start_from(&self, images: &[f32], origin: &[f32], labels: &[u32]) -> Result<()> {
        self.start(origin, labels).await?;
        self.batch.gpu.write(&self.batch.images, images).await
    }

    /// The classes to go to, for objectives that have some beside the labels; they stay until the next call.
    pub async fn aim(&self, targets: &[u32]) -> Result<()> {
        self.batch.gpu.write(&self.batch.targets, targets).await
    }

    /// Takes steps in submissions of about 100 ms and then judges the last iterate; `progress` is told how
    /// many are done after each submission and may stop by an error.
    pub async fn run(&self, steps: u32, progress: impl FnMut(u32) -> Result<()>) -> Result<()> {
        self.step.run(steps, progress).await?;
        self.last.submit().await
    }

    /// All of it: start, the settings' number of steps, images.
    pub async fn attack(&self, images: &[f32], labels: &[u32]) -> Result<Vec<f32>> {
        self.start(images, labels).await?;
        self.run(self.settings.steps, |_| Ok(())).await?;
        self.images().await
    }

    /// The images as the last step left them, best or not.
    pub async fn iterates(&self) -> Result<Vec<f32>> {
        self.batch.gpu.read(&self.batch.images).await
    }

    /// The best iterate of each image.
    pub async fn images(&self) -> Result<Vec<f32>> {
        self.batch.gpu.read(&self.best.images).await
    }

    /// The objective of the best iterates.
    pub async fn objective(&self) -> Result<Vec<f32>> {
        self.batch.gpu.read(&self.best.objective).await
    }

    /// The memory of the best iterates, for programs that go on with them there.
    pub fn image_buffer(&self) -> &Buffer {
        &self.best.images
    }

    /// The memory of the labels.
    pub fn label_buffer(&self) -> &Buffer {
        &self.batch.labels
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &MomentumPgd {
        &self.settings
    }

    /// What a step costs.
    pub fn summary(&self) -> &Summary {
        self.step.summary()
    }
}

/// Keeps the images where they are the best so far, and moves them if `steps`.
async fn judge(
    model: &dyn Model,
    weights: &DeviceWeights,
    batch: &Batch,
    best: &Best,
    settings: MomentumPgd,
    steps: bool,
    optimise: bool,
) -> Result<Program> {
    let mut graph = Graph::default();
    let forward = Forward::new(&mut graph, model, batch, settings.objective, Mode::Frozen)?;
    let momentum = graph.input(batch.shape);
    let best_images = graph.input(batch.shape);
    let best_objective = graph.input(Shape::per_image(batch.shape.images())?);
    graph.push_all(KeepBest, &[forward.x, forward.objective, best_images, best_objective])?;
    if steps {
        let gradient = forward.image_gradient(&mut graph)?;
        let MomentumPgd { norm, eps, step_size, momentum: part, .. } = settings;
        let op = MomentumStep { norm, step_size, eps, momentum: part };
        graph.push_all(op, &[forward.x, momentum, gradient, forward.origin])?;
    }
    let mut given = forward.given(batch, weights)?;
    given.push((momentum, best.momentum.clone()));
    given.push((best_images, best.images.clone()));
    given.push((best_objective, best.objective.clone()));
    let changing = forward.changing();
    program(weights.gpu(), &graph, &[], &changing, &given, optimise).await
}

/// Images and best images from their origin, no momentum, no best objective yet.
async fn reset(gpu: &Gpu, batch: &Batch, best: &Best) -> Result<Program> {
    let mut graph = Graph::default();
    let [images, origin, momentum, best_images] = [(); 4].map(|()| graph.input(batch.shape));
    let best_objective = graph.input(Shape::per_image(batch.shape.images())?);
    graph.push_all(Copy, &[origin, images])?;
    graph.push_all(Copy, &[origin, best_images])?;
    graph.push_all(Fill { value: 0.0 }, &[momentum])?;
    graph.push_all(Fill { value: f32::MIN }, &[best_objective])?;
    let given = [
        (images, batch.images.clone()),
        (origin, batch.origin.clone()),
        (momentum, best.momentum.clone()),
        (best_images, best.images.clone()),
        (best_objective, best.objective.clone()),
    ];
    program(gpu, &graph, &[], &[origin], &given, false).await
}
