//! Computes metrics from arrays: distances between sets of images from features (FID, KID, precision and recall), and from logits
//! or scores the inception score, calibration error, and how well images are detected as out-of-distribution.

use std::path::PathBuf;

use lapidary::Error;
use lapidary::eval::{self, Detection, Features, Gaussian};
use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;

use crate::arrays::{doubles, labels, numbers};
use crate::calls::blocking;
use crate::errors::mismatch;

fn features(x: &Bound<'_, PyAny>, what: &'static str) -> PyResult<Features> {
    let (values, shape) = numbers(x, what, 2)?;
    let width = shape.get(1).copied().unwrap_or(0);
    Features::new(values, width).map_err(|error| named(x.py(), what, error))
}

/// An error about the argument `what`, which the message names.
fn named(py: Python<'_>, what: &'static str, error: Error) -> PyErr {
    match error {
        Error::Mismatch { given, wanted, .. } => mismatch(py, what, given, wanted),
        other => crate::errors::raised(py, other),
    }
}

/// Mean and covariance, as an object with both gives them, as a file has them, or of rows of features.
fn gaussian(x: &Bound<'_, PyAny>, what: &'static str) -> PyResult<Gaussian> {
    let py = x.py();
    if x.hasattr("covariance")? {
        let [(mean, _), (covariance, _)] =
            [doubles(&x.getattr("mean")?, what, 1)?, doubles(&x.getattr("covariance")?, what, 2)?];
        return blocking(py, || Ok(Gaussian::from_parts(mean, covariance)))?
            .map_err(|error| named(py, what, error));
    }
    if let Ok(path) = x.extract::<PathBuf>() {
        return blocking(py, || Gaussian::read(&path));
    }
    let features = features(x, what)?;
    blocking(py, || Ok(Gaussian::of(&features)))?.map_err(|error| named(py, what, error))
}

#[pyfunction]
fn _fid(py: Python<'_>, real: &Bound<'_, PyAny>, samples: &Bound<'_, PyAny>) -> PyResult<f64> {
    let (real, samples) = (gaussian(real, "real")?, gaussian(samples, "samples")?);
    blocking(py, || real.distance(&samples))
}

/// A mean of shape (D,) and a covariance of shape (D, D).
type Statistics<'py> = (Bound<'py, PyArray1<f64>>, Bound<'py, PyArray2<f64>>);

#[pyfunction]
fn _statistics<'py>(py: Python<'py>, x: &Bound<'py, PyAny>) -> PyResult<Statistics<'py>> {
    let found = gaussian(x, "statistics")?;
    let width = found.mean().len();
    let covariance = PyArray1::from_slice(py, found.covariance()).reshape([width, width])?;
    Ok((PyArray1::from_slice(py, found.mean()), covariance))
}

#[pyfunction]
fn _kid(
    py: Python<'_>,
    real: &Bound<'_, PyAny>,
    samples: &Bound<'_, PyAny>,
    subsets: usize,
    size: usize,
    seed: u64,
) -> PyResult<(f64, f64)> {
    let (real, samples) = (features(real, "real")?, features(samples, "samples")?);
    let spread = blocking(py, || eval::kernel_distance(&real, &samples, (subsets, size), seed))?;
    Ok((spread.mean, spread.std))
}

#[pyfunction]
fn _precision_recall(
    py: Python<'_>,
    real: &Bound<'_, PyAny>,
    samples: &Bound<'_, PyAny>,
    neighbours: usize,
) -> PyResult<(f64, f64)> {
    if neighbours == 0 {
        return Err(mismatch(py, "neighbours", neighbours, "1 or more"));
    }
    let (real, samples) = (features(real, "real")?, features(samples, "samples")?);
    let found = blocking(py, || eval::coverage(&real, &samples, neighbours))?;
    Ok((found.precision, found.recall))
}

/// Logits with at least one row and column, all finite.
fn logits(x: &Bound<'_, PyAny>) -> PyResult<(Vec<f32>, [usize; 2])> {
    let (values, shape) = numbers(x, "logits", 2)?;
    match *shape.as_slice() {
        [rows, classes] if rows * classes > 0 && values.iter().all(|value| value.is_finite()) => {
            Ok((values, [rows, classes]))
        }
        _ => {
            let given = format!("an array of shape {}", crate::arrays::shown(&shape));
            Err(mismatch(
                x.py(),
                "logits",
                given,
                "finite numbers of shape (N, K), N and K 1 or more",
            ))
        }
    }
}

#[pyfunction]
fn _inception_score(
    py: Python<'_>,
    x: &Bound<'_, PyAny>,
    splits: usize,
) -> PyResult<(f64, Option<f64>)> {
    if splits == 0 {
        return Err(mismatch(py, "splits", splits, "1 or more"));
    }
    let (values, [rows, classes]) = logits(x)?;
    if splits > rows {
        return Err(mismatch(
            py,
            "splits",
            format!("{splits} of {rows} samples"),
            "at most one a sample",
        ));
    }
    let score = blocking(py, || Ok(eval::inception_score(&values, classes, splits)))?;
    Ok((score.mean, score.std))
}

#[pyfunction]
fn _ece(py: Python<'_>, x: &Bound<'_, PyAny>, y: &Bound<'_, PyAny>, bins: usize) -> PyResult<f64> {
    if bins == 0 || bins > 1 << 20 {
        return Err(mismatch(py, "bins", bins, "1 to 1048576"));
    }
    let (values, [rows, classes]) = logits(x)?;
    let labels = labels(y, "labels", rows, classes as u32)?;
    blocking(py, || Ok(eval::calibration(&values, &labels, classes, bins).ece))
}

/// Reads the scores of both sets; neither may be empty or have NaN.
fn scores(positives: &Bound<'_, PyAny>, negatives: &Bound<'_, PyAny>) -> PyResult<[Vec<f64>; 2]> {
    let one = |x: &Bound<'_, PyAny>, what| {
        let (values, _) = doubles(x, what, 1)?;
        if values.is_empty() || values.iter().any(|value| value.is_nan()) {
            return Err(mismatch(
                x.py(),
                what,
                "an empty array, or one with NaN",
                "one or more numbers",
            ));
        }
        Ok(values)
    };
    Ok([one(positives, "positives")?, one(negatives, "negatives")?])
}

#[pyfunction]
fn _auroc(
    py: Python<'_>,
    positives: &Bound<'_, PyAny>,
    negatives: &Bound<'_, PyAny>,
) -> PyResult<f64> {
    let [positives, negatives] = scores(positives, negatives)?;
    blocking(py, || Ok(eval::auroc(&positives, &negatives)))
}

#[pyfunction]
fn _fpr95(
    py: Python<'_>,
    positives: &Bound<'_, PyAny>,
    negatives: &Bound<'_, PyAny>,
) -> PyResult<f64> {
    let [positives, negatives] = scores(positives, negatives)?;
    blocking(py, || Ok(eval::false_positives_at_95(&positives, &negatives)))
}

/// AUROC and the share of others that pass where 95 % of real images do, by confidence and by log-sum-exp.
type Detected = ((f64, f64), (f64, f64));

#[pyfunction]
fn _detection(
    py: Python<'_>,
    real: &Bound<'_, PyAny>,
    others: &Bound<'_, PyAny>,
) -> PyResult<Detected> {
    let ((real, [_, classes]), (others, [_, wide])) = (logits(real)?, logits(others)?);
    if classes != wide {
        let given = format!("logits of {wide} classes");
        return Err(mismatch(py, "others", given, format!("{classes}, as in real")));
    }
    blocking(py, || {
        let told = |found: Detection| (found.auroc, found.fpr95);
        let sums = |logits: &[f32]| eval::logsumexp(logits, classes);
        // In 64 bits: in 32 the likeliest classes' probabilities near 1 would be ties.
        let sure = |logits: &[f32]| eval::confidences(logits, classes);
        let confidence = eval::detection(&sure(&real), &sure(&others));
        let energy = eval::detection(&sums(&real), &sums(&others));
        Ok((told(confidence), told(energy)))
    })
}

#[pyfunction]
fn _confidences<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let (values, [_, classes]) = logits(x)?;
    Ok(PyArray1::from_vec(py, eval::confidences(&values, classes)))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_fid, module)?)?;
    module.add_function(wrap_pyfunction!(_statistics, module)?)?;
    module.add_function(wrap_pyfunction!(_detection, module)?)?;
    module.add_function(wrap_pyfunction!(_kid, module)?)?;
    module.add_function(wrap_pyfunction!(_precision_recall, module)?)?;
    module.add_function(wrap_pyfunction!(_inception_score, module)?)?;
    module.add_function(wrap_pyfunction!(_ece, module)?)?;
    module.add_function(wrap_pyfunction!(_auroc, module)?)?;
    module.add_function(wrap_pyfunction!(_fpr95, module)?)?;
    module.add_function(wrap_pyfunction!(_confidences, module)?)
}
