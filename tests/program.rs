//! The built program: exit codes and the one sentence on stderr.

#![allow(clippy::unwrap_used, reason = "a test may fail so")]

use std::path::Path;
use std::process::{Command, Output};

fn lapidary(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lapidary"))
        .args(arguments)
        .current_dir(folder)
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

#[test]
fn usage_is_2() {
    for arguments in [
        &["polish"][..],
        &["train"],
        &["train", "--resume"],
        &["sample", "--count", "0"],
        &["sample", "--start", "builtin:nosuch"],
        &["eval", "--eps", "8/0"],
        &["eval", "--eps=-1"],
        &["eval", "--norm", "l7"],
        &["inspect"],
    ] {
        failing(arguments, 2);
    }
}

#[test]
fn configurations_are_2() {
    let said = failing(&["train", "nosuch"], 2);
    assert!(said.contains("\"nosuch\"") && said.contains("fashion-tiny"), "{said}");
    let said = failing(&["train", "fashion-tiny", "--set", "stage1.iteration=3"], 2);
    assert!(said.contains("stage1.iteration") && said.contains("iterations"), "{said}");
    let said = failing(&["demo", "--set", "stage1.batch=0"], 2);
    assert!(said.contains("stage1.batch = 0"), "{said}");
    failing(&["demo", "--seed", "18446744073709551615"], 2);
}

#[test]
fn input_files_are_3() {
    for arguments in [
        &["eval", "no/such/model.safetensors"][..],
        &["sample", "nosuch"],
        &["inspect", "nosuch"],
        &["train", "nosuch.toml"],
        &["train", "--resume", "--out", "nosuch"],
    ] {
        let said = failing(arguments, 3);
        assert!(said.contains("nosuch") || said.contains("such/model"), "{said}");
    }
}

#[test]
fn a_broken_configuration_file_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine.toml"), "preset = \"fashion-tiny\"\nseed = = 1\n")
        .unwrap();
    let output = lapidary(folder.path(), &["train", "mine.toml"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.starts_with("lapidary: mine.toml: line 2: "), "{said}");
}

#[test]
fn adapters_are_4() {
    for command in
        [&["devices"][..], &["--list"], &["doctor"], &["train", "fashion-tiny"], &["sample"]]
    {
        let said = failing(&[command, &["--adapter", "nosuch"]].concat(), 4);
        assert!(said.contains("nosuch"), "{said}");
    }
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_lapidary"))
        .arg("doctor")
        .env("LAPIDARY_ADAPTER", "nosuch")
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn adapters_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let output = lapidary(folder.path(), &["devices"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("driver"), "{text}");
    assert_eq!(lapidary(folder.path(), &["--list"]).stdout, text.into_bytes());
}

#[test]
fn help_and_version_are_0() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["--help"][..], &["--version"], &["train", "--help"], &[]] {
        let output = lapidary(folder.path(), arguments);
        assert!(output.status.success() && !output.stdout.is_empty(), "{arguments:?}");
        assert!(output.stderr.is_empty(), "{arguments:?}");
    }
}
