//! `bench --compare`: times lapidary and other libraries in turn at the same computation (a step of training, attack or sampling,
//! or single convolutions), so that other work of the machine slows all of them alike.

use std::fmt::Write;
use std::thread::sleep;
use std::time::Duration;

use pollster::block_on;
use serde_json::{Value, json};

use super::made::{Made, median};
use super::peer::Peer;
use crate::Error;
use crate::cli::args::{self, Step};
use crate::cli::session::Session;
use crate::gpu::Gpu;
use crate::model::{BatchSize, Network};

/// The images, channels and side of the 3x3 convolutions to measure: those of WRN-34-10 on 32 by 32 pixels, and narrower
/// ones.
const LAYERS: [[u32; 3]; 5] =
    [[16, 32, 16], [16, 64, 8], [16, 160, 32], [16, 320, 16], [16, 640, 8]];
const DERIVATIVES: [&str; 3] = ["forward", "image-gradient", "weight-gradient"];

/// Threads of a library that has just worked wait for more for a while before they sleep.
const REST: Duration = Duration::from_millis(300);

/// The task to measure: the step, or a convolution.
#[derive(Clone, Copy)]
enum Task {
    Step,
    Layer(&'static str, [u32; 3]),
}

impl Task {
    /// Returns the name of the task for other libraries' programs.
    fn name(self) -> String {
        match self {
            Self::Step => "step".into(),
            Self::Layer(what, [images, channels, side]) => {
                format!("{what} {images} {channels} {side}")
            }
        }
    }
}

/// The measurements of one library, or of one variant of it, at one task.
struct Entry {
    name: String,
    /// The peer's place; ours has none.
    peer: Option<(usize, String)>,
    ready: f64,
    times: Vec<f64>,
}

/// The times of all libraries for one task.
struct Result {
    task: String,
    flops: u64,
    entries: Vec<Entry>,
}

/// Measures all tasks with this library and with those that `--compare` names, and prints the results.
pub fn run(
    session: &Session,
    args: &args::Bench,
    network: &Network,
    side: u32,
) -> anyhow::Result<()> {
    if !matches!(network, Network::WideResNet(_)) || args.what != Step::Pgd {
        let given = format!("given with --model {} --what {}", args.model, args.what);
        let allowed =
            "given with --model wrn-DEPTH-WIDTH --what pgd-step, the only step that the other libraries run"
                .into();
        return Err(Error::BadConfig { key: "--compare".into(), value: given, allowed }.into());
    }
    let gpu = session.gpu()?;
    let mut progress = session.progress();
    let (mut peers, mut missing): (Vec<Peer>, Vec<String>) = Default::default();
    for &peer in &args.compare {
        match Peer::start(peer, args, side, gpu.adapter().kind) {
            Ok(peer) => {
                progress.line(&format!("{} {} on {}", peer.name, peer.version, peer.device));
                peers.push(peer);
            }
            Err(why) => {
                progress.line(&why);
                missing.push(why);
            }
        }
    }
    let layers = LAYERS.iter().flat_map(|&size| DERIVATIVES.map(|what| Task::Layer(what, size)));
    let tasks = std::iter::once(Task::Step).chain(layers.filter(|_| args.layers));
    let size = BatchSize { images: args.batch, side };
    let mut results = Vec::new();
    for task in tasks {
        let mut made = block_on(async {
            match task {
                Task::Step => Made::step(&gpu, network, size, Step::Pgd).await,
                Task::Layer(what, size) => Made::layer(&gpu, what, size).await,
            }
        })?;
        let result = rounds(args.runs, task, (&gpu, &mut made), &mut peers, &mut |line| {
            progress.line(line);
        })?;
        results.push(result);
    }
    progress.finish();
    let memory: Vec<_> = peers.iter_mut().map(Peer::memory).collect();
    let peers: Vec<_> = peers.iter().zip(memory).collect();
    if args.json {
        let all = json(args, side, &gpu, &peers, &missing, &results);
        return crate::cli::print(&format!("{all}\n"));
    }
    crate::cli::print(&text(args, side, &gpu, &peers, &missing, &results)?)
}

/// Warms everybody up, and then has them measure one after another, `count` times.
fn rounds(
    count: u32,
    task: Task,
    (gpu, made): (&Gpu, &mut Made),
    peers: &mut [Peer],
    say: &mut dyn FnMut(&str),
) -> anyhow::Result<Result> {
    let name = task.name();
    let ready = block_on(made.seconds(gpu, 1))?;
    let repeats = block_on(made.repeats(gpu))?;
    let mut entries = vec![Entry { name: "lapidary".into(), peer: None, ready, times: Vec::new() }];
    for (at, peer) in peers.iter_mut().enumerate() {
        for variant in peer.variants.clone() {
            let entry = format!("{} {variant}", peer.name);
            say(&format!("{name}: {entry} gets ready"));
            match peer.time(&variant, &name) {
                Ok((_, ready)) => entries.push(Entry {
                    name: entry,
                    peer: Some((at, variant)),
                    ready,
                    times: Vec::new(),
                }),
                Err(why) => say(&format!("{name}: {entry}: {why}")),
            }
        }
    }
    for round in 1..=count {
        for entry in &mut entries {
            sleep(REST);
            let peer =
                entry.peer.as_ref().and_then(|(at, variant)| Some((peers.get_mut(*at)?, variant)));
            let took = match peer {
                None => block_on(made.seconds(gpu, repeats))? * 1e3 / f64::from(repeats),
                Some((peer, variant)) => match peer.time(variant, &name) {
                    Ok((took, _)) => took,
                    Err(why) => {
                        say(&format!("{name}: {}: {why}", entry.name));
                        continue;
                    }
                },
            };
            entry.times.push(took);
        }
        let told: Vec<_> = entries
            .iter()
            .filter_map(|entry| Some(format!("{} {:.2} ms", entry.name, entry.times.last()?)))
            .collect();
        say(&format!("{name}, run {round} of {count}: {}", told.join(", ")));
    }
    entries.retain(|entry| !entry.times.is_empty());
    Ok(Result { task: name, flops: made.summary().flops, entries })
}

impl Result {
    fn ours(&self) -> f64 {
        self.entries.first().map_or(f64::NAN, |entry| median(&entry.times))
    }

    fn gflops(&self, entry: &Entry) -> f64 {
        self.flops as f64 / median(&entry.times) * 1e-6
    }
}

fn json(
    args: &args::Bench,
    side: u32,
    gpu: &Gpu,
    peers: &[(&Peer, Option<u64>)],
    missing: &[String],
    results: &[Result],
) -> Value {
    let adapter = gpu.adapter();
    let peer = |(peer, memory): &(&Peer, Option<u64>)| {
        json!({
            "name": peer.name,
            "version": peer.version,
            "device": peer.device,
            "memory_bytes": memory,
        })
    };
    let result = |result: &Result| {
        let entry = |entry: &Entry| {
            json!({
                "name": entry.name,
                "ms": median(&entry.times),
                "runs": entry.times,
                "ready_seconds": entry.ready,
                "gflops": result.gflops(entry),
                "lapidary_over_this": result.ours() / median(&entry.times),
            })
        };
        json!({
            "task": result.task,
            "entries": result.entries.iter().map(entry).collect::<Vec<_>>(),
        })
    };
    json!({
        "model": args.model,
        "batch": args.batch,
        "side": side,
        "what": args.what.name(),
        "adapter": adapter.to_string(),
        "driver": adapter.driver,
        "version": env!("CARGO_PKG_VERSION"),
        "pgd_step_ms": results.first().map(Result::ours),
        "memory_bytes": gpu.counts().bytes,
        "peers": peers.iter().map(peer).collect::<Vec<_>>(),
        "missing": missing,
        "tasks": results.iter().map(result).collect::<Vec<_>>(),
    })
}

fn text(
    args: &args::Bench,
    side: u32,
    gpu: &Gpu,
    peers: &[(&Peer, Option<u64>)],
    missing: &[String],
    results: &[Result],
) -> anyhow::Result<String> {
    let mut text = String::new();
    let args::Bench { model, batch, what, runs, .. } = args;
    writeln!(
        text,
        "{what} of {model}, batch {batch}, {side}×{side}, on {}; medians of {runs}, taken in turn",
        gpu.adapter()
    )?;
    for (peer, memory) in peers {
        write!(text, "{} {} on {}", peer.name, peer.version, peer.device)?;
        match memory {
            Some(bytes) => writeln!(text, ", {} MiB of memory at most", bytes >> 20)?,
            None => writeln!(text)?,
        }
    }
    for why in missing {
        writeln!(text, "{why}")?;
    }
    for result in results {
        writeln!(
            text,
            "\n{:<32} {:>10} {:>9} {:>11} {:>9}",
            result.task, "ms", "GFLOP/s", "our time is", "ready, s"
        )?;
        for entry in &result.entries {
            let took = median(&entry.times);
            writeln!(
                text,
                "{:<32} {took:>10.2} {:>9.1} {:>9.2} x {:>9.1}",
                entry.name,
                result.gflops(entry),
                result.ours() / took,
                entry.ready
            )?;
        }
    }
    Ok(text)
}
