//! Reports the progress of a call: to the caller's callback, or else as a tqdm bar where the call is long and tqdm is
//! installed.

use std::time::{Duration, Instant};

use lapidary::Result;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::calls::{signals, stopped_by};
use crate::devices::log;

/// The shortest time between two drawings of a bar.
const DRAWN: Duration = Duration::from_millis(100);

/// The progress of a call, as callbacks receive it.
#[pyclass(frozen, module = "lapidary", name = "Progress")]
#[derive(Clone, Debug)]
pub struct Progress {
    /// The name of the attack or of the phase of training that runs.
    #[pyo3(get)]
    pub phase: String,
    /// The part of the phase that is done, in the unit of `total`.
    #[pyo3(get)]
    pub done: f64,
    /// The size of the whole phase, such as its number of iterations or of images.
    #[pyo3(get)]
    pub total: f64,
    /// The measurements of the call so far, by name.
    pub values: Vec<(String, f64)>,
    /// A sentence, where there is one to say.
    #[pyo3(get)]
    pub text: Option<String>,
}

#[pymethods]
impl Progress {
    /// The measurements so far, by name, such as robust_accuracy or loss_ce.
    #[getter]
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let all = PyDict::new(py);
        for (name, value) in &self.values {
            all.set_item(name, value)?;
        }
        Ok(all)
    }

    fn __repr__(&self) -> String {
        let Self { phase, done, total, text, .. } = self;
        let text = text.as_ref().map_or(String::new(), |text| format!(": {text}"));
        format!("<lapidary.Progress {phase} {done:.0} of {total:.0}{text}>")
    }
}

impl Progress {
    /// Makes the progress of a phase of which `done` is done.
    pub fn at(phase: impl ToString, done: f64, total: f64) -> Self {
        Self { phase: phase.to_string(), done, total, values: Vec::new(), text: None }
    }
}

/// A caller's callback or a progress bar, which is told how far a call is.
#[derive(Debug)]
pub struct Watch {
    callback: Option<Py<PyAny>>,
    bar: Option<Py<PyAny>>,
    drawn: Option<Instant>,
}

impl Watch {
    /// Makes a watch that tells the caller's callback, or a bar where there is no callback.
    pub fn new(py: Python<'_>, callback: Option<Bound<'_, PyAny>>) -> PyResult<Self> {
        let bar = match &callback {
            Some(_) => None,
            None => Some(py.import("lapidary._progress")?.getattr("Bar")?.call0()?.unbind()),
        };
        Ok(Self { callback: callback.map(Bound::unbind), bar, drawn: None })
    }

    /// Tells the callback or the bar of progress, without holding the interpreter's lock. `Stopped` where the callback raises, or
    /// the user pressed Ctrl-C.
    pub fn tell(&mut self, progress: Progress) -> Result<()> {
        signals()?;
        if let Some(text) = &progress.text {
            log("info", text);
        }
        if let Some(callback) = &self.callback {
            return Python::attach(|py| callback.call1(py, (progress,)).map(drop))
                .map_err(stopped_by);
        }
        let now = Instant::now();
        let whole = progress.done >= progress.total;
        if !whole && self.drawn.is_some_and(|before| now - before < DRAWN) {
            return Ok(());
        }
        self.drawn = Some(now);
        let Some(bar) = &self.bar else { return Ok(()) };
        Python::attach(|py| bar.call_method1(py, "show", (progress,)).map(drop)).map_err(stopped_by)
    }

    /// Ends the bar, as the call is over.
    pub fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.bar.as_ref().map_or(Ok(()), |bar| bar.call_method0(py, "close").map(drop))
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Progress>()
}
