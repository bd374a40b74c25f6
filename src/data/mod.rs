//! Images from file to batch: readers, the embedded set, augmentation, out-of-distribution fields, loader threads.
//! Knows no GPU. All that is random is a pure function of a seed and a position, so that a resumed run reads on exactly.

mod augment;
mod checksum;
mod dataset;
pub mod fashion;
mod folder;
mod fractal;
mod idx;
mod loader;
mod order;
#[cfg(not(target_arch = "wasm32"))]
mod pictures;
mod prepared;
mod seed;
mod source;
mod stream;

pub use augment::CropFlip;
#[cfg(feature = "cli")]
pub(crate) use checksum::Checksum;
pub use dataset::{Dataset, Part};
pub use fractal::{Fractal, fractal};
pub use idx::{Idx, idx_from_bytes, read_idx};
pub use loader::Loader;
#[cfg(not(target_arch = "wasm32"))]
pub use pictures::photograph;
pub use prepared::Prepared;
pub use seed::Random;
pub use source::{Ood, SAMPLE_STARTS, Source};
pub use stream::{Batch, BatchSource};
