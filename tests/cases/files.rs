//! Tests commands on files that users have: networks as ONNX files, and the program's own output read again as data.

use std::fs;
use std::io::Write;
use std::path::Path;

use crate::{answer, lapidary, working};
use lapidary::data::{Part, Source};
use lapidary::model::Checkpoint;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn onnx(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cases/onnx");
    folder.join(format!("{name}.onnx")).to_str().unwrap().to_owned()
}

/// A network like MobileNetV2 as PyTorch exports it is described, draws samples, is evaluated, attacked and asked to explain,
/// as a file of its own and as what `convert` makes of it; and each sees what the one before wrote.
#[test]
fn an_onnx_file_is_taken_by_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let net = onnx("mobilenet2_script_13");
    let told = working(at, &["inspect", &net]);
    for word in ["imported network of 34 layers", "11 conv", "relu6", "its list of layers", "0.375"]
    {
        assert!(told.contains(word), "{word} in {told}");
    }
    working(at, &["convert", &net, "net.safetensors"]);
    working(at, &["convert", "net.safetensors", "again.onnx"]);
    let mut logits = Vec::new();
    working(at, &["sample", &net, "--count", "10", "--steps", "2", "--out", "drawn.npz"]);
    working(at, &["sample", &net, "--count", "10", "--steps", "2", "--out", "pictures"]);
    for network in [net.as_str(), "net.safetensors", "again.onnx"] {
        let classes =
            working(at, &["classify", "--checkpoint", network, "pictures/00000003-3.png"]);
        logits.push(classes.lines().skip(1).collect::<Vec<_>>().join("\n"));
        let json = ["eval", network, "--data", "drawn.npz", "--steps", "2", "--json"];
        assert!(answer(at, &json).to_string().contains("accuracy"), "{network}");
    }
    assert!(logits.iter().all(|each| *each == logits[0] && !each.is_empty()), "{logits:?}");
    let standard = [
        "attack",
        &net,
        "--data",
        "drawn.npz",
        "--norm",
        "linf",
        "--eps",
        "8/255",
        "--out",
        "broken.safetensors",
        "--json",
    ];
    let found = answer(at, &standard);
    let names = found.to_string();
    for attack in ["apgd-ce", "apgd-t", "fab-t", "square"] {
        assert!(names.contains(attack), "{attack} in {names}");
    }
    let robust = found["robust_accuracy"].as_f64().unwrap();
    // The images that broke points are data: they are as often right as the attack left points.
    let json = ["eval", &net, "--data", "broken.safetensors", "--steps", "1", "--json"];
    let accuracy = answer(at, &json)["clean_accuracy"].as_f64().unwrap();
    assert!((accuracy - robust).abs() < 1e-6, "{accuracy} {robust}");
    working(
        at,
        &["explain", "--checkpoint", &net, "--to", "2", "--steps", "2", "pictures/00000003-3.png"],
    );
    assert!(at.join("explanation").is_dir());
}

/// Some files do not say how images are normalised, and their numbers may lie beside them.
#[test]
fn an_onnx_file_without_a_normalisation_is_asked_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let net = onnx("gated_export_18_beside");
    let output = lapidary(at, &["eval", &net]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("how images are normalised"), "{said}");
    let refused = lapidary(at, &["convert", &net, "net.safetensors"]);
    assert_eq!(refused.status.code(), Some(2));
    working(
        at,
        &["convert", &net, "net.safetensors", "--mean", "0.5,0.4,0.3", "--std", "0.2,0.2,0.3"],
    );
    let normalised = Checkpoint::read(at.join("net.safetensors")).unwrap().metadata.normalisation;
    assert_eq!(normalised.unwrap().mean, [0.5, 0.4, 0.3]);

    fs::copy(&net, at.join("alone.onnx")).unwrap();
    let error = Checkpoint::read(at.join("alone.onnx")).unwrap_err().to_string();
    assert!(error.contains("gated_export_18_beside.onnx.data"), "{error}");
    fs::write(at.join("gated_export_18_beside.onnx.data"), [0; 100]).unwrap();
    let error = Checkpoint::read(at.join("alone.onnx")).unwrap_err().to_string();
    assert!(
        error.contains("it has 100 bytes, but 1728 bytes are needed from byte 0 on"),
        "{error}"
    );
}

/// Every command that takes data reads the files that `sample` and `attack --out` write.
#[test]
fn what_is_written_is_data() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for out in ["drawn.npz", "drawn.tar", "drawn"] {
        working(at, &["sample", "--count", "20", "--steps", "3", "--out", out]);
    }
    let attack = ["attack", "--data", "drawn.npz", "--version", "custom", "--attacks", "pgd"];
    let attack = [&attack[..], &["--pgd-steps", "2", "--out", "broken.safetensors"]].concat();
    working(at, &attack);
    let read = |name: &str| {
        let source = Source::parse(at.join(name).to_str().unwrap()).unwrap();
        source.load(Part::Train, 16).unwrap()
    };
    let [archive, shards, broken] = ["drawn.npz", "drawn.tar", "broken.safetensors"].map(read);
    assert_eq!(archive.len(), 20);
    for other in [&shards, &broken] {
        let mut labels = [archive.labels().to_vec(), other.labels().to_vec()];
        labels.iter_mut().for_each(|labels| labels.sort_unstable());
        assert_eq!(labels[0], labels[1]);
    }
    for data in ["drawn.npz", "drawn.tar", "broken.safetensors"] {
        let told =
            answer(at, &["eval", "--data", data, "--ood", "drawn", "--steps", "1", "--json"]);
        assert!(told["clean_accuracy"].as_f64().is_some(), "{data}: {told}");
        let again = [
            "attack",
            "--data",
            data,
            "--version",
            "custom",
            "--attacks",
            "pgd",
            "--pgd-steps",
            "1",
        ];
        working(at, &again);
        let train = format!("data.train={data}");
        let plan = ["plan", "fashion-tiny", "--set", &train, "--set", "data.side=16"];
        working(at, &plan);
    }
    // A file that is cut off, and one whose arrays are no images.
    let bytes = fs::read(at.join("broken.safetensors")).unwrap();
    fs::write(at.join("cut.safetensors"), &bytes[..bytes.len() - 9]).unwrap();
    let refused = |name: &str| {
        let source = Source::parse(at.join(name).to_str().unwrap()).unwrap();
        source.load(Part::Train, 16).unwrap_err().to_string()
    };
    assert!(refused("cut.safetensors").contains("cut off"));
    fs::copy("data/fashion-demo/model.safetensors", at.join("weights.safetensors")).unwrap();
    assert!(refused("weights.safetensors").contains("none of images"));
}

/// An archive with two members of one name is refused, because readers differ in which they take.
#[test]
fn members_of_one_name_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let write = |name: &str, members: [&str; 3]| {
        let mut archive = ZipWriter::new(fs::File::create(at(name)).unwrap());
        for (place, member) in members.iter().enumerate() {
            let options = SimpleFileOptions::default();
            let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 8, 8), }\n";
            archive.start_file(*member, options).unwrap();
            archive.write_all(b"\x93NUMPY\x01\x00").unwrap();
            archive.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
            archive.write_all(header.as_bytes()).unwrap();
            archive.write_all(&[place as u8; 128]).unwrap();
        }
        archive.finish().unwrap();
        // A writer of the library's takes no name twice.
        let bytes = fs::read(at(name)).unwrap();
        let mut changed = bytes.clone();
        for place in 0..bytes.len().saturating_sub(6) {
            if &bytes[place..place + 6] == b"imagez" {
                changed[place + 5] = b's';
            }
        }
        fs::write(at(name), changed).unwrap();
    };
    write("twice.npz", ["images.npy", "imagez.npy", "other.npy"]);
    write("twice.zip", ["cat/images.png", "cat/imagez.png", "dog/1.png"]);
    write("once.npz", ["images.npy", "pictures.npy", "other.npy"]);
    let load = |name: &str| {
        let source = Source::parse(at(name).to_str().unwrap()).unwrap();
        source.load(Part::Train, 8).map(|data| data.len()).map_err(|error| error.to_string())
    };
    for name in ["twice.npz", "twice.zip"] {
        let reason = load(name).unwrap_err();
        assert!(reason.contains(name) && reason.contains("have the same name"), "{reason}");
    }
    assert_eq!(load("once.npz"), Ok(2));
}
