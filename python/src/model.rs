//! The Python class `Model`: a network with its weights on a device. Calls from several threads queue.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use lapidary::model::checkpoint::FilePrecision;
use lapidary::model::{Checkpoint, Metadata, Network, Normalisation, onnx};
use lapidary::train::Known;
use lapidary::{Error, Result};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{Images, Wanted, array};
use crate::calls::{Queue, Turn, blocking};
use crate::devices::{Device, log};
use crate::errors::mismatch;
use crate::ready::Ready;

/// A network and its weights on a device.
///
/// Made by `load` or `from_state_dict`. Methods take images as arrays of shape (N, C, H, W), float32 in [0, 1] or uint8, or with
/// `layout="nhwc"` of shape (N, H, W, C); normalisation belongs to the network. Several threads may use one model: their calls
/// queue. The interpreter's lock is released while the device works, and Ctrl-C ends any call.
#[pyclass(frozen, module = "lapidary", name = "Model")]
#[derive(Debug)]
pub struct Model {
    pub known: Known,
    wanted: String,
    queue: Queue,
    ready: Mutex<Option<Ready>>,
}

impl Model {
    /// Puts a network's weights on the device, so that a missing adapter shows at once.
    pub fn new(known: Known, wanted: String) -> Result<Self> {
        for note in &known.pretrained.checkpoint.notes {
            let source = known.pretrained.checkpoint.source.display();
            log("info", &format!("{source}: {note}"));
        }
        let model = Self { known, wanted, queue: Queue::default(), ready: Mutex::default() };
        let (pretrained, wanted) = (&model.known.pretrained, &model.wanted);
        *model.ready.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Ready::new(pretrained, wanted)?);
        Ok(model)
    }

    /// Returns the network.
    pub fn network(&self) -> &Network {
        &self.known.pretrained.network
    }

    /// Reads images for this network from an array.
    pub fn images<'py>(&self, x: &Bound<'py, PyAny>, layout: &str) -> PyResult<Images<'py>> {
        let channels = Some(self.network().channels());
        Images::new(x, layout, Wanted { channels, side: self.known.side(), unit: true })
    }

    /// Runs work with the weights and programs on the device, when it is this call's turn. After a loss of the device, a
    /// panic or Ctrl-C the next call finds all of it made anew, or programs that begin anew.
    pub fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Ready) -> Result<T> + Send,
    ) -> PyResult<T> {
        blocking(py, || self.in_turn(work))
    }

    fn in_turn<T>(&self, work: impl FnOnce(&mut Ready) -> Result<T>) -> Result<T> {
        let _turn: Turn<'_> = self.queue.enter()?;
        let mut place = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ready = match place.take() {
            Some(ready) => ready,
            None => Ready::new(&self.known.pretrained, &self.wanted)?,
        };
        let made = work(&mut ready);
        if !matches!(made, Err(Error::DeviceLost(_))) {
            *place = Some(ready);
        }
        made
    }

    /// Returns the names of the network's classes; numbers where none are known.
    pub fn names(&self) -> Vec<String> {
        let numbered = || lapidary::train::numbered(self.network().classes());
        self.known.class_names().unwrap_or_else(numbered)
    }
}

/// Returns the number of images that a program takes at once.
pub fn most(py: Python<'_>, batch_size: u32) -> PyResult<u32> {
    if (1..=65_535).contains(&batch_size) {
        return Ok(batch_size);
    }
    Err(mismatch(py, "batch_size", batch_size, "1 to 65535"))
}

#[pymethods]
impl Model {
    /// The device it is on.
    #[getter]
    fn device(&self, py: Python<'_>) -> PyResult<Device> {
        self.with(py, |ready| Ok(Device::of(&ready.gpu, &self.wanted)))
    }

    /// The network's name, as WRN-10-1.
    #[getter]
    fn architecture(&self) -> String {
        self.network().to_string()
    }

    /// The number of classes K.
    #[getter]
    pub fn classes(&self) -> u32 {
        self.network().classes()
    }

    /// The names of the classes, by label; None where the file has none.
    #[getter]
    fn class_names(&self) -> Option<Vec<String>> {
        self.known.class_names()
    }

    /// The number of channels C of the network's images.
    #[getter]
    fn channels(&self) -> u32 {
        self.network().channels()
    }

    /// The rows and columns of the network's images; None where the file does not say, and images of any side are taken.
    #[getter]
    fn side(&self) -> Option<u32> {
        self.known.side()
    }

    /// The mean and the deviation of each channel, by which images are normalised within the network; None where they are not.
    #[getter]
    fn normalisation(&self) -> Option<(Vec<f32>, Vec<f32>)> {
        let told = self.network().normalisation();
        told.map(|Normalisation { mean, std }| (mean.clone(), std.clone()))
    }

    /// Sentences about what reading the file changed: tensors that were left out or renamed, and normalisation that was
    /// read from tensors.
    #[getter]
    fn notes(&self) -> Vec<String> {
        self.known.pretrained.checkpoint.notes.clone()
    }

    /// The weights by name, float32.
    fn state_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let all = PyDict::new(py);
        for (name, tensor) in self.known.pretrained.checkpoint.weights.iter() {
            all.set_item(name, array(py, tensor.data.clone(), &tensor.shape)?)?;
        }
        Ok(all)
    }

    /// Write a safetensors file that `load` reads without being told anything.
    ///
    /// Parameters
    /// ----------
    /// path : str or path
    ///     The file, written whole or not at all.
    /// half : bool
    ///     Whether weights are stored in half precision.
    ///
    /// Raises
    /// ------
    /// BadFile
    ///     Where it cannot be written, or a weight is beyond half precision.
    #[pyo3(signature = (path, *, half=false))]
    fn save(&self, py: Python<'_>, path: PathBuf, half: bool) -> PyResult<()> {
        let checkpoint = self.complete();
        blocking(py, || checkpoint.write_as(&path, precision(half)))
    }

    /// Write an ONNX file for other tools: images in [0, 1] in, logits out.
    ///
    /// Parameters
    /// ----------
    /// path : str or path
    ///     The file, written whole or not at all.
    /// half : bool
    ///     Whether weights are stored in half precision.
    ///
    /// Raises
    /// ------
    /// BadFile
    ///     Where it cannot be written.
    #[pyo3(signature = (path, *, half=false))]
    fn export_onnx(&self, py: Python<'_>, path: PathBuf, half: bool) -> PyResult<()> {
        let checkpoint = self.complete();
        blocking(py, || onnx::export(self.network(), &checkpoint, &path, precision(half)))
    }

    fn __repr__(&self) -> String {
        let side = self.known.side().map_or("any side".into(), |side| format!("{side}x{side}"));
        let (network, classes) = (self.network(), self.classes());
        let source = self.known.pretrained.checkpoint.source.display();
        format!("<lapidary.Model {network}, {classes} classes, {side}, from {source}>")
    }

    /// Has the device count as lost, for tests.
    fn _lose_device(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, |ready| {
            ready.gpu.notify_lost("a test says so");
            Ok(())
        })
    }
}

impl Model {
    /// Makes a checkpoint with all that is known of the network.
    fn complete(&self) -> Checkpoint {
        let checkpoint = &self.known.pretrained.checkpoint;
        let told = checkpoint.metadata.clone();
        let class_names = self.known.class_names();
        let metadata = Metadata {
            side: self.known.side(),
            preset: told.preset,
            step: told.step,
            fit: told.fit,
            other: told.other,
            class_names,
            ..self.network().metadata()
        };
        Checkpoint { metadata, ..checkpoint.clone() }
    }
}

fn precision(half: bool) -> FilePrecision {
    if half { FilePrecision::F16 } else { FilePrecision::F32 }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Model>()
}
