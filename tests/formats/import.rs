//! Tests that ONNX files that are damaged or malicious are refused with the reason, within the memory that the reader promises
//! not to exceed.

use crate::mutations::{Random, damage, until};
use crate::{SMALL, read_within, refused};
use lapidary::model::Checkpoint;
use std::path::Path;
use std::time::Instant;

/// The memory that reading a file may take: the file, its parts' lists, its tensors twice, and a constant.
fn read(bytes: &[u8]) -> lapidary::Result<Checkpoint> {
    read_within(bytes, 8 * bytes.len() + (8 << 20) + SMALL)
}

fn file(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cases/onnx");
    std::fs::read(folder.join(format!("{name}.onnx"))).unwrap()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A field that has a length, and one that is a number.
fn part(field: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn int(field: u64, number: u64) -> Vec<u8> {
    [varint(field << 3), varint(number)].concat()
}

fn node(operator: &str, inputs: &[&str], output: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|name| part(1, name.as_bytes())).collect();
    let attributes: Vec<u8> = attributes.iter().flat_map(|each| part(5, each)).collect();
    let rest = [part(2, output.as_bytes()), part(4, operator.as_bytes()), attributes].concat();
    part(1, &[inputs, rest].concat())
}

/// An input or output of these sides.
fn value(field: u64, name: &str, sides: &[u64]) -> Vec<u8> {
    let sides: Vec<u8> = sides.iter().flat_map(|&side| part(1, &int(1, side))).collect();
    let tensor = [int(1, 1), part(2, &sides)].concat();
    part(field, &[part(1, name.as_bytes()), part(2, &part(1, &tensor))].concat())
}

fn tensor(name: &str, sides: &[u64], rest: &[u8]) -> Vec<u8> {
    let sides: Vec<u8> = sides.iter().flat_map(|&side| int(1, side)).collect();
    part(5, &[sides, int(2, 1), part(8, name.as_bytes()), rest.to_vec()].concat())
}

fn model(graph: &[Vec<u8>], set: u64) -> Vec<u8> {
    let images = value(11, "images", &[1, 3, 8, 8]);
    let graph = [graph.concat(), images, value(12, "y", &[1, 5])].concat();
    [int(1, 8), part(7, &graph), part(8, &[part(1, b""), int(2, set)].concat())].concat()
}

#[test]
fn every_beginning_of_an_onnx_file_is_refused() {
    let _alone = crate::alone();
    for name in ["gated_script_16", "mobilenet3_script_17", "dense_script_13", "smooth_export_21"] {
        let bytes = file(name);
        assert!(read(&bytes).is_ok(), "{name}");
        for length in 0..bytes.len() {
            refused(read(&bytes[..length]));
        }
    }
}

#[test]
fn damaged_onnx_files_are_refused_or_read() {
    let _alone = crate::alone();
    let files = [
        "gated_script_16",
        "plain_script_13",
        "convnext_script_14",
        "convnext_export_20",
        "dense_script_13",
        "dense_export_21",
        "smooth_script_17",
        "smooth_export_21",
    ]
    .map(file);
    let (until, mut random) = (until(), Random(24));
    let (mut tried, mut sound) = (0u64, 0u64);
    while Instant::now() < until {
        let seed = random.state();
        let mut file = files[random.below(files.len())].clone();
        damage(&mut random, &mut file);
        let started = Instant::now();
        let read = read(&file);
        assert!(started.elapsed().as_secs() < 10, "seed {seed}: {:?}", started.elapsed());
        if let Err(error) = &read {
            assert!(error.to_string().starts_with("given.pth: "), "seed {seed}: {error}");
        }
        tried += 1;
        sound += u64::from(read.is_ok());
    }
    println!("{tried} files, {sound} of them sound");
    assert!(tried > 300, "{tried} files");
}

#[test]
fn operators_that_are_not_read_are_listed() {
    let _alone = crate::alone();
    let graph = [
        node("Relu", &["images"], "a", &[]),
        node("Resize", &["a"], "b", &[]),
        node("Resize", &["b"], "c", &[]),
        node("GridSample", &["c"], "y", &[]),
    ];
    let reason = refused(read(&model(&graph, 17)));
    assert_eq!(reason, "the network has operators that are not read: Resize (2), GridSample (1)");
    let reason = refused(read(&model(&[node("Relu", &["images"], "y", &[])], 40)));
    assert_eq!(
        reason,
        "operator set 40 is not read, only 11 to 24: export the network with one of these"
    );
}

#[test]
fn inputs_that_have_to_be_constants() {
    let _alone = crate::alone();
    let bytes =
        |numbers: &[i64]| -> Vec<u8> { numbers.iter().flat_map(|n| n.to_le_bytes()).collect() };
    let whole = |name: &str, numbers: &[i64]| {
        let sides = int(1, numbers.len() as u64);
        part(5, &[sides, int(2, 7), part(8, name.as_bytes()), part(9, &bytes(numbers))].concat())
    };
    let padded = |inputs: &[&str]| {
        let graph = [node("Relu", &["images"], "a", &[]), node("Pad", inputs, "b", &[])];
        let constants =
            [whole("pads", &[0, 0, 1, 1, 0, 0, 1, 1]), whole("four", &[4]), whole("nought", &[0])];
        let rest = [node("GlobalAveragePool", &["b"], "c", &[]), node("Flatten", &["c"], "y", &[])];
        read(&model(&[graph.concat(), rest.concat(), constants.concat()], 18))
    };
    // Each would pad other pixels, or with another number, if it were taken for absent.
    for (inputs, word) in [
        (&["a", "pads", "", "a"][..], "axes: it is computed"),
        (&["a", "pads", "a"], "anything but a constant 0"),
        (&["a", "pads", "four"], "anything but a constant 0"),
        (&["a", "a"], "pads: it is computed"),
        (&["a"], "pads are missing"),
    ] {
        let reason = refused(padded(inputs));
        assert!(reason.contains(word), "{word} in {reason}");
    }
    for inputs in [&["a", "pads"][..], &["a", "pads", "nought"]] {
        assert!(padded(inputs).is_ok(), "{inputs:?}");
    }
}

#[test]
fn onnx_files_that_would_do_harm() {
    let _alone = crate::alone();
    let conv = |rest: &[u8], sides: &[u64]| {
        let node = node("Conv", &["images", "w"], "y", &[]);
        read(&model(&[node, tensor("w", sides, rest)], 17))
    };
    let outside = |key: &str, value: &str| {
        let fact = |key: &str, value: &str| {
            part(13, &[part(1, key.as_bytes()), part(2, value.as_bytes())].concat())
        };
        [fact(key, value), int(14, 1)].concat()
    };
    let zeros = |count: usize| part(9, &vec![0; count]);
    for (read, word) in [
        // Shapes that no memory holds, and numbers that do not fill theirs.
        (conv(&zeros(4), &[1 << 30, 1 << 30, 1 << 30]), "2^64 bytes or more"),
        (conv(&zeros(4), &[u64::MAX, 1]), "a negative dimension or more than 8"),
        (conv(&zeros(4), &[5, 3, 1, 1]), "4 bytes for the shape [5, 3, 1, 1]"),
        (conv(&[], &[5, 3, 1, 1]), "no numbers"),
        // Files that are not beside this one.
        (
            conv(&outside("location", "../../etc/passwd"), &[5, 3, 1, 1]),
            "not a file in the same folder",
        ),
        (conv(&outside("location", "/etc/passwd"), &[5, 3, 1, 1]), "not a file in the same folder"),
        (conv(&outside("location", ".."), &[5, 3, 1, 1]), "not a file in the same folder"),
        (
            conv(&outside("location", "a"), &[5, 3, 1, 1]),
            "files beside an ONNX file are read only if it is opened by its path",
        ),
        (conv(&outside("offset", "0"), &[5, 3, 1, 1]), "whose name is missing"),
        // Values that nothing makes, or that come later.
        (read(&model(&[node("Relu", &["y"], "y", &[])], 17)), "no earlier node computes its input"),
        (
            read(&model(&[node("Relu", &["images"], "y", &[])], 17)),
            "none of the network's outputs has one number",
        ),
        // Parts that are empty, by the million.
        (
            read(&[int(1, 8), part(7, &b"\x0a\x00".repeat(4 << 20))].concat()),
            "does not say its operator set",
        ),
        (read(&model(&[b"\x0a\x00".repeat(4 << 20)], 17)), "fields: it is damaged"),
        (
            read(&model(&[node("Relu", &["images"; 30_000], "y", &[])], 17)),
            "one number for each class",
        ),
        (conv(&int(1, 1).repeat(100_000), &[5]), "without its numbers"),
        (read(&model(&[b"\x0b".repeat(200_000)], 17)), "damaged"),
    ] {
        let reason = refused(read);
        assert!(reason.contains(word), "{word} in {reason}");
    }
    // One tensor that many layers read is there once.
    let count = 300;
    let mut graph =
        vec![node("GlobalAveragePool", &["images"], "g", &[]), node("Flatten", &["g"], "0", &[])];
    graph.push(tensor("w", &[3, 3], &zeros(36)));
    graph.extend((0..count).map(|at| {
        let (from, to) = (at.to_string(), (at + 1).to_string());
        node("MatMul", &[&from, "w"], if at + 1 == count { "y" } else { &to }, &[])
    }));
    let one = read(&model(&graph, 17)).unwrap();
    assert_eq!(one.weights.len(), 1, "one transposition of it");
}
