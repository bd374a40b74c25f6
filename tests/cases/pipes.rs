//! Tests that a pipe, a device or a link to one is refused where a file is wanted: opening one could wait for ever, and reading
//! it might never end.

#![cfg(unix)]

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than any of these commands takes to refuse, even unoptimised and beside other tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// Returns the program's message where it must fail without waiting.
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lapidary"))
        .args(arguments)
        .current_dir(folder)
        .env("LAPIDARY_CACHE", "off")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{arguments:?}: waits");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!status.success(), "{arguments:?}: {said}");
    said
}

#[test]
fn a_pipe_in_place_of_any_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = "pipe.toml";
    assert!(Command::new("mkfifo").arg(folder.path().join(pipe)).status().unwrap().success());
    let commands: [&[&str]; 10] = [
        &["inspect", pipe],
        &["convert", pipe, "out.safetensors"],
        &["classify", pipe],
        &["train", pipe],
        &["train", "fashion-tiny", "--out", "run", "--set", "model.weights=pipe.toml"],
        &["eval", "--data", pipe],
        &["eval", "--class-map", pipe],
        &["attack", "--state", pipe],
        &["eval", "generation", "builtin:fashion", "--extractor", pipe],
        &["tune", "wrn-10-1", "--import", pipe],
    ];
    for arguments in commands {
        let said = refused(folder.path(), arguments);
        assert!(said.contains("pipe.toml"), "{arguments:?}: {said}");
        assert!(said.contains("a pipe, a socket or a device"), "{arguments:?}: {said}");
    }
}

/// Names of classes beside the pictures that cannot be read are not passed over: labels would mean other classes.
#[test]
fn class_names_that_cannot_be_read_are_told() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        let class = folder.path().join(name);
        std::fs::create_dir(&class).unwrap();
        image::RgbImage::new(4, 4).save(class.join("a.png")).unwrap();
    }
    std::fs::write(folder.path().join("classes.txt"), b"one\ntw\xff\n").unwrap();
    let data = folder.path().to_string_lossy().into_owned();
    let said = refused(folder.path(), &["eval", "--data", &data]);
    assert!(said.contains("classes.txt") && said.contains("utf-8"), "{said}");
}
