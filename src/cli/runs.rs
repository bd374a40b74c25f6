//! `runs`: lists training runs with the iteration that each has reached, or the settings in which two or more of them differ.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::args;
use crate::train::{Config, Event, Metrics, Phase, RunFolder, Step};
use crate::{Error, Result};

/// Runs the command `runs`: prints one line for each run of a folder, or for several runs their numbers and differing values side
/// by side.
pub fn run(args: &args::Runs) -> anyhow::Result<()> {
    let text = match args.folders.as_slice() {
        [] => list(Path::new("runs"))?,
        [one] if !RunFolder::is_begun(one) => list(one)?,
        several => compare(several)?,
    };
    super::print(&text)
}

/// The state of a run that has not finished an iteration yet.
const BEGUN: &str = "begun";

/// The facts of a run to be printed.
struct Run {
    name: String,
    config: Config,
    metrics: Metrics,
    last: Option<Step>,
    state: &'static str,
}

impl Run {
    fn read(path: &Path) -> Result<Self> {
        let config = RunFolder::read_config(path)?;
        let metrics = std::fs::read(path.join("metrics.json")).unwrap_or_default();
        let metrics: Metrics = serde_json::from_slice(&metrics).unwrap_or_default();
        let mut steps = RunFolder::read_log(path)?.into_iter().filter_map(|event| match event {
            Event::Step(step) if step.phase <= Phase::Stage2 => Some(step),
            _ => None,
        });
        let last = steps.next_back();
        let state = match metrics.seconds_total {
            Some(_) => "finished",
            None if last.is_some() => "unfinished",
            None => BEGUN,
        };
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Self { name, config, metrics, last, state })
    }

    /// Returns names and values of the columns.
    fn columns(&self) -> [(&'static str, String); 10] {
        let percent = |value: Option<f64>| {
            value.map_or("-".into(), |value| format!("{:.1} %", 100.0 * value))
        };
        let number =
            |value: Option<f64>| value.map_or("-".into(), |value: f64| format!("{value:.3}"));
        let reached = self
            .last
            .as_ref()
            .map_or("-".into(), |step| format!("{} {}/{}", step.phase, step.iteration, step.total));
        let of_last = |pick: fn(&Step) -> Option<f32>| {
            number(self.last.as_ref().and_then(pick).map(f64::from))
        };
        [
            ("run", self.name.clone()),
            ("preset", self.config.preset.clone()),
            ("objective", self.config.objective.name().into()),
            ("state", self.state.into()),
            ("reached", reached),
            ("CE", of_last(|step| step.loss_ce)),
            ("clean", percent(self.metrics.clean_accuracy)),
            ("attacked", percent(self.metrics.pgd_accuracy)),
            ("AUROC", number(self.metrics.ood_auroc)),
            ("T", self.metrics.t_reached.map_or("-".into(), |t| t.to_string())),
        ]
    }
}

fn list(folder: &Path) -> Result<String> {
    let failed = |error| Error::bad_file(folder, error);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if RunFolder::is_begun(&path) {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(Error::bad_file(folder, "there is no training run in this folder"));
    }
    let (mut columns, mut unreadable, mut begun) = (Vec::new(), String::new(), Vec::new());
    for path in &paths {
        match Run::read(path) {
            // A start that failed, as by a wrong path to the data, leaves a folder without a run.
            Ok(run) if run.state == BEGUN => begun.push(run.name),
            Ok(run) => columns.push(run.columns()),
            // The others are worth a list all the same.
            Err(error) => unreadable += &format!("unreadable: {}: {error}\n", path.display()),
        }
    }
    let head = columns.first().map(|columns| columns.clone().map(|(name, _)| name.to_owned()));
    let rows = head.into_iter().chain(columns.into_iter().map(|columns| columns.map(|(_, v)| v)));
    if !begun.is_empty() {
        unreadable += &format!("begun, but without a finished iteration: {}\n", begun.join(", "));
    }
    Ok(table(&rows.map(Vec::from).collect::<Vec<_>>()) + &unreadable)
}

fn compare(paths: &[PathBuf]) -> Result<String> {
    let runs = paths.iter().map(|path| Run::read(path)).collect::<Result<Vec<_>>>()?;
    let mut rows: Vec<Vec<String>> = Vec::new();
    for run in &runs {
        for (at, (name, value)) in run.columns().into_iter().enumerate() {
            match rows.get_mut(at) {
                Some(row) => row.push(value),
                None => rows.push(vec![name.into(), value]),
            }
        }
    }
    let Some(first) = runs.first() else { return Ok(String::new()) };
    // Key, and the value in each run that has another than the first.
    let mut differing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (at, run) in runs.iter().enumerate() {
        for (key, ours, theirs) in first.config.differences(&run.config)? {
            let values = differing.entry(key).or_insert_with(|| vec![ours; runs.len()]);
            if let Some(value) = values.get_mut(at) {
                *value = theirs;
            }
        }
    }
    rows.extend(differing.into_iter().map(|(key, values)| [vec![key], values].concat()));
    Ok(table(&rows))
}

/// Columns as wide as their widest cell.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| {
        rows.iter()
            .filter_map(|row| row.get(at))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text += line.trim_end();
        text.push('\n');
    }
    text
}
