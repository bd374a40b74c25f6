//! Tests models, checkpoints and attacks on a real adapter; without one these tests fail, they never skip. They are one
//! binary, so that it is linked once. Missing files of the golden folder, which has PyTorch's reference values,
//! are named and left out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail so"
)]

mod attack;
mod case;
mod checkpoint;
#[path = "../common/mod.rs"]
mod common;
mod lookalikes;
mod network;
#[cfg(feature = "onnx")]
mod onnx;

use common::gpu;
use lapidary::gpu::{Gpu, Lowering, Preferences};

/// The same device as [`gpu`], for programs that are lowered or run as they were built.
pub fn gpu_for(lowering: Lowering) -> Gpu {
    gpu().clone().preferring(Preferences { lowering, ..gpu().preferences().as_ref().clone() })
}
