//! Reads a network and its weights from one file, ready for use, and checks that the file has all that is needed to run it, for
//! the program, the web page and apps that embed the library.

use super::{Checkpoint, DeviceWeights, Network, Normalisation};
use crate::gpu::Gpu;
use crate::{Error, Result};
use std::path::Path;

/// A trained network read from a file, ready for use: its architecture was recognised, all its tensors are there and finite, and
/// the file says how images are normalised.
#[derive(Clone, Debug)]
pub struct Pretrained {
    /// The network that the file describes.
    pub network: Network,
    /// The network's weights, and what else the file says of it.
    pub checkpoint: Checkpoint,
}

impl Pretrained {
    /// Reads a trained network from a file: see [`Checkpoint::read`] for the formats.
    ///
    /// # Errors
    /// [`Error::BadFile`] for a file that is not sound, for tensors that are not exactly those of a known network, where a
    /// number is not finite, where the file does not say how images are normalised or which activation the network has, where
    /// its normalisation is for pixels of 0 to 255, and where it names more or fewer classes than the network has.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_checkpoint(Checkpoint::read(path)?)
    }

    /// Reads a trained network from a file's bytes; `source` is the file's name in messages.
    pub fn from_bytes(source: impl AsRef<Path>, bytes: &[u8]) -> Result<Self> {
        Self::from_checkpoint(Checkpoint::from_bytes(source, bytes)?)
    }

    /// Recognises and checks the network of a checkpoint that has been read.
    pub fn from_checkpoint(checkpoint: Checkpoint) -> Result<Self> {
        let network = Network::from_checkpoint(&checkpoint)?;
        if !checkpoint.metadata.tells_normalisation() {
            let reason = "it does not say how images are normalised: `lapidary convert` writes that into a copy";
            return Err(Error::bad_file(&checkpoint.source, reason));
        }
        if network.asks_activation() && !checkpoint.metadata.tells_activation() {
            let reason = "it does not say which activation follows normalisation layers, ReLU or SiLU: `lapidary convert \
                          --activation` writes that into a copy";
            return Err(Error::bad_file(&checkpoint.source, reason));
        }
        if checkpoint.metadata.normalisation.as_ref().and_then(Normalisation::of_bytes).is_some() {
            let reason = "its mean and std are for pixels of 0 to 255, but images here are in [0, 1]: `lapidary \
                          convert` with --mean and --std, each divided by 255, writes a copy that works";
            return Err(Error::bad_file(&checkpoint.source, reason));
        }
        let (names, classes) = (&checkpoint.metadata.class_names, network.classes());
        if let Some(names) = names.as_ref().filter(|names| names.len() != classes as usize) {
            let reason = format_args!(
                "it has names for {} classes, but its network has {classes}: `lapidary convert --class-names` writes a copy that works",
                names.len()
            );
            return Err(Error::bad_file(&checkpoint.source, reason));
        }
        checkpoint.check_finite()?;
        for (name, tensor) in checkpoint.weights.iter() {
            let negative = |value: &&f32| **value < 0.0;
            let found = name.ends_with(".running_var").then(|| tensor.data.iter().find(negative));
            if let Some(Some(value)) = found {
                let reason =
                    format_args!("{name} holds {value}, but a variance cannot be negative");
                return Err(Error::bad_file(&checkpoint.source, reason));
            }
        }
        Ok(Self { network, checkpoint })
    }

    /// Returns the height and width of the network's images: `given`, or else the size in the file. Err if there is neither.
    pub fn side(&self, given: Option<u32>) -> Result<u32> {
        let unknown = "it does not say the size of the network's images: give it with --side (in JavaScript `side`)";
        let side = given.or(self.checkpoint.metadata.side);
        side.ok_or_else(|| Error::bad_file(&self.checkpoint.source, unknown))
    }

    /// Returns the names of the classes, by label; None where the file has none.
    pub fn class_names(&self) -> Option<&[String]> {
        self.checkpoint.metadata.class_names.as_deref()
    }

    /// Copies the weights to a device.
    pub async fn upload(&self, gpu: &Gpu) -> Result<DeviceWeights> {
        DeviceWeights::upload(gpu, &self.network.parameters(), &self.checkpoint.weights).await
    }
}
