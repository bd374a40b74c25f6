//! Keeps one test, with the right result, for each kind of input by which lapidary once gave a wrong number without a warning, or
//! ended with an error although it could have continued.
//!
//! Some kinds are tested elsewhere: the web page's (large pictures, networks loaded at once, downloads, class names, overflow)
//! in `web/test/package.test.js`; the memory that small files may take in `tests/data/hostile.rs` and
//! `tests/formats/hostile.rs`; panics of threads in `src/threads.rs`; buffers kept for read-backs in `src/gpu/staging.rs`;
//! rates above a measured peak in `tests/program/kernels.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail so"
)]

mod adapters;
mod callers;
mod checkpoints;
mod classes;
#[path = "../common/mod.rs"]
mod common;
mod distances;
mod files;
mod geometry;
mod grids;
mod handed;
mod inputs;
mod made;
mod own_ops;
mod pipes;
mod plans;
mod reading;
mod robust;
mod runs;
mod samples;
mod settings;
mod submissions;
mod words;

use std::path::Path;
use std::process::{Command, Output};

/// Runs the program in a folder.
fn lapidary(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lapidary"))
        .args(arguments)
        .current_dir(folder)
        .env("LAPIDARY_CACHE", "off")
        .output()
        .unwrap()
}

/// Runs the program, which must succeed, and returns what it printed.
fn working(folder: &Path, arguments: &[&str]) -> String {
    let output = lapidary(folder, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the program, which must succeed, and returns the JSON that it printed.
fn answer(folder: &Path, arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&working(folder, arguments)).unwrap()
}
