//! Checkpoints: a state dict with metadata in one safetensors file.

mod atomic;
mod prefix;
pub mod safetensors;

pub use atomic::write_atomically;

use super::{Metadata, Parameter, StateDict};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Weights, and what they are weights of.
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    /// What the header says.
    pub metadata: Metadata,
    /// Without the prefixes that wrappers put before names.
    pub weights: StateDict,
    /// The file it came from, for messages; empty if it was made here.
    pub source: PathBuf,
}

impl Checkpoint {
    /// Reads a file. Err, with file, tensor and reason, for anything but a sound one.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|error| Error::bad_file(path, error))?;
        Self::from_bytes(path, &bytes)
    }

    /// Reads the bytes of a file; `source` is for messages.
    pub fn from_bytes(source: impl AsRef<Path>, bytes: &[u8]) -> Result<Self> {
        let source = source.as_ref();
        let (tensors, strings) = safetensors::read(source, bytes)?;
        let metadata =
            Metadata::from_strings(strings).map_err(|reason| Error::bad_file(source, reason))?;
        Ok(Self { metadata, weights: prefix::strip(tensors), source: source.into() })
    }

    /// The bytes of a file: the same for the same weights and metadata. The version written is this crate's.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let version = Some(env!("CARGO_PKG_VERSION").into());
        let metadata = Metadata { version, ..self.metadata.clone() };
        safetensors::write(&self.weights, &metadata.to_strings())
    }

    /// Writes a file, whole or not at all: see [`write_atomically`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        write_atomically(path, &self.to_bytes()?)
    }

    /// Err, with the file's name and a table of what is missing, unexpected or of another shape, unless
    /// the weights are exactly `parameters`.
    pub fn check(&self, parameters: &[Parameter]) -> Result<()> {
        match self.weights.differences(parameters) {
            None => Ok(()),
            Some(table) => {
                let reason = format_args!("the tensors are not the model's:\n  {table}");
                Err(Error::bad_file(&self.source, reason))
            }
        }
    }
}
