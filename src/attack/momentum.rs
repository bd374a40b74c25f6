//! The attack that `stage1.attack = "momentum-best"` chooses for the first stage of training: gradient steps within a ball,
//! with momentum on L1-normalised gradients (Dong et al. 2018, arXiv 1710.06081). It returns the iterate of highest loss, which
//! may be the start image.

use super::forward::{Batch, Forward, buffers, check_radius, check_step};
use super::{Attack, Found, Objective, Start};
use crate::Result;
use crate::gpu::{Buffer, Gpu, Timing};
use crate::graph::{Graph, Shape, Summary};
use crate::lower::Program;
use crate::model::{BatchSize, DeviceWeights, Model};
use crate::ops::{Copy, Fill, KeepBest, MomentumStep, Norm};

/// Settings of PGD with momentum, an attack for adversarial training; see [`MomentumStep`] for the formulas. Running statistics of
/// batch normalisation do not change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MomentumPgd {
    /// The norm in which the length of a step and the radius of the ball are measured.
    pub norm: Norm,
    /// The radius of the ball around each start image that the attack stays in; finite.
    pub eps: f32,
    /// The length of one step, measured in `norm`.
    pub step_size: f32,
    /// The number of steps of a whole attack.
    pub steps: u32,
    /// The factor of the previous step's direction, to which the new gradient is added; 0.9 in the code of arXiv 2510.13872.
    pub momentum: f32,
    /// The objective that the attack's steps maximise.
    pub objective: Objective,
}

impl Default for MomentumPgd {
    /// Ten steps of 0.1 with momentum 0.9 up the cross-entropy, in the L2 ball of radius 0.5.
    fn default() -> Self {
        let (norm, eps, step_size, steps) = (Norm::L2, 0.5, 0.1, 10);
        Self { norm, eps, step_size, steps, momentum: 0.9, objective: Objective::CrossEntropy }
    }
}

/// Runs the momentum attack on batches of one size, ready on a device. Its result is the iterate of highest loss,
/// misclassified or not.
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
    /// Prepares the attack for a network and batches of one size.
    pub async fn new(
        model: &dyn Model,
        weights: &DeviceWeights,
        size: BatchSize,
        settings: MomentumPgd,
    ) -> Result<Self> {
        check_step(settings.step_size)?;
        check_radius(settings.norm, settings.eps, size.words(model)?)?;
        let gpu = weights.gpu();
        let batch = Batch::new(gpu, model, size, settings.objective).await?;
        let words = [batch.shape.elements(), batch.shape.elements(), size.images];
        let [momentum, best_images, objective] = buffers(gpu, words).await?;
        let best = Best { momentum, images: best_images, objective };
        let step = judge(model, weights, &batch, &best, settings, true).await?;
        let last = judge(model, weights, &batch, &best, settings, false).await?;
        let reset = reset(gpu, &batch, &best).await?;
        Ok(Self { settings, batch, best, step, last, reset })
    }

    /// Returns the images as the last step left them, whether or not they are the best.
    pub async fn iterates(&self) -> Result<Vec<f32>> {
        self.batch.read(&self.batch.images).await
    }

    /// Returns the objective's value at the best iterate of each image.
    pub async fn objective(&self) -> Result<Vec<f32>> {
        self.batch.read_numbers(&self.best.objective).await
    }

    /// Returns the settings that the attack was made with.
    pub fn settings(&self) -> &MomentumPgd {
        &self.settings
    }
}

impl Attack for MomentumAttack {
    async fn start(&mut self, start: &Start<'_>) -> Result<()> {
        self.batch.write(start).await?;
        self.reset.submit().await?;
        self.batch.write_from(start).await
    }

    /// Takes steps as [`Attack::run`] does, and judges the last iterate.
    async fn run(&mut self, steps: u32, progress: impl FnMut(u32) -> Result<()>) -> Result<()> {
        self.step.run(steps, progress).await?;
        self.last.submit().await
    }

    async fn images(&self) -> Result<Vec<f32>> {
        self.batch.read(&self.best.images).await
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
        &self.best.images
    }

    fn label_buffer(&self) -> &Buffer {
        &self.batch.labels
    }

    fn summary(&self) -> &Summary {
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
) -> Result<Program> {
    let mut graph = Graph::default();
    let forward = Forward::frozen(&mut graph, model, batch, settings.objective)?;
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
    Program::new(weights.gpu(), &graph, &[], &changing, &given).await
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
    Program::plain(gpu, &graph, &[], &[origin], &given).await
}
