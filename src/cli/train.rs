//! `train`: trains as a configuration says, and leaves a run folder with its report.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args;
use super::exit::Failure;
use super::session::{Session, stopped, watch};
use super::stop::Stop;
use crate::files;
use crate::report::{Completed, clock, complete};
use crate::train::{Config, Event, Material, Metrics, RunFolder, check_run, plans};
use crate::{Error, Result};

/// Runs the command `train`, which begins a run or goes on with one.
pub fn run(session: &Session, args: &args::Train) -> anyhow::Result<()> {
    if !args.show_plan {
        // Before any file is read: what is wrong on one rank is said for all.
        session.world()?;
    }
    let config = match (&args.config, &args.out) {
        (Some(name), _) => named(name)?,
        (None, Some(out)) => RunFolder::read_config(out)?,
        (None, None) => {
            return Err(Failure::Usage(
                "nothing says what to train: name a preset or a configuration file, or by --out the folder of a run to resume"
                    .into(),
            )
            .into());
        }
    };
    let max_bad = args.max_bad.map(|max_bad| format!("data.max_bad={max_bad}"));
    let config = config.with(&args.set)?.with(max_bad.as_slice())?;
    let config = session.in_precision(&config)?;
    if args.show_plan {
        return show_plan(session, &config);
    }
    let out = args.out.clone().unwrap_or_else(|| default_folder(args.config.as_deref()));
    whole_run(session, &config, &out, args.resume)
}

/// Begins a run or goes on with the one in `out`, which `resume` says is there; trains, evaluates, samples and reports.
pub fn whole_run(
    session: &Session,
    config: &Config,
    out: &Path,
    resume: bool,
) -> anyhow::Result<()> {
    // Before anything is read: no data could change it.
    let world = session.world()?;
    check_run(config, world.size() as u32)?;
    let mut progress = session.progress();
    let gpu = session.gpu_to_train(config)?;
    let mut folder = RunFolder::of_world(world, out, config, resume)?;
    progress.line(&format!("training on {}, into {}", gpu.adapter(), out.display()));
    let ranks = if world.is_shared() { session.introduce(&gpu)? } else { Vec::new() };
    ranks.iter().for_each(|rank| progress.line(rank));
    progress.line(&reading(config));
    let stop = Stop::listen(session.speaks())?;
    let material = Material::load(config)?;
    division(&material).iter().for_each(|line| progress.line(line));
    let completed = {
        let mut observer = |event: &Event| Ok(watch(&mut progress, &stop, event));
        let began = session.started;
        let run = complete(&gpu, config, &material, &mut folder, began, &mut observer);
        pollster::block_on(run)?
    };
    let Some(Completed { metrics, report }) = completed else { return Err(stopped(out)) };
    progress.finish();
    if !world.is_first() {
        // Rank 0 has written the report; the program ends for all at once.
        return Ok(());
    }
    super::print(&summary(config, &metrics, &report)?)
}

/// The line which says that the configuration's files are read now, which may take a while.
pub(super) fn reading(config: &Config) -> String {
    format!("reading {}, and {} as out-of-distribution images", config.data.train, config.data.ood)
}

/// The number of validation images below which their accuracy chooses a best checkpoint by chance.
const FEW: usize = 20;

/// Says how many images are for what, and where they are too few.
fn division(material: &Material) -> Vec<String> {
    let Material { train, validation, test, .. } = material;
    let (learnt, tested) = (train.len(), test.len());
    let own = !Arc::ptr_eq(validation, test);
    let validated =
        if own { format!(", {} to validate with", validation.len()) } else { String::new() };
    let classes = train.classes();
    let all = learnt + tested + if own { validation.len() } else { 0 };
    let share = 100.0 * tested as f64 / all.max(1) as f64;
    let mut lines = vec![format!(
        "{learnt} images of {classes} classes to train on{validated}, {tested} to test with ({share:.0} % of all)"
    )];
    if learnt < tested {
        lines.push("note: fewer images are trained on than are kept for the test: a smaller data.held_out trains on more".into());
    }
    if own && validation.len() < FEW {
        lines.push(format!("note: {} images are too few to choose the best weights by: a larger validate.images takes more", validation.len()));
    }
    lines
}

/// Summarises the measurements for a person at a terminal.
fn summary(config: &Config, metrics: &Metrics, report: &Path) -> anyhow::Result<String> {
    let percent =
        |value: Option<f64>| value.map_or("-".into(), |value| format!("{:.1} %", 100.0 * value));
    let evaluate = &config.evaluate;
    let mut text = String::new();
    writeln!(text, "clean accuracy   {:>7}", percent(metrics.clean_accuracy))?;
    writeln!(
        text,
        "under attack     {:>7}  {:?}, eps {}, {} steps of PGD",
        percent(metrics.pgd_accuracy),
        evaluate.norm,
        evaluate.eps,
        evaluate.steps
    )?;
    let auroc = metrics.ood_auroc.map_or("-".into(), |auroc| format!("{auroc:.3}"));
    writeln!(text, "AUROC            {auroc:>7}  test images against {}", config.data.ood)?;
    if metrics.judge_agreement.is_some() {
        let judge = percent(metrics.judge_agreement);
        writeln!(text, "judge agrees     {judge:>7}  of {} samples", config.sample.count)?;
    }
    let time = metrics.seconds_total.map_or("-".into(), clock);
    writeln!(text, "time             {time:>7}")?;
    writeln!(text, "report           {}", report.display())?;
    Ok(text)
}

/// Prints what one iteration of each stage runs and needs.
pub fn show_plan(session: &Session, config: &Config) -> anyhow::Result<()> {
    config.check_read()?;
    check_run(config, 1)?;
    let gpu = session.gpu_to_train(config)?;
    let material = Material::stand_in(config)?;
    let mut text = String::new();
    for (name, plan) in pollster::block_on(plans(&gpu, config, &material))? {
        writeln!(text, "{name}")?;
        for line in plan.to_string().lines() {
            writeln!(text, "  {line}")?;
        }
    }
    super::print(&text)
}

/// A file where there is one or the name looks like one, otherwise a preset.
pub(super) fn named(name: &str) -> Result<Config> {
    let path = Path::new(name);
    if !path.is_file() && path.extension().is_none() && !name.contains(['/', '\\']) {
        return Config::preset(name).map_err(|error| match error {
            Error::BadConfig { key, value, allowed } => {
                Error::BadConfig { key, value, allowed: format!("{allowed}, or a TOML file") }
            }
            other => other,
        });
    }
    let text = files::read_text(path)?;
    Config::parse(&text, path)
}

/// Returns the folder for a run without --out, named after the file or preset.
fn default_folder(config: Option<&str>) -> PathBuf {
    let stem = config.and_then(|name| Path::new(name).file_stem()).unwrap_or("run".as_ref());
    RunFolder::unused("runs", &stem.to_string_lossy())
}
