//! Computes the memory and arithmetic that a training run needs from tensor shapes, without images, weights or device memory, and
//! checks that the network can be trained with the losses of both training stages (adversarial and dual adversarial training).

use super::learner::trained;
use super::loss::Loss;
use super::stages::{check_shares, has_statistics, smaller};
use super::synchronise::Joining;
use super::update::Dual;
use super::{Config, Contrast, Jem, ObjectiveName, Phase};
use crate::gpu::{Adapter, Gpu, Preferences, Recording};
use crate::graph::{Graph, Plan, Summary, Value};
use crate::lower::{Target, lower, plan};
use crate::model::{BatchSize, Mode, Network, Weights};
use crate::ops::{self, CrossEntropy};
use crate::{Error, Result};
use std::sync::Arc;

/// The memory and arithmetic that one stage of training needs, computed from shapes.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// The stage of training (1 or 2) that the numbers are for.
    pub phase: Phase,
    /// The number of iterations of the stage.
    pub iterations: u32,
    /// The number of images in a batch of the stage.
    pub batch: u32,
    /// The number of images that go through the network at once: that of the configuration, or the most that keep each buffer and
    /// binding within the adapter's limits.
    pub micro_batch: u32,
    /// The bytes of device memory that training takes, within some percent.
    pub device_bytes: u64,
    /// The floating-point operations of one iteration, with the fewest and with the most gradient steps of contrastive images.
    pub flops: [u64; 2],
}

impl Config {
    /// Returns stage 2's loss.
    pub(super) fn dual(&self) -> Dual {
        let stage = &self.stage2;
        Dual {
            score: stage.score.into(),
            contrast: match self.objective {
                ObjectiveName::Jem => Jem::CONTRAST,
                _ => Contrast::Bce,
            },
            contrast_weight: stage.bce_weight as f32,
            ce_weight: stage.ce_weight as f32,
            r1: stage.r1 as f32,
        }
    }

    fn stage1_loss(&self, model: &Network, batch: BatchSize) -> Result<Loss> {
        match self.objective {
            ObjectiveName::Trades => {
                Loss::trades(model, batch, self.trades.beta as f32, Joining::NONE)
            }
            ObjectiveName::Ratio => {
                Loss::ratio(model, batch, self.ratio.weight as f32, Joining::NONE)
            }
            _ => Loss::classifier(model, batch, Joining::NONE),
        }
    }

    fn stage2_loss(&self, model: &Network, batch: BatchSize) -> Result<Loss> {
        let r1 = self.stage2.r1;
        Loss::dual(model, batch, self.dual()).map_err(|error| match error {
            Error::NoDerivative { op, why } if r1 > 0.0 => Error::BadConfig {
                key: "stage2.r1".into(),
                value: r1.to_string(),
                allowed: format!(
                    "0 for {model}: the R1 penalty needs second derivatives, and the op {op} has none ({why})"
                ),
            },
            other => other,
        })
    }
}

/// Checks that the losses of both stages can be made of this network, as far as graphs tell: what cannot be trained is to be said
/// before hours of what can be.
///
/// # Errors
/// `BadConfig` for a penalty on slopes that some op has no second derivative for, and whatever making the graphs says.
pub fn check_stages(config: &Config, model: &Network) -> Result<()> {
    config.check_radii(model.channels())?;
    let few = |batch: u32| BatchSize { images: batch.min(2), side: config.data.side };
    if config.stage1.schedule.iterations > 0 {
        config.stage1_loss(model, few(config.stage1.schedule.batch))?;
    }
    if config.stage2_iterations() > 0 {
        config.stage2_loss(model, few(config.stage2.schedule.batch))?;
    }
    Ok(())
}

/// Computes the memory and arithmetic that each stage of training this network needs on this device.
///
/// # Errors
/// The errors of [`check_stages`], `BadConfig` for a micro-batch that training refuses, and `OutOfMemory` where not even one image at
/// once keeps within the adapter's limits.
pub fn forecast(gpu: &Gpu, config: &Config, model: &Network) -> Result<Vec<Forecast>> {
    let gpu = &config.device(gpu);
    let Config { stage1, stage2, .. } = config;
    check_stages(config, model)?;
    check_shares(config, model, 1)?;
    let mut stages = Vec::new();
    if stage1.schedule.iterations > 0 {
        let whole = has_statistics(model);
        let pieces = (stage1.schedule.batch, stage1.schedule.micro_batch, whole);
        let (micro_batch, parts) = fitting(Phase::Stage1, pieces, |images| {
            let batch = BatchSize { images, side: config.data.side };
            let attack = (stage1.pgd.steps > 0).then(|| step(gpu, model, batch)).transpose()?;
            Ok([Some(loss(gpu, &config.stage1_loss(model, batch)?)?), attack, None])
        })?;
        let [update, attack, _] = &parts;
        let pieces = u64::from(stage1.schedule.batch / micro_batch);
        // Pieces whose statistics are joined go side by side, each with programs and images of its own.
        let side_by_side = if stage1.sync_batch_norm && whole { pieces } else { 1 };
        let flops = |part: &Option<Summary>| part.as_ref().map_or(0, |part| part.flops);
        let each = flops(update) + u64::from(stage1.pgd.steps) * flops(attack);
        let squares = stage1.schedule.optimiser().keeps_squares();
        stages.push(Forecast {
            phase: Phase::Stage1,
            iterations: stage1.schedule.iterations,
            batch: stage1.schedule.batch,
            micro_batch,
            device_bytes: bytes(
                model,
                squares,
                &parts,
                (side_by_side, micro_batch),
                config.data.side,
            ),
            flops: [pieces * each; 2],
        });
    }
    if config.stage2_iterations() > 0 {
        let jem = config.objective == ObjectiveName::Jem;
        let attacked = !jem && stage2.pgd.steps > 0;
        let pieces = (stage2.schedule.batch, stage2.schedule.micro_batch, false);
        let (micro_batch, parts) = fitting(Phase::Stage2, pieces, |images| {
            let batch = BatchSize { images, side: config.data.side };
            let attack = attacked.then(|| step(gpu, model, batch)).transpose()?;
            let climb = Some(step(gpu, model, batch)?);
            Ok([Some(loss(gpu, &config.stage2_loss(model, batch)?)?), attack, climb])
        })?;
        let [update, attack, climb] = &parts;
        let pieces = u64::from(stage2.schedule.batch / micro_batch);
        let flops = |part: &Option<Summary>| part.as_ref().map_or(0, |part| part.flops);
        let steps = match jem {
            true => [config.jem.steps; 2],
            false => [stage2.start_t, stage2.max_t],
        };
        let fixed = flops(update) + u64::from(stage2.pgd.steps) * flops(attack);
        let squares = stage2.schedule.optimiser().keeps_squares();
        stages.push(Forecast {
            phase: Phase::Stage2,
            iterations: stage2.schedule.iterations,
            batch: stage2.schedule.batch,
            micro_batch,
            device_bytes: bytes(model, squares, &parts, (1, micro_batch), config.data.side),
            flops: steps.map(|steps| pieces * (fixed + u64::from(steps) * flops(climb))),
        });
    }
    Ok(stages)
}

/// The programs of a stage.
type Parts = [Option<Summary>; 3];

/// The most images that go through at once within the adapter's limits, and their programs. Where the configuration says how many
/// and these are too many, the error names how many are not.
fn fitting(
    phase: Phase,
    (batch, given, whole): (u32, u32, bool),
    plan: impl Fn(u32) -> Result<Parts>,
) -> Result<(u32, Parts)> {
    let (mut micro, mut first) = (given, None);
    loop {
        let images = if micro == 0 { batch } else { micro };
        match (plan(images), first.take()) {
            // A shape of too many elements is too large as well.
            (Err(error @ (Error::OutOfMemory(_) | Error::Mismatch { .. })), before) => {
                let error = before.unwrap_or(error);
                match smaller(batch, micro).filter(|_| !whole) {
                    Some(next) => (micro, first) = (next, Some(error)),
                    None => return Err(error),
                }
            }
            (Ok(_), Some(error)) if given != 0 => {
                let doing = match error {
                    Error::OutOfMemory(doing) => doing,
                    other => other.to_string(),
                };
                let advice = format!("{doing}; training fits with {phase}.micro_batch = {images}");
                return Err(Error::OutOfMemory(advice));
            }
            (made, _) => return Ok((images, made?)),
        }
    }
}

/// Plans the launches of plain training's gradients on an adapter, without a device: forward with the batch's statistics
/// and the gradients of all weights, without the optimiser's step.
///
/// # Errors
/// The errors of making and lowering the graph.
pub fn plan_update(
    model: &Network,
    batch: BatchSize,
    adapter: &Arc<Adapter>,
    preferences: &Preferences,
) -> Result<Plan> {
    let loss = Loss::classifier(model, batch, Joining::NONE)?;
    plan(&loss.graph, &loss.wanted(), &loss.changing, adapter, preferences)
}

fn loss(gpu: &Gpu, loss: &Loss) -> Result<Summary> {
    planned(gpu, &loss.graph, &loss.wanted(), &loss.changing)
}

/// A step on images: forward with frozen statistics, the images' gradient.
fn step(gpu: &Gpu, model: &Network, batch: BatchSize) -> Result<Summary> {
    let mut graph = Graph::default();
    let weights = Weights::inputs(&mut graph, &model.parameters())?;
    let x = graph.input(batch.shape(model)?);
    let labels = graph.input(crate::graph::Shape::per_image(batch.images)?);
    let logits = model.logits(&mut graph, x, &weights, Mode::Frozen)?;
    let each = graph.push(CrossEntropy { label_smoothing: 0.0 }, &[logits, labels])?;
    let seed = graph.input(graph.shape(each)?);
    let slope = ops::gradient(&mut graph, each, seed, &[x])?;
    planned(gpu, &graph, &slope, &[x, labels])
}

fn planned(gpu: &Gpu, graph: &Graph, wanted: &[Value], changing: &[Value]) -> Result<Summary> {
    let (adapter, preferences, choices) = (gpu.adapter(), gpu.preferences(), gpu.choices());
    let target = Target { adapter, preferences, choices: &choices, rules: &[] };
    let graph = lower(graph, wanted, &target)?.graph;
    let plan = Plan::new(&graph, wanted, changing, adapter)?;
    for recording in [&plan.once, &plan.every] {
        within_limits(recording, gpu.adapter())?;
    }
    Ok(plan.summary().clone())
}

/// Checks buffers and bindings against the adapter's limits. Err for one that is too large.
fn within_limits(recording: &Recording, adapter: &Arc<Adapter>) -> Result<()> {
    let [buffer, binding] = recording.largest();
    for (what, given, most) in
        [("a buffer", buffer, adapter.max_buffer), ("a binding", binding, adapter.max_binding)]
    {
        if given > most {
            let doing =
                format!("{what} of {given} bytes is needed, but {adapter} allows at most {most}");
            return Err(Error::OutOfMemory(doing));
        }
    }
    Ok(())
}

/// Weights, averages, moments and gradients; what programs work in; and the images, for each of the pieces that go side by side.
fn bytes(
    model: &Network,
    squares: bool,
    parts: &Parts,
    (pieces, images): (u64, u32),
    side: u32,
) -> u64 {
    /// An attack keeps its images, where they came from and their gradient's momentum; updates have up to three kinds.
    const IMAGES: u64 = 8;
    let parameters = model.parameters();
    let words = |all: &mut dyn Iterator<Item = &crate::model::Parameter>| -> u64 {
        all.map(|parameter| parameter.shape.iter().product::<usize>() as u64).sum()
    };
    let all = words(&mut parameters.iter());
    let moved = words(&mut trained(&parameters));
    let learner = 4 * (2 * all + moved * if squares { 3 } else { 2 });
    let programs = parts.iter().flatten();
    let work: u64 = programs.map(|part| part.shared_bytes + part.scratch_bytes).sum();
    let image = u64::from(model.channels()) * u64::from(side) * u64::from(side) * 4;
    learner + pieces * (work + IMAGES * u64::from(images) * image)
}
