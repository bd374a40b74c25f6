//! Tests what commands report about checkpoint files, and which facts (activation, normalisation) they demand by option where a
//! file does not tell them.

use crate::{lapidary, working};
use lapidary::model::{Checkpoint, Normalisation, Pretrained, Tensor};
use std::io::Read;

const DEMO: &[u8] = include_bytes!("../../data/fashion-demo/model.safetensors");

fn demo() -> Checkpoint {
    Checkpoint::from_bytes("demo", DEMO).unwrap()
}

/// Every command, the page and a library's user open a file by the same function, which refuses what nobody may run.
#[test]
fn a_checkpoint_is_opened_in_one_way() {
    let opened = Pretrained::from_bytes("demo", DEMO).unwrap();
    assert_eq!(opened.side(None).unwrap(), 16);
    assert_eq!(opened.side(Some(24)).unwrap(), 24);
    assert_eq!(opened.class_names().unwrap()[9], "ankle boot");

    let refused = |change: fn(&mut Checkpoint)| {
        let mut checkpoint = demo();
        change(&mut checkpoint);
        let bytes = checkpoint.to_bytes().unwrap();
        Pretrained::from_bytes("given", &bytes).unwrap_err().to_string()
    };
    let untold = refused(|checkpoint| checkpoint.metadata = Default::default());
    assert!(untold.contains("how images are normalised"), "{untold}");
    let infinite = refused(|checkpoint| {
        let bias = Tensor::new(vec![10], [[0.0; 9].as_slice(), &[f32::INFINITY]].concat());
        checkpoint.weights.insert("fc.bias", bias.unwrap());
    });
    assert!(infinite.contains("fc.bias[9] is inf"), "{infinite}");
    let negative = refused(|checkpoint| {
        let name = "bn1.running_var";
        let before = checkpoint.weights.get(name).unwrap();
        let data = vec![-0.5; before.data.len()];
        let changed = Tensor::new(before.shape.clone(), data).unwrap();
        checkpoint.weights.insert(name, changed);
    });
    assert!(negative.contains("bn1.running_var holds -0.5"), "{negative}");
    let missing = refused(|checkpoint| drop(checkpoint.weights.remove("fc.bias")));
    assert!(missing.contains("missing     fc.bias"), "{missing}");

    let mut sideless = demo();
    sideless.metadata.side = None;
    let opened = Pretrained::from_checkpoint(sideless).unwrap();
    assert!(opened.side(None).unwrap_err().to_string().contains("size of the network's images"));

    // Names of fewer classes would be taken for none, and labels for whatever they say.
    let few = refused(|checkpoint| checkpoint.metadata.class_names = Some(vec!["one".into()]));
    assert!(few.contains("names for 1 classes, but its network has 10"), "{few}");
    let bytes = refused(|checkpoint| {
        let of_bytes = Normalisation { mean: vec![73.0], std: vec![90.0] };
        checkpoint.metadata.normalisation = Some(of_bytes);
    });
    assert!(bytes.contains("pixels of 0 to 255"), "{bytes}");
}

/// A copy of a checkpoint keeps the metadata about pictures and classes.
#[test]
fn a_copy_says_what_the_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoint = demo();
    checkpoint.metadata.fit = Some("letterbox".into());
    let names: Vec<String> = (0..10).map(|class| format!("kind {class}")).collect();
    checkpoint.metadata.class_names = Some(names.clone());
    checkpoint.write(folder.path().join("net.safetensors")).unwrap();
    working(folder.path(), &["convert", "net.safetensors", "copy.safetensors", "--f16"]);
    let copy = Checkpoint::read(folder.path().join("copy.safetensors")).unwrap().metadata;
    assert_eq!((copy.fit.as_deref(), copy.class_names), (Some("letterbox"), Some(names)));
    // What is said otherwise is told.
    let other = ["convert", "net.safetensors", "other.safetensors"];
    let plain = working(folder.path(), &[&other[..], &["--no-normalisation"]].concat());
    assert!(plain.contains("the file's own normalisation is left out"), "{plain}");
    let silu = working(folder.path(), &[&other[..], &["--activation", "silu"]].concat());
    assert!(silu.contains("the file's activation, relu, is replaced"), "{silu}");
    // Training goes on with pictures that come to the side as before.
    let sets = ["data.side=16", "stage1.iterations=1", "stage2.iterations=0", "judge.iterations=0"];
    let weights = folder.path().join("net.safetensors");
    let weights = format!("model.weights={}", weights.display());
    let mut arguments = vec!["train", "fashion-tiny", "--out", "run", "--set", &weights];
    arguments.extend(sets.iter().flat_map(|set| ["--set", *set]));
    arguments.extend(["--set", "model.classes=as-given"]);
    working(folder.path(), &arguments);
    let (_, last) = lapidary::train::latest_checkpoint(folder.path().join("run")).unwrap().unwrap();
    let trained = Checkpoint::read(last.join("model.safetensors")).unwrap().metadata;
    assert_eq!(trained.fit.as_deref(), Some("letterbox"));
}

/// Names of classes are looked for as they are written, then in other capitals; two that are called alike are no choice. What a
/// terminal would act on is written out.
#[test]
fn names_of_classes_are_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoint = demo();
    let mut names: Vec<String> = (0..10).map(|class| format!("kind {class}")).collect();
    (names[0], names[2], names[3], names[4]) =
        ("Cat".into(), "cat".into(), "dog".into(), "dog".into());
    names[5] = "a\u{1b}[31mb".into();
    checkpoint.metadata.class_names = Some(names);
    checkpoint.write(folder.path().join("net.safetensors")).unwrap();
    let sample = |class: &str, out: &str| {
        let few = ["--count", "1", "--steps", "1", "--out", out];
        let given = ["sample", "net.safetensors", "--class", class];
        lapidary(folder.path(), &[&given[..], &few].concat())
    };
    assert!(sample("cat", "cat.npz").status.success());
    let drawn = std::fs::File::open(folder.path().join("cat.npz")).unwrap();
    let mut archive = zip::ZipArchive::new(drawn).unwrap();
    let mut labels = Vec::new();
    archive.by_name("arr_1.npy").unwrap().read_to_end(&mut labels).unwrap();
    assert_eq!(labels[labels.len() - 8..], 2_i64.to_le_bytes());
    let both = sample("DOG", "dog.npz");
    assert_eq!(both.status.code(), Some(2));
    let said = String::from_utf8_lossy(&both.stderr).into_owned();
    assert!(said.contains("classes 3 and 4 have this name"), "{said}");
    image::GrayImage::new(16, 16).save(folder.path().join("x.png")).unwrap();
    let all = ["classify", "x.png", "--checkpoint", "net.safetensors", "--top", "10"];
    let told = working(folder.path(), &all);
    assert!(told.contains("a\\u{1b}[31mb") && !told.contains('\u{1b}'), "{told}");
}

/// The program's own network has its names in its file, not in the program.
#[test]
fn class_names_come_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoint = demo();
    let names = (0..10).map(|class| format!("kind {class}")).collect();
    checkpoint.metadata.class_names = Some(names);
    checkpoint.write(folder.path().join("named.safetensors")).unwrap();
    let told = working(folder.path(), &["inspect", "named.safetensors"]);
    assert!(told.contains("kind 9"), "{told}");
}

fn folder_with_nameless(name: &str, side: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoint = demo();
    checkpoint.metadata = Default::default();
    checkpoint.metadata.side = Some(side);
    let bytes = checkpoint.to_bytes().unwrap();
    std::fs::write(folder.path().join(name), bytes).unwrap();
    folder
}

/// The exit code and what was said on standard error.
fn refused(folder: &std::path::Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = lapidary(folder, arguments);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The same tensors are a network's with ReLU and one's with SiLU: the file does not say which, so somebody has to.
#[test]
fn an_activation_that_no_tensor_shows_is_asked_for() {
    let folder = folder_with_nameless("net.safetensors", 16);
    let at = folder.path();
    let convert =
        ["convert", "net.safetensors", "out.safetensors", "--mean", "0.2", "--std", "0.3"];
    let (code, said) = refused(at, &convert);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--activation relu") && said.contains("--activation silu"), "{said}");
    working(at, &[&convert[..], &["--activation", "silu"]].concat());
    let told = working(at, &["inspect", "out.safetensors"]);
    assert!(told.contains("WRN-10-1, silu") && told.contains("told by"), "{told}");
    // Others' file that says a normalisation and no activation.
    let mut checkpoint = demo();
    checkpoint.metadata = Default::default();
    checkpoint.metadata.normalisation = demo().metadata.normalisation;
    let error = Pretrained::from_checkpoint(checkpoint).unwrap_err().to_string();
    assert!(error.contains("--activation"), "{error}");
}

#[test]
fn normalisation_of_bytes_is_refused_with_what_is_likely_meant() {
    let folder = folder_with_nameless("net.safetensors", 16);
    let given = ["--mean", "125.3", "--std", "63", "--activation", "relu"];
    let convert = ["convert", "net.safetensors", "out.safetensors"];
    let (code, said) = refused(folder.path(), &[&convert[..], &given].concat());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--mean 0.4914 --std 0.2471"), "{said}");
}

/// `convert --not-strict` does not write a file that commands refuse: no option stands in for tensors that the network needs.
#[test]
fn not_strict_does_not_write_what_no_command_loads() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoint = demo();
    checkpoint.weights.remove("bn1.bias");
    checkpoint.write(folder.path().join("net.safetensors")).unwrap();
    let convert = ["convert", "net.safetensors", "out.safetensors", "--no-strict"];
    let (code, said) = refused(folder.path(), &convert);
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("missing     bn1.bias") && !folder.path().join("out.safetensors").exists()
    );
}

/// Names and strings of a file are shown without what a terminal would act on.
#[test]
fn escape_sequences_of_files_are_not_printed_raw() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoint = demo();
    let strange = "\u{1b}[31mred\u{7}\r\u{202e}";
    checkpoint.weights.insert(strange, Tensor::new(vec![1], vec![0.0]).unwrap());
    checkpoint.metadata.other.insert(strange.into(), strange.into());
    checkpoint.metadata.class_names = Some(vec![strange.into(); 10]);
    checkpoint.write(folder.path().join("net.safetensors")).unwrap();
    let told = working(folder.path(), &["inspect", "net.safetensors"]);
    let acts = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert!(!told.contains(acts), "{told:?}");
    assert!(told.contains("\\u{1b}[31mred"), "{told}");
}

#[test]
fn no_side_is_zero() {
    let folder = folder_with_nameless("net.safetensors", 0);
    for command in ["inspect", "sample", "eval"] {
        let (code, said) = refused(folder.path(), &[command, "net.safetensors"]);
        assert_eq!(code, Some(3), "{command}: {said}");
        assert!(said.contains("side is 0"), "{command}: {said}");
    }
}
