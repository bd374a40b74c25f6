//! Weights under training and the programs that change them: one replay is one optimiser step.

use crate::attack::program;
use crate::gpu::{Buffer, Gpu, Timing};
use crate::graph::{Graph, Program, Shape, Value};
use crate::model::{DeviceWeights, Mode, Network, Parameter, Role, StateDict, Weights};
use crate::ops::{
    self, Add, BceWithLogits, Concat, CrossEntropy, EmaStep, Images, LogSumExp, PickLogit, SgdStep,
    Sum,
};
use crate::{Error, Result};

/// The averages' decay never passes it (METHOD.md).
const EMA_CAP: f64 = 0.999;

/// A network under training.
#[derive(Clone, Debug)]
pub struct Learner {
    /// What it is.
    pub model: Network,
    /// What the optimiser changes.
    pub live: DeviceWeights,
    /// Moving averages of all of it; what is evaluated and published.
    pub average: DeviceWeights,
    /// SGD's buffers, one for each trained weight.
    pub momentum: DeviceWeights,
    /// Optimiser steps since it began.
    pub steps: u64,
    /// A one: the derivative of the loss for itself.
    seed: Buffer,
}

impl Learner {
    /// Begins with these weights; the averages equal them and the momentum is empty.
    pub async fn new(gpu: &Gpu, model: &Network, weights: &StateDict) -> Result<Self> {
        let parameters = model.parameters();
        let trained: Vec<_> = trained(&parameters).cloned().collect();
        Ok(Self {
            model: model.clone(),
            live: DeviceWeights::upload(gpu, &parameters, weights).await?,
            average: DeviceWeights::upload(gpu, &parameters, weights).await?,
            momentum: DeviceWeights::zeros(gpu, &trained).await?,
            steps: 0,
            seed: gpu.upload(&[1.0f32]).await?,
        })
    }
}

fn trained(parameters: &[Parameter]) -> impl Iterator<Item = &Parameter> {
    parameters.iter().filter(|parameter| parameter.role == Role::Weight)
}

/// SGD's constants.
#[derive(Clone, Copy, Debug)]
pub struct Optimiser {
    /// Nesterov's.
    pub momentum: f32,
    /// Of all trained weights.
    pub weight_decay: f32,
}

/// What one step reported.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Mean cross-entropy.
    pub ce: f32,
    /// Mean binary cross-entropy, in stage 2.
    pub bce: Option<f32>,
    /// Logits of the classified images.
    pub logits: Vec<f32>,
    /// f(x)\[y\] of the real images, then of the contrastive ones, in stage 2.
    pub joint: Vec<f32>,
}

/// A training step on the device.
#[derive(Debug)]
pub struct Update {
    program: Program,
    control: Value,
    decay: Value,
    ce: Value,
    bce: Option<Value>,
    logits: Value,
    joint: Option<Value>,
    real: Option<Value>,
}

/// Where the images of a step lie, and how many and how large they are.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// Images to classify and their labels.
    pub classified: (&'a Buffer, &'a Buffer),
    /// Contrastive images of stage 2 and the labels they were driven to, which are the real images'.
    pub contrastive: Option<(&'a Buffer, &'a Buffer)>,
    /// Of each of them.
    pub batch: [u32; 2],
}

impl Update {
    /// Stage 1 (and plain training): mean cross-entropy of the classified images with batch statistics,
    /// which the running ones follow.
    pub async fn classifier(
        learner: &Learner,
        sources: Sources<'_>,
        optimiser: Optimiser,
    ) -> Result<Self> {
        let mut graph = Graph::default();
        let [images, side] = sources.batch;
        let x = graph.input(Shape::new(images, learner.model.channels(), side, side)?);
        let labels = graph.input(Shape::per_image(images)?);
        let weights = Weights::inputs(&mut graph, &learner.model.parameters())?;
        let mut statistics = Vec::new();
        let mode = Mode::Training(&mut statistics);
        let logits = learner.model.logits(&mut graph, x, &weights, mode)?;
        let ce = mean_cross_entropy(&mut graph, logits, labels, images)?;
        let (image_buffer, label_buffer) = sources.classified;
        let given = vec![(x, image_buffer.clone()), (labels, label_buffer.clone())];
        let mut built = Built { graph, weights, given, changing: vec![x, labels] };
        let (control, decay) = built.step(learner, ce, optimiser, |graph| {
            statistics.into_iter().try_for_each(|update| update.push(graph))
        })?;
        let program = built.program(learner, &[ce, logits]).await?;
        Ok(Self { program, control, decay, ce, bce: None, logits, joint: None, real: None })
    }

    /// Stage 2 (METHOD.md, points 3 to 5): binary cross-entropy of logsumexp over real and contrastive
    /// images plus cross-entropy of the attacked ones, statistics frozen. The three go through the
    /// network as one batch: frozen, images do not see each other.
    pub async fn dual(
        learner: &Learner,
        sources: Sources<'_>,
        optimiser: Optimiser,
    ) -> Result<Self> {
        let mut graph = Graph::default();
        let [images, side] = sources.batch;
        let shape = Shape::new(images, learner.model.channels(), side, side)?;
        let per_image = Shape::per_image(images)?;
        let [real, contrastive, attacked] = [(); 3].map(|()| graph.input(shape));
        let [labels, attacked_labels] = [(); 2].map(|()| graph.input(per_image));
        let targets = graph.input(Shape::per_image(2 * images)?);
        let weights = Weights::inputs(&mut graph, &learner.model.parameters())?;
        let all = graph.push(Concat, &[real, contrastive, attacked])?;
        let logits = learner.model.logits(&mut graph, all, &weights, Mode::Frozen)?;
        let pair = graph.push(Images { first: 0, count: 2 * images }, &[logits])?;
        let classified = graph.push(Images { first: 2 * images, count: images }, &[logits])?;
        let scores = graph.push(LogSumExp, &[pair])?;
        let each = graph.push(BceWithLogits, &[scores, targets])?;
        let bce = graph.push(Sum { scale: 0.5 / images as f32 }, &[each])?;
        let ce = mean_cross_entropy(&mut graph, classified, attacked_labels, images)?;
        let loss = graph.push(Add, &[bce, ce])?;
        let both = graph.push(Concat, &[labels, labels])?;
        let joint = graph.push(PickLogit, &[pair, both])?;

        let (attacked_buffer, attacked_label_buffer) = sources.classified;
        let none = || Error::mismatch("stage 2", "no contrastive images", "their buffer");
        let (contrastive_buffer, label_buffer) = sources.contrastive.ok_or_else(none)?;
        let given = vec![
            (contrastive, contrastive_buffer.clone()),
            (attacked, attacked_buffer.clone()),
            (labels, label_buffer.clone()),
            (attacked_labels, attacked_label_buffer.clone()),
        ];
        let changing = vec![real, contrastive, attacked, labels, attacked_labels];
        let mut built = Built { graph, weights, given, changing };
        let (control, decay) = built.step(learner, loss, optimiser, |_| Ok(()))?;
        let program = built.program(learner, &[ce, bce, classified, joint]).await?;
        let mut ones_and_zeros = vec![1.0f32; images as usize];
        ones_and_zeros.resize(2 * images as usize, 0.0);
        program.write(targets, &ones_and_zeros).await?;
        let (bce, joint, real) = (Some(bce), Some(joint), Some(real));
        Ok(Self { program, control, decay, ce, bce, logits: classified, joint, real })
    }

    /// The real images of the next step of stage 2. Their labels are those of the contrastive ones.
    pub async fn write_real(&self, images: &[f32]) -> Result<()> {
        match self.real {
            Some(real) => self.program.write(real, images).await,
            None => Err(Error::mismatch("stage 1", "real images", "none")),
        }
    }

    /// One optimiser step and one of the averages, with the images as they lie in their buffers, and what
    /// it reports: one small read-back.
    pub async fn step(&self, learner: &mut Learner, learning_rate: f64) -> Result<Report> {
        let n = learner.steps;
        let first = if n == 0 { 1.0 } else { 0.0 };
        let decay = match n {
            0 => 0.0,
            n => EMA_CAP.min((1 + n) as f64 / (10 + n) as f64),
        };
        self.program.write(self.control, &[learning_rate as f32, first]).await?;
        self.program.write(self.decay, &[decay as f32]).await?;
        self.program.prepare().await?;
        self.program.submit().await?;
        learner.steps += 1;
        let values: Vec<_> = [Some(self.ce), Some(self.logits), self.bce, self.joint]
            .into_iter()
            .flatten()
            .collect();
        let mut read = self.program.read_all(&values).await?.into_iter();
        let mut next = || read.next().unwrap_or_default();
        let ce = next().first().copied().unwrap_or(f32::NAN);
        let logits = next();
        let bce = self.bce.is_some().then(|| next().first().copied().unwrap_or(f32::NAN));
        Ok(Report { ce, bce, logits, joint: next() })
    }

    /// GPU time of each launch of a step. Err without timestamps. It trains: the weights change.
    pub async fn profile(&self, repetitions: u32) -> Result<Vec<Timing>> {
        self.program.profile(repetitions).await
    }

    /// What a step costs.
    pub fn summary(&self) -> &crate::graph::Summary {
        self.program.summary()
    }
}

/// Mean over the batch.
fn mean_cross_entropy(
    graph: &mut Graph,
    logits: Value,
    labels: Value,
    images: u32,
) -> Result<Value> {
    let each = graph.push(CrossEntropy { label_smoothing: 0.0 }, &[logits, labels])?;
    graph.push(Sum { scale: 1.0 / images as f32 }, &[each])
}

/// A graph on its way to a program.
struct Built {
    graph: Graph,
    weights: Weights,
    given: Vec<(Value, Buffer)>,
    changing: Vec<Value>,
}

impl Built {
    /// Adds derivatives of `loss`, then what `before` adds, then the optimiser's and the averages' steps.
    /// Returns their control values.
    fn step(
        &mut self,
        learner: &Learner,
        loss: Value,
        optimiser: Optimiser,
        before: impl FnOnce(&mut Graph) -> Result<()>,
    ) -> Result<(Value, Value)> {
        let Self { graph, weights, given, changing } = self;
        let parameters = learner.model.parameters();
        let trained: Vec<_> = trained(&parameters).collect();
        let wanted: Vec<_> =
            trained.iter().map(|parameter| weights.get(&parameter.name)).collect::<Result<_>>()?;
        let seed = graph.input(Shape::SCALAR);
        let gradients = ops::gradient(graph, loss, seed, &wanted)?;
        before(graph)?;
        let (control, decay) = (graph.input(Shape::vector(2)?), graph.input(Shape::vector(1)?));
        let Optimiser { momentum, weight_decay } = optimiser;
        for ((parameter, &weight), gradient) in trained.iter().zip(&wanted).zip(gradients) {
            let buffer = graph.input(graph.shape(weight)?);
            given.push((buffer, learner.momentum.buffer(&parameter.name)?.clone()));
            let op = SgdStep { momentum, weight_decay, nesterov: true };
            graph.push_all(op, &[weight, buffer, gradient, control])?;
        }
        for parameter in &parameters {
            let live = weights.get(&parameter.name)?;
            let average = graph.input(graph.shape(live)?);
            given.push((average, learner.average.buffer(&parameter.name)?.clone()));
            graph.push_all(EmaStep, &[average, live, decay])?;
        }
        given.extend(learner.live.bindings(weights)?);
        given.push((seed, learner.seed.clone()));
        changing.extend([control, decay]);
        Ok((control, decay))
    }

    async fn program(self, learner: &Learner, wanted: &[Value]) -> Result<Program> {
        let Self { graph, given, changing, .. } = self;
        program(learner.live.gpu(), &graph, wanted, &changing, &given, true).await
    }
}
