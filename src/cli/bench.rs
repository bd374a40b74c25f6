//! `bench`: how long a step of a network takes on an adapter, and what share of the adapter's own peak that is.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

use pollster::block_on;
use serde_json::{Value, json};

use super::args::{self, Step};
use super::session::Session;
use crate::attack::{Attack, Objective, Pgd, Statistics};
use crate::gpu::{Gpu, Timing};
use crate::graph::Summary;
use crate::model::checkpoint::write_atomically;
use crate::model::{Activation, DeviceWeights, Network, WideResNet};
use crate::ops::{Norm, Peak, peak};
use crate::train::{Learner, Optimiser, Sources, Update};
use crate::{Error, Result};

/// Replays of a profile.
const REPETITIONS: u32 = 3;
/// One measurement takes at least so many seconds.
const SECONDS: f64 = 0.2;

/// A step made ready.
enum Made {
    Climb(Box<Attack>),
    Update(Box<(Learner, Update)>),
}

/// Measures one step.
pub fn run(session: &Session, args: &args::Bench) -> anyhow::Result<()> {
    let (network, usual) = network(&args.model)?;
    let (batch, side) = (args.batch, args.side.unwrap_or(usual));
    let gpu = session.gpu()?;
    let mut progress = session.progress();
    progress.line(&format!("measuring what {} reaches at most", gpu.adapter().name));
    let peak = block_on(peak(&gpu))?;
    progress.line(&format!("making {} ready: batch {batch}, {side}×{side}", args.model));
    let before = gpu.counts().bytes;
    let began = Instant::now();
    let mut made = block_on(Made::new(&gpu, &network, [batch, side], args.what))?;
    block_on(made.run(1))?;
    let ready = began.elapsed().as_secs_f64();
    let memory = gpu.counts().bytes - before;
    let mut times = Vec::new();
    let mut repeats = 1;
    while times.len() < args.runs as usize {
        let start = Instant::now();
        block_on(made.run(repeats))?;
        let took = start.elapsed().as_secs_f64();
        if took < SECONDS && times.is_empty() && repeats < 1 << 12 {
            repeats *= 2;
            continue;
        }
        times.push(took * 1e3 / f64::from(repeats));
        progress.line(&format!(
            "{} of {}: {:.2} ms",
            times.len(),
            args.runs,
            took * 1e3 / f64::from(repeats)
        ));
    }
    times.sort_by(f64::total_cmp);
    let timings = if gpu.adapter().timestamps { block_on(made.profile())? } else { Vec::new() };
    progress.finish();
    if let Some(path) = &args.profile {
        write_trace(path, &gpu, &timings)?;
    }
    let measured = Measured {
        args,
        side,
        gpu: &gpu,
        peak,
        ready,
        memory,
        times,
        timings,
        plan: made.summary(),
    };
    if args.json {
        return super::print(&format!("{}\n", measured.json()));
    }
    super::print(&measured.text()?)
}

/// A network by name, for 3 channels, and the side that it is mostly used at.
fn network(name: &str) -> Result<(Network, u32)> {
    let Some(numbers) = name.strip_prefix("wrn-") else {
        return Ok((Network::named(name, 3, 1000, None)?, 224));
    };
    let numbers = numbers
        .split_once('-')
        .and_then(|(depth, width)| Some((depth.parse().ok()?, width.parse().ok()?)));
    let unknown = || Error::BadConfig {
        key: "--model".into(),
        value: name.into(),
        allowed: format!("wrn-DEPTH-WIDTH, as wrn-16-2, or {}", Network::names().join(", ")),
    };
    let (depth, width) = numbers.ok_or_else(unknown)?;
    let made = WideResNet::new(depth, width, 3, 10, Activation::Relu, None)?;
    Ok((Network::from(made), 32))
}

impl Made {
    async fn new(gpu: &Gpu, model: &Network, [batch, side]: [u32; 2], what: Step) -> Result<Self> {
        let parameters = model.parameters();
        let initial = model.initial(0);
        let words = (batch * model.channels() * side * side) as usize;
        let images: Vec<f32> = (0..words).map(|i| (i % 97) as f32 / 96.0).collect();
        let labels: Vec<u32> = (0..batch).map(|i| i % model.classes()).collect();
        let (objective, eps) = match what {
            Step::Pgd => (Objective::CrossEntropy, 0.5),
            Step::Sample => (Objective::Joint, f32::INFINITY),
            Step::Train => {
                let sgd = Optimiser::Sgd { momentum: 0.9, weight_decay: 5e-4 };
                let learner = Learner::new(gpu, model, &initial, sgd).await?;
                let (images, labels) = (gpu.upload(&images).await?, gpu.upload(&labels).await?);
                let classified = (&images, &labels);
                let sources = Sources { classified, contrastive: None, batch: [batch, side] };
                let update = Update::classifier(&learner, sources).await?;
                return Ok(Self::Update(Box::new((learner, update))));
            }
        };
        let weights = DeviceWeights::upload(gpu, &parameters, &initial).await?;
        let settings = Pgd {
            norm: Norm::L2,
            eps,
            step_size: 0.1,
            steps: 0,
            objective,
            statistics: Statistics::Frozen,
        };
        let attack = Attack::new(model, &weights, [batch, side], settings, true).await?;
        attack.start(&images, &labels).await?;
        Ok(Self::Climb(Box::new(attack)))
    }

    async fn run(&mut self, steps: u32) -> Result<()> {
        match self {
            Self::Climb(attack) => attack.run(steps, |_| Ok(())).await,
            Self::Update(both) => {
                let (learner, update) = both.as_mut();
                for _ in 0..steps {
                    update.step(learner, 0.0).await?;
                }
                Ok(())
            }
        }
    }

    async fn profile(&self) -> Result<Vec<Timing>> {
        match self {
            Self::Climb(attack) => attack.profile(REPETITIONS).await,
            Self::Update(both) => both.1.profile(REPETITIONS).await,
        }
    }

    fn summary(&self) -> &Summary {
        match self {
            Self::Climb(attack) => attack.summary(),
            Self::Update(both) => both.1.summary(),
        }
    }
}

struct Measured<'a> {
    args: &'a args::Bench,
    side: u32,
    gpu: &'a Gpu,
    peak: Peak,
    ready: f64,
    memory: u64,
    /// Of a step, sorted.
    times: Vec<f64>,
    timings: Vec<Timing>,
    plan: &'a Summary,
}

/// A kernel's launches in a step.
#[derive(Default)]
struct Row {
    launches: usize,
    milliseconds: f64,
    flops: u64,
    bytes: u64,
}

impl Row {
    fn gflops(&self) -> f64 {
        self.flops as f64 / self.milliseconds.max(1e-9) * 1e-6
    }

    fn gigabytes(&self) -> f64 {
        self.bytes as f64 / self.milliseconds.max(1e-9) * 1e-6
    }
}

impl Measured<'_> {
    fn median(&self) -> f64 {
        self.times.get(self.times.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn gflops(&self) -> f64 {
        self.plan.flops as f64 / self.median() * 1e-6
    }

    fn peak_fraction(&self) -> f64 {
        self.gflops() * 1e9 / self.peak.flops
    }

    /// By kernel, the longest first.
    fn rows(&self) -> Vec<(&'static str, Row)> {
        let mut rows: BTreeMap<_, Row> = BTreeMap::new();
        for timing in &self.timings {
            let row = rows.entry(timing.kernel).or_default();
            row.launches += 1;
            row.milliseconds += timing.milliseconds;
            row.flops += timing.flops;
            row.bytes += timing.bytes;
        }
        let mut rows: Vec<_> = rows.into_iter().collect();
        rows.sort_by(|(_, a), (_, b)| b.milliseconds.total_cmp(&a.milliseconds));
        rows
    }

    fn json(&self) -> Value {
        let adapter = self.gpu.adapter();
        let row = |(kernel, row): &(&str, Row)| {
            json!({
                "kernel": kernel,
                "launches": row.launches,
                "ms": row.milliseconds,
                "gflops": row.gflops(),
                "gigabytes_per_second": row.gigabytes(),
            })
        };
        let mut all = json!({
            "model": self.args.model,
            "batch": self.args.batch,
            "side": self.side,
            "what": self.args.what.name(),
            "adapter": adapter.to_string(),
            "driver": adapter.driver,
            "version": env!("CARGO_PKG_VERSION"),
            "runs": self.times,
            "ready_seconds": self.ready,
            "gflop": self.plan.flops as f64 * 1e-9,
            "gflops": self.gflops(),
            "peak_gflops": self.peak.flops * 1e-9,
            "peak_fraction": self.peak_fraction(),
            "copy_gigabytes_per_second": self.peak.bytes * 1e-9,
            "traffic_bytes": self.plan.traffic_bytes,
            "memory_bytes": self.memory,
            "launches": self.plan.dispatches,
            "kernels": self.rows().iter().map(row).collect::<Vec<_>>(),
        });
        if let Value::Object(fields) = &mut all {
            let key = format!("{}_ms", self.args.what.name().replace('-', "_"));
            fields.insert(key, self.median().into());
        }
        all
    }

    fn text(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        let args::Bench { model, batch, what, .. } = self.args;
        writeln!(
            text,
            "{what} of {model}, batch {batch}, {0}×{0}, on {1}",
            self.side,
            self.gpu.adapter()
        )?;
        writeln!(
            text,
            "{:.2} ms, median of {} ({:.2} to {:.2}); ready after {:.1} s",
            self.median(),
            self.times.len(),
            self.times.first().copied().unwrap_or(f64::NAN),
            self.times.last().copied().unwrap_or(f64::NAN),
            self.ready
        )?;
        writeln!(
            text,
            "{:.2} GFLOP, {:.1} GFLOP/s: {:.1} % of the {:.1} that multiplications in registers reach here",
            self.plan.flops as f64 * 1e-9,
            self.gflops(),
            100.0 * self.peak_fraction(),
            self.peak.flops * 1e-9
        )?;
        writeln!(
            text,
            "{:.1} MB read and written by {} launches, which a copy does in {:.2} ms ({:.1} GB/s); {:.1} MiB of memory",
            self.plan.traffic_bytes as f64 * 1e-6,
            self.plan.dispatches,
            self.plan.traffic_bytes as f64 / self.peak.bytes * 1e3,
            self.peak.bytes * 1e-9,
            self.memory as f64 / f64::from(1 << 20)
        )?;
        if self.timings.is_empty() {
            writeln!(text, "no table of kernels: the adapter has no timestamps")?;
            return Ok(text);
        }
        writeln!(
            text,
            "{:<28} {:>8} {:>9} {:>9} {:>7}",
            "kernel", "launches", "ms", "GFLOP/s", "GB/s"
        )?;
        for (kernel, row) in self.rows() {
            writeln!(
                text,
                "{kernel:<28} {:>8} {:>9.3} {:>9.1} {:>7.2}",
                row.launches,
                row.milliseconds,
                row.gflops(),
                row.gigabytes()
            )?;
        }
        Ok(text)
    }
}

/// The launches of a step one after another, as browsers' trace viewers read them (chrome://tracing, ui.perfetto.dev).
fn write_trace(path: &Path, gpu: &Gpu, timings: &[Timing]) -> Result<()> {
    if timings.is_empty() {
        let (given, wanted) = ("no timestamps".into(), "timestamp queries".into());
        return Err(Error::MissingLimit { adapter: gpu.adapter().name.clone(), given, wanted });
    }
    let mut at = 0.0;
    let event = |timing: &Timing| {
        let start = at;
        at += timing.milliseconds * 1e3;
        json!({
            "name": timing.kernel,
            "ph": "X",
            "pid": 0,
            "tid": 0,
            "ts": start,
            "dur": timing.milliseconds * 1e3,
            "args": { "flop": timing.flops, "bytes": timing.bytes },
        })
    };
    let events: Vec<Value> = timings.iter().map(event).collect();
    write_atomically(path, json!({ "traceEvents": events }).to_string().as_bytes())
}
