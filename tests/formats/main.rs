//! Tests checkpoint files of other tools: which must load, which must be refused, and how much memory either may allocate.
//! No GPU is used. An allocator that counts bytes measures the memory, so the tests of this binary run one at a time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail so"
)]

mod build;
mod foreign;
mod forms;
mod golden;
mod hostile;
#[cfg(feature = "onnx")]
mod import;
mod load;
mod mutations;
mod onnx;
mod prefixes;
mod widths;

use lapidary::Result;
use lapidary::model::Checkpoint;
use peak_alloc::PeakAlloc;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The memory of names, messages and other things that do not grow with a file.
const SMALL: usize = 16 << 10;

/// Held by each test, so that what is allocated meanwhile is its own.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads a file's bytes. Panics if anything beyond twice the file was allocated.
fn read(bytes: &[u8]) -> Result<Checkpoint> {
    read_within(bytes, 2 * bytes.len() + SMALL)
}

/// The same with another limit.
fn read_within(bytes: &[u8], limit: usize) -> Result<Checkpoint> {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let read = Checkpoint::from_bytes("given.pth", bytes);
    let peak = ALLOCATOR.peak_usage().saturating_sub(before);
    assert!(peak <= limit, "{peak} bytes allocated for a file of {}: {read:?}", bytes.len());
    read
}

/// The reason, once it is known that the file is named.
fn refused(read: Result<Checkpoint>) -> String {
    let error =
        read.map(|read| read.weights.len()).expect_err("a file that must be refused").to_string();
    let reason = error.strip_prefix("given.pth: ").unwrap_or_else(|| panic!("no name: {error}"));
    assert!(reason.len() > 5, "no reason: {error}");
    reason.to_owned()
}
