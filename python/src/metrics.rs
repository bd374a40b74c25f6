//! Distances between sets of images, and scores of logits: numbers of the library, from arrays.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use lapidary::Error;
use lapidary::eval::{self, Extraction, Features, Gaussian, Seen};
use lapidary::model::Checkpoint;
use numpy::PyArray1;
use pyo3::prelude::*;

use crate::arrays::{Images, Wanted, array, labels, numbers};
use crate::calls::{Queue, blocking, wait};
use crate::devices;
use crate::errors::mismatch;
use crate::model::most;
use crate::progress::{Progress, Watch};

/// A network by whose features sets of images are compared: pytorch-fid's Inception-v3 or EfficientNet-Lite0, from its file.
#[pyclass(frozen, module = "lapidary.metrics", name = "Extractor")]
#[derive(Debug)]
pub struct Extractor {
    checkpoint: Checkpoint,
    which: lapidary::model::Extractor,
    wanted: String,
    queue: Queue,
    /// Made ready for so many images, of so many channels and such a side.
    ready: Mutex<Option<([u32; 3], Extraction)>>,
}

#[pymethods]
impl Extractor {
    #[new]
    #[pyo3(signature = (path, *, device=None))]
    fn new(py: Python<'_>, path: PathBuf, device: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let wanted = devices::wanted(device)?;
        blocking(py, || {
            let checkpoint = Checkpoint::read(&path)?;
            let which = lapidary::model::Extractor::from_checkpoint(&checkpoint)?;
            let (queue, ready) = (Queue::default(), Mutex::default());
            Ok(Self { checkpoint, which, wanted, queue, ready })
        })
    }

    /// Its name.
    #[getter]
    fn name(&self) -> String {
        self.which.to_string()
    }

    /// The number of features D.
    #[getter]
    fn width(&self) -> u32 {
        self.which.width()
    }

    /// Features of images.
    ///
    /// Parameters
    /// ----------
    /// x : array
    ///     Images of shape (N, C, H, W) with C of 1 or 3, float32 in [0, 1] or uint8; with ``layout="nhwc"`` of shape (N, H, W, C).
    /// layout : {"nchw", "nhwc"}
    ///     Where the channels are; never guessed.
    /// batch_size : int
    ///     Images that go through at once, 1 to 65535.
    /// callback : callable, optional
    ///     Called with a `Progress` several times a second; what it raises stops the call. Without one, a bar is drawn where the call takes
    ///     long and tqdm is installed.
    ///
    /// Returns
    /// -------
    /// ndarray
    ///     float32 of shape (N, D).
    ///
    /// Raises
    /// ------
    /// Mismatch
    ///     For what are no such arrays, with what was given and what is wanted.
    /// OutOfMemory
    ///     Where the device has too little memory for the batch.
    /// DeviceLost
    ///     Where the driver gives the device up; the next call opens it anew.
    #[pyo3(signature = (x, *, layout="nchw", batch_size=32, callback=None))]
    fn features<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        layout: &str,
        batch_size: u32,
        callback: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let seen = self.see(py, x, layout, batch_size, callback)?;
        let width = self.width() as usize;
        let rows = seen.features.len() / width;
        Ok(array(py, seen.features, &[rows, width])?.into_any())
    }

    /// ImageNet's logits of images: what the inception score is made of.
    ///
    /// Parameters
    /// ----------
    /// x : array
    ///     Images of shape (N, C, H, W) with C of 1 or 3, float32 in [0, 1] or uint8; with ``layout="nhwc"`` of shape (N, H, W, C).
    /// layout : {"nchw", "nhwc"}
    ///     Where the channels are; never guessed.
    /// batch_size : int
    ///     Images that go through at once, 1 to 65535.
    /// callback : callable, optional
    ///     Called with a `Progress` several times a second; what it raises stops the call. Without one, a bar is drawn where the call takes
    ///     long and tqdm is installed.
    ///
    /// Returns
    /// -------
    /// ndarray
    ///     float32 of shape (N, K).
    ///
    /// Raises
    /// ------
    /// Mismatch
    ///     For what are no such arrays, with what was given and what is wanted.
    /// OutOfMemory
    ///     Where the device has too little memory for the batch.
    /// DeviceLost
    ///     Where the driver gives the device up; the next call opens it anew.
    #[pyo3(signature = (x, *, layout="nchw", batch_size=32, callback=None))]
    fn logits<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        layout: &str,
        batch_size: u32,
        callback: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let seen = self.see(py, x, layout, batch_size, callback)?;
        let width = self.which.classes() as usize;
        let rows = seen.logits.len() / width;
        Ok(array(py, seen.logits, &[rows, width])?.into_any())
    }

    fn __repr__(&self) -> String {
        format!("<lapidary.metrics.Extractor {}>", self.which)
    }
}

impl Extractor {
    fn see<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        layout: &str,
        batch_size: u32,
        callback: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Seen> {
        let images = Images::new(x, layout, Wanted { channels: None, side: None, unit: true })?;
        let size = images.batch(most(py, batch_size)?).images;
        let size = [size, images.channels, images.side];
        let values = images.values()?;
        let mut watch = Watch::new(py, callback)?;
        let seen = blocking(py, || {
            let _turn = self.queue.enter()?;
            let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
            let mut made = match ready.take().filter(|(known, _)| *known == size) {
                Some((_, made)) => made,
                None => {
                    let gpu = devices::open(&self.wanted)?;
                    wait(Extraction::new(&gpu, &self.checkpoint, size))?
                }
            };
            let total = images.count as f64;
            let told = |done: usize| watch.tell(Progress::at("features", done as f64, total));
            let seen = wait(made.see(values, told));
            if !matches!(seen, Err(Error::DeviceLost(_))) {
                *ready = Some((size, made));
            }
            seen
        });
        watch.close(py)?;
        seen
    }
}

fn features(x: &Bound<'_, PyAny>, what: &'static str) -> PyResult<Features> {
    let (values, shape) = numbers(x, what, 2)?;
    let width = shape.get(1).copied().unwrap_or(0);
    Features::new(values, width).map_err(|error| crate::errors::raised(x.py(), error))
}

#[pyfunction]
fn _fid(py: Python<'_>, real: &Bound<'_, PyAny>, samples: &Bound<'_, PyAny>) -> PyResult<f64> {
    let (real, samples) = (features(real, "real")?, features(samples, "samples")?);
    blocking(py, || Gaussian::of(&real)?.distance(&Gaussian::of(&samples)?))
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
    let (values, [_, classes]) = logits(x)?;
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

/// Scores of both sets, none of them empty, all of them numbers.
fn scores(positives: &Bound<'_, PyAny>, negatives: &Bound<'_, PyAny>) -> PyResult<[Vec<f32>; 2]> {
    let one = |x: &Bound<'_, PyAny>, what| {
        let (values, _) = numbers(x, what, 1)?;
        if values.is_empty() || values.iter().any(|value| value.is_nan()) {
            return Err(mismatch(
                x.py(),
                what,
                "no scores, or NaN among them",
                "numbers, one or more",
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

#[pyfunction]
fn _confidences<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let (values, [_, classes]) = logits(x)?;
    Ok(PyArray1::from_vec(py, eval::confidences(&values, classes)))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Extractor>()?;
    module.add_function(wrap_pyfunction!(_fid, module)?)?;
    module.add_function(wrap_pyfunction!(_kid, module)?)?;
    module.add_function(wrap_pyfunction!(_precision_recall, module)?)?;
    module.add_function(wrap_pyfunction!(_inception_score, module)?)?;
    module.add_function(wrap_pyfunction!(_ece, module)?)?;
    module.add_function(wrap_pyfunction!(_auroc, module)?)?;
    module.add_function(wrap_pyfunction!(_fpr95, module)?)?;
    module.add_function(wrap_pyfunction!(_confidences, module)?)
}
