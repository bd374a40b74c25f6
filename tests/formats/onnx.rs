//! Tests the bytes of the ONNX files that lapidary writes. `tests/peers` shows that other tools compute the same with them.

use lapidary::Result;
use lapidary::graph::{Graph, Shape};
use lapidary::model::checkpoint::FilePrecision;
use lapidary::model::onnx::Export;
use lapidary::model::{
    Activation, ConvNext, Mode, Network, Normalisation, ResNet, StateDict, Stem, Weights,
    WideResNet, initial,
};
use lapidary::ops::LogSumExp;
use std::path::Path;

fn model() -> WideResNet {
    let normalisation = Normalisation { mean: vec![0.5; 3], std: vec![0.25; 3] };
    WideResNet::new(10, 1, 3, 10, Activation::Silu, Some(normalisation)).unwrap()
}

/// With `energy`, logsumexp is behind the logits.
fn write(path: &Path, numbers: &StateDict, precision: FilePrecision, energy: bool) -> Result<()> {
    let model = model();
    let mut graph = Graph::default();
    let images = graph.input(Shape::new(1, 3, 32, 32)?);
    let weights = Weights::inputs(&mut graph, &model.parameters())?;
    let mut logits = model.logits(&mut graph, images, &weights, Mode::Frozen)?;
    if energy {
        logits = graph.push(LogSumExp, &[logits])?;
    }
    let export =
        Export { graph: &graph, images, logits, weights: &weights, numbers, fixed_size: false };
    export.write(path, &model.metadata().to_strings(), precision)
}

/// A message's fields: their numbers, and the bytes of those that have a length.
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let length = match tag & 7 {
            0 => {
                varint(&mut bytes);
                0
            }
            5 => 4,
            2 => varint(&mut bytes) as usize,
            other => panic!("wire type {other}"),
        };
        let (value, rest) = bytes.split_at(length);
        found.push((tag >> 3, value));
        bytes = rest;
    }
    found
}

fn all<'a>(message: &[(u64, &'a [u8])], field: u64) -> Vec<&'a [u8]> {
    message.iter().filter(|(number, _)| *number == field).map(|(_, value)| *value).collect()
}

#[test]
fn every_layer_and_every_weight_is_in_the_file() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    let weights = initial::initial(&model().parameters(), 3);
    for (precision, width) in [(FilePrecision::F32, 4), (FilePrecision::F16, 2)] {
        write(&path, &weights, precision, false).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let file = fields(&bytes);
        let graph = fields(all(&file, 7)[0]);
        let ops: Vec<_> = all(&graph, 1).iter().map(|node| all(&fields(node), 4)[0]).collect();
        let count = |op: &str| ops.iter().filter(|given| **given == op.as_bytes()).count();
        // Three blocks of two convolutions, two shortcuts, the first layer; a normalisation before each but those.
        let counts =
            ["Sub", "Div", "Conv", "BatchNormalization", "Sigmoid", "Add", "Gemm"].map(count);
        assert_eq!(counts, [1, 1, 9, 7, 7, 3, 1]);
        assert_eq!(count("Cast"), if width == 2 { weights.len() } else { 0 });
        let constants: Vec<_> = all(&graph, 5).iter().map(|tensor| fields(tensor)).collect();
        for (name, tensor) in weights.iter() {
            let stored = if width == 2 { format!("{name}.half") } else { name.to_owned() };
            let found = constants.iter().find(|found| all(found, 8)[0] == stored.as_bytes());
            let bytes = all(found.unwrap_or_else(|| panic!("no {stored}")), 9)[0];
            assert_eq!(bytes.len(), tensor.data.len() * width, "{name}");
            if width == 4 {
                assert_eq!(bytes, crate::build::floats(&tensor.data));
            }
        }
        assert!(
            all(&file, 14).iter().any(|fact| all(&fields(fact), 1)[0] == b"lapidary.architecture")
        );
    }
}

#[test]
fn what_cannot_be_written_is_named_and_leaves_nothing() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    let mut weights = initial::initial(&model().parameters(), 3);
    let error = write(&path, &weights, FilePrecision::F32, true).unwrap_err().to_string();
    assert!(error.contains("log_sum_exp"), "{error}");
    weights.remove("fc.bias");
    let error = write(&path, &weights, FilePrecision::F32, false).unwrap_err().to_string();
    assert!(error.contains("net.onnx") && error.contains("fc.bias"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn every_architecture_has_its_counterpart() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    let (depths, dims) = ([1, 1, 2, 1], [8, 16, 32, 64]);
    let resnet = ResNet::new(depths, dims, 64, 3, 10, None).unwrap();
    let convnext = ConvNext::new(depths, dims, Stem::Patch, 3, 10, None).unwrap();
    // Five blocks: of three convolutions, four with one for the shortcut; of one depthwise and two others.
    for (model, layers) in [
        (Network::from(resnet), &[("Conv", 20), ("MaxPool", 1), ("Gemm", 1)][..]),
        (convnext.into(), &[("Conv", 19), ("LayerNormalization", 10), ("Erf", 5), ("Gemm", 1)]),
    ] {
        let weights = model.initial(1);
        let mut graph = Graph::default();
        let images = graph.input(Shape::new(1, 3, 64, 64).unwrap());
        let values = Weights::inputs(&mut graph, &model.parameters()).unwrap();
        let logits = model.logits(&mut graph, images, &values, Mode::Frozen).unwrap();
        let (graph, weights, numbers) = (&graph, &values, &weights);
        let export = Export { graph, images, logits, weights, numbers, fixed_size: true };
        export.write(&path, &Default::default(), FilePrecision::F16).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let graph = fields(all(&fields(&bytes), 7)[0]);
        let ops: Vec<_> = all(&graph, 1).iter().map(|node| all(&fields(node), 4)[0]).collect();
        for (op, count) in layers {
            assert_eq!(
                ops.iter().filter(|given| **given == op.as_bytes()).count(),
                *count,
                "{model} {op}"
            );
        }
    }
}
