//! Reads networks from files and from state dicts of PyTorch modules. What these do not state (how images are normalised, the
//! activation, the images' side) is taken from the caller's arguments.

use std::path::PathBuf;

use lapidary::model::{
    Activation, Checkpoint, Metadata, Network, Normalisation, Pretrained, StateDict, Tensor,
};
use lapidary::train::Known;
use lapidary::{Error, Result};
use pyo3::prelude::*;

use crate::arrays::numbers;
use crate::calls::blocking;
use crate::devices;
use crate::errors::mismatch;
use crate::model::Model;

/// Families of networks that a state dict may be of.
const ARCHITECTURES: [&str; 4] = ["wrn", "preact-resnet", "resnet", "convnext"];

/// The facts about a network that the caller gives to complete the file's.
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
                        "mean={mean:?} and std={std:?}, for images in [0, 1] instead of pixels of 0 to 255"
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
            _ => {
                return Err(Error::mismatch(
                    "normalisation",
                    "one of mean= and std=",
                    "both, or neither",
                ));
            }
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
            let numbers = format!("{} means and {} deviations", given.mean.len(), given.std.len());
            let wanted = format!("{channels} of each, one for each channel");
            return Err(Error::mismatch("normalisation", numbers, wanted));
        }
        Ok(())
    }
}

/// Read a network from a file.
///
/// Parameters
/// ----------
/// path : str or path
///     A safetensors file, a file of ``torch.save`` (nothing in it is executed), an ONNX file, a run's folder, or ``"builtin:fashion-demo"``,
///     the network that comes with the package. Which network it is shows by the tensors.
/// mean, std : sequence of float, optional
///     By which the network's images are normalised, a number for each channel, for images in [0, 1]. Asked for where the file does not say
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
        let array = crate::arrays::as_array(&value, "state dict")?;
        let dimensions = numpy::PyUntypedArrayMethods::ndim(&array);
        let (data, shape) = numbers(&value, "state dict", dimensions)?;
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

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(load, module)?)?;
    module.add_function(wrap_pyfunction!(from_state_dict, module)?)
}
