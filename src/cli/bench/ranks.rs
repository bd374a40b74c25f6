//! `bench` with several processes: measures the time of each part of a training step that they share, and the time that one of
//! them takes alone for its part of the batch, without communication.

use std::fmt::Write;
use std::time::Instant;

use pollster::block_on;
use serde_json::json;

use super::made::{Made, median};
use crate::cli::args;
use crate::cli::session::Session;
use crate::gpu::Gpu;
use crate::model::{BatchSize, Network};
use crate::train::{Learner, Reduction, Update};
use crate::world::World;
use crate::{Error, Result};

/// The seconds of one step, divided into its parts.
#[derive(Clone, Copy, Debug, Default)]
struct Parts {
    compute: f64,
    read_back: f64,
    sum: f64,
    write_back: f64,
}

impl Parts {
    fn total(&self) -> f64 {
        self.compute + self.read_back + self.sum + self.write_back
    }
}

/// Measures training steps of the first process alone, then of all processes together. `--batch` is the number of images of all
/// processes together.
pub fn run(
    session: &Session,
    args: &args::Bench,
    network: &Network,
    side: u32,
) -> anyhow::Result<()> {
    let world = session.world()?;
    let ranks = world.size() as u32;
    if !args.batch.is_multiple_of(ranks) {
        return Err(Error::BadConfig {
            key: "--batch".into(),
            value: args.batch.to_string(),
            allowed: format!("a multiple of {ranks}, the number of processes that share a batch"),
        }
        .into());
    }
    world.agree(&[("the step", format!("{} {} {side} {}", args.model, args.batch, args.runs))])?;
    let gpu = session.gpu()?;
    let adapters = session.introduce(&gpu)?;
    let mut progress = session.progress();
    let size = BatchSize { images: args.batch / ranks, side };
    progress.line(&format!(
        "each process takes {} images, this one on {}",
        size.images,
        gpu.adapter().name
    ));
    let Made::Update(both) = block_on(Made::step(&gpu, network, size, args.what))? else {
        return Err(Error::mismatch(
            "bench",
            format_args!("--what {}", args.what),
            "--what train-step, the only step that several processes can share",
        )
        .into());
    };
    let (mut learner, mut update) = *both;
    // Pipelines are compiled, and every rank has as much behind it.
    block_on(step(&gpu, &World::one(), &mut learner, &mut update))?;
    let runs = args.runs as usize;
    world.barrier()?;
    let mut alone = Vec::new();
    if world.is_first() {
        for _ in 0..runs {
            let (parts, _) = block_on(step(&gpu, &World::one(), &mut learner, &mut update))?;
            alone.push(parts.compute);
        }
    }
    world.barrier()?;
    let (mut all, mut bytes) = (Vec::new(), 0);
    for run in 1..=runs {
        let (parts, reduction) = block_on(step(&gpu, world, &mut learner, &mut update))?;
        let Parts { compute, read_back, sum, write_back } = parts;
        all.extend(world.joined(vec![compute, read_back, sum, write_back])?);
        bytes = reduction.bytes;
        progress.line(&format!("run {run} of {runs}: {:.2} ms", parts.total() * 1e3));
    }
    progress.finish();
    if !world.is_first() {
        return Ok(());
    }
    let part = |at: usize| median(&all.iter().skip(at).step_by(4).copied().collect::<Vec<_>>());
    let parts = Parts { compute: part(0), read_back: part(1), sum: part(2), write_back: part(3) };
    let alone = median(&alone);
    let efficiency = alone / parts.total();
    let (model, batch) = (&args.model, args.batch);
    if args.json {
        let told = json!({
            "model": model,
            "batch": batch,
            "side": side,
            "what": args.what.name(),
            "ranks": adapters,
            "alone_ms": alone * 1e3,
            "step_ms": parts.total() * 1e3,
            "compute_ms": parts.compute * 1e3,
            "read_back_ms": parts.read_back * 1e3,
            "sum_ms": parts.sum * 1e3,
            "write_back_ms": parts.write_back * 1e3,
            "reduce_bytes": bytes,
            "efficiency": efficiency,
        });
        return crate::cli::print(&format!("{told}\n"));
    }
    let mut text = String::new();
    writeln!(text, "train-step of {model}, batch {batch}, {side}×{side}, by {ranks} ranks")?;
    adapters.iter().try_for_each(|rank| writeln!(text, "{rank}"))?;
    for (what, seconds) in [
        ("compute", parts.compute),
        ("read-back", parts.read_back),
        ("sum", parts.sum),
        ("write-back", parts.write_back),
    ] {
        let share = 100.0 * seconds / parts.total();
        writeln!(text, "{what:<10} {:>9.2} ms {share:>5.1} %", seconds * 1e3)?;
    }
    writeln!(
        text,
        "{:.2} ms a step, {:.2} MB of gradients and statistics in one message; rank 0 alone takes {:.2} ms for its {} images: efficiency {efficiency:.3}",
        parts.total() * 1e3,
        bytes as f64 * 1e-6,
        alone * 1e3,
        size.images,
    )?;
    crate::cli::print(&text)
}

/// Runs one step: gradients, their sum over ranks, the optimiser.
async fn step(
    gpu: &Gpu,
    world: &World,
    learner: &mut Learner,
    update: &mut Update,
) -> Result<(Parts, Reduction)> {
    let began = Instant::now();
    update.gradients(0, 1).await?;
    gpu.wait().await?;
    let computed = began.elapsed().as_secs_f64();
    let reduction = learner.sum(world, true).await?;
    let summed = Instant::now();
    learner.step(0.0).await?;
    gpu.wait().await?;
    let compute = computed + summed.elapsed().as_secs_f64();
    let Reduction { read_back, sum, write_back, .. } = reduction;
    Ok((Parts { compute, read_back, sum, write_back }, reduction))
}
