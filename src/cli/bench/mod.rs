//! `bench`: measures how long a step of a network takes on an adapter, what share of the adapter's measured peak speed it
//! reaches, and how long other libraries take for the same step; or estimates its time on a chip that is not in this machine.

mod compare;
mod files;
mod made;
mod measured;
mod peer;
mod predict;
mod ranks;

use std::time::Instant;

use pollster::block_on;

use super::args;
use super::session::Session;
use crate::model::BatchSize;
use crate::ops::peak;
pub use made::{Made, network};
use measured::Measured;

/// Runs the command `bench`, which measures one step of a network.
pub fn run(session: &Session, args: &args::Bench) -> anyhow::Result<()> {
    if let Some(chip) = &args.predict {
        return predict::run(session, args, chip);
    }
    let (network, usual) = network(&args.model)?;
    if !args.compare.is_empty() {
        return compare::run(session, args, &network, args.side.unwrap_or(usual));
    }
    let (batch, side) = (args.batch, args.side.unwrap_or(usual));
    if args.what == args::Step::Train && session.world()?.is_shared() {
        return ranks::run(session, args, &network, side);
    }
    let size = BatchSize { images: batch, side };
    let gpu = session.gpu()?;
    if args.show_plan {
        let made = block_on(Made::step(&gpu, &network, size, args.what))?;
        return super::print(&format!("{}\n", made.summary()));
    }
    let mut progress = session.progress();
    progress.line(&format!("measuring the peak speed of {}", gpu.adapter().name));
    let before_runs = block_on(peak(&gpu))?;
    progress.line(&format!("compiling a step of {}: {batch} images of {side}×{side}", args.model));
    let before = gpu.counts();
    let began = Instant::now();
    let mut made = block_on(Made::step(&gpu, &network, size, args.what))?;
    let first = block_on(made.seconds(&gpu, 1))?;
    let ready = began.elapsed().as_secs_f64();
    let after = gpu.counts();
    let repeats = block_on(made.repeats(&gpu))?;
    let mut times = Vec::new();
    while times.len() < args.runs as usize {
        let took = block_on(made.seconds(&gpu, repeats))? * 1e3 / f64::from(repeats);
        times.push(took);
        progress.line(&format!("run {} of {}: {took:.2} ms", times.len(), args.runs));
    }
    let timings = if gpu.adapter().timestamps { block_on(made.profile())? } else { Vec::new() };
    // What else the machine does lowers it: the better of two is nearer to what there is.
    let peak = before_runs.better(block_on(peak(&gpu))?);
    progress.finish();
    if let Some(path) = &args.profile {
        files::write(path, &gpu, &timings)?;
    }
    let plan = made.summary();
    let memory = after.bytes - before.bytes;
    let made = after.pipelines - before.pipelines;
    // Some drivers compile at the first launch.
    let compiled = (first * 1e3 - made::median(&times)).max(0.0);
    let pipelines =
        (made, (after.pipeline_nanoseconds - before.pipeline_nanoseconds) as f64 * 1e-6 + compiled);
    let measured =
        Measured { args, side, gpu: &gpu, peak, ready, pipelines, memory, times, timings, plan };
    if args.json {
        return super::print(&format!("{}\n", measured.json()));
    }
    super::print(&measured.text()?)
}
