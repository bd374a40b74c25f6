//! `train`: from a configuration to a run folder with its report.

use std::path::{Path, PathBuf};

use anyhow::bail;

use super::args;
use super::exit::Failure;
use super::session::{Session, stopped, watch};
use super::stop::Stop;
use crate::train::{Config, Event, Flow, Material, RunFolder, assess, train};
use crate::{Error, Result};

/// Begins a run or goes on with one.
pub fn run(session: &Session, args: &args::Train) -> anyhow::Result<()> {
    let config = match (&args.config, &args.out) {
        (Some(name), _) => named(name)?,
        (None, Some(out)) => RunFolder::read_config(out)?,
        (None, None) => {
            return Err(Failure::Usage("a configuration or --out is needed".into()).into());
        }
    };
    let config = config.with(&args.set)?;
    if args.show_plan {
        return show_plan(session, &config);
    }
    let out = args.out.clone().unwrap_or_else(|| default_folder(args.config.as_deref()));
    whole_run(session, &config, &out, args.resume)
}

/// Trains, evaluates, samples and reports.
pub fn whole_run(
    session: &Session,
    config: &Config,
    out: &Path,
    resume: bool,
) -> anyhow::Result<()> {
    let mut progress = session.progress();
    let gpu = session.gpu()?;
    let mut folder =
        if resume { RunFolder::resume(out, config)? } else { RunFolder::create(out, config)? };
    progress.line(&format!("{} on {}, into {}", config.preset, gpu.adapter(), out.display()));
    let stop = Stop::listen()?;
    let mut observer = |event: &Event| -> Result<Flow> { Ok(watch(&mut progress, &stop, event)) };
    let material = Material::load(config)?;
    let training = train(&gpu, config, &material, &mut folder, &mut observer);
    let outcome = pollster::block_on(training)?;
    if !outcome.finished {
        return Err(stopped(out));
    }
    let assessing = assess(&gpu, config, &material, &outcome, &mut folder, &mut observer);
    let Some(mut assessment) = pollster::block_on(assessing)? else { return Err(stopped(out)) };
    assessment.metrics.seconds_total = Some(session.started.elapsed().as_secs_f64());
    folder.write_metrics(&assessment.metrics)?;
    progress.line(&format!("{:?}", assessment.metrics));
    Ok(())
}

/// Prints what one iteration of each stage runs and needs.
fn show_plan(session: &Session, _config: &Config) -> anyhow::Result<()> {
    let _gpu = session.gpu()?;
    bail!("the plan's summary is not there yet")
}

/// A file where there is one or the name looks like one, otherwise a preset.
fn named(name: &str) -> Result<Config> {
    let path = Path::new(name);
    if !path.is_file() && path.extension().is_none() && !name.contains(['/', '\\']) {
        return Config::preset(name).map_err(|error| match error {
            Error::BadConfig { key, value, allowed } => {
                Error::BadConfig { key, value, allowed: format!("{allowed}, or a TOML file") }
            }
            other => other,
        });
    }
    let text = std::fs::read_to_string(path).map_err(|error| Error::bad_file(path, error))?;
    Config::parse(&text, path)
}

/// Named after the file or preset.
fn default_folder(config: Option<&str>) -> PathBuf {
    let stem = config.and_then(|name| Path::new(name).file_stem()).unwrap_or("run".as_ref());
    RunFolder::unused("runs", &stem.to_string_lossy())
}
