//! The attack of TRADES (Zhang and others 2019, arXiv 1901.08573, algorithm 1): away from what the network says of the
//! clean image, whatever its label.

use super::forward::{Batch, buffers};
use super::{Objective, program};
use crate::Result;
use crate::gpu::Buffer;
use crate::graph::{Graph, Program, Shape, Summary, exactly};
use crate::model::{DeviceWeights, Mode, Model, Weights};
use crate::ops::{self, Copy, Draw, ImageDot, LangevinStep, Norm, PgdStep, Random, Scale, Softmax};

/// Deviation of the noise that a search begins with: at the image itself the divergence has no slope. The authors' code.
const START_NOISE: f32 = 0.001;

/// Settings of the attack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Divergence {
    /// Of step and ball.
    pub norm: Norm,
    /// Radius of the ball around the images; finite.
    pub eps: f32,
    /// Length of a step.
    pub step_size: f32,
    /// Of an attack.
    pub steps: u32,
}

/// An attack on batches of one size, made ready on a device, with frozen statistics. It climbs KL(f(origin) ‖ f(x)). A
/// step reads nothing back and makes nothing new.
#[derive(Debug)]
pub struct DivergenceAttack {
    settings: Divergence,
    batch: Batch,
    control: Buffer,
    start: Program,
    step: Program,
}

impl DivergenceAttack {
    /// Of `images` images of `side` by `side` pixels. `optimise`: see [`program`].
    pub async fn new(
        model: &dyn Model,
        weights: &DeviceWeights,
        [images, side]: [u32; 2],
        settings: Divergence,
        optimise: bool,
    ) -> Result<Self> {
        let gpu = weights.gpu();
        let batch = Batch::new(gpu, model, [images, side], Objective::LogSumExp).await?;
        let classes = Shape::matrix(images, model.classes())?;
        let [control, reference] = buffers(gpu, [4, classes.elements()]).await?;

        // What the network says of the origin, and the images near it.
        let mut graph = Graph::default();
        let [x, origin] = [(); 2].map(|()| graph.input(batch.shape));
        let words = graph.input(Shape::vector(4)?);
        let probabilities = graph.input(classes);
        let parameters = Weights::inputs(&mut graph, &model.parameters())?;
        let logits = model.logits(&mut graph, origin, &parameters, Mode::Frozen)?;
        let softmax = graph.push(Softmax { log: false }, &[logits])?;
        graph.push_all(Copy, &[softmax, probabilities])?;
        graph.push_all(Copy, &[origin, x])?;
        let noise = graph.push(Random { shape: batch.shape, draw: Draw::Normal }, &[words])?;
        let shift = LangevinStep { step_size: 0.0, noise_size: START_NOISE };
        graph.push_all(shift, &[x, noise, noise])?;
        let mut given = weights.bindings(&parameters)?;
        given.push((x, batch.images.clone()));
        given.push((origin, batch.origin.clone()));
        given.push((words, control.clone()));
        given.push((probabilities, reference.clone()));
        let changing = [x, origin, words, probabilities];
        let start = program(gpu, &graph, &[], &changing, &given, optimise).await?;

        let mut graph = Graph::default();
        let [x, origin] = [(); 2].map(|()| graph.input(batch.shape));
        let (probabilities, seed) = (graph.input(classes), graph.input(Shape::per_image(images)?));
        let parameters = Weights::inputs(&mut graph, &model.parameters())?;
        let logits = model.logits(&mut graph, x, &parameters, Mode::Frozen)?;
        let log = graph.push(Softmax { log: true }, &[logits])?;
        // Up to the entropy of the reference, which has no slope.
        let minus = graph.push(ImageDot, &[probabilities, log])?;
        let divergence = graph.push(Scale { factor: -1.0 }, &[minus])?;
        let gradients = ops::gradient(&mut graph, divergence, seed, &[x])?;
        let [gradient] = exactly("trades", "gradients", &gradients)?;
        let Divergence { norm, eps, step_size, .. } = settings;
        graph.push_all(PgdStep { norm, step_size, eps, clamp: true }, &[x, gradient, origin])?;
        let mut given = weights.bindings(&parameters)?;
        given.push((x, batch.images.clone()));
        given.push((origin, batch.origin.clone()));
        given.push((probabilities, reference));
        given.push((seed, batch.seed.clone()));
        let changing = [x, origin, probabilities];
        let step = program(gpu, &graph, &[], &changing, &given, optimise).await?;
        Ok(Self { settings, batch, control, start, step })
    }

    /// Attacks images, which stay on the device, with the weights as they are. The start's noise is that of (`seed`, `step`).
    pub async fn run(
        &self,
        images: &[f32],
        labels: &[u32],
        (seed, step): (u64, u64),
    ) -> Result<()> {
        self.batch.write(images, labels).await?;
        let words = [seed, step].map(|word| [word as u32, (word >> 32) as u32]);
        self.batch.gpu.write(&self.control, words.as_flattened()).await?;
        self.start.submit().await?;
        self.step.run(self.settings.steps, |_| Ok(())).await
    }

    /// The images as they are.
    pub async fn images(&self) -> Result<Vec<f32>> {
        self.batch.gpu.read(&self.batch.images).await
    }

    /// The memory of the attacked images.
    pub fn image_buffer(&self) -> &Buffer {
        &self.batch.images
    }

    /// The memory of the images that they came from.
    pub fn origin_buffer(&self) -> &Buffer {
        &self.batch.origin
    }

    /// The memory of the labels, which the attack does not read.
    pub fn label_buffer(&self) -> &Buffer {
        &self.batch.labels
    }

    /// What a step costs.
    pub fn summary(&self) -> &Summary {
        self.step.summary()
    }
}
