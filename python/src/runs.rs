//! The Python class `Run`: reads the folder of a training run (configuration, history as arrays, measurements, report, network).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use lapidary::Error;
use lapidary::train::{Event, Known, RunFolder};
use numpy::PyArray1;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::calls::blocking;
use crate::devices;
use crate::errors::raised;
use crate::model::Model;
use crate::pictures::escaped;
use crate::training::numbers_of;

/// An iteration and its numbers.
type Row = (u64, BTreeMap<String, f64>);

/// The folder of a run, as `train` and the program leave it.
#[pyclass(frozen, module = "lapidary", name = "Run")]
#[derive(Debug)]
pub struct Run {
    path: PathBuf,
}

#[pymethods]
impl Run {
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        RunFolder::read_config(&path).map_err(|error| raised(py, error))?;
        Ok(Self { path })
    }

    /// The run's folder.
    #[getter]
    fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// The configuration, as a dict of dicts with the keys of config.toml.
    #[getter]
    fn config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let config = RunFolder::read_config(&self.path).map_err(|error| raised(py, error))?;
        let text = serde_json::to_string(&config)
            .map_err(|error| raised(py, Error::bad_file(&self.path, error)))?;
        parsed(py, &text)
    }

    /// The run's final measurements, as in metrics.json; None while it is not finished.
    #[getter]
    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let file = self.path.join("metrics.json");
        match std::fs::read_to_string(&file) {
            Ok(text) => parsed(py, &text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(raised(py, Error::bad_file(&file, error))),
        }
    }

    /// The iterations of each phase: a dict of columns, each an array with a number for each iteration, NaN where none was
    /// measured.
    #[getter]
    fn history<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let log = blocking(py, || RunFolder::read_log(&self.path))?;
        let mut phases: BTreeMap<&str, Vec<Row>> = BTreeMap::new();
        for event in &log {
            if let Event::Step(step) = event {
                let row = numbers_of(step).into_iter().collect();
                phases.entry(step.phase.name()).or_default().push((step.iteration, row));
            }
        }
        let history = PyDict::new(py);
        for (phase, rows) in phases {
            let columns = PyDict::new(py);
            let numbers = rows.iter().map(|(number, _)| *number as i64);
            columns.set_item("iteration", PyArray1::from_iter(py, numbers))?;
            let names: BTreeSet<&String> = rows.iter().flat_map(|(_, row)| row.keys()).collect();
            for name in names {
                let column = rows.iter().map(|(_, row)| row.get(name).copied().unwrap_or(f64::NAN));
                columns.set_item(name, PyArray1::from_iter(py, column))?;
            }
            history.set_item(phase, columns)?;
        }
        Ok(history)
    }

    /// The notes of the run, a sentence each.
    #[getter]
    fn notes(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let log = blocking(py, || RunFolder::read_log(&self.path))?;
        let text = |event| match event {
            Event::Note { text } => Some(text),
            _ => None,
        };
        Ok(log.into_iter().filter_map(text).collect())
    }

    /// The network with the final weights of the run, or else with those of its last checkpoint.
    #[pyo3(signature = (*, device=None))]
    fn model(&self, py: Python<'_>, device: Option<&Bound<'_, PyAny>>) -> PyResult<Model> {
        let wanted = devices::wanted(device)?;
        blocking(py, || Model::new(Known::read(Some(&self.path), |_| Ok(()))?, wanted))
    }

    fn __repr__(&self) -> String {
        format!("<lapidary.Run {}>", self.path.display())
    }

    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        let file = self.path.join("report.html");
        let page = std::fs::read_to_string(&file)
            .map_err(|error| raised(py, Error::bad_file(&file, error)))?;
        // A page of its own: its style is not to be the notebook's.
        Ok(format!(
            "<iframe title=\"Report of the run\" srcdoc=\"{}\" style=\"width: 100%; height: 40em; border: 0\"></iframe>",
            escaped(&page)
        ))
    }
}

fn parsed<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("json")?.call_method1("loads", (text,))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Run>()
}
