//! Reads a network and its weights from one file, ready for use, and checks that the file has all that is needed to run it, for
//! the program, the page and apps that embed the library.

use super::{Checkpoint, DeviceWeights, Network, Normalisation};
use crate::gpu::Gpu;
use crate::{Error, Result};
use std::path::Path;

/// A recognised network with exactly its tensors, all numbers finite, from a file that says how images are normalised.
#[derive(Clone, Debug)]
pub struct Pretrained {
    /// The network that the file describes.
    pub network: Network,
    /// The weights, with all other facts in the file.
    pub checkpoint: Checkpoint,
}

impl Pretrained {
    /// Reads a file: see [`Checkpoint::read`].
    ///
    /// # Errors
    /// [`Error::BadFile`] for a file that is not sound, for tensors that are not exactly those of a known network, where a
    /// number is not finite, where the file does not say how images are normalised or which activation the network has, where
    /// its normalisation is for pixels of 0 to 255, and where it names more or fewer classes than the network has.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_checkpoint(Checkpoint::read(path)?)
    }

    /// Reads a network from a file's bytes; `source` is for messages.
    pub fn from_bytes(source: impl AsRef<Path>, bytes: &[u8]) -> Result<Self> {
        Self::from_checkpoint(Checkpoint::from_bytes(source, bytes)?)
    }

    /// Makes a network of a checkpoint that has been read.
    pub fn from_checkpoint(checkpoint: Checkpoint) -> Result<Self> {
        let network = Network::from_checkpoint(&checkpoint)?;
        if !checkpoint.metadata.tells_normalisation() {
            let reason = "it does not say how images are normalised: `lapidary convert` writes that into a copy";
            return Err(Error::bad_file(&checkpoint.source, reason));
        }
        if network.asks_activation() && !checkpoint.metadata.tells_activation() {
            let reason = "it does not say what follows normalisation layers, ReLU or SiLU: `lapidary convert \
                          --activation` writes that into a copy";
            return Err(Error::bad_file(&checkpoint.source, reason));
        }
        if checkpoint.metadata.normalisation.as_ref().and_then(Normalisation::of_bytes).is_some() {
            let reason = "its mean and std are for pixels of 0 to 255 by their size, but images here are in [0, 1]: `lapidary \
                          convert` with --mean and --std, each divided by 255, writes a copy that works";
            return Err(Error::bad_file(&checkpoint.source, reason));
        }
        let (names, classes) = (&checkpoint.metadata.class_names, network.classes());
        if let Some(names) = names.as_ref().filter(|names| names.len() != classes as usize) {
            let reason = format_args!(
                "it names {} classes, and its network has {classes}: `lapidary convert --class-names` writes a copy that works",
                names.len()
            );
            return Err(Error::bad_file(&checkpoint.source, reason));
        }
        checkpoint.check_finite()?;
        for (name, tensor) in checkpoint.weights.iter() {
            let negative = |value: &&f32| **value < 0.0;
            let found = name.ends_with(".running_var").then(|| tensor.data.iter().find(negative));
            if let Some(Some(value)) = found {
                let reason = format_args!("{name} has {value}: a variance is 0 or more");
                return Err(Error::bad_file(&checkpoint.source, reason));
            }
        }
        Ok(Self { network, checkpoint })
    }

    /// Returns the rows and columns of the network's images: `given`, or else those in the file. Err if neither says it.
    pub fn side(&self, given: Option<u32>) -> Result<u32> {
        let unknown = "no side in the metadata: --side, or `side` of the page's load, is needed";
        let side = given.or(self.checkpoint.metadata.side);
        side.ok_or_else(|| Error::bad_file(&self.checkpoint.source, unknown))
    }

    /// Returns the names of the classes, by label; None where the file has none.
    pub fn class_names(&self) -> Option<&[String]> {
        self.checkpoint.metadata.class_names.as_deref()
    }

    /// The weights on a device.
    pub async fn upload(&self, gpu: &Gpu) -> Result<DeviceWeights> {
        DeviceWeights::upload(gpu, &self.network.parameters(), &self.checkpoint.weights).await
    }
}
