//! The Python class `Extractor`: a network whose features are used to compare sets of images.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use lapidary::Error;
use lapidary::eval::{Extraction, Seen};
use lapidary::model::Checkpoint;
use pyo3::prelude::*;

use crate::arrays::{Images, Wanted, array};
use crate::calls::{Queue, blocking, wait};
use crate::devices;
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
    /// The extraction made ready, with its number of images, channels and side.
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

    /// The extractor's name.
    #[getter]
    fn name(&self) -> String {
        self.which.to_string()
    }

    /// The number of features D.
    #[getter]
    fn width(&self) -> u32 {
        self.which.width()
    }

    /// Compute the features of images.
    ///
    /// Parameters
    /// ----------
    /// x : array
    ///     Images of shape (N, C, H, W) with C of 1 or 3, float32 in [0, 1] or uint8; with ``layout="nhwc"`` of shape (N, H, W, C).
    #[doc = about!(layout)]
    #[doc = about!(batch_size)]
    #[doc = about!(callback)]
    ///
    /// Returns
    /// -------
    /// ndarray
    ///     float32 of shape (N, D).
    ///
    /// Raises
    /// ------
    #[doc = about!(mismatch)]
    #[doc = about!(device)]
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
    #[doc = about!(layout)]
    #[doc = about!(batch_size)]
    #[doc = about!(callback)]
    ///
    /// Returns
    /// -------
    /// ndarray
    ///     float32 of shape (N, K).
    ///
    /// Raises
    /// ------
    #[doc = about!(mismatch)]
    #[doc = about!(device)]
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

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Extractor>()
}
