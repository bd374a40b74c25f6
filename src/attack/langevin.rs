//! Samples by stochastic gradient Langevin dynamics (Grathwohl and others 2020, arXiv 1912.03263, equation 7): the inner
//! loop of JEM.

use super::forward::{Batch, Forward, buffers};
use super::{Objective, program};
use crate::Result;
use crate::gpu::Buffer;
use crate::graph::{Graph, Program, Shape, Summary};
use crate::model::{DeviceWeights, Mode, Model};
use crate::ops::{Advance, Draw, LangevinStep, Random};

/// Settings of a chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Langevin {
    /// What is climbed, minus an energy: [`Objective::LogSumExp`] or [`Objective::Joint`].
    pub objective: Objective,
    /// The gradient's factor and the noise's deviation. Images are not kept within \[0, 1\].
    pub step: LangevinStep,
}

/// Chains of a batch, made ready on a device. A step reads nothing back and makes nothing new; statistics of batch
/// normalisation are frozen.
#[derive(Debug)]
pub struct LangevinChains {
    batch: Batch,
    control: Buffer,
    step: Program,
}

impl LangevinChains {
    /// Of `images` images of `side` by `side` pixels. `optimise`: see [`program`].
    pub async fn new(
        model: &dyn Model,
        weights: &DeviceWeights,
        [images, side]: [u32; 2],
        settings: Langevin,
        optimise: bool,
    ) -> Result<Self> {
        let gpu = weights.gpu();
        let Langevin { objective, step } = settings;
        let batch = Batch::new(gpu, model, [images, side], objective).await?;
        let [control] = buffers(gpu, [4]).await?;
        let mut graph = Graph::default();
        let forward = Forward::new(&mut graph, model, &batch, objective, Mode::Frozen)?;
        let gradient = forward.image_gradient(&mut graph)?;
        let words = graph.input(Shape::vector(4)?);
        let noise = graph.push(Random { shape: batch.shape, draw: Draw::Normal }, &[words])?;
        graph.push_all(step, &[forward.x, gradient, noise])?;
        graph.push_all(Advance, &[words])?;
        let mut given = forward.given(&batch, weights)?;
        given.push((words, control.clone()));
        let changing = [&forward.changing()[..], &[words]].concat();
        let step = program(gpu, &graph, &[], &changing, &given, optimise).await?;
        Ok(Self { batch, control, step })
    }

    /// Sets the images and their labels. Step s from here draws numbers of (`seed`, `stream`, s).
    pub async fn start(
        &self,
        images: &[f32],
        labels: &[u32],
        (seed, stream): (u64, u32),
    ) -> Result<()> {
        let Batch { gpu, images: buffer, labels: label_buffer, .. } = &self.batch;
        gpu.write(buffer, images).await?;
        gpu.write(label_buffer, labels).await?;
        gpu.write(&self.control, &[seed as u32, (seed >> 32) as u32, 0, stream]).await
    }

    /// Takes steps in submissions of about 100 ms.
    pub async fn run(&self, steps: u32) -> Result<()> {
        self.step.run(steps, |_| Ok(())).await
    }

    /// The images as they are.
    pub async fn images(&self) -> Result<Vec<f32>> {
        self.batch.gpu.read(&self.batch.images).await
    }

    /// The memory of the images, for programs that go on with them there.
    pub fn image_buffer(&self) -> &Buffer {
        &self.batch.images
    }

    /// The memory of the labels.
    pub fn label_buffer(&self) -> &Buffer {
        &self.batch.labels
    }

    /// What a step costs.
    pub fn summary(&self) -> &Summary {
        self.step.summary()
    }
}
