//! Tests graph, rewrites, plan and executor together on a real adapter; without one these tests fail, they never skip. They
//! are one binary, so that it is linked once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail so"
)]

mod bounds;
mod errors;
mod memory;
mod net;
mod pipelines;
mod plans;
mod profiles;
mod replays;
mod tuning;

use lapidary::gpu::{Gpu, Options};
use std::sync::OnceLock;

/// The device of all tests but those that count.
pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(own_gpu)
}

/// A device that no other test counts on.
pub fn own_gpu() -> Gpu {
    pollster::block_on(Gpu::new(&Options::from_env())).expect("these tests need a GPU adapter")
}
