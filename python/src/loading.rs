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
use crate::calls::{blocking, warn};
use crate::devices;
use crate::errors::mismatch;
use crate::model::Model;

/// Families of networks that a state dict may be of.
const ARCHITECTURES: [&str; 4] = ["wrn", "preact-resnet", "resnet", "convnext"];

/// The facts about a network that the caller gives to complete the file's.
struct Told {
    architecture: Option<String>,
    mean: Option<Vec<f32>>,
    std: Option<Vec<f32>>,
    activation: Option<String>,
    side: Option<u32>,
}

impl Told {
    /// Adds it, so that nothing is missing that would have to be guessed. Returns a sentence for each fact of the file that another
    /// is taken for.
    fn complete(&self, checkpoint: &mut Checkpoint) -> Result<Vec<String>> {
        let Checkpoint { metadata, source, .. } = checkpoint;
        // Before a given architecture makes it look like a file of ours, which says both.
        let (normalised, activated) = (metadata.tells_normalisation(), metadata.tells_activation());
        if let Some(name) = &self.architecture {
            if !ARCHITECTURES.contains(&name.as_str()) {
                let wanted = ARCHITECTURES.join(", ");
                return Err(Error::mismatch("architecture", format!("{name:?}"), wanted));
            }
            metadata.architecture = Some(name.clone());
        }
        if let Some(side) = self.side {
            metadata.side = Some(side);
        }
        let source = source.display().to_string();
        let network = Network::meant_by(checkpoint)?;
        let mut replaced = Vec::new();
        if let Some(given) = self.normalisation(network.channels() as usize)? {
            let before = network.normalisation();
            let plain = given.mean.iter().all(|&mean| mean == 0.0)
                && given.std.iter().all(|&std| std == 1.0);
            if normalised && before != Some(&given) && !(plain && before.is_none()) {
                let own = before.map_or("no normalisation".into(), |own| {
                    format!("mean={:?} and std={:?}", own.mean, own.std)
                });
                replaced.push(format!("{source} says {own}; mean= and std= are taken instead"));
            }
            checkpoint.metadata.normalisation = Some(given);
        } else if !normalised {
            let reason = "it does not say how images are normalised: pass mean= and std=, one number a channel for images in \
                          [0, 1], as mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616); 0 and 1 for none";
            return Err(Error::bad_file(&checkpoint.source, reason));
        }
        let own = network.activation();
        match &self.activation {
            Some(name) if network.asks_activation() => {
                let unknown = || Error::mismatch("activation", format!("{name:?}"), "relu or silu");
                let given = Activation::parse(name).ok_or_else(unknown)?;
                if activated && given.name() != own {
                    replaced
                        .push(format!("{source} says {own}; activation={name:?} is taken instead"));
                }
                checkpoint.metadata.activation = Some(given);
            }
            Some(name)
                if name != own && Activation::parse(name).map(Activation::name) != Some(own) =>
            {
                let wanted = format!("no activation=, as a {network} has {own} of its own");
                return Err(Error::mismatch("activation", format!("{name:?}"), wanted));
            }
            None if network.asks_activation() && !activated => {
                let reason = "it does not say what follows normalisation layers: pass activation=\"relu\" or activation=\"silu\"";
                return Err(Error::bad_file(&checkpoint.source, reason));
            }
            _ => {}
        }
        checkpoint.notes.extend(replaced.iter().cloned());
        Ok(replaced)
    }

    /// The normalisation that is given, for images of so many channels in \[0, 1\].
    fn normalisation(&self, channels: usize) -> Result<Option<Normalisation>> {
        let wrong =
            |given: String, wanted: String| Err(Error::mismatch("normalisation", given, wanted));
        let given = match (&self.mean, &self.std) {
            (Some(mean), Some(std)) => Normalisation { mean: mean.clone(), std: std.clone() },
            (None, None) => return Ok(None),
            _ => return wrong("one of mean= and std=".into(), "both, or neither".into()),
        };
        if let Some(Normalisation { mean, std }) = given.of_bytes() {
            let wanted = format!(
                "mean={mean:?} and std={std:?}, for images in [0, 1] instead of pixels of 0 to 255"
            );
            return wrong(format!("{given:?}"), wanted);
        }
        if given.mean.len() != channels || given.std.len() != channels {
            let numbers = format!("{} means and {} deviations", given.mean.len(), given.std.len());
            return wrong(numbers, format!("{channels} of each, one for each channel"));
        }
        Ok(Some(given))
    }
}

/// Read a network from a file.
///
/// Parameters
/// ----------
/// path : str or path
///     A safetensors file, a file of ``torch.save`` (nothing in it is executed), an ONNX file, a run's folder, or ``"zoo:NAME"``, a network
///     that comes with the package, as ``"zoo:fashion-show"``; ``"builtin:fashion-demo"`` is ``"zoo:fashion-demo"``. Which network it is
///     shows by the tensors.
/// mean, std : sequence of float, optional
///     By which the network's images are normalised, a number for each channel, for images in [0, 1]. Asked for where the file does not say
///     it; 0 and 1 for none. Where the file says others, these are taken, with a warning.
/// activation : {"relu", "silu"}, optional
///     What follows normalisation layers: asked for where the network could have either and the file does not say which, taken with a warning
///     where it says the other, and refused where the network always has another.
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
/// Mismatch
///     For an activation or a normalisation that the network cannot have.
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
    let told = Told { architecture: None, mean, std, activation, side };
    let (model, replaced) = blocking(py, || {
        let mut replaced = Vec::new();
        let known = Known::read(Some(&path), |checkpoint| {
            replaced = told.complete(checkpoint)?;
            Ok(())
        })?;
        Ok((Model::new(known, wanted)?, replaced))
    })?;
    replaced.iter().try_for_each(|text| warn(py, text))?;
    Ok(model)
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
///     For what is no dict of arrays, and as for `load`.
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
    let told = Told { architecture, mean, std, activation, side };
    let (model, replaced) = blocking(py, || {
        let mut checkpoint =
            Checkpoint::from_state_dict("state dict", weights, Metadata::default())?;
        checkpoint.metadata.class_names = class_names;
        let replaced = told.complete(&mut checkpoint)?;
        let known = Known::of(Pretrained::from_checkpoint(checkpoint)?, None)?;
        Ok((Model::new(known, wanted)?, replaced))
    })?;
    replaced.iter().try_for_each(|text| warn(py, text))?;
    Ok(model)
}

/// PyTorch's parameters ask to be detached before they become arrays.
fn detached<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if value.hasattr("detach")? { value.call_method0("detach") } else { Ok(value.clone()) }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(load, module)?)?;
    module.add_function(wrap_pyfunction!(from_state_dict, module)?)
}
