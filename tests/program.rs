//! The built program: exit codes and the one sentence on stderr.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail so")]

use lapidary::model::{Checkpoint, Metadata, Tensor};
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
    assert!(said.contains("stage1.batch = 0"), "{said}");
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

#[test]
fn a_run_is_trained_evaluated_sampled_and_inspected() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let said = working(folder, &["train", "fashion-tiny", "--out", "tiny"]);
    assert!(said.contains("clean accuracy") && said.contains("report.html"), "{said}");
    let run = folder.join("tiny");
    let read = |name: &str| std::fs::read(run.join(name)).unwrap();
    for name in ["samples.png", "trajectory.png"] {
        assert!(read(name).starts_with(PNG), "{name}");
    }
    assert!(!read("judge.safetensors").is_empty());
    let report = String::from_utf8(read("report.html")).unwrap();
    assert_eq!(report.matches("data:image/png").count(), 2);
    let metrics: serde_json::Value = serde_json::from_slice(&read("metrics.json")).unwrap();
    assert!(metrics["judge_agreement"].is_number() && metrics["seconds_total"].is_number());

    // A whole run is gone on with: nothing is trained, all else is there again.
    let model = read("model.safetensors");
    std::fs::remove_file(run.join("report.html")).unwrap();
    let changes = ["--set", "data.threads=4", "--max-bad", "5"];
    working(folder, &[&["train", "--resume", "--out", "tiny"], &changes[..]].concat());
    assert!(read("model.safetensors") == model && !read("report.html").is_empty());
    let again: serde_json::Value = serde_json::from_slice(&read("metrics.json")).unwrap();
    for key in ["clean_accuracy", "pgd_accuracy", "judge_agreement", "seconds_stage2"] {
        assert_eq!(again[key], metrics[key], "{key}");
    }

    // The data's identity is the run's; other data is refused.
    let record = String::from_utf8(read("data.json")).unwrap();
    assert!(record.contains("\"checksum\": \"d31450cfb0f9c63b\""), "{record}");
    std::fs::write(run.join("data.json"), record.replace("d31450", "d31451")).unwrap();
    let said = refused(folder, &["train", "--resume", "--out", "tiny"], 3);
    assert!(said.contains("d31451cfb0f9c63b") && said.contains("data.json"), "{said}");

    let steps = ["--steps", "2", "--batch", "250"];
    for checkpoint in ["tiny", "tiny/model.safetensors", "tiny/checkpoints/step-12"] {
        let said = working(folder, &[&["eval", checkpoint, "--json"], &steps[..]].concat());
        let metrics: serde_json::Value = serde_json::from_str(&said).unwrap();
        let clean = metrics["clean_accuracy"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&clean) && metrics["judge_agreement"].is_null(), "{said}");
    }
    std::fs::create_dir(folder.join("pngs")).unwrap();
    std::fs::write(folder.join("pngs/one.png"), read("samples.png")).unwrap();
    for start in ["builtin:fractal", "noise", "pngs"] {
        let out = format!("{}.png", start.replace(':', "-"));
        let given = ["--count", "3", "--steps", "1", "--class", "dress", "--start", start];
        working(folder, &[&["sample", "tiny", "--out", &out], &given[..]].concat());
        for name in [out.clone(), out.replace(".png", "-trajectory.png")] {
            assert!(std::fs::read(folder.join(&name)).unwrap().starts_with(PNG), "{name}");
        }
    }
    let said = refused(folder, &["sample", "tiny", "--class", "hat"], 2);
    assert!(said.contains("ankle boot"), "{said}");
    let said = working(folder, &["inspect", "tiny", "--adapter", "nosuch"]);
    for wanted in ["WRN-10-1", "77562", "std", "fashion-tiny", "fc.weight", "[10, 64]"] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}

#[test]
fn what_is_built_in_is_sampled_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    let given = ["--count", "2", "--steps", "1"];
    working(folder.path(), &[&["sample"], &given[..]].concat());
    assert!(std::fs::read(folder.path().join("samples.png")).unwrap().starts_with(PNG));
    let said = working(folder.path(), &["eval", "--steps", "1", "--batch", "250"]);
    assert!(said.contains("AUROC"), "{said}");
}

#[test]
fn pictures_are_classified() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // A trouser, twice as high as wide.
    let leg = |x: u32, y: u32| x > 12 && x < 36 && !(x.abs_diff(24) < 3 && y > 40);
    let picture =
        image::RgbImage::from_fn(48, 96, |x, y| image::Rgb([if leg(x, y) { 220 } else { 0 }; 3]));
    picture.save(folder.join("a.png")).unwrap();
    picture.save(folder.join("b.jpg")).unwrap();
    let said = working(folder, &["classify", "a.png", "b.jpg", "--top", "3"]);
    assert_eq!(said.lines().filter(|line| line.contains('%')).count(), 6, "{said}");
    let said = working(folder, &["classify", "a.png", "b.jpg", "--top", "10", "--json"]);
    let answers: serde_json::Value = serde_json::from_str(&said).unwrap();
    let [a, b] = [0, 1].map(|i| &answers[i]["top"]);
    let sum: f64 =
        a.as_array().unwrap().iter().map(|each| each["probability"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{said}");
    assert_eq!(a[0]["name"], b[0]["name"], "a JPEG of the same picture");
    assert!(a[0]["logit"].as_f64() >= a[1]["logit"].as_f64());
    std::fs::write(folder.join("c.png"), b"no picture").unwrap();
    let said = refused(folder, &["classify", "a.png", "c.png"], 3);
    assert!(said.contains("c.png"), "{said}");
    let said = working(folder, &["classify", "--show-plan"]);
    assert!(said.contains("peak memory"), "{said}");
}

/// Other architectures are inspected, classify and are named where a configuration does not know them.
#[test]
fn networks_of_other_kinds_are_known() {
    use lapidary::model::{ConvNext, Network, ResNet, Stem};
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    image::GrayImage::from_fn(40, 32, |x, y| image::Luma([(x * y % 256) as u8]))
        .save(folder.join("x.png"))
        .unwrap();
    let stem = Stem::Convs { channels: vec![4, 8], strides: vec![2, 2] };
    let resnet = ResNet::new([1; 4], [4, 8, 8, 8], 64, 3, 7, None).unwrap();
    let convnext = ConvNext::new([1; 4], [8, 8, 16, 16], stem, 3, 7, None).unwrap();
    for (network, name) in [
        (Network::from(resnet), "ResNet-14, relu, 3 channels in, 7 classes"),
        (
            Network::from(convnext),
            "ConvNeXt of depths [1, 1, 1, 1] and widths [8, 8, 16, 16] + ConvStem",
        ),
    ] {
        let whole = Metadata { side: Some(32), ..network.metadata() };
        // All but the side from the shapes, then all from the header, normalisation too.
        for metadata in [Metadata { side: Some(32), ..Metadata::default() }, whole] {
            let checkpoint =
                Checkpoint { metadata, weights: network.initial(1), ..Checkpoint::default() };
            checkpoint.write(folder.join("x.safetensors")).unwrap();
            assert_eq!(Network::from_checkpoint(&checkpoint).unwrap(), network);
            assert!(working(folder, &["inspect", "x.safetensors"]).contains(name), "{name}");
        }
        let said = working(folder, &["classify", "x.png", "--checkpoint", "x.safetensors"]);
        assert_eq!(said.lines().filter(|line| line.contains('%')).count(), 5, "{said}");
    }
    let said = failing(&["train", "fashion-tiny", "--set", "model.architecture=vgg"], 2);
    assert!(said.contains("vgg") && said.contains("resnet50, resnet101"), "{said}");
    let small =
        ["--set", "stage1.batch=1", "--set", "stage2.batch=1", "--set", "stage1.iterations=0"];
    let plan = [
        "train",
        "fashion-tiny",
        "--show-plan",
        "--set",
        "model.architecture=convnext-tiny",
        "--set",
        "data.side=32",
    ];
    assert!(working(folder, &[&plan[..], &small].concat()).contains("stage 2: contrastive step"));
}

#[test]
fn plans_are_shown_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let said = working(folder.path(), &["train", "fashion-tiny", "--show-plan"]);
    assert_eq!(said.matches("peak memory").count(), 4, "{said}");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
}

/// What a table of ranks says follows from its rates: 16 images of a batch, so at most 16 ranks.
#[test]
fn ranks_are_planned() {
    let folder = tempfile::tempdir().unwrap();
    let rates = ["--bandwidth", "100Gb/s", "--copies", "10GB/s", "--tflops", "1"];
    let of = [&["plan", "fashion-tiny", "--ranks", "32"][..], &rates].concat();
    let text = working(folder.path(), &of);
    let [stage1, stage2] = ["stage1 at its", "stage2 at its"].map(|head| text.find(head).unwrap());
    let rows = |text: &str| -> Vec<Vec<f64>> {
        let row = |line: &str| {
            let cells = line.split_whitespace().map(|cell| cell.trim_end_matches("ms").parse());
            cells.collect::<Result<Vec<f64>, _>>().ok().filter(|row| row.len() == 7)
        };
        text.lines().filter_map(row).collect()
    };
    for part in [&text[stage1..stage2], &text[stage2..]] {
        let rows = rows(part);
        let column = |at: usize| rows.iter().map(|row| row[at]).collect::<Vec<_>>();
        assert_eq!(column(0), [1.0, 2.0, 4.0, 8.0, 16.0], "{text}");
        assert_eq!(column(1), [16.0, 8.0, 4.0, 2.0, 1.0]);
        let falls = |column: Vec<f64>| column.windows(2).all(|pair| pair[1] <= pair[0]);
        assert!(falls(column(2)) && falls(column(6)) && column(6)[0] == 1.0, "{text}");
        assert!(part.contains("32 cannot share a batch of 16 images"), "{text}");
    }
}

#[test]
fn the_adapter_is_well() {
    let folder = tempfile::tempdir().unwrap();
    let said = working(folder.path(), &["doctor", "--report", "report.json"]);
    assert_eq!(said.matches("\nok ").count(), 12, "{said}");
    let text = std::fs::read_to_string(folder.path().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["lapidary"], env!("CARGO_PKG_VERSION"));
    assert_eq!(report["cases"].as_array().unwrap().len(), 12);
    assert!(report["cases"][0]["good"].as_bool().unwrap() && report["error"].is_null(), "{text}");
    let device = &report["device"];
    assert!(said.starts_with(device["name"].as_str().unwrap()), "{text}");
    let limits = device["limits"].as_object().unwrap();
    assert!(
        limits.len() > 20 && limits["max_storage_buffers_per_shader_stage"].as_u64() >= Some(8),
        "{text}"
    );
    for path in [folder.path(), &std::env::current_dir().unwrap(), &std::env::home_dir().unwrap()] {
        assert!(!text.contains(path.to_str().unwrap()), "{} in {text}", path.display());
    }
}

/// No adapter is worth a report too.
#[test]
fn a_report_tells_that_there_is_no_adapter() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["doctor", "--report", "report.json", "--adapter", "nosuch"];
    assert_eq!(lapidary(folder.path(), &arguments).status.code(), Some(4));
    let text = std::fs::read_to_string(folder.path().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(report["device"].is_null() && report["error"].as_str().unwrap().contains("nosuch"));
    assert!(!report["adapters"].as_array().unwrap().is_empty());
}

/// One tensor under a name, and its numbers.
fn safetensors(name: &str, shape: &[usize], numbers: &[f32]) -> Vec<u8> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.into(), &bytes);
    safetensors::serialize([(name, view.unwrap())], None).unwrap()
}

#[test]
fn broken_checkpoints_are_3() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let whole = include_bytes!("../data/fashion-demo/model.safetensors");
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

/// A file of the committed golden part.
fn golden(name: &str) -> String {
    format!("{}/tests/golden/cases/formats/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_pytorch_checkpoint_becomes_one_that_commands_take() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = lapidary(folder.path(), arguments);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let file = golden("strided_shared.pth");
    let (code, _, said) = run(&["convert", &file, "net.safetensors"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--mean") && said.contains("--no-normalisation"), "{said}");
    let (code, _, said) = run(&["sample", &file, "--side", "32"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("lapidary convert"), "{said}");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());

    let (mean, std) = ("0.5,0.25,0.125", "0.25,0.5,1");
    let given = ["--mean", mean, "--std", std, "--side", "32", "--activation", "swish"];
    let (code, told, said) = run(&[&["convert", &file, "net.safetensors"][..], &given].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(told.contains("WRN-10-1, silu, 3 channels in, 10 classes"), "{told}");
    let written = Checkpoint::read(folder.path().join("net.safetensors")).unwrap();
    let original = Checkpoint::read(&file).unwrap();
    assert_eq!(written.weights, original.weights);
    let normalisation = written.metadata.normalisation.unwrap();
    assert_eq!(
        (normalisation.mean, normalisation.std),
        (vec![0.5, 0.25, 0.125], vec![0.25, 0.5, 1.0])
    );
    assert_eq!(written.metadata.side, Some(32));

    let (code, _, said) = run(&["convert", "net.safetensors", "net.onnx", "--f16"]);
    assert_eq!(code, Some(0), "{said}");
    let bytes = std::fs::metadata(folder.path().join("net.onnx")).unwrap().len();
    assert!((150_000..200_000).contains(&bytes), "{bytes}");
}

#[test]
fn networks_of_the_zoo_are_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = lapidary(folder.path(), arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let list = run(&["models"]);
    assert!(list.lines().any(|line| line.starts_with("zoo:fashion-demo ")), "{list}");
    let about = run(&["models", "fashion-demo"]);
    assert!(
        about.contains("sha256") && about.contains("lapidary eval zoo:fashion-demo"),
        "{about}"
    );
    let inspected = run(&["inspect", "zoo:fashion-plain"]);
    assert!(
        inspected.contains("zoo:fashion-plain") && inspected.contains("WRN-10-1"),
        "{inspected}"
    );
    // What the file says beside its network goes along.
    let names: Vec<String> = (0..10).map(|class| format!("class {class}")).collect();
    let given = ["convert", "zoo:fashion-demo", "named.safetensors", "--class-names"];
    run(&[&given[..], &[&names.join(",")]].concat());
    run(&["convert", "named.safetensors", "half.safetensors", "--f16"]);
    let half = Checkpoint::read(folder.path().join("half.safetensors")).unwrap();
    assert_eq!(half.metadata.class_names, Some(names));
    let drawn =
        run(&["sample", "half.safetensors", "--class", "class 8", "--count", "2", "--steps", "1"]);
    assert!(drawn.contains("2 samples of class 8"), "{drawn}");
}

#[test]
fn what_is_not_the_networks_is_left_out_only_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoint = Checkpoint::read(golden("strided_shared.pth")).unwrap();
    let original = checkpoint.weights.clone();
    checkpoint.weights.insert("aux.weight", Tensor::new(vec![1], vec![0.0]).unwrap());
    let bias = checkpoint.weights.remove("bn1.bias");
    checkpoint.metadata = Metadata::default();
    checkpoint.write(folder.path().join("in.safetensors")).unwrap();
    let convert = |more: &[&str]| {
        let arguments = [
            "convert",
            "in.safetensors",
            "out.safetensors",
            "--no-normalisation",
            "--activation",
            "relu",
        ];
        lapidary(folder.path(), &[&arguments[..], more].concat())
    };
    // A tensor that the network needs is missing: no option makes up for it.
    for more in [&[][..], &["--no-strict"]] {
        let output = convert(more);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("missing     bn1.bias"), "{said}");
        assert!(!folder.path().join("out.safetensors").exists());
    }
    checkpoint.weights.insert("bn1.bias", bias.unwrap());
    checkpoint.write(folder.path().join("in.safetensors")).unwrap();
    let strict = convert(&[]);
    let said = String::from_utf8(strict.stderr).unwrap();
    assert_eq!(strict.status.code(), Some(3), "{said}");
    assert!(said.contains("unexpected  aux.weight"), "{said}");
    let told = String::from_utf8(convert(&["--no-strict"]).stdout).unwrap();
    assert!(told.contains("unexpected  aux.weight"), "{told}");
    let written = Checkpoint::read(folder.path().join("out.safetensors")).unwrap().weights;
    assert_eq!(written, original);
}

#[test]
fn inspect_lists_a_pytorch_file_that_is_no_network() {
    let output = lapidary(Path::new("."), &["inspect", &golden("small.pth")]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    for line in [
        "architecture  not recognised",
        "tensors       4, 1146 values",
        "conv1.weight  [16, 3, 3, 3]",
    ] {
        assert!(told.contains(line), "{told}");
    }
}

/// What scripts read from `bench`: positive numbers, no more than the peak, kernels and layers that add up, a trace and a
/// table of all launches.
#[test]
fn bench_says_what_scripts_read() {
    let folder = tempfile::tempdir().unwrap();
    let step =
        ["bench", "--model", "wrn-10-1", "--side", "16", "--batch", "4", "--runs", "1", "--json"];
    let arguments = [&step[..], &["--layers", "--profile", "trace.json", "--quiet"]].concat();
    let output = lapidary(folder.path(), &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let positive = [
        "pgd_step_ms",
        "gflops",
        "peak_gflops",
        "peak_fraction",
        "memory_bytes",
        "launches",
        "pipelines_ms",
    ];
    for key in positive {
        assert!(told[key].as_f64().unwrap() > 0.0, "{key} of {told}");
    }
    let plan = [&step[..7], &["--show-plan"]].concat();
    assert!(working(folder.path(), &plan).contains("peak memory"));
    let parts = told["memory"].as_object().unwrap().values();
    let parts: u64 = parts.map(|bytes| bytes.as_u64().unwrap()).sum();
    assert_eq!(parts, told["memory_bytes"].as_u64().unwrap(), "{told}");
    assert!(told["peak_fraction"].as_f64().unwrap() < 1.0, "{told}");
    assert!(!told["adapter"].as_str().unwrap().is_empty());
    let trace = std::fs::read(folder.path().join("trace.json")).unwrap();
    let trace: serde_json::Value = serde_json::from_slice(&trace).unwrap();
    let launches = trace["traceEvents"].as_array().unwrap().len() as u64;
    for table in ["kernels", "layers"] {
        let rows = told[table].as_array().unwrap().iter();
        assert_eq!(rows.map(|row| row["launches"].as_u64().unwrap()).sum::<u64>(), launches);
    }
    let layers = told["layers"].as_array().unwrap();
    assert!(layers.iter().any(|row| row["layer"] == "block3.layer.0.conv2"), "{told}");
    let table = std::fs::read_to_string(folder.path().join("trace.csv")).unwrap();
    assert_eq!(table.lines().count() as u64, 1 + launches);
    let columns = |line: &str| line.split(',').count();
    assert!(table.lines().all(|line| columns(line) == 11), "{table}");
    let said = failing(&["bench", "--model", "wrn-16"], 2);
    assert!(said.contains("convnext-base"), "{said}");
    failing(&["bench", "--what", "step"], 2);
}

/// The second start takes the pipelines of the first, and a damaged file is replaced.
/// What was measured goes out as a table and comes back; one that is damaged or of another device is ignored with a note.
#[test]
fn tables_of_choices_go_out_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let measure = ["tune", "wrn-10-1", "--batch", "2", "--side", "8", "--seconds", "15"];
    let made = working(folder.path(), &[&measure[..], &["--export", "table.json"]].concat());
    let table = std::fs::read_to_string(at("table.json")).unwrap();
    let read: serde_json::Value = serde_json::from_str(&table).unwrap();
    let choices = read["choices"].as_object().unwrap();
    assert!(!choices.is_empty() && read["crc32"].is_string(), "{table}");
    assert!(made.contains(&format!("{} shapes are measured", choices.len())), "{made}");

    let taken =
        working(folder.path(), &["tune", "--import", "table.json", "--export", "again.json"]);
    assert!(taken.contains(&format!("{} choices taken from table.json", choices.len())), "{taken}");
    assert_eq!(std::fs::read_to_string(at("again.json")).unwrap(), table);

    let damaged = table.replacen("\"crc32\": \"", "\"crc32\": \"0", 1);
    std::fs::write(at("damaged.json"), damaged).unwrap();
    std::fs::write(at("short.json"), &table[..table.len() / 2]).unwrap();
    let mut foreign = read.as_object().unwrap().clone();
    foreign.remove("crc32");
    foreign.insert("device".into(), "another device".into());
    let sum = crc32fast::hash(serde_json::Value::from(foreign.clone()).to_string().as_bytes());
    foreign.insert("crc32".into(), format!("{sum:08x}").into());
    std::fs::write(at("foreign.json"), serde_json::Value::from(foreign).to_string()).unwrap();
    for (file, why) in [
        ("damaged.json", "damaged"),
        ("short.json", "damaged"),
        ("foreign.json", "\"another device\""),
    ] {
        let output = lapidary(folder.path(), &["tune", "--import", file]);
        let [out, said] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(output.status.success() && out.contains("0 shapes are measured"), "{out}");
        assert!(said.contains(&format!("{file} is ignored")) && said.contains(why), "{said}");
    }
    assert!(refused(folder.path(), &["tune", "--export", "none.json"], 3).contains("MODEL"));

    // The cache has the same: what is known is not measured again, and a damaged file is named.
    let cache = at("cache");
    let cached = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lapidary"));
        command.args(arguments).current_dir(folder.path()).env("LAPIDARY_CACHE", &cache);
        let output = command.output().unwrap();
        assert!(output.status.success());
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap())
    };
    cached(&["tune", "--import", "table.json"]);
    let [out, _] = cached(&["tune"]);
    assert!(out.contains(&format!("{} shapes are measured", choices.len())), "{out}");
    let files = std::fs::read_dir(&cache).unwrap().map(|file| file.unwrap().path());
    let kept = files.into_iter().find(|path| path.to_string_lossy().contains("choices-")).unwrap();
    std::fs::write(&kept, "{}").unwrap();
    let [out, said] = cached(&["tune"]);
    assert!(out.contains("0 shapes are measured"), "{out}");
    assert!(said.contains("choices-") && said.contains("is ignored"), "{said}");
}

#[test]
fn pipelines_are_kept_for_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let run = |cache: &Path, more: &[&str]| {
        let step = ["bench", "--model", "wrn-10-1", "--side", "8", "--batch", "1", "--runs", "1"];
        let output = Command::new(env!("CARGO_BIN_EXE_lapidary"))
            .args(step)
            .args(more)
            .args(["--json", "--quiet"])
            .env("LAPIDARY_CACHE", cache)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let files = std::fs::read_dir(cache).into_iter().flatten().map(|file| file.unwrap().path());
        files.collect::<Vec<_>>()
    };
    let none = folder.path().join("none");
    assert!(run(&none, &["--no-cache"]).is_empty());
    let cache = folder.path().join("cache");
    let files = run(&cache, &[]);
    let [file] = &files[..] else {
        assert!(files.is_empty(), "{files:?}");
        return eprintln!("SKIPPED: the adapter keeps no pipelines");
    };
    let kept = std::fs::read(file).unwrap();
    std::fs::write(file, &kept[..kept.len() / 2]).unwrap();
    assert_eq!(run(&cache, &[]), files);
    let again = std::fs::read(file).unwrap();
    assert!(again.len() > kept.len() / 2 && again.starts_with(&kept[..64]));
}

/// A peer that answers is measured in every round; one that cannot be started is told how to install, and is no failure.
#[test]
#[cfg(unix)]
fn bench_compares_with_what_is_there() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let peer = folder.path().join("peer");
    let script = r#"#!/bin/sh
echo '{"peer": "burn", "version": "1", "device": "none", "variants": ["wgpu"]}'
while read -r line; do
  echo "$* $line" >>"$0.asked"
  echo '{"ms": 2.5, "ready_seconds": 1, "bytes": 4096}'
done
"#;
    std::fs::write(&peer, script).unwrap();
    std::fs::set_permissions(&peer, std::fs::Permissions::from_mode(0o755)).unwrap();
    let step = ["bench", "--model", "wrn-10-1", "--side", "16", "--batch", "4", "--runs", "2"];
    let others = ["--compare", "torch,burn", "--python", "./none", "--burn", "./peer"];
    let output = lapidary(folder.path(), &[&step[..], &others, &["--json", "--quiet"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(told["missing"][0].as_str().unwrap().contains("pip install torch"), "{told}");
    assert_eq!(told["peers"][0]["memory_bytes"], 4096);
    let entries = told["tasks"][0]["entries"].as_array().unwrap();
    let names: Vec<_> = entries.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["lapidary", "burn wgpu"]);
    assert!(entries.iter().all(|entry| entry["runs"].as_array().unwrap().len() == 2), "{told}");
    let ratio = told["pgd_step_ms"].as_f64().unwrap() / 2.5;
    assert_eq!(entries[1]["lapidary_over_this"].as_f64().unwrap(), ratio);
    let asked = std::fs::read_to_string(folder.path().join("peer.asked")).unwrap();
    assert!(asked.starts_with("wrn-10-1 4 16"), "{asked}");
    assert_eq!(asked.matches("time wgpu step").count(), 3, "{asked}");
    failing(&["bench", "--model", "resnet50", "--compare", "torch"], 2);
}
