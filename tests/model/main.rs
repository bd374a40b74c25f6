//! Tests models, checkpoints and attacks on a real adapter; without one these tests fail, they never skip. They are one
//! binary, so that it is linked once. Missing files of the golden folder are named and left out.

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
mod lookalikes;
mod network;
#[cfg(feature = "onnx")]
mod onnx;

use lapidary::gpu::{Gpu, Lowering, Options, Preferences};
use std::sync::OnceLock;

/// The same device as [`gpu`], for programs that are lowered or run as they were built.
pub fn gpu_for(lowering: Lowering) -> Gpu {
    gpu().clone().preferring(Preferences { lowering, ..gpu().preferences().as_ref().clone() })
}

/// The device of all tests but those that count.
pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| {
        pollster::block_on(Gpu::new(&Options::from_env())).expect("these tests need a GPU adapter")
    })
}
