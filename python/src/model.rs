//! `Model`: a network with its weights on a device, and what it says of images. Calls from several threads queue.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use lapidary::attack::Objective;
use lapidary::eval::{Classifier, InputGradient, Of, With, argmax, logsumexp};
use lapidary::gpu::Gpu;
use lapidary::model::checkpoint::Precision;
use lapidary::model::{
    Activation, BatchSize, Checkpoint, DeviceWeights, Metadata, Network, Normalisation, Pretrained,
    StateDict, Tensor, onnx,
};
use lapidary::train::Known;
use lapidary::{Error, Result};
use numpy::PyArray1;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{Images, Wanted, array, labels, numbers};
use crate::calls::{Queue, Turn, blocking, wait};
use crate::devices::{self, Device, log};
use crate::errors::mismatch;

/// Programs of each kind that are kept for the next call: one for each size of batch and image.
const KEPT: usize = 4;

/// Families of networks that a state dict may be of.
const ARCHITECTURES: [&str; 4] = ["wrn", "preact-resnet", "resnet", "convnext"];

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

/// What lies on the device; made anew after it was lost.
#[derive(Debug)]
pub struct Ready {
    pub gpu: Gpu,
    pub weights: DeviceWeights,
    classifiers: Vec<(BatchSize, Classifier)>,
    gradients: Vec<((BatchSize, Of), InputGradient)>,
    /// The weights on this device and on others of a CPU rasteriser, for work that falls into parts.
    lanes: Vec<DeviceWeights>,
}

/// What a file, or nothing, says of a network, and what the caller adds.
struct Told {
    mean: Option<Vec<f32>>,
    std: Option<Vec<f32>>,
    activation: Option<String>,
    side: Option<u32>,
}

impl Told {
    /// Adds it, so that nothing is missing that would have to be guessed.
    fn complete(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        let metadata = &mut checkpoint.metadata;
        match (&self.mean, &self.std) {
            (Some(mean), Some(std)) => {
                let given = Normalisation { mean: mean.clone(), std: std.clone() };
                if let Some(Normalisation { mean, std }) = given.of_bytes() {
                    let wanted = format!(
                        "mean={mean:?} and std={std:?}, as images here are in [0, 1] and these are for pixels of 0 to 255"
                    );
                    return Err(Error::mismatch("normalisation", format!("{given:?}"), wanted));
                }
                metadata.normalisation = Some(given);
            }
            (None, None) if metadata.tells_normalisation() => {}
            (None, None) => {
                let reason = "it does not say how images are normalised: pass mean= and std=, one number a channel for images in \
                              [0, 1], as mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616); 0 and 1 for none";
                return Err(Error::bad_file(&checkpoint.source, reason));
            }
            _ => return Err(Error::mismatch("normalisation", "one of mean and std", "both")),
        }
        if let Some(name) = &self.activation {
            let activation = Activation::parse(name);
            let unknown = || Error::mismatch("activation", format!("{name:?}"), "relu or silu");
            metadata.activation = Some(activation.ok_or_else(unknown)?);
        } else if Network::meant_by(checkpoint).is_ok_and(|net| net.asks_activation())
            && !checkpoint.metadata.tells_activation()
        {
            let reason = "it does not say what follows normalisation layers: pass activation=\"relu\" or activation=\"silu\"";
            return Err(Error::bad_file(&checkpoint.source, reason));
        }
        if let Some(side) = self.side {
            checkpoint.metadata.side = Some(side);
        }
        // A mean of 0 and a deviation of 1 each is no normalisation.
        let channels = Network::meant_by(checkpoint).map(|net| net.channels() as usize);
        if let (Some(given), Ok(channels)) = (&checkpoint.metadata.normalisation, channels)
            && (given.mean.len() != channels || given.std.len() != channels)
        {
            let numbers = format!("{} and {} numbers", given.mean.len(), given.std.len());
            return Err(Error::mismatch("normalisation", numbers, format!("{channels} each")));
        }
        Ok(())
    }
}

/// Read a network from a file.
///
/// Parameters
/// ----------
/// path : str or path
///     A safetensors file, a file of ``torch.save`` (nothing in it is executed), a run's folder, or ``"builtin:fashion-demo"``, the network that
///     comes with the package. Which network it is shows by the tensors.
/// mean, std : sequence of float, optional
///     By which the network's images are normalised, a number a channel, for images in [0, 1]. Asked for where the file does not say
///     it; 0 and 1 for none.
/// activation : {"relu", "silu"}, optional
///     What follows normalisation layers, where the file does not say it.
/// side : int, optional
///     Rows and columns of the images. Without, and where the file does not say it, images of any side are taken.
/// device : Device, str or int, optional
///     One of `devices()`, its number there, or a part of its name. Without, ``LAPIDARY_ADAPTER``, or else the first.
///
/// Returns
/// -------
/// Model
///     The network with its weights on the device.
///
/// Raises
/// ------
/// BadFile
///     For a file that is not there, is damaged or holds no known network, and where it does not say what is asked for above.
/// NoAdapter
///     Where there is no such device.
#[pyfunction]
#[pyo3(signature = (path, *, mean=None, std=None, activation=None, side=None, device=None))]
fn load(
    py: Python<'_>,
    path: PathBuf,
    mean: Option<Vec<f32>>,
    std: Option<Vec<f32>>,
    activation: Option<String>,
    side: Option<u32>,
    device: Option<&Bound<'_, PyAny>>,
) -> PyResult<Model> {
    let wanted = devices::wanted(device)?;
    let told = Told { mean, std, activation, side };
    blocking(py, || {
        let known = Known::read(Some(&path), |checkpoint| told.complete(checkpoint))?;
        Model::new(known, wanted)
    })
}

/// Take the weights of a live model of another library.
///
/// Parameters
/// ----------
/// state_dict : dict of str to array
///     As ``net.state_dict()`` of a PyTorch model: NumPy's arrays or tensors on the CPU. Prefixes of wrappers, as ``module.``, are taken off.
/// architecture : {"wrn", "preact-resnet", "resnet", "convnext"}, optional
///     The family of the network; without, the tensors' names tell it.
/// mean, std, activation, side, device
///     As for `load`.
/// class_names : sequence of str, optional
///     What the classes are called, by label.
///
/// Returns
/// -------
/// Model
///     The network with a copy of the weights.
///
/// Raises
/// ------
/// BadFile
///     Where the tensors are those of no known network, or it is not said how images are normalised.
/// Mismatch
///     For what is no dict of arrays.
#[pyfunction]
#[pyo3(signature = (state_dict, *, architecture=None, mean=None, std=None, activation=None, side=None, class_names=None, device=None))]
#[expect(clippy::too_many_arguments, reason = "keywords in Python")]
fn from_state_dict(
    py: Python<'_>,
    state_dict: &Bound<'_, PyAny>,
    architecture: Option<String>,
    mean: Option<Vec<f32>>,
    std: Option<Vec<f32>>,
    activation: Option<String>,
    side: Option<u32>,
    class_names: Option<Vec<String>>,
    device: Option<&Bound<'_, PyAny>>,
) -> PyResult<Model> {
    let wanted = devices::wanted(device)?;
    let Ok(items) = state_dict.call_method0("items") else {
        let given = state_dict.get_type().fully_qualified_name()?.to_string();
        return Err(mismatch(py, "state dict", given, "a dict of arrays by name"));
    };
    let mut weights = StateDict::default();
    for item in items.try_iter()? {
        let (name, value): (String, Bound<'_, PyAny>) = item?.extract()?;
        // PyTorch counts batches beside the weights.
        if name.ends_with("num_batches_tracked") {
            continue;
        }
        let value = detached(&value)?;
        let sides = crate::arrays::as_array(&value, "state dict")?;
        let sides = numpy::PyUntypedArrayMethods::ndim(&sides);
        let (data, shape) = numbers(&value, "state dict", sides)?;
        weights.insert(name, Tensor { shape, data });
    }
    let told = Told { mean, std, activation, side };
    blocking(py, || {
        let mut checkpoint =
            Checkpoint::from_state_dict("state dict", weights, Metadata::default())?;
        checkpoint.metadata.class_names = class_names;
        told.complete(&mut checkpoint)?;
        if let Some(name) = &architecture
            && !ARCHITECTURES.contains(&name.as_str())
        {
            let wanted = ARCHITECTURES.join(", ");
            return Err(Error::mismatch("architecture", format!("{name:?}"), wanted));
        }
        let metadata = std::mem::take(&mut checkpoint.metadata);
        checkpoint.metadata = Metadata { architecture, ..metadata };
        Model::new(Known::of(Pretrained::from_checkpoint(checkpoint)?, None)?, wanted)
    })
}

/// PyTorch's parameters ask to be detached before they become arrays.
fn detached<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if value.hasattr("detach")? { value.call_method0("detach") } else { Ok(value.clone()) }
}

impl Model {
    /// With its weights on the device, so that an adapter that is not there shows at once.
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

    /// The network.
    pub fn network(&self) -> &Network {
        &self.known.pretrained.network
    }

    /// What images it takes.
    pub fn images<'py>(&self, x: &Bound<'py, PyAny>, layout: &str) -> PyResult<Images<'py>> {
        let channels = Some(self.network().channels());
        Images::new(x, layout, Wanted { channels, side: self.known.side(), unit: true })
    }

    /// Works with what is on the device, when it is this call's turn. After a loss of the device, a panic or Ctrl-C the next
    /// call finds all of it made anew, or programs that begin anew.
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

    /// The names of its classes, numbers where nothing says them.
    pub fn names(&self) -> Vec<String> {
        let numbered = || lapidary::train::numbered(self.network().classes());
        self.known.class_names().unwrap_or_else(numbered)
    }

    fn logits_of(&self, py: Python<'_>, images: &Images<'_>, most: u32) -> PyResult<Vec<f32>> {
        let (values, size) = (images.values()?, images.batch(most));
        self.with(py, |ready| {
            let network = &self.known.pretrained.network;
            wait(ready.classifier(network, size)?.logits(values))
        })
    }
}

impl Ready {
    fn new(pretrained: &Pretrained, wanted: &str) -> Result<Self> {
        let gpu = devices::open(wanted)?;
        let weights = wait(pretrained.upload(&gpu))?;
        Ok(Self { gpu, weights, classifiers: Vec::new(), gradients: Vec::new(), lanes: Vec::new() })
    }

    /// The weights on each device that parts of the work may go to.
    pub fn lanes(&mut self, pretrained: &Pretrained) -> Result<&[DeviceWeights]> {
        if self.lanes.is_empty() {
            let gpus = wait(self.gpu.side_by_side())?;
            let upload = |gpu| wait(pretrained.upload(gpu));
            self.lanes = gpus.iter().map(upload).collect::<Result<_>>()?;
        }
        Ok(&self.lanes)
    }

    /// One for this size, made unless there is one.
    pub fn classifier(&mut self, network: &Network, size: BatchSize) -> Result<&mut Classifier> {
        let make = || wait(Classifier::new(network, &self.weights, size));
        kept(&mut self.classifiers, size, make)
    }

    fn gradient(
        &mut self,
        network: &Network,
        size: BatchSize,
        of: Of,
    ) -> Result<&mut InputGradient> {
        let make = || wait(InputGradient::new(network, &self.weights, size, of));
        kept(&mut self.gradients, (size, of), make)
    }
}

/// What is kept under a key, the last used last; the first goes where there are too many.
fn kept<K: PartialEq, V>(
    all: &mut Vec<(K, V)>,
    key: K,
    make: impl FnOnce() -> Result<V>,
) -> Result<&mut V> {
    let found = all.iter().position(|(other, _)| *other == key);
    let entry = match found {
        Some(place) => all.remove(place),
        None => {
            // Before another is made, for its memory.
            if all.len() >= KEPT {
                all.remove(0);
            }
            (key, make()?)
        }
    };
    all.push(entry);
    let last = all.last_mut().map(|(_, value)| value);
    last.ok_or_else(|| Error::mismatch("model", "no program", "one"))
}

/// How many images a program takes at once.
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
    fn classes(&self) -> u32 {
        self.network().classes()
    }

    /// What the classes are called, by label; None where the file does not say.
    #[getter]
    fn class_names(&self) -> Option<Vec<String>> {
        self.known.class_names()
    }

    /// The number of channels C of its images.
    #[getter]
    fn channels(&self) -> u32 {
        self.network().channels()
    }

    /// Rows and columns of its images; None where the file does not say, and images of any side are taken.
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

    /// What was made of the file beside reading it: what was passed over, taken or renamed.
    #[getter]
    fn notes(&self) -> Vec<String> {
        self.known.pretrained.checkpoint.notes.clone()
    }

    /// Logits of images.
    ///
    /// Parameters
    /// ----------
    /// x : array
    ///     Images of shape (N, C, H, W), float32 in [0, 1] or uint8; with ``layout="nhwc"`` of shape (N, H, W, C).
    /// layout : {"nchw", "nhwc"}
    ///     Where the channels are; never guessed.
    /// batch_size : int
    ///     Images that go through at once, 1 to 65535.
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
    /// NonFinite
    ///     Where the network's numbers overflow.
    #[pyo3(signature = (x, *, layout="nchw", batch_size=64))]
    fn logits<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        layout: &str,
        batch_size: u32,
    ) -> PyResult<Bound<'py, PyAny>> {
        let images = self.images(x, layout)?;
        let logits = self.logits_of(py, &images, most(py, batch_size)?)?;
        Ok(array(py, logits, &[images.count, self.classes() as usize])?.into_any())
    }

    /// The likeliest class of each image.
    ///
    /// Parameters
    /// ----------
    /// x : array
    ///     Images of shape (N, C, H, W), float32 in [0, 1] or uint8; with ``layout="nhwc"`` of shape (N, H, W, C).
    /// layout : {"nchw", "nhwc"}
    ///     Where the channels are; never guessed.
    /// batch_size : int
    ///     Images that go through at once, 1 to 65535.
    ///
    /// Returns
    /// -------
    /// ndarray
    ///     int64 of shape (N,): the class of the largest logit, the first of equals.
    ///
    /// Raises
    /// ------
    /// Mismatch
    ///     For what are no such arrays, with what was given and what is wanted.
    #[pyo3(signature = (x, *, layout="nchw", batch_size=64))]
    fn predict<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        layout: &str,
        batch_size: u32,
    ) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let images = self.images(x, layout)?;
        let logits = self.logits_of(py, &images, most(py, batch_size)?)?;
        let named = argmax(&logits, self.classes() as usize);
        Ok(PyArray1::from_iter(py, named.into_iter().map(i64::from)))
    }

    /// The energy of images: low for those that the network takes for real.
    ///
    /// Parameters
    /// ----------
    /// x : array
    ///     Images of shape (N, C, H, W), float32 in [0, 1] or uint8; with ``layout="nhwc"`` of shape (N, H, W, C).
    /// y : array, optional
    ///     Labels of shape (N,). With them it is the joint energy E(x, y) = -f(x)[y], without the marginal one, E(x) = -log sum exp f(x).
    /// layout : {"nchw", "nhwc"}
    ///     Where the channels are; never guessed.
    /// batch_size : int
    ///     Images that go through at once, 1 to 65535.
    ///
    /// Returns
    /// -------
    /// ndarray
    ///     float32 of shape (N,).
    ///
    /// Raises
    /// ------
    /// Mismatch
    ///     For what are no such arrays, with what was given and what is wanted.
    #[pyo3(signature = (x, y=None, *, layout="nchw", batch_size=64))]
    fn energy<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        y: Option<&Bound<'py, PyAny>>,
        layout: &str,
        batch_size: u32,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let images = self.images(x, layout)?;
        let classes = self.classes();
        let labels = y.map(|y| labels(y, "labels", images.count, classes)).transpose()?;
        let logits = self.logits_of(py, &images, most(py, batch_size)?)?;
        let classes = classes as usize;
        let energies: Vec<f32> = match labels {
            None => logsumexp(&logits, classes).into_iter().map(|value| -value).collect(),
            Some(labels) => {
                let rows = logits.chunks(classes).zip(&labels);
                rows.filter_map(|(row, &label)| row.get(label as usize)).map(|f| -f).collect()
            }
        };
        Ok(PyArray1::from_vec(py, energies))
    }

    /// The logarithm of the sum over classes of exp(logit): minus the marginal energy.
    ///
    /// Parameters
    /// ----------
    /// x : array
    ///     Images of shape (N, C, H, W), float32 in [0, 1] or uint8; with ``layout="nhwc"`` of shape (N, H, W, C).
    /// layout : {"nchw", "nhwc"}
    ///     Where the channels are; never guessed.
    /// batch_size : int
    ///     Images that go through at once, 1 to 65535.
    ///
    /// Returns
    /// -------
    /// ndarray
    ///     float32 of shape (N,).
    ///
    /// Raises
    /// ------
    /// Mismatch
    ///     For what are no such arrays, with what was given and what is wanted.
    #[pyo3(signature = (x, *, layout="nchw", batch_size=64))]
    fn log_sum_exp<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        layout: &str,
        batch_size: u32,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let images = self.images(x, layout)?;
        let logits = self.logits_of(py, &images, most(py, batch_size)?)?;
        Ok(PyArray1::from_vec(py, logsumexp(&logits, self.classes() as usize)))
    }

    /// The gradient for each image of a number of its own.
    ///
    /// Parameters
    /// ----------
    /// x : array
    ///     Images of shape (N, C, H, W), float32 in [0, 1] or uint8; with ``layout="nhwc"`` of shape (N, H, W, C).
    /// y : array, optional
    ///     Labels of shape (N,); not needed for "log-sum-exp".
    /// of : {"cross-entropy", "logit", "log-sum-exp", "margin", "dlr"}
    ///     Which number: the cross-entropy of the label, its logit, minus the marginal energy, the largest other logit minus the label's, or the
    ///     difference of logits ratio. Each image's own, not the mean over them.
    /// layout : {"nchw", "nhwc"}
    ///     Where the channels are; never guessed.
    /// batch_size : int
    ///     Images that go through at once, 1 to 65535.
    ///
    /// Returns
    /// -------
    /// ndarray
    ///     float32 of the images' shape.
    ///
    /// Raises
    /// ------
    /// Mismatch
    ///     For what are no such arrays, with what was given and what is wanted.
    #[pyo3(signature = (x, y=None, *, of="cross-entropy", layout="nchw", batch_size=64))]
    fn input_gradient<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        y: Option<&Bound<'py, PyAny>>,
        of: &str,
        layout: &str,
        batch_size: u32,
    ) -> PyResult<Bound<'py, PyAny>> {
        let images = self.images(x, layout)?;
        let objective = match of {
            "cross-entropy" => Objective::CrossEntropy,
            "logit" => Objective::Joint,
            "log-sum-exp" => Objective::LogSumExp,
            "margin" => Objective::Margin,
            "dlr" => Objective::Dlr,
            other => {
                let wanted = "cross-entropy, logit, log-sum-exp, margin or dlr";
                return Err(mismatch(py, "of", format!("{other:?}"), wanted));
            }
        };
        let classes = self.classes();
        let labels = match y {
            Some(y) => labels(y, "labels", images.count, classes)?,
            None if objective == Objective::LogSumExp => vec![0; images.count],
            None => {
                return Err(mismatch(
                    py,
                    "labels",
                    "None",
                    format!("a class for each image, of which {of} is"),
                ));
            }
        };
        let size = images.batch(most(py, batch_size)?);
        let values = images.values()?;
        let gradient = self.with(py, |ready| {
            let made = ready.gradient(self.network(), size, Of::Objective(objective))?;
            wait(made.gradient(values, With::Labels(&labels)))
        })?;
        images.like(py, gradient)
    }

    /// Logits of finite images that may lie outside of [0, 1]: the forward pass of `lapidary.torch`.
    fn _forward<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        batch_size: u32,
    ) -> PyResult<Bound<'py, PyAny>> {
        let images = self.any_images(x)?;
        let logits = self.logits_of(py, &images, most(py, batch_size)?)?;
        Ok(array(py, logits, &[images.count, self.classes() as usize])?.into_any())
    }

    /// The gradient for such images of the logits times these factors, summed: its backward pass.
    fn _backward<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        factors: &Bound<'py, PyAny>,
        batch_size: u32,
    ) -> PyResult<Bound<'py, PyAny>> {
        let images = self.any_images(x)?;
        let (factors, _) = numbers(factors, "factors", 2)?;
        let (values, size) = (images.values()?, images.batch(most(py, batch_size)?));
        let gradient = self.with(py, |ready| {
            let made = ready.gradient(self.network(), size, Of::Logits)?;
            wait(made.gradient(values, With::Factors(&factors)))
        })?;
        images.like(py, gradient)
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

    /// Seconds that the library takes for the logits of these images, for the comparison with `logits`.
    fn _seconds_of_logits(
        &self,
        py: Python<'_>,
        x: &Bound<'_, PyAny>,
        batch_size: u32,
    ) -> PyResult<f64> {
        let images = self.images(x, "nchw")?;
        let values = images.values()?.to_vec();
        let size = images.batch(most(py, batch_size)?);
        self.with(py, |ready| {
            let classifier = ready.classifier(self.network(), size)?;
            let began = std::time::Instant::now();
            wait(classifier.logits(&values))?;
            Ok(began.elapsed().as_secs_f64())
        })
    }
}

impl Model {
    fn any_images<'py>(&self, x: &Bound<'py, PyAny>) -> PyResult<Images<'py>> {
        let channels = Some(self.network().channels());
        Images::new(x, "nchw", Wanted { channels, side: self.known.side(), unit: false })
    }

    /// Its checkpoint with all that is known of the network.
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

fn precision(half: bool) -> Precision {
    if half { Precision::F16 } else { Precision::F32 }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Model>()?;
    module.add_function(wrap_pyfunction!(load, module)?)?;
    module.add_function(wrap_pyfunction!(from_state_dict, module)?)
}
