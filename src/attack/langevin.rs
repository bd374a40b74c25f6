//! Samples by stochastic gradient Langevin dynamics (Grathwohl and others 2020, arXiv 1912.03263, equation 7): the inner loop of
//! JEM's training.

use super::forward::{Batch, Forward, buffers};
use super::{Attack, Found, Objective, Start};
use crate::Result;
use crate::gpu::{Buffer, Timing};
use crate::graph::{Graph, Shape, Summary};
use crate::lower::Program;
use crate::model::{BatchSize, DeviceWeights, Model};
use crate::ops::{Advance, Draw, LangevinStep, RandomFill};

/// Settings of a Langevin chain, which draws samples by gradient steps with noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Langevin {
    /// The objective, which is minus an energy: [`Objective::LogSumExp`] or [`Objective::Joint`].
    pub objective: Objective,
    /// The factor of the gradient and the standard deviation of the noise in one step. Images are not kept within \[0, 1\].
    pub step: LangevinStep,
    /// The number of steps of a whole chain.
    pub steps: u32,
}

impl Default for Langevin {
    /// The paper's: 20 steps up logsumexp by half the gradient (its step size is 1), with noise of deviation 0.01.
    fn default() -> Self {
        let step = LangevinStep { step_size: 0.5, noise_size: 0.01 };
        Self { objective: Objective::LogSumExp, step, steps: 20 }
    }
}

/// Runs Langevin chains, one for each image of a batch, ready on a device. A step needs no read-back and no new buffers; batch
/// norm statistics are frozen.
#[derive(Debug)]
pub struct LangevinChains {
    settings: Langevin,
    batch: Batch,
    control: Buffer,
    step: Program,
}

impl LangevinChains {
    /// Prepares chains for a network and batches of one size.
    pub async fn new(
        model: &dyn Model,
        weights: &DeviceWeights,
        size: BatchSize,
        settings: Langevin,
    ) -> Result<Self> {
        let gpu = weights.gpu();
        let Langevin { objective, step, .. } = settings;
        let batch = Batch::new(gpu, model, size, objective).await?;
        let [control] = buffers(gpu, [5]).await?;
        let mut graph = Graph::default();
        let forward = Forward::frozen(&mut graph, model, &batch, objective)?;
        let gradient = forward.image_gradient(&mut graph)?;
        let words = graph.input(Shape::vector(5)?);
        let noise = graph.push(RandomFill { shape: batch.shape, draw: Draw::Normal }, &[words])?;
        graph.push_all(step, &[forward.x, gradient, noise])?;
        graph.push_all(Advance, &[words])?;
        let mut given = forward.given(&batch, weights)?;
        given.push((words, control.clone()));
        let changing = [&forward.changing()[..], &[words]].concat();
        let step = Program::new(gpu, &graph, &[], &changing, &given).await?;
        Ok(Self { settings, batch, control, step })
    }

    /// Returns the settings that the chains were made with.
    pub fn settings(&self) -> &Langevin {
        &self.settings
    }
}

impl Attack for LangevinChains {
    /// Takes images of a chain that goes on: finite, in \[0, 1\] or not. Step s from here draws numbers of (seed, stream,
    /// s). Err for a start apart from the images.
    async fn start(&mut self, start: &Start<'_>) -> Result<()> {
        start.begins_at_images("langevin")?;
        self.batch.write_finite(start).await?;
        self.batch.write_from(&Start { from: Some(start.images), ..*start }).await?;
        let Start { seed, stream, .. } = *start;
        let words = [seed as u32, (seed >> 32) as u32, 0, stream, 0];
        self.batch.gpu.write(&self.control, &words).await
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
