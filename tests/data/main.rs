//! Tests the data layer through its public functions: every format, images fitted to a network's size with exact
//! values, and batches that depend on the number of the training step alone.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests may; clippy.toml reaches only into functions marked as tests, not their helpers"
)]

mod batches;
mod formats;
mod forms;
mod hostile;
mod idx;
mod pickled;
mod prepared;
mod random;
mod sets;
mod streams;
#[cfg(feature = "parquet")]
mod tables;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

pub(crate) fn idx(dims: &[u32], elements: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    bytes.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
    bytes.extend(elements);
    bytes
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Asserts that a message names all these.
pub(crate) fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}
