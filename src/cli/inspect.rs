//! `inspect`: what is in a checkpoint, without a GPU.

use std::path::Path;

use anyhow::bail;

use super::args;
use super::session::Session;
use crate::{Error, Result};

/// Prints architecture, metadata and tensors.
pub fn run(_session: &Session, args: &args::Inspect) -> anyhow::Result<()> {
    exists(&args.file)?;
    bail!("inspecting is not there yet")
}

/// Whether a file or folder can be opened at all.
pub fn exists(path: &Path) -> Result<()> {
    std::fs::metadata(path).map(drop).map_err(|error| Error::bad_file(path, error))
}
