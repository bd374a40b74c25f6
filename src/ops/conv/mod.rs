//! 2-D convolutions and their derivatives: the plain kernels (`plain.rs`), that of depthwise ones (`depthwise.rs`), the fast ones
//! (`kernels.rs`), which of them computes what (`table.rs`, `problems.rs`), and how these pack weights (`pack.rs`) and are launched
//! (`packed.rs`, `weights.rs`, `winograd.rs`), and in which pieces (`shares.rs`, `runs.rs`).

pub(super) mod depthwise;
mod epilogue;
pub(super) mod kernels;
pub(super) mod pack;
mod packed;
pub(super) mod plain;
mod problem;
mod problems;
mod runs;
mod shares;
mod table;
mod tiling;
pub(super) mod weights;
pub(super) mod winograd;

pub use epilogue::{Epilogue, Residual};
pub use pack::{PackWeights, WeightLayout};
pub use packed::PackedConv2d;
pub(crate) use plain::Conv2dGradient;
pub use plain::{Conv2d, GroupedConv2d};
pub use problem::{ConvRole, Problem};
pub use problems::Problems;
pub use runs::most_work;
pub use table::{Adapters, Choice, Standing, WAYS, Way, candidates, choose, reads_texels};
pub use weights::PackedWeightGradient;
pub use winograd::Winograd;
