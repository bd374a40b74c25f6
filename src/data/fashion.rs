//! Reads the part of Fashion-MNIST (Xiao, Rasul, Vollgraf, arXiv 1708.07747; MIT licence) that is built into the library;
//! `data/fashion-mnist-cut/README.md` says which images it has.

use std::path::Path;

use super::dataset::{Dataset, Part};
use super::folder::from_idx;
use super::idx::idx_from_bytes;
use crate::Result;

/// The names of Fashion-MNIST's classes 0 to 9.
pub const CLASS_NAMES: [&str; 10] = [
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
];

/// Returns the built-in images of Fashion-MNIST: 300 of each class for training or 100 of each for tests, grey, 28×28, unchanged
/// and in the official order.
///
/// # Errors
/// None while the embedded files are whole.
pub fn load(part: Part) -> Result<Dataset> {
    let (images, labels): (&[u8], &[u8]) = match part {
        Part::Train => (
            include_bytes!("../../data/fashion-mnist-cut/train-images-idx3-ubyte.gz"),
            include_bytes!("../../data/fashion-mnist-cut/train-labels-idx1-ubyte.gz"),
        ),
        Part::Test => (
            include_bytes!("../../data/fashion-mnist-cut/t10k-images-idx3-ubyte.gz"),
            include_bytes!("../../data/fashion-mnist-cut/t10k-labels-idx1-ubyte.gz"),
        ),
    };
    let name = Path::new("builtin:fashion");
    let mut all = from_idx(
        (name, idx_from_bytes(name, images)?),
        (name, idx_from_bytes(name, labels)?),
        CLASS_NAMES.len() as u32,
    )?;
    all.about.class_names = CLASS_NAMES.map(str::to_owned).into();
    Ok(all)
}
