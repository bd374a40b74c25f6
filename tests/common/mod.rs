//! Opens the device that tests compute on: the adapter that `LAPIDARY_ADAPTER` names, or the one that the library chooses.

#![allow(dead_code, reason = "some test targets need only one of the functions")]
#![allow(clippy::expect_used, reason = "a test may fail so")]

use std::sync::OnceLock;

use lapidary::gpu::{Gpu, Options};

/// Returns the device that all tests of a target share. A test without any adapter fails: it never passes by skipping itself.
pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(own_gpu)
}

/// Opens a device for one test alone, whose counters and buffers no other test changes.
pub fn own_gpu() -> Gpu {
    pollster::block_on(Gpu::new(&Options::from_env())).expect("these tests need a GPU adapter")
}
