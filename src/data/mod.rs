//! Images from file to batch: readers, the embedded set, augmentation, out-of-distribution fields, loader threads.
//! Knows no GPU. All that is random is a pure function of a seed and a position, so that a resumed run reads on exactly.

pub mod augment;
mod checksum;
pub mod dataset;
pub mod fashion;
mod folder;
pub mod fractal;
pub mod idx;
pub mod loader;
mod order;
pub mod prepared;
pub mod seed;
pub mod source;
pub mod stream;

pub use augment::CropFlip;
pub(crate) use checksum::Checksum;
pub use dataset::{Dataset, Part};
pub use fractal::{Fractal, fractal};
pub use idx::{Idx, idx_from_bytes, read_idx};
pub use loader::Loader;
pub use prepared::Prepared;
pub use seed::Random;
pub use source::{Ood, SAMPLE_STARTS, Source};
pub use stream::{Batch, BatchSource};
