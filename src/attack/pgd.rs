//! Projected gradient steps (Madry et al. 2018, arXiv 1706.06083): attacks with a ball, contrastive
//! images and samples without one.

use super::forward::{Batch, Forward};
use super::{Objective, program};
use crate::Result;
use crate::gpu::{Buffer, Gpu, Timing};
use crate::graph::{Graph, Program, Summary, Value};
use crate::model::{DeviceWeights, Mode, Model};
use crate::ops::{Copy, Norm, PgdStep};

/// Whose statistics batch normalisation uses during an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Statistics {
    /// The running ones, which stay: PyTorch's eval mode.
    #[default]
    Frozen,
    /// The batch's, and each step updates the running ones: PyTorch's training mode.
    Batch,
}

/// Settings of an attack; see [`PgdStep`] for the formulas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pgd {
    /// Of step and ball.
    pub norm: Norm,
    /// Radius of the ball around the start; infinite for none.
    pub eps: f32,
    /// Length of a step; negative to descend.
    pub step_size: f32,
    /// Steps of [`Attack::attack`].
    pub steps: u32,
    /// What is climbed.
    pub objective: Objective,
    /// Of batch normalisation.
    pub statistics: Statistics,
}

/// An attack on batches of one size, made ready on a device. A step reads nothing back and makes nothing
/// new.
#[derive(Debug)]
pub struct Attack {
    settings: Pgd,
    batch: Batch,
    step: Program,
    reset: Program,
    objective: Value,
}

impl Attack {
    /// Of `images` images of `side` by `side` pixels. `optimise`: see [`program`].
    pub async fn new(
        model: &dyn Model,
        weights: &DeviceWeights,
        [images, side]: [u32; 2],
        settings: Pgd,
        optimise: bool,
    ) -> Result<Self> {
        let gpu = weights.gpu();
        let batch = Batch::new(gpu, model, [images, side], settings.objective).await?;
        let mut graph = Graph::default();
        let mut updates = Vec::new();
        let mode = match settings.statistics {
            Statistics::Frozen => Mode::Frozen,
            Statistics::Batch => Mode::Training(&mut updates),
        };
        let forward = Forward::new(&mut graph, model, &batch, settings.objective, mode)?;
        let gradient = forward.image_gradient(&mut graph)?;
        for update in updates {
            update.push(&mut graph)?;
        }
        let Pgd { norm, eps, step_size, .. } = settings;
        let ball = Some(forward.origin).filter(|_| eps.is_finite());
        let inputs: Vec<_> = [forward.x, gradient].into_iter().chain(ball).collect();
        graph.push_all(PgdStep { norm, step_size, eps, clamp: true }, &inputs)?;
        let given = forward.given(&batch, weights)?;
        let (wanted, changing) = ([forward.objective], forward.changing());
        let step = program(gpu, &graph, &wanted, &changing, &given, optimise).await?;
        let reset = reset(gpu, &batch).await?;
        Ok(Self { settings, batch, step, reset, objective: forward.objective })
    }

    /// Sets the images, NCHW in \[0, 1\], and their labels. The steps are taken from these images, in a
    /// ball around them. Err for other numbers than the attack was made for.
    pub async fn start(&self, images: &[f32], labels: &[u32]) -> Result<()> {
        self.batch.write(images, labels).await?;
        self.reset.submit().await
    }

    /// The same with a ball around `origin`: a random start, or more steps from earlier results.
    pub async fn start_from(&self, images: &[f32], origin: &[f32], labels: &[u32]) -> Result<()> {
        self.batch.write(origin, labels).await?;
        self.batch.gpu.write(&self.batch.images, images).await
    }

    /// The classes to go to, for objectives that have some beside the labels; they stay until the next call.
    pub async fn aim(&self, targets: &[u32]) -> Result<()> {
        self.batch.gpu.write(&self.batch.targets, targets).await
    }

    /// Takes steps in submissions of about 100 ms; `progress` is told how many are done after each and
    /// may stop by an error.
    pub async fn run(&self, steps: u32, progress: impl FnMut(u32) -> Result<()>) -> Result<()> {
        self.step.run(steps, progress).await
    }

    /// All of it: start, the settings' number of steps, images.
    pub async fn attack(&self, images: &[f32], labels: &[u32]) -> Result<Vec<f32>> {
        self.start(images, labels).await?;
        self.run(self.settings.steps, |_| Ok(())).await?;
        self.images().await
    }

    /// The images as they are.
    pub async fn images(&self) -> Result<Vec<f32>> {
        self.batch.gpu.read(&self.batch.images).await
    }

    /// What is climbed, of each image, before the last step.
    pub async fn objective(&self) -> Result<Vec<f32>> {
        self.step.read(self.objective).await
    }

    /// [`Attack::images`] and [`Attack::objective`] through one submission and one wait.
    pub async fn state(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        let buffers = [&self.batch.images, self.step.buffer(self.objective)?];
        let mut read = self.batch.gpu.read_all(&buffers).await?.into_iter();
        let mut next = || read.next().unwrap_or_default();
        let (images, mut objective) = (next(), next());
        objective.truncate(self.batch.shape.images() as usize);
        Ok((images, objective))
    }

    /// The memory of the images, for programs that go on with them there.
    pub fn image_buffer(&self) -> &Buffer {
        &self.batch.images
    }

    /// The memory of the labels.
    pub fn label_buffer(&self) -> &Buffer {
        &self.batch.labels
    }

    /// The device it is on.
    pub fn gpu(&self) -> &Gpu {
        &self.batch.gpu
    }

    /// A step, for hosts that record it into an encoder of their own.
    pub fn program(&self) -> &Program {
        &self.step
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &Pgd {
        &self.settings
    }

    /// GPU time of each launch of a step. Err without timestamps.
    pub async fn profile(&self, repetitions: u32) -> Result<Vec<Timing>> {
        self.step.profile(repetitions).await
    }

    /// What a step costs.
    pub fn summary(&self) -> &Summary {
        self.step.summary()
    }
}

/// Images from their origin.
async fn reset(gpu: &Gpu, batch: &Batch) -> Result<Program> {
    let mut graph = Graph::default();
    let (images, origin) = (graph.input(batch.shape), graph.input(batch.shape));
    graph.push_all(Copy, &[origin, images])?;
    let given = [(images, batch.images.clone()), (origin, batch.origin.clone())];
    program(gpu, &graph, &[], &[origin], &given, false).await
}
