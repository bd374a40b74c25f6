//! Turns the library's errors into Python's exceptions: one class for each variant, with the variant's fields as attributes.

use lapidary::Error;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// The module of the exception classes, which are written in Python, as most have two bases.
const MODULE: &str = "lapidary._errors";

/// Returns the Python exception for an error of the library.
pub fn raised(py: Python<'_>, error: Error) -> PyErr {
    let text = |value: &dyn ToString| Some(value.to_string());
    let path = |value: &std::path::Path| Some(value.display().to_string());
    let (class, fields) = match &error {
        Error::NoAdapter(_) => ("NoAdapter", Vec::new()),
        Error::MissingLimit { .. } => ("MissingLimit", Vec::new()),
        Error::Mismatch { op, given, wanted } => {
            ("Mismatch", vec![("op", text(op)), ("given", text(given)), ("wanted", text(wanted))])
        }
        Error::NoDerivative { .. } => ("NoDerivative", Vec::new()),
        Error::OutOfMemory(_) => ("OutOfMemory", Vec::new()),
        Error::DeviceLost(_) => ("DeviceLost", Vec::new()),
        Error::Gpu { .. } => ("GpuFailed", Vec::new()),
        Error::Thread { .. } => ("ThreadFailed", Vec::new()),
        Error::BadFile { path: file, reason } => {
            ("BadFile", vec![("path", path(file)), ("reason", text(reason))])
        }
        Error::BadConfig { key, value, allowed } => {
            let fields = [("key", text(key)), ("value", text(value)), ("allowed", text(allowed))];
            ("BadConfig", fields.to_vec())
        }
        Error::Stopped => ("Stopped", Vec::new()),
        Error::NonFinite { .. } => ("NonFinite", Vec::new()),
        Error::Diverged { last_good, .. } => {
            ("Diverged", vec![("last_good", last_good.as_deref().and_then(path))])
        }
        _ => ("Error", Vec::new()),
    };
    let made = exception(py, class, &error.to_string());
    for (name, value) in fields {
        if let Err(error) = made.value(py).setattr(name, value) {
            return error;
        }
    }
    made
}

/// Returns the Python exception for an argument that does not fit: `given`, where `wanted` says what does.
pub fn mismatch(
    py: Python<'_>,
    what: &'static str,
    given: impl ToString,
    wanted: impl ToString,
) -> PyErr {
    raised(py, Error::mismatch(what, given, wanted))
}

/// Turns a panic within the bindings or the library into an exception that asks for a bug report.
pub fn bug(py: Python<'_>, panic: &(dyn std::any::Any + Send)) -> PyErr {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without words");
    let text = format!("lapidary failed within itself ({said}): this is a bug, please report it");
    exception(py, "Error", &text)
}

/// Returns an exception of the package by the name of its class.
pub fn exception(py: Python<'_>, class: &str, message: &str) -> PyErr {
    static CLASSES: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let found = CLASSES
        .get_or_try_init(py, || py.import(MODULE).map(Bound::unbind))
        .and_then(|module| module.bind(py).getattr(class))
        .and_then(|class| class.cast_into::<PyType>().map_err(PyErr::from));
    match found {
        Ok(class) => PyErr::from_type(class, message.to_owned()),
        Err(error) => error,
    }
}
