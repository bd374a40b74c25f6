//! Projected gradient steps on images (PGD; Madry et al. 2018, arXiv 1706.06083): attacks within a ball around each image, and,
//! without a ball, samples and the contrastive images that training tells from real ones.

use super::forward::{Batch, Forward, check_radius, check_step};
use super::{Attack, Found, Objective, Start};
use crate::gpu::{Adapter, Buffer, Gpu, Precision, Preferences, Timing};
use crate::graph::{Graph, Plan, Shape, Summary, Value};
use crate::lower::{Program, plan};
use crate::model::{BatchSize, DeviceWeights, Mode, Model};
use crate::ops::{Copy, Norm, PgdStep};
use crate::{Error, Result};
use std::sync::Arc;

/// Which statistics batch normalisation uses during an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Statistics {
    /// The running statistics of batch normalisation, which do not change: PyTorch's eval mode.
    #[default]
    Frozen,
    /// Each batch's own statistics, by which each step also updates the running ones of batch normalisation: PyTorch's training
    /// mode.
    Batch,
}

/// Settings of projected gradient steps (PGD) on images; see [`PgdStep`] for the formulas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pgd {
    /// The norm in which the length of a step and the radius of the ball are measured.
    pub norm: Norm,
    /// The radius of the ball around the start, 0 or more; infinite for no ball.
    pub eps: f32,
    /// The length of one step, measured in `norm`; a negative one descends.
    pub step_size: f32,
    /// The number of steps of a whole attack.
    pub steps: u32,
    /// What the steps maximise, such as the cross-entropy.
    pub objective: Objective,
    /// Which statistics batch normalisation uses.
    pub statistics: Statistics,
}

impl Pgd {
    /// Makes the settings of an attack: `steps` steps that maximise the cross-entropy, each an eighth of the ball's radius long.
    pub fn attack(norm: Norm, eps: f32, steps: u32) -> Self {
        let (objective, statistics) = (Objective::CrossEntropy, Statistics::Frozen);
        Self { norm, eps, step_size: eps / 8.0, steps, objective, statistics }
    }

    /// Makes the settings of sampling: `steps` steps of L2 length `step_size` that maximise the labels' logits (minus the joint
    /// energy), in no ball.
    pub fn sample(steps: u32, step_size: f32) -> Self {
        let (norm, eps) = (Norm::L2, f32::INFINITY);
        let (objective, statistics) = (Objective::Joint, Statistics::Frozen);
        Self { norm, eps, step_size, steps, objective, statistics }
    }

    /// Plans the launches of a step on batches of this size on an adapter, without a device: to see what would run there.
    ///
    /// # Errors
    /// The errors of making and lowering the graph.
    #[doc(hidden)]
    pub fn plan(
        &self,
        model: &dyn Model,
        size: BatchSize,
        adapter: &Arc<Adapter>,
        preferences: &Preferences,
    ) -> Result<Plan> {
        let (graph, forward) = self.graph(model, size.shape(model)?, preferences.precision)?;
        plan(&graph, &[forward.objective], &forward.changing(), adapter, preferences)
    }

    /// The graph of a step on images of this shape.
    fn graph(
        &self,
        model: &dyn Model,
        images: Shape,
        precision: Precision,
    ) -> Result<(Graph, Forward)> {
        let mut graph = Graph::default();
        let mut updates = Vec::new();
        let mode = match self.statistics {
            Statistics::Frozen => Mode::Frozen,
            Statistics::Batch => Mode::Training(&mut updates),
        };
        let forward = Forward::new(&mut graph, model, images, self.objective, mode, precision)?;
        let gradient = forward.image_gradient(&mut graph)?;
        for update in updates {
            update.push(&mut graph)?;
        }
        let &Self { norm, eps, step_size, .. } = self;
        let ball = Some(forward.origin).filter(|_| eps.is_finite());
        let inputs: Vec<_> = [forward.x, gradient].into_iter().chain(ball).collect();
        graph.push_all(PgdStep { norm, step_size, eps, clamp: true }, &inputs)?;
        Ok((graph, forward))
    }
}

impl Default for Pgd {
    /// An attack of 20 steps in the L2 ball of radius 0.5.
    fn default() -> Self {
        Self::attack(Norm::L2, 0.5, 20)
    }
}

/// Takes projected gradient steps on batches of one size, ready on a device. A step needs no read-back and no new buffers. The
/// result is the last iterate, misclassified or not.
#[derive(Debug)]
pub struct PgdAttack {
    settings: Pgd,
    batch: Batch,
    step: Program,
    reset: Program,
    objective: Value,
}

impl PgdAttack {
    /// Prepares the attack for a network and batches of one size.
    pub async fn new(
        model: &dyn Model,
        weights: &DeviceWeights,
        size: BatchSize,
        settings: Pgd,
    ) -> Result<Self> {
        check_step(settings.step_size)?;
        check_radius(settings.norm, settings.eps, size.words(model)?)?;
        let gpu = weights.gpu();
        let batch = Batch::new(gpu, model, size, settings.objective).await?;
        let (graph, forward) = settings.graph(model, batch.shape, gpu.preferences().precision)?;
        let given = forward.given(&batch, weights)?;
        let (wanted, changing) = ([forward.objective], forward.changing());
        let step = Program::new(gpu, &graph, &wanted, &changing, &given).await?;
        let reset = reset(gpu, &batch).await?;
        Ok(Self { settings, batch, step, reset, objective: forward.objective })
    }

    /// Reads back the objective's value for each image, as it was before the last step.
    pub async fn objective(&self) -> Result<Vec<f32>> {
        self.batch.read_numbers(self.step.buffer(self.objective)?).await
    }

    /// Reads back the images and the objective's value for each, in one submission and one wait.
    pub async fn state(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        let buffers = [&self.batch.images, self.step.buffer(self.objective)?];
        let mut read = self.batch.gpu.read_all(&buffers).await?.into_iter();
        let mut next = || read.next().unwrap_or_default();
        let (mut images, mut objective) = (next(), next());
        images.truncate(self.batch.count * self.batch.words());
        objective.truncate(self.batch.count);
        Ok((images, objective))
    }

    /// Returns the device that the attack runs on.
    pub fn gpu(&self) -> &Gpu {
        &self.batch.gpu
    }

    /// Returns the program of one step, for host apps that record it into a command encoder of their own.
    pub fn program(&mut self) -> &mut Program {
        &mut self.step
    }

    /// Returns the settings that the attack was made with.
    pub fn settings(&self) -> &Pgd {
        &self.settings
    }
}

impl Attack for PgdAttack {
    /// Err, too, for less than a whole batch where batch normalisation uses the batch's statistics.
    async fn start(&mut self, start: &Start<'_>) -> Result<()> {
        let whole = self.batch.shape.images() as usize;
        if self.settings.statistics == Statistics::Batch && start.labels.len() != whole {
            let given = format!(
                "{} images for an attack with batch norm's batch statistics",
                start.labels.len()
            );
            return Err(Error::mismatch(
                "attack",
                given,
                format_args!("a whole batch of {whole} images"),
            ));
        }
        self.batch.write(start).await?;
        self.reset.submit().await?;
        self.batch.write_from(start).await
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

/// Images from their origin.
async fn reset(gpu: &Gpu, batch: &Batch) -> Result<Program> {
    let mut graph = Graph::default();
    let (images, origin) = (graph.input(batch.shape), graph.input(batch.shape));
    graph.push_all(Copy, &[origin, images])?;
    let given = [(images, batch.images.clone()), (origin, batch.origin.clone())];
    Program::plain(gpu, &graph, &[], &[origin], &given).await
}
