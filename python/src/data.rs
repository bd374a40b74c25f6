//! Binds the library's readers of labelled data sets and of single picture files, and its random images for sampling to start from.

use std::path::PathBuf;

use lapidary::Error;
use lapidary::data::{Augment, Fit, Ood, Part, SAMPLE_STARTS, Source, photograph};
use numpy::PyArray1;
use pyo3::prelude::*;

use crate::arrays::{Layout, images};
use crate::calls::blocking;
use crate::errors::mismatch;

/// Labelled images of a part of a source, their labels, the names of the classes, and a sentence for each thing that was left out
/// or is unusual.
type Labelled<'py> = (Bound<'py, PyAny>, Bound<'py, PyArray1<i64>>, Vec<String>, Vec<String>);

#[pyfunction]
fn _labelled<'py>(
    py: Python<'py>,
    source: &str,
    part: &str,
    side: u32,
    fit: Option<&str>,
) -> PyResult<Labelled<'py>> {
    let part = match part {
        "train" => Part::Train,
        "test" => Part::Test,
        other => return Err(mismatch(py, "part", format!("{other:?}"), "\"train\" or \"test\"")),
    };
    let (prepared, names, notes) = blocking(py, || {
        let fit = fit.map(Fit::parse).transpose()?;
        let data = Source::parse(source)?.load_fitted(part, side, fit.unwrap_or(Fit::Crop))?;
        if let Some(reason) = data.unlabelled() {
            let path = source.into();
            let reason = format!("its images have no labels: {reason}");
            return Err(Error::BadFile { path, reason });
        }
        let prepared = data.prepared_as(side, fit.unwrap_or(Fit::Letterbox))?;
        Ok((prepared, data.class_names().to_vec(), [data.notes(), data.damaged()].concat()))
    })?;
    let labels = prepared.labels().iter().map(|&label| i64::from(label));
    let labels = PyArray1::from_iter(py, labels);
    let values = prepared.images().to_vec();
    Ok((images(py, values, prepared.channels(), side, Layout::Nchw)?, labels, names, notes))
}

#[pyfunction]
fn _starts<'py>(
    py: Python<'py>,
    source: &str,
    count: usize,
    side: u32,
    channels: u32,
    seed: u64,
) -> PyResult<Bound<'py, PyAny>> {
    if count == 0 || count > 1 << 20 {
        return Err(mismatch(py, "count", count, "1 to 1048576"));
    }
    let made = blocking(py, || {
        let opened = Ood::parse(source)?.open([channels, side], None, Augment::None, 0.0)?;
        Ok(opened.batches(SAMPLE_STARTS, seed, count)?.batch(0)?.images)
    })?;
    images(py, made, channels, side, Layout::Nchw)
}

#[pyfunction]
fn _picture<'py>(
    py: Python<'py>,
    path: PathBuf,
    side: u32,
    channels: u32,
    fit: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let image = blocking(py, || photograph(&path, channels, side, Fit::parse(fit)?))?;
    images(py, image, channels, side, Layout::Nchw)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_labelled, module)?)?;
    module.add_function(wrap_pyfunction!(_starts, module)?)?;
    module.add_function(wrap_pyfunction!(_picture, module)?)
}
