//! Tests computation graphs, their rewrites, memory plans and execution together on a real adapter; without one these tests fail,
//! they never skip. All are one binary, so that it is linked once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail so"
)]

mod bounds;
#[path = "../common/mod.rs"]
mod common;
mod errors;
mod memory;
mod net;
mod pipelines;
mod plans;
mod profiles;
mod replays;
mod tuning;

use common::{gpu, own_gpu};
