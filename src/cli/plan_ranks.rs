//! `plan --ranks`: predicts how long a training iteration takes with several processes, and for what share of that time they
//! compute rather than exchange gradients. The prediction is made from counts of operations and bytes, the speed of one device,
//! which is measured unless it is given, and the speed of the network between processes, which is given or assumed.

use std::fmt::Write;
use std::time::Instant;

use pollster::block_on;

use super::args;
use super::bench::Made;
use crate::Result;
use crate::gpu::Gpu;
use crate::model::{BatchSize, Network, Role};
use crate::train::{Config, Forecast, Phase, forecast};

/// Seconds from one host's send to another's receive, of a small message: clusters' networks take one to five microseconds.
const LATENCY: f64 = 5e-6;
/// Bytes of gradients that one core adds to others in a second.
const ADDED: f64 = 4e9;
/// Bytes that are copied to measure how fast the device gives and takes them.
const COPIED: usize = 32 << 20;
/// Images by which operations are counted.
const COUNTED: u32 = 2;
/// Images of the step that tells how fast the device computes.
const IMAGES: u32 = 8;

/// The speed of a device and of the network between devices.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// The floating-point operations a second of one device.
    pub flops: f64,
    /// The bytes a second of copies from the device to the host, and back.
    pub copies: [f64; 2],
    /// The bytes a second that one process sends to the others.
    pub bandwidth: f64,
}

/// The predicted seconds of a training iteration that several processes share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Iteration {
    pub compute: f64,
    pub copies: f64,
    pub sum: f64,
}

impl Iteration {
    /// Predicts an iteration of a stage with this many operations for the whole batch and this many bytes of gradients.
    pub fn of(rates: Rates, ranks: u32, flops: f64, bytes: f64) -> Self {
        let compute = flops / f64::from(ranks) / rates.flops;
        if ranks == 1 {
            return Self { compute, copies: 0.0, sum: 0.0 };
        }
        let count = f64::from(ranks);
        let [read, write] = rates.copies;
        // Each rank gives away all parts but its own, adds up the others' of its own, and is given the sums of all others.
        let sent = 2.0 * bytes * (count - 1.0) / count / rates.bandwidth;
        let started = (2.0 * (count - 1.0) + 4.0 * count.log2().ceil()) * LATENCY;
        Self { compute, copies: bytes / read + bytes / write, sum: sent + bytes / ADDED + started }
    }

    pub fn total(&self) -> f64 {
        self.compute + self.copies + self.sum
    }

    /// Returns the share of the processes' time in which they compute: the seconds of an iteration without messages over its
    /// seconds with them.
    pub fn efficiency(&self) -> f64 {
        self.compute / self.total()
    }
}

/// The stages with batches of so few images that operations can be counted on any adapter, and their own batches: operations grow
/// with images.
fn counted(gpu: &Gpu, config: &Config, network: &Network) -> Result<Vec<(Forecast, u32)>> {
    let mut few = config.clone();
    for (batch, micro) in [
        (&mut few.stage1.schedule.batch, &mut few.stage1.schedule.micro_batch),
        (&mut few.stage2.schedule.batch, &mut few.stage2.schedule.micro_batch),
    ] {
        (*batch, *micro) = ((*batch).min(COUNTED), 0);
    }
    let of = |stage: Forecast| match stage.phase {
        Phase::Stage1 => (stage, config.stage1.schedule.batch),
        _ => (stage, config.stage2.schedule.batch),
    };
    Ok(forecast(gpu, &few, network)?.into_iter().map(of).collect())
}

/// Returns a table for each training stage, with a line for each of 1, 2, 4 and so on up to `ranks` processes.
pub fn table(
    gpu: &Gpu,
    args: &args::Plan,
    config: &Config,
    network: &Network,
    ranks: u32,
) -> anyhow::Result<String> {
    let copies = match args.copies {
        Some(rate) => [rate; 2],
        None => block_on(copies(gpu))?,
    };
    let flops = match args.tflops {
        Some(tflops) => tflops * 1e12,
        None => block_on(computes(gpu, network, config.data.side))?,
    };
    let bandwidth = args.bandwidth.unwrap_or(args::BANDWIDTH);
    let rates = Rates { flops, copies, bandwidth };
    let words = |role: Role| -> f64 {
        let parameters = network.parameters();
        let count = parameters.iter().filter(|parameter| parameter.role == role);
        count.map(|parameter| parameter.count() as f64).sum()
    };
    let (trained, statistics) = (4.0 * words(Role::Weight), 4.0 * words(Role::Statistic));
    let mut text = String::new();
    writeln!(text, "{}: {network}", args.config)?;
    let [read, write] = copies.map(|rate| rate * 1e-9);
    let measured = |given: bool, option: &str| match given {
        true => format!("as {option} says"),
        false => "measured here".to_owned(),
    };
    let origins =
        [measured(args.tflops.is_some(), "--tflops"), measured(args.copies.is_some(), "--copies")];
    writeln!(
        text,
        "{:.1} MB of gradients, {:.1} GB/s between ranks; a device: {:.3} TFLOP/s ({}), {read:.1} GB/s to the host and {write:.1} GB/s back ({})",
        trained * 1e-6,
        bandwidth * 1e-9,
        flops * 1e-12,
        origins[0],
        origins[1],
    )?;
    for (stage, batch) in counted(gpu, config, network)? {
        let [_, work] = stage.flops;
        let work = work as f64 * f64::from(batch) / f64::from(stage.batch);
        let bytes = match stage.phase {
            Phase::Stage1 => trained + statistics,
            _ => trained,
        };
        writeln!(text, "\n{} at its most steps, {batch} images in each batch", stage.phase)?;
        writeln!(
            text,
            "{:>6} {:>7} {:>12} {:>11} {:>11} {:>12} {:>11}",
            "ranks", "images", "compute", "copies", "sum", "iteration", "efficiency"
        )?;
        let mut count = 1;
        loop {
            if !batch.is_multiple_of(count) {
                writeln!(text, "{count:>6} cannot share a batch of {batch} images")?;
            } else {
                let at = Iteration::of(rates, count, work, bytes);
                writeln!(
                    text,
                    "{count:>6} {:>7} {:>10.2}ms {:>9.2}ms {:>9.2}ms {:>10.2}ms {:>11.3}",
                    batch / count,
                    at.compute * 1e3,
                    at.copies * 1e3,
                    at.sum * 1e3,
                    at.total() * 1e3,
                    at.efficiency()
                )?;
            }
            if count >= ranks {
                break;
            }
            count = ranks.min(count * 2);
        }
    }
    Ok(text)
}

/// Bytes a second from the device to the host, and back.
async fn copies(gpu: &Gpu) -> Result<[f64; 2]> {
    let values = vec![1.0f32; COPIED / 4];
    let buffer = gpu.upload(&values).await?;
    // The first copy makes what the others use.
    gpu.read(&buffer).await?;
    let began = Instant::now();
    gpu.read(&buffer).await?;
    let read = began.elapsed();
    gpu.write(&buffer, &values).await?;
    gpu.flush().await?;
    let written = began.elapsed() - read;
    Ok([read, written].map(|time| COPIED as f64 / time.as_secs_f64().max(1e-9)))
}

/// Operations a second in a training step on made-up images.
async fn computes(gpu: &Gpu, network: &Network, side: u32) -> Result<f64> {
    let size = BatchSize { images: IMAGES, side };
    let mut made = Made::step(gpu, network, size, args::Step::Train).await?;
    made.seconds(gpu, 1).await?;
    let seconds = made.seconds(gpu, 1).await?;
    Ok(made.summary().flops as f64 / seconds.max(1e-9))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_ranks_work_less_of_their_time() {
        let rates = Rates { flops: 1e13, copies: [1e10; 2], bandwidth: 25e9 };
        let of = |ranks| Iteration::of(rates, ranks, 1e15, 1e8);
        assert_eq!((of(1).efficiency(), of(1).total()), (1.0, 100.0));
        let all: Vec<_> = [2, 8, 64, 512].map(of).into();
        assert!(all.windows(2).all(|pair| pair[1].efficiency() < pair[0].efficiency()));
        assert!(all.windows(2).all(|pair| pair[1].total() < pair[0].total()));
        // 100 MB sent and received once over at 25 GB/s, half of them, twice; 20 ms of copies; 25 ms of sums.
        let two = of(2);
        assert!((two.sum - (4e-3 + 25e-3 + 30e-6)).abs() < 1e-9, "{two:?}");
        assert!((two.copies - 20e-3).abs() < 1e-9);
    }
}
