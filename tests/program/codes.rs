//! Tests exit codes and error sentences for wrong usage, configurations, files and adapters; and the help.

use std::process::Command;

use lapidary::model::{Checkpoint, Tensor};

use super::{failing, lapidary, refused, safetensors, working};

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
        &["plan", "fashion-tiny", "--ranks", "0"],
        &["plan", "fashion-tiny", "--ranks", "4", "--bandwidth", "fast"],
        &["plan", "fashion-tiny", "--bandwidth", "1GB/s"],
        &["models", "nosuch"],
        &["paper-table", "--budget", "1"],
        &["paper-table", "--set", "large"],
        &["convert", "zoo:fashion-demo", "out.onnx", "--class-names", "cat,dog"],
        &["convert", "in.pth"],
        &["convert", "in.pth", "out.npz"],
        &["convert", "in.pth", "out.onnx", "--mean", "0.5"],
        &["convert", "in.pth", "out.onnx", "--mean", "0.5", "--std", "0.5", "--no-normalisation"],
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
    assert!(said.contains("stage1.batch is 0, but has to be 1"), "{said}");
    failing(&["demo", "--seed", "18446744073709551615"], 2);
}

#[test]
fn input_files_are_3() {
    for arguments in [
        &["eval", "no/such/model.safetensors"][..],
        &["sample", "nosuch"],
        &["sample", "zoo:nosuch"],
        &["inspect", "nosuch"],
        &["convert", "nosuch", "out.onnx"],
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
fn help_and_version_are_0() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["--help"][..], &["--version"], &["train", "--help"], &[]] {
        let output = lapidary(folder.path(), arguments);
        assert!(output.status.success() && !output.stdout.is_empty(), "{arguments:?}");
        assert!(output.stderr.is_empty(), "{arguments:?}");
    }
}

/// `-h` is shorter than `--help`, lines fit a terminal, and options of kernels are shown only where kernels run.
#[test]
fn help_is_short_or_long() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["train", "sample", "eval", "attack", "doctor", "inspect", "runs", "convert"] {
        let [short, long] = ["-h", "--help"].map(|flag| working(folder.path(), &[command, flag]));
        let lines = |text: &str| text.lines().count();
        assert!(lines(&short) <= lines(&long), "{command}");
        let kernels = !["inspect", "runs", "convert"].contains(&command);
        assert_eq!(long.contains("--winograd"), kernels, "{command}: {long}");
        assert!(!short.contains("--winograd"), "{command}: {short}");
        let wide = short.lines().chain(long.lines()).find(|line| line.chars().count() > 100);
        assert_eq!(wide, None, "{command}");
    }
    let [short, long] = ["-h", "--help"].map(|flag| working(folder.path(), &["train", flag]));
    assert!(2 * short.lines().count() < long.lines().count(), "{long}");
}

#[test]
fn broken_checkpoints_are_3() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let whole = include_bytes!("../../data/fashion-demo/model.safetensors");
    let put = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    put("cut.safetensors", &whole[..whole.len() / 2]);
    put("short.safetensors", &whole[..5]);
    put("other.safetensors", &safetensors("conv1.weight", &[2, 2], &[1.0; 4]));
    let mut shape = Checkpoint::from_bytes("whole", whole).unwrap();
    shape.weights.insert("fc.bias", Tensor::new(vec![3], vec![0.0; 3]).unwrap());
    put("shape.safetensors", &shape.to_bytes().unwrap());
    let mut nan = whole.to_vec();
    let last = nan.len() - 4;
    nan[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    put("nan.safetensors", &nan);
    std::fs::create_dir(folder.join("empty")).unwrap();
    for name in ["cut", "short", "other", "shape", "nan"] {
        let name = format!("{name}.safetensors");
        for command in ["sample", "eval"] {
            let said = refused(folder, &[command, &name], 3);
            assert!(said.contains(&name), "{said}");
        }
    }
    assert!(refused(folder, &["eval", "nan.safetensors"], 3).contains("NaN"));
    assert!(refused(folder, &["eval", "shape.safetensors"], 3).contains("fc.bias"));
    refused(folder, &["eval", "empty"], 3);
    refused(folder, &["inspect", "cut.safetensors"], 3);
    assert!(working(folder, &["inspect", "nan.safetensors"]).contains("NaN"));
    assert!(working(folder, &["inspect", "other.safetensors"]).contains("not recognised"));
}

#[test]
fn broken_images_are_3() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for part in ["train", "t10k"] {
        let put = |name: &str, bytes: &[u8]| {
            std::fs::write(folder.join(format!("{part}-{name}")), bytes).unwrap();
        };
        put("images-idx3-ubyte", b"\x12\x34\x08\x03 wrong from the first byte on");
        put("labels-idx1-ubyte", &[0, 0, 8, 1, 0, 0, 0, 1, 0]);
    }
    let said = refused(folder, &["train", "fashion-tiny", "--set", "data.train=.", "-q"], 3);
    assert!(said.contains("train-images-idx3-ubyte") && said.contains("12 34"), "{said}");
    let said = refused(folder, &["eval", "--data", "."], 3);
    assert!(said.contains("t10k-images-idx3-ubyte"), "{said}");
}
