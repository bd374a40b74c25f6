//! Writes the losses, accuracies and other measurements of a run's iterations for other tools: `log.csv`, and TensorBoard's
//! events under `tensorboard/`.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::tensorboard::EventFile;
use super::{Event, Step};
use crate::{Error, Result};

/// The columns of `log.csv`, in this order.
const COLUMNS: [&str; 18] = [
    "phase",
    "iteration",
    "total",
    "loss_bce",
    "loss_ce",
    "accuracy",
    "clean_accuracy",
    "pgd_accuracy",
    "auc",
    "t",
    "learning_rate",
    "images_per_second",
    "seconds",
    "loss_kl",
    "loss_uniform",
    "energy_gap",
    "r1",
    "wait_share",
];

/// Both, opened for writing.
#[derive(Debug)]
pub(super) struct Curves {
    path: PathBuf,
    csv: File,
    events: EventFile,
}

impl Curves {
    /// Opens the table and the TensorBoard files of a run whose log already has `before`: the table is rewritten from it, the
    /// events go into a new file.
    pub fn open(
        run: &Path,
        before: &[Event],
        hyperparameters: &[(String, toml::Value)],
    ) -> Result<Self> {
        let path = run.join("log.csv");
        let csv = begin(&path, before)?;
        let mut events = EventFile::create(run.join("tensorboard"))?;
        let name = run.file_name().unwrap_or(run.as_os_str()).to_string_lossy();
        events.hyperparameters(&name, hyperparameters)?;
        Ok(Self { path, csv, events })
    }

    /// Writes the table of the run's numbers anew with these events alone; TensorBoard's reader takes the last of an iteration's
    /// numbers by itself.
    pub fn replace(&mut self, events: &[Event]) -> Result<()> {
        self.csv = begin(&self.path, events)?;
        Ok(())
    }

    /// Adds the numbers of one iteration.
    pub fn step(&mut self, step: &Step) -> Result<()> {
        let numbers = numbers(step)?;
        let failed = |error| Error::bad_file(&self.path, error);
        self.csv.write_all(row(&numbers).as_bytes()).map_err(failed)?;
        let shown =
            numbers.iter().filter(|(name, _)| !["iteration", "total"].contains(&name.as_str()));
        let scalars: Vec<_> = shown
            .filter_map(|(name, value)| {
                Some((format!("{}/{name}", step.phase), value.as_f64()? as f32))
            })
            .collect();
        self.events.scalars(step.iteration, &scalars)
    }

    /// Adds a picture that was made in an iteration.
    pub fn image(&mut self, step: u64, tag: &str, size: [u32; 2], png: &[u8]) -> Result<()> {
        self.events.image(step, tag, size, png)
    }
}

/// A table with these iterations, opened for more.
fn begin(path: &Path, before: &[Event]) -> Result<File> {
    let failed = |error| Error::bad_file(path, error);
    let mut text = COLUMNS.join(",") + "\n";
    for event in before {
        if let Event::Step(step) = event {
            text += &row(&numbers(step)?);
        }
    }
    std::fs::write(path, text).map_err(failed)?;
    OpenOptions::new().append(true).open(path).map_err(failed)
}

fn numbers(step: &Step) -> Result<Map<String, Value>> {
    match serde_json::to_value(step) {
        Ok(Value::Object(numbers)) => Ok(numbers),
        _ => Err(Error::bug("log", "a step of the log is no JSON object")),
    }
}

fn row(numbers: &Map<String, Value>) -> String {
    let cell = |name: &&str| match numbers.get(*name) {
        Some(Value::String(text)) => text.clone(),
        Some(value) if !value.is_null() => value.to_string(),
        _ => String::new(),
    };
    COLUMNS.iter().map(cell).collect::<Vec<_>>().join(",") + "\n"
}
