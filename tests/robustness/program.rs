//! Tests `lapidary attack` as a user runs it.

use crate::folder;
use std::path::Path;
use std::process::{Command, Output};

fn attack(at: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lapidary"));
    command.current_dir(at).arg("attack").arg(folder("fashion-plain")).args(arguments);
    command.output().unwrap()
}

#[test]
fn the_command_attacks_keeps_its_state_and_writes_images() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let common = ["--eps", "1", "--count", "16", "--batch", "8", "--state", "state.json"];
    let run = |more: &[&str]| attack(at, &[&common[..], more].concat());
    let output = run(&["--json", "--out", "found.safetensors"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("apgd-ce on") && said.contains("% robust so far"), "{said}");
    let first: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(first["points"].as_array().unwrap().len(), 16);
    assert!(first["robust_accuracy"].as_f64().unwrap() < 0.1, "{first}");
    let found = lapidary::model::Checkpoint::read(at.join("found.safetensors")).unwrap();
    assert_eq!(found.weights.get("images").unwrap().shape, [16, 1, 16, 16]);

    // From its state, at once: lines instead of JSON, and AutoAttack's closing line last.
    let output = run(&[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("apgd-ce on"), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let accuracy = 100.0 * first["robust_accuracy"].as_f64().unwrap();
    assert!(text.ends_with(&format!("robust accuracy: {accuracy:.2}%\n")), "{text}");
    assert!(text.contains("max L2 perturbation: ") && text.contains("images/s"), "{text}");

    // Nor do numbers of one precision pass for another's.
    for (option, value) in [("precision", "half-weights"), ("winograd", "off")] {
        let output = run(&[&format!("--{option}"), value]);
        assert_eq!(output.status.code(), Some(3));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("state.json") && said.contains(&format!("{option} \"")), "{said}");
    }
    // A state of a version that did not say its precision is of the usual one.
    let text = std::fs::read_to_string(at.join("state.json")).unwrap();
    let mut state: serde_json::Value = serde_json::from_str(&text).unwrap();
    state.as_object_mut().unwrap().remove("checksum").unwrap();
    for option in ["precision", "winograd", "transformed-weights"] {
        state["evaluation"].as_object_mut().unwrap().remove(option).unwrap();
    }
    let body = state.to_string();
    let body = body.strip_suffix('}').unwrap();
    let sealed = format!("{body},\"checksum\":\"{:08x}\"}}\n", crc32fast::hash(body.as_bytes()));
    std::fs::write(at.join("state.json"), sealed).unwrap();
    let output = run(&[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !said.contains("apgd-ce on"), "{said}");

    let output =
        attack(at, &["--eps", "0.5", "--count", "16", "--batch", "8", "--state", "state.json"]);
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("state.json") && said.contains("eps"), "{said}");
}

#[test]
fn usage_is_2() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["--version", "standard", "--attacks", "pgd"][..],
        &["--version", "custom"],
        &["--version", "custom", "--attacks", "nosuch"],
        &["--eps", "0"],
        &["--pgd-momentum", "1"],
        &["--count", "0"],
        &["--batch", "0"],
    ] {
        let output = attack(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}
