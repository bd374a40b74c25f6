//! Tests ONNX files of PyTorch's exporters: they are read as layers, give PyTorch's logits and gradients, can be attacked,
//! and are written and read again in both formats. The script `tests/peers/onnx_files.py` made the files. With
//! `LAPIDARY_ONNX=DIR` the tests read those in DIR, which the script has made anew: `scripts/peers` runs them so.

use crate::gpu;
use crate::lookalikes::{attacked, most};
use lapidary::graph::{Graph, Shape};
use lapidary::lower::Program;
use lapidary::model::checkpoint::FilePrecision;
use lapidary::model::onnx::Export;
use lapidary::model::{
    Checkpoint, DeviceWeights, Metadata, Mode, Network, Normalisation, Pretrained, Weights,
};
use lapidary::ops::{LogSumExp, gradient};
use pollster::block_on;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    let committed = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cases/onnx");
    std::env::var_os("LAPIDARY_ONNX").map_or_else(committed, PathBuf::from)
}

/// All files of a folder that has some.
fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let is = |path: &PathBuf| path.extension().is_some_and(|end| end == "onnx");
    let mut files: Vec<PathBuf> = entries.filter(is).collect();
    files.sort();
    assert!(files.len() > 5, "{files:?}");
    files
}

/// A network's logits of two images, and the gradient for them of the sum of log-sum-exp.
fn computed(network: &Network, checkpoint: &Checkpoint, images: &[f32]) -> [Vec<f32>; 2] {
    let (parameters, gpu) = (network.parameters(), gpu());
    let mut graph = Graph::default();
    let x = graph.input(Shape::new(2, 3, 16, 16).unwrap());
    let weights = Weights::inputs(&mut graph, &parameters).unwrap();
    let logits = network.logits(&mut graph, x, &weights, Mode::Frozen).unwrap();
    let sum = graph.push(LogSumExp, &[logits]).unwrap();
    let ones = graph.input(graph.shape(sum).unwrap());
    let slope = gradient(&mut graph, sum, ones, &[x]).unwrap()[0];
    block_on(async {
        let there = DeviceWeights::upload(gpu, &parameters, &checkpoint.weights).await.unwrap();
        let given = there.bindings(&weights).unwrap();
        let results = [logits, slope];
        let mut made = Program::new(gpu, &graph, &results, &[x, ones], &given).await.unwrap();
        made.write(x, images).await.unwrap();
        made.write(ones, &[1.0_f32; 2]).await.unwrap();
        made.submit().await.unwrap();
        [made.read(logits).await.unwrap(), made.read(slope).await.unwrap()]
    })
}

fn close(what: &str, given: &[f32], wanted: &[f32]) {
    assert_eq!(given.len(), wanted.len(), "{what}");
    let (largest, off) = (most(wanted, &[]), most(given, wanted));
    println!("{what}: {:.1e}", off / largest);
    assert!(off <= 1e-5 * largest, "{what}: off by {off} of {largest}");
}

/// Returns the normalisation in a file's metadata, where it has one: `bottleneck` and `gated` have none.
fn normalisation(name: &str) -> Option<Normalisation> {
    match name {
        "mobilenet3_script_17" => Some(Normalisation { mean: vec![0.5; 3], std: vec![0.5; 3] }),
        name if name.starts_with("bottleneck") || name.starts_with("gated") => None,
        _ => Some(Normalisation { mean: vec![0.5, 0.25, 0.375], std: vec![0.25, 0.5, 0.25] }),
    }
}

#[test]
fn exported_networks_give_pytorchs_logits_and_gradients() {
    let wanted = Checkpoint::read(folder().join("onnx.safetensors")).unwrap().weights;
    let temporary = tempfile::tempdir().unwrap();
    for path in files() {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut checkpoint = Checkpoint::read(&path).unwrap();
        let network = Network::from_checkpoint(&checkpoint).unwrap();
        println!("{name}: {network}");
        assert_eq!(checkpoint.metadata.side, Some(16), "{name}");
        assert_eq!([network.channels(), network.classes()], [3, 5], "{name}");
        let found = network.normalisation().cloned();
        assert_eq!(found, normalisation(&name), "{name}");
        assert_eq!(checkpoint.metadata.tells_normalisation(), found.is_some(), "{name}");
        assert_eq!(Pretrained::read(&path).is_ok(), found.is_some(), "{name}");

        let part = |part: &str| &wanted.get(&format!("{name}.{part}")).unwrap().data;
        let check = |what: &str, checkpoint: &Checkpoint| {
            let network = Network::from_checkpoint(checkpoint).unwrap();
            let [logits, slope] = computed(&network, checkpoint, part("images"));
            close(&format!("{name}{what} logits"), &logits, part("logits"));
            close(&format!("{name}{what} gradient"), &slope, part("gradient"));
        };
        check("", &checkpoint);
        attacked(&name, &network, &checkpoint, part("images"), part("pgd"));

        // Written anew it is the same network, in our format and in ONNX again.
        checkpoint.metadata = Metadata { side: Some(16), ..network.metadata() };
        let again = Checkpoint::from_bytes("again", &checkpoint.to_bytes().unwrap()).unwrap();
        assert_eq!(Network::from_checkpoint(&again).unwrap(), network, "{name}");
        assert_eq!(again.weights, checkpoint.weights, "{name}");
        let exported = temporary.path().join(format!("{name}.onnx"));
        export(&network, &again, &exported);
        check(" twice", &Checkpoint::read(&exported).unwrap());
    }
}

fn export(network: &Network, checkpoint: &Checkpoint, path: &Path) {
    let mut graph = Graph::default();
    let images = graph.input(Shape::new(1, 3, 16, 16).unwrap());
    let weights = Weights::inputs(&mut graph, &network.parameters()).unwrap();
    let logits = network.logits(&mut graph, images, &weights, Mode::Frozen).unwrap();
    let (graph, weights, numbers) = (&graph, &weights, &checkpoint.weights);
    let export = Export { graph, images, logits, weights, numbers, fixed_size: true };
    export.write(path, &checkpoint.metadata.to_strings(), FilePrecision::F32).unwrap();
}
