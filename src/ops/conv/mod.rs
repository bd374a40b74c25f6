//! 2-D convolutions and their derivatives: the plain kernels (`plain.rs`), the depthwise ones (`depthwise.rs`), the fast ones
//! (`kernels.rs`), which of them computes what (`table.rs`, `problems.rs`), and how the fast ones pack weights (`pack.rs`) and
//! are launched (`packed.rs`, `weights.rs`, `winograd.rs`), and how a large launch is divided (`shares.rs`, `runs.rs`).

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

pub(crate) use plain::Conv2dGradient;
pub use plain::{Conv2d, GroupedConv2d};
// The fast kernels and the table that chooses among them: public for tests and tools, but no part of the API.
#[doc(hidden)]
pub use {
    epilogue::{Epilogue, Residual},
    pack::{PackWeights, WeightLayout},
    packed::PackedConv2d,
    problem::{ConvRole, Problem},
    problems::Problems,
    runs::most_work,
    table::{Adapters, Choice, Standing, WAYS, Way, candidates, choose, reads_texels},
    weights::PackedWeightGradient,
    winograd::Winograd,
};
