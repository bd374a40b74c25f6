//! Weights under training with their gradients, averages and optimiser moments, and the program that takes an optimiser's step.

use super::Optimiser;
use super::loss_scale::LossScale;
use crate::gpu::{Gpu, Precision};
use crate::graph::{Graph, Shape, Value};
use crate::lower::Program;
use crate::model::{DeviceWeights, Network, Parameter, Role, StateDict, Weights};
use crate::ops::{Concat, EmaStep, Reduce, Sum};
use crate::{Error, Result};

/// The largest decay of the moving averages (docs/method.md, "Optimisers and averages").
const EMA_CAP: f64 = 0.999;

/// A network under training, with its gradients, averages and optimiser moments. An [`Update`](super::Update) computes gradients
/// into it; before [`Learner::step`] uses them, they may be summed over processes.
#[derive(Debug)]
pub struct Learner {
    /// The network's architecture.
    pub model: Network,
    /// The weights that the optimiser changes.
    pub live: DeviceWeights,
    /// The moving averages (EMA) of the weights: evaluation uses them, and `model.safetensors` holds them.
    pub average: DeviceWeights,
    /// The momentum buffers of SGD, or Adam's mean gradients, one for each trained weight.
    pub momentum: DeviceWeights,
    /// Adam's mean squared gradients, one for each trained weight.
    pub squares: Option<DeviceWeights>,
    /// The gradients of the loss, one for each trained weight.
    pub gradients: DeviceWeights,
    /// The number of optimiser steps since training began.
    pub steps: u64,
    optimiser: Optimiser,
    program: Program,
    control: Value,
    decay: Value,
    /// The scale of the loss whose gradients these are, before they are divided by it.
    pub(super) scale: LossScale,
    /// In mixed precision, the sum of each gradient, which is finite if the gradient is.
    sums: Option<(Program, Value)>,
}

impl Learner {
    /// Makes a learner with these weights; the averages equal them, and the optimiser's moments are 0.
    pub async fn new(
        gpu: &Gpu,
        model: &Network,
        weights: &StateDict,
        optimiser: Optimiser,
    ) -> Result<Self> {
        let parameters = model.parameters();
        let trained: Vec<_> = trained(&parameters).cloned().collect();
        let live = DeviceWeights::upload(gpu, &parameters, weights).await?;
        let average = DeviceWeights::upload(gpu, &parameters, weights).await?;
        let momentum = DeviceWeights::zeros(gpu, &trained).await?;
        let gradients = DeviceWeights::zeros(gpu, &trained).await?;
        let squares = match optimiser.keeps_squares() {
            true => Some(DeviceWeights::zeros(gpu, &trained).await?),
            false => None,
        };

        let mut graph = Graph::default();
        let weights = Weights::inputs(&mut graph, &parameters)?;
        let control = graph.input(optimiser.control_shape()?);
        let decay = graph.input(Shape::vector(1)?);
        let mut given = live.bindings(&weights)?;
        let moments = [Some(&momentum), Some(&gradients), squares.as_ref()];
        for Parameter { name, .. } in &trained {
            let weight = weights.get(name)?;
            let shape = graph.shape(weight)?;
            let mut state = [None; 3];
            for (value, of) in state.iter_mut().zip(moments) {
                if let Some(of) = of {
                    let input = graph.input(shape);
                    given.push((input, of.buffer(name)?.clone()));
                    *value = Some(input);
                }
            }
            let [Some(first), Some(gradient), squares] = state else {
                let what = format_args!("no gradient or no first moment for {name}");
                return Err(Error::bug("learner", what));
            };
            optimiser.push(&mut graph, [weight, first, gradient, control], squares)?;
        }
        for Parameter { name, .. } in &parameters {
            let weight = weights.get(name)?;
            let mean = graph.input(graph.shape(weight)?);
            given.push((mean, average.buffer(name)?.clone()));
            graph.push_all(EmaStep, &[mean, weight, decay])?;
        }
        let program = Program::new(gpu, &graph, &[], &[control, decay], &given).await?;
        let precision = gpu.preferences().precision;
        let sums = match precision {
            Precision::Mixed => Some(sums(gpu, &trained, &gradients).await?),
            _ => None,
        };
        let model = model.clone();
        Ok(Self {
            model,
            live,
            average,
            momentum,
            squares,
            gradients,
            steps: 0,
            optimiser,
            program,
            control,
            decay,
            scale: LossScale::new(precision),
            sums,
        })
    }

    /// Returns the number of steps that were left out because gradients had overflowed, in mixed precision.
    pub fn left_out(&self) -> u64 {
        self.scale.state().left_out
    }

    /// Takes one optimiser step with the current gradients, and updates the averages, without waiting for the device. In mixed
    /// precision it waits to see whether all gradients are finite: if they are not, it changes no weights and halves the scale of
    /// the loss ([`Learner::left_out`] counts such steps).
    pub async fn step(&mut self, learning_rate: f64) -> Result<()> {
        if let Some((program, sums)) = &mut self.sums {
            program.submit().await?;
            let finite = program.read(*sums).await?.iter().all(|sum| sum.is_finite());
            self.scale.follow(finite);
            if !finite {
                return Ok(());
            }
        }
        let n = self.steps;
        let decay = match n {
            0 => 0.0,
            n => EMA_CAP.min((1 + n) as f64 / (10 + n) as f64),
        };
        self.program.write(self.control, &self.optimiser.control(learning_rate, n)).await?;
        self.program.write(self.decay, &[decay as f32]).await?;
        self.program.submit().await?;
        self.steps += 1;
        Ok(())
    }
}

/// The program that sums each gradient, and the value with all sums.
async fn sums(
    gpu: &Gpu,
    trained: &[Parameter],
    gradients: &DeviceWeights,
) -> Result<(Program, Value)> {
    let mut graph = Graph::default();
    let inputs = Weights::inputs(&mut graph, trained)?;
    let given = gradients.bindings(&inputs)?;
    let changing: Vec<_> = given.iter().map(|(value, _)| *value).collect();
    let mut all = Vec::new();
    for &gradient in &changing {
        let rows = graph.push(Reduce::PerImage, &[gradient])?;
        all.push(graph.push(Sum { scale: 1.0 }, &[rows])?);
    }
    let sums = graph.push(Concat, &all)?;
    Ok((Program::new(gpu, &graph, &[sums], &changing, &given).await?, sums))
}

/// The parameters that have gradients.
pub(super) fn trained(parameters: &[Parameter]) -> impl Iterator<Item = &Parameter> {
    parameters.iter().filter(|parameter| parameter.role == Role::Weight)
}
