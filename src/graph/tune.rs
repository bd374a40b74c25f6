//! The variants of ops against each other on the device, each node by itself on buffers of zeros.

use super::{Graph, Launch, Node, Plan, Shape, Value};
use crate::gpu::{Buffer, Executor, Gpu, Question, Recording};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Measurements of a variant; they are taken in turn with the others'.
const ROUNDS: usize = 7;
/// Seconds of one measurement at least.
const LEAST: f64 = 5e-3;
/// A variant that takes so many times as long as the fastest in the first measurement is measured no more.
const HOPELESS: f64 = 2.0;
/// What the static choice's time is to be multiplied by for another to be taken.
const GAIN: f64 = 0.95;

/// [`Plan::new`] with the variants that are the fastest on this device: those that are not known are measured first.
pub async fn plan(gpu: &Gpu, graph: &Graph, wanted: &[Value], changing: &[Value]) -> Result<Plan> {
    loop {
        let choices = gpu.choices().unwrap_or_default();
        let plan = Plan::with(graph, wanted, changing, gpu.adapter(), &choices)?;
        let open = plan.asked().iter().find(|(question, _)| !choices.has(question));
        let Some((question, node)) = open else { return Ok(plan) };
        let found = match fastest(gpu, graph, question, node).await {
            // Without memory to measure in, the choice stays what it was.
            Err(Error::OutOfMemory(_)) => question.default,
            found => found?,
        };
        gpu.decide(question, found);
    }
}

/// The place of the fastest candidate; the default's unless another gains enough.
async fn fastest(gpu: &Gpu, graph: &Graph, question: &Question, node: &Node) -> Result<usize> {
    let mut shapes: BTreeMap<Value, Shape> = BTreeMap::new();
    for &value in node.inputs.iter().chain(&node.outputs) {
        shapes.insert(value, graph.shape(value)?);
    }
    let words: Vec<_> = shapes.values().map(|shape| shape.elements()).collect();
    let buffers = gpu.allocate(&words).await?;
    let mut racers = Vec::new();
    for candidate in 0..question.candidates.len() {
        match Racer::new(gpu, (question, candidate), node, &shapes, &buffers).await {
            Ok(racer) => racers.push(racer),
            // What this device cannot do is no candidate.
            Err(_) if candidate != question.default => {}
            Err(error) => return Err(error),
        }
    }
    for racer in &mut racers {
        // The first replay compiles on some drivers.
        racer.executor.seconds(1).await?;
        let once = racer.executor.seconds(1).await?;
        racer.repeats = (LEAST / once.max(1e-9)).ceil().clamp(1.0, 1000.0) as u32;
    }
    measure(&mut racers, Some(question.default)).await?;
    let Some(best) = winner(&racers, question.default) else { return Ok(question.default) };
    // The least of several is often least by chance: once more, against the static choice alone.
    racers.retain(|racer| [best, question.default].contains(&racer.candidate));
    racers.iter_mut().for_each(|racer| racer.times.clear());
    measure(&mut racers, None).await?;
    Ok(winner(&racers, question.default).unwrap_or(question.default))
}

/// Times all in turn; those that are hopeless beside the fastest leave after the first round, but for `kept`.
async fn measure(racers: &mut Vec<Racer>, kept: Option<usize>) -> Result<()> {
    for round in 0..ROUNDS {
        for racer in &mut *racers {
            let took = racer.executor.seconds(racer.repeats).await?;
            racer.times.push(took / f64::from(racer.repeats));
        }
        if round == 0 && kept.is_some() {
            let best = racers.iter().map(Racer::median).fold(f64::INFINITY, f64::min);
            racers
                .retain(|racer| Some(racer.candidate) == kept || racer.median() < HOPELESS * best);
        }
    }
    Ok(())
}

/// The fastest, if it gains enough on the default.
fn winner(racers: &[Racer], default: usize) -> Option<usize> {
    let fixed = racers.iter().find(|racer| racer.candidate == default)?;
    let best = racers.iter().min_by(|a, b| a.median().total_cmp(&b.median()))?;
    (best.median() < fixed.median() * GAIN).then_some(best.candidate)
}

/// One variant, made ready.
struct Racer {
    candidate: usize,
    executor: Executor,
    repeats: u32,
    times: Vec<f64>,
}

impl Racer {
    async fn new(
        gpu: &Gpu,
        (question, candidate): (&Question, usize),
        node: &Node,
        shapes: &BTreeMap<Value, Shape>,
        buffers: &[Buffer],
    ) -> Result<Self> {
        let choices = gpu.choices().unwrap_or_default().with(question, candidate);
        let mut to = Recording::with_choices(gpu.adapter().clone(), Arc::new(choices));
        let (mut places, mut given) = (BTreeMap::new(), BTreeMap::new());
        for ((&value, shape), buffer) in shapes.iter().zip(buffers) {
            let id = to.buffer(shape.elements());
            places.insert(value, id);
            given.insert(id, buffer.clone());
        }
        let of = |values: &[Value]| -> Vec<Shape> {
            values.iter().filter_map(|value| shapes.get(value).copied()).collect()
        };
        let (inputs, outputs) = (of(&node.inputs), of(&node.outputs));
        let values = node.inputs.iter().chain(&node.outputs);
        let ids: Vec<_> = values.filter_map(|value| places.get(value).copied()).collect();
        let (inputs, outputs) = (&inputs, &outputs);
        let mut launch = Launch { to: &mut to, inputs, outputs, buffers: &ids, firsts: &[] };
        node.op.record(&mut launch)?;
        let executor = Executor::new(gpu, &to, &given).await?;
        Ok(Self { candidate, executor, repeats: 1, times: Vec::new() })
    }

    fn median(&self) -> f64 {
        let mut times = self.times.clone();
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or(f64::INFINITY)
    }
}
