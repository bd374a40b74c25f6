//! Tests the built program: exit codes, the one sentence on stderr, and what commands print and write.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail so")]

mod codes;
mod kernels;
mod networks;
mod runs;

use std::path::Path;
use std::process::{Command, Output};

fn lapidary(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lapidary"))
        .args(arguments)
        .current_dir(folder)
        .env("LAPIDARY_CACHE", "off")
        .output()
        .unwrap()
}

/// Runs in an empty folder, expects a code, gives what was said on stderr. Nothing may be left in the folder.
fn failing(arguments: &[&str], code: i32) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = lapidary(folder.path(), arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    let last = said.lines().find(|line| line.starts_with("lapidary: "));
    assert!(last.is_some(), "{arguments:?}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "{arguments:?}");
    last.unwrap().to_owned()
}

/// Runs in a folder, expects success, gives stdout.
fn working(folder: &Path, arguments: &[&str]) -> String {
    let output = lapidary(folder, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs in a folder, expects a code and one sentence, gives it.
fn refused(folder: &Path, arguments: &[&str], code: i32) -> String {
    let output = lapidary(folder, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    // A line says that no GPU is used, where none was asked for and a CPU is taken.
    let note = |line: &&str| line.starts_with("lapidary: no GPU is used");
    let said_why = said.lines().filter(|line| line.starts_with("lapidary: ") && !note(line));
    let last: Vec<_> = said_why.collect();
    assert_eq!(last.len(), 1, "{said}");
    said
}

const PNG: &[u8] = b"\x89PNG";

/// A tensor's name and its numbers.
fn safetensors(name: &str, shape: &[usize], numbers: &[f32]) -> Vec<u8> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.into(), &bytes);
    safetensors::serialize([(name, view.unwrap())], None).unwrap()
}

/// A file of the committed golden part.
fn golden(name: &str) -> String {
    format!("{}/tests/golden/cases/formats/{name}", env!("CARGO_MANIFEST_DIR"))
}
