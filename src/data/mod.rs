//! Makes batches of images from files: readers, the built-in set, augmentation, out-of-distribution images, loader threads. Uses
//! no GPU. All that is random is a pure function of a seed and a position, so that a resumed run gets the same batches.

mod about;
#[cfg(not(target_arch = "wasm32"))]
mod arrays;
mod augment;
mod auto_augment;
mod checksum;
#[cfg(not(target_arch = "wasm32"))]
mod cifar;
#[cfg(not(target_arch = "wasm32"))]
mod class_folders;
mod class_map;
mod dataset;
#[cfg(not(target_arch = "wasm32"))]
mod decode;
#[cfg(not(target_arch = "wasm32"))]
mod evaluation;
pub mod fashion;
mod fit;
mod folder;
mod fractal;
mod idx;
#[cfg(not(target_arch = "wasm32"))]
mod jpeg_pack;
#[cfg(not(target_arch = "wasm32"))]
mod labels;
mod layout;
mod loader;
mod natural;
#[cfg(not(target_arch = "wasm32"))]
mod npy;
#[cfg(not(target_arch = "wasm32"))]
mod npy_header;
mod ood;
mod order;
#[cfg(all(feature = "parquet", not(target_arch = "wasm32")))]
mod pages;
#[cfg(not(target_arch = "wasm32"))]
mod parts;
#[cfg(not(target_arch = "wasm32"))]
mod pickled;
mod picture;
#[cfg(not(target_arch = "wasm32"))]
mod pictures;
#[cfg(not(target_arch = "wasm32"))]
mod pixels;
#[cfg(not(target_arch = "wasm32"))]
mod places;
mod prepared;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod references;
#[cfg(not(target_arch = "wasm32"))]
mod resample;
#[cfg(not(target_arch = "wasm32"))]
mod resized_crop;
mod seed;
#[cfg(not(target_arch = "wasm32"))]
mod shards;
mod source;
mod stream;
#[cfg(all(feature = "parquet", not(target_arch = "wasm32")))]
mod tables;
#[cfg(not(target_arch = "wasm32"))]
mod tar_members;
#[cfg(not(target_arch = "wasm32"))]
mod tensors;
#[cfg(not(target_arch = "wasm32"))]
mod tiles;
#[cfg(not(target_arch = "wasm32"))]
mod tiny_images;
#[cfg(not(target_arch = "wasm32"))]
mod tree;
#[cfg(not(target_arch = "wasm32"))]
mod zipped;

pub use augment::{Augment, CropFlip};
#[cfg(feature = "cli")]
pub(crate) use checksum::Checksum;
#[cfg(all(feature = "cli", not(target_arch = "wasm32")))]
pub(crate) use class_folders::{classes_in, picture_files};
#[cfg(feature = "cli")]
pub(crate) use class_map::typed;
pub use class_map::{ClassMap, Classes, Relabelling};
pub use dataset::{Dataset, Part};
#[cfg(all(feature = "cli", not(target_arch = "wasm32")))]
pub(crate) use decode::is_picture;
#[cfg(not(target_arch = "wasm32"))]
pub use decode::photograph;
#[cfg(all(feature = "cli", not(target_arch = "wasm32")))]
pub(crate) use evaluation::Choose;
#[cfg(not(target_arch = "wasm32"))]
pub use evaluation::{Evaluation, Viewed};
pub use fit::{Fit, fit_rgba};
pub use fractal::{Fractal, fractal};
pub use idx::{Idx, idx_from_bytes, read_idx};
pub use layout::AxisOrder;
pub use loader::Loader;
#[cfg(not(target_arch = "wasm32"))]
#[cfg_attr(
    not(feature = "generation"),
    expect(unused_imports, reason = "for those who write archives")
)]
pub(crate) use npy::MAGIC;
#[cfg(not(target_arch = "wasm32"))]
pub use npy::{Array, Numbers, npz_names, read_npz};
pub use ood::{Measured, Ood, OodImages, SAMPLE_STARTS};
#[cfg(not(target_arch = "wasm32"))]
pub use parts::{Kept, Parts, Reading, Split};
#[cfg(not(target_arch = "wasm32"))]
pub use pictures::Pictures;
pub use prepared::Prepared;
#[cfg(not(target_arch = "wasm32"))]
pub use resample::{Interpolation, resample};
pub use seed::Random;
pub use source::{LabelledImages, Source};
pub use stream::{Batch, BatchSource};
