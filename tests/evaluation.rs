//! Runs the program's larger evaluation (`eval all`) on the Fashion-MNIST images built into it: parts that an interrupted
//! evaluation finished are not computed again, and the report is one file that loads no other. Also tests the files that `sample`
//! writes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::path::Path;
use std::process::{Command, Output};

use lapidary::eval::npz::{Numbers, read_npz};
use serde_json::Value;

fn lapidary(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lapidary"));
    command.current_dir(folder).arg("--quiet").args(arguments).output().unwrap()
}

/// Runs the program, which must succeed, and returns what it printed.
fn working(folder: &Path, arguments: &[&str]) -> String {
    let output = lapidary(folder, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn state(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("all/state.json")).unwrap()).unwrap()
}

/// As the program writes it: with a sum of its text as the last field.
fn sealed(state: &Value) -> String {
    let mut fields = state.clone();
    fields.as_object_mut().unwrap().remove("checksum").unwrap();
    let text = fields.to_string();
    let body = text.strip_suffix('}').unwrap();
    format!("{body},\"checksum\":\"{:08x}\"}}\n", crc32fast::hash(body.as_bytes()))
}

/// A part without its time.
fn timeless(part: &Value) -> Value {
    let mut part = part.clone();
    part.as_object_mut().unwrap().remove("seconds").unwrap();
    part
}

#[test]
fn all_of_it_goes_on_where_it_was_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let arguments =
        ["eval", "all", "--out", "all", "--images", "16", "--samples", "10", "--eps", "0.25,1"];
    let said = working(folder, &arguments);
    assert!(said.contains("clean accuracy") && said.contains("eps 0.25"), "{said}");

    let whole = state(folder);
    let parts = whole["parts"].as_object().unwrap();
    assert!(parts["robust 0.25"]["accuracy"].as_f64() >= parts["robust 1"]["accuracy"].as_f64());
    assert_eq!(parts["clean"]["images"], 16);
    assert_eq!(parts["out of distribution"]["step_size"], 0.1, "as it is written");
    let ended = &parts["counterfactuals"]["confidence"];
    assert!((0.2..=1.0).contains(&ended.as_f64().unwrap()), "{ended}");

    // As if it had been stopped before these two.
    let mut stopped = whole.clone();
    for part in ["robust 1", "counterfactuals"] {
        stopped["parts"].as_object_mut().unwrap().remove(part).unwrap();
    }
    // And by a version that did not say how it rounds.
    for option in ["--precision", "--winograd", "--transformed-weights", "--tune"] {
        stopped["of"].as_object_mut().unwrap().remove(option).unwrap();
    }
    std::fs::write(folder.join("all/state.json"), sealed(&stopped)).unwrap();
    working(folder, &arguments);
    let again = state(folder);
    assert_eq!(again["of"], whole["of"]);
    for (name, part) in again["parts"].as_object().unwrap() {
        assert_eq!(timeless(part), timeless(&parts[name]), "{name}");
        let redone = ["robust 1", "counterfactuals"].contains(&name.as_str());
        assert!(redone || part["seconds"] == parts[name]["seconds"], "{name} was done again");
    }

    // Another evaluation does not go on from this one's parts.
    let other = [&arguments[..], &["--batch", "8"]].concat();
    let output = lapidary(folder, &other);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--batch 64, but now --batch is 8"));

    for (option, value, was) in
        [("--precision", "half-weights", "single"), ("--winograd", "off", "auto")]
    {
        let output = lapidary(folder, &[&arguments[..], &[option, value]].concat());
        assert_eq!(output.status.code(), Some(3));
        let wanted = format!("{option} \"{was}\", but now {option} is \"{value}\"");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(&wanted), "{said}");
    }

    let report = std::fs::read_to_string(folder.join("all/report.html")).unwrap();
    assert!(report.len() < 5 << 20);
    for part in [
        "Robustness",
        "Reliability",
        "Minus the energy",
        "One row for each class",
        "From class to class",
    ] {
        assert!(report.contains(part), "{part}");
    }
    for needle in ["http:", "https:", "@import", "url(", "<script", "<link", "NaN"] {
        assert!(!report.contains(needle), "{needle}");
    }
    let info: Value =
        serde_json::from_slice(&std::fs::read(folder.join("all/model_info.json")).unwrap())
            .unwrap();
    assert_eq!((&info["architecture"], &info["eps"]), (&"WRN-10-1".into(), &"0.25".into()));
}

/// Samples that were drawn before an interruption are not mixed with others that are rounded in another way.
#[test]
fn samples_go_on_only_with_the_same_options() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let arguments = ["sample", "--count", "256", "--steps", "10", "--out", "samples.npz"];
    let interrupted = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lapidary"));
        let command = command.current_dir(folder).arg("--quiet").args(arguments);
        let mut child = command.spawn().unwrap();
        // A batch is of 64 samples of 256 bytes.
        let kept =
            || std::fs::metadata(folder.join(".samples.npz.kept")).map_or(0, |all| all.len());
        while kept() < 64 * 256 {
            assert!(child.try_wait().unwrap().is_none(), "it ended before it was interrupted");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    };
    for (more, anew) in [(&[][..], false), (&["--precision", "half-weights"], true)] {
        interrupted();
        let output = lapidary(folder, &[&arguments[..], more].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert_eq!(said.contains("of other settings, and is made anew"), anew, "{said}");
    }
}

#[test]
fn samples_come_one_by_one_in_every_kind_of_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for out in ["pictures", "samples.npz", "samples.tar"] {
        working(folder, &["sample", "--count", "13", "--steps", "2", "--out", out]);
    }
    let arrays = read_npz(folder.join("samples.npz"), &["arr_0", "arr_1"]).unwrap();
    assert_eq!(arrays["arr_0"].shape, [13, 16, 16, 1]);
    let Numbers::U8(pixels) = &arrays["arr_0"].numbers else { panic!() };
    let labels = (0..13).map(|i| i % 10).collect();
    assert_eq!(arrays["arr_1"].numbers, Numbers::I64(labels));
    let picture = |bytes: &[u8]| image::load_from_memory(bytes).unwrap().into_luma8().into_raw();
    let last = std::fs::read(folder.join("pictures/00000012-pullover.png")).unwrap();
    assert_eq!(picture(&last), pixels[12 * 256..]);
    assert_eq!(std::fs::read_dir(folder.join("pictures")).unwrap().count(), 13);
    let archive = std::fs::read(folder.join("samples.tar")).unwrap();
    let starts = |name: &str| archive.chunks(512).position(|b| b.starts_with(name.as_bytes()));
    let at = starts("00000012.png").unwrap();
    assert!(archive[(at + 1) * 512..].starts_with(&last));
    assert!(starts("00000012.cls").is_some() && starts("00000013.png").is_none());

    // The picture above, explained.
    let said = working(
        folder,
        &["explain", "pictures/00000012-pullover.png", "--to", "bag", "--steps", "5", "--eps", "3"],
    );
    assert!(said.contains("bag") && said.contains("within 3"), "{said}");
    for name in ["image.png", "counterfactual.png", "difference.png", "path.png"] {
        assert!(folder.join("explanation").join(name).is_file(), "{name}");
    }
    let told = std::fs::read(folder.join("explanation/confidences.json")).unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    let steps = told["steps"].as_array().unwrap();
    let of = |step: usize| steps[step]["probabilities"]["bag"].as_f64().unwrap();
    assert!(steps.len() == 6 && of(5) > of(0), "{} and {}", of(0), of(5));
    assert!(steps[5]["distance"].as_f64().unwrap() <= 3.0001);
    let output = lapidary(folder, &["explain", "pictures/00000012-pullover.png", "--to", "hat"]);
    assert_eq!(output.status.code(), Some(2));
}
