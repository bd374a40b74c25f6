//! Weights under training with their gradients, averages and optimiser moments, and the program that takes an optimiser's step.

use super::Optimiser;
use crate::gpu::Gpu;
use crate::graph::{Graph, Shape, Value};
use crate::lower::Program;
use crate::model::{DeviceWeights, Network, Parameter, Role, StateDict, Weights};
use crate::ops::EmaStep;
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
        })
    }

    /// Takes one optimiser step with the current gradients, and updates the averages, without waiting for the device.
    pub async fn step(&mut self, learning_rate: f64) -> Result<()> {
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

/// The parameters that have gradients.
pub(super) fn trained(parameters: &[Parameter]) -> impl Iterator<Item = &Parameter> {
    parameters.iter().filter(|parameter| parameter.role == Role::Weight)
}
