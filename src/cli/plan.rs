//! `plan`: says whether a training run fits the adapter and how much memory it takes, from tensor shapes alone; with `--time`
//! also about how long the run takes, by training three iterations of each stage on the run's images.

use std::fmt::Write;
use std::path::Path;

use super::args;
use super::session::Session;
use super::train::{named, reading};
use crate::data::classes_in;
use crate::report::clock;
use crate::train::{Config, Material, check_run, check_stages, fit, forecast};

/// Runs the command `plan`, which says how much memory each stage of training needs and, with `--time`, how long it takes.
pub fn run(session: &Session, args: &args::Plan) -> anyhow::Result<()> {
    let config = session.in_precision(&named(&args.config)?.with(&args.set)?)?;
    if args.time { timed(session, args, &config) } else { by_shapes(session, args, &config) }
}

/// Plans by the configuration alone: neither images nor weights have to be there.
fn by_shapes(session: &Session, args: &args::Plan, config: &Config) -> anyhow::Result<()> {
    config.check_read()?;
    let [channels, classes] = counted(config);
    let given = [args.channels.or(channels), args.classes.or(classes)];
    let network = config.planned_network(given, usual(config))?;
    check_stages(config, &network)?;
    let gpu = session.gpu_to_train(config)?;
    if let Some(ranks) = args.ranks {
        return super::print(&super::plan_ranks::table(&gpu, args, config, &network, ranks)?);
    }
    let stages = forecast(&gpu, config, &network)?;
    let mut text = String::new();
    writeln!(text, "{} fits the limits of {}: {network}, by shapes", args.config, gpu.adapter())?;
    for stage in &stages {
        let mib = stage.device_bytes as f64 / f64::from(1 << 20);
        let [least, most] = stage.flops.map(|flops| flops as f64 * 1e-9);
        let work = match least == most {
            true => format!("{least:.1} GFLOP"),
            false => format!("{least:.1} GFLOP at first, {most:.1} GFLOP at max_T"),
        };
        writeln!(
            text,
            "{:<8} about {mib:.0} MiB; {} iterations of {} images, {} at once; an iteration {work}",
            stage.phase, stage.iterations, stage.batch, stage.micro_batch
        )?;
    }
    let [channels, classes] = [network.channels(), network.classes()];
    let weights = &config.model.weights;
    if config.has_weights() {
        writeln!(
            text,
            "assumed, as no image is read: images of {channels} channels and {classes} classes, as the network in {weights} is for"
        )?;
    } else {
        writeln!(
            text,
            "assumed, as no image is read: {channels} channels and {classes} classes, which --channels and --classes change"
        )?;
        if !weights.is_empty() {
            writeln!(
                text,
                "assumed, as model.weights = {weights} is not there: the network of [model]"
            )?;
        }
    }
    writeln!(
        text,
        "`lapidary plan {} --time` measures how long it takes, on its data",
        args.config
    )?;
    super::print(&text)
}

/// Returns the channels and classes of a configuration's images, as far as they are known without reading any: of what is built
/// in, and of folders by the number of these.
fn counted(config: &Config) -> [Option<u32>; 2] {
    if config.data.train == "builtin:fashion" {
        return [Some(1), Some(10)];
    }
    match classes_in(Path::new(&config.data.train)) {
        0 | 1 => [None; 2],
        classes => [Some(3), Some(classes.try_into().unwrap_or(u32::MAX))],
    }
}

/// Returns the channels and classes of the data that a configuration's preset is for.
fn usual(config: &Config) -> [u32; 2] {
    let known =
        [("cifar100", [3, 100]), ("cifar", [3, 10]), ("imagenet", [3, 1000]), ("fashion", [1, 10])];
    let names = [config.data.train.as_str(), config.preset.as_str()];
    let of = |name: &&str| known.iter().find(|(start, _)| name.starts_with(start));
    names.iter().find_map(of).map_or([3, 10], |&(_, images)| images)
}

/// Trains a few iterations of each stage on the adapter, throws them away and says what they took.
fn timed(session: &Session, args: &args::Plan, config: &Config) -> anyhow::Result<()> {
    config.check_read()?;
    check_run(config, 1)?;
    let mut progress = session.progress();
    let gpu = session.gpu_to_train(config)?;
    progress.line(&format!("{} on {}", args.config, gpu.adapter()));
    progress.line(&reading(config));
    let material = Material::load(config)?;
    progress.line("training three iterations of each stage, to time them");
    let fits = pollster::block_on(fit(&gpu, config, &material))?;
    progress.finish();
    let mut text = String::new();
    writeln!(text, "{} fits {}", args.config, gpu.adapter())?;
    let mut whole = [0.0; 2];
    for fit in &fits {
        let [least, most] = fit.seconds;
        let mib = fit.device_bytes as f64 / f64::from(1 << 20);
        let seconds = if least == most {
            format!("{least:.3} s")
        } else {
            format!("{least:.3} s at first, {most:.3} s at max_T")
        };
        writeln!(
            text,
            "{:<8} {} iterations of {} images, {} at once; {mib:.0} MiB; an iteration {seconds}; {}",
            fit.phase,
            fit.iterations,
            fit.batch,
            fit.micro_batch,
            range(fit.total_seconds())
        )?;
        for (whole, seconds) in whole.iter_mut().zip(fit.total_seconds()) {
            *whole += seconds;
        }
    }
    writeln!(text, "in all   {}, without what follows training", range(whole))?;
    super::print(&text)
}

fn range([least, most]: [f64; 2]) -> String {
    match clock(least) {
        least if least == clock(most) => format!("about {least}"),
        least => format!("{least} to {}", clock(most)),
    }
}
