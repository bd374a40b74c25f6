//! Tests networks with the tensor names of other implementations: they are recognised, normalised as the file says, and give
//! PyTorch's logits, gradients and PGD. `tests/peers/lookalikes.py` made the files; `LAPIDARY_LOOKALIKES=DIR` runs the same
//! tests on other files that this script wrote to the folder DIR, as `scripts/peers` does.

use crate::gpu;
use lapidary::attack::{Attack, Pgd, PgdAttack};
use lapidary::graph::{Graph, Shape};
use lapidary::lower::Program;
use lapidary::model::checkpoint::FilePrecision;
use lapidary::model::onnx::Export;
use lapidary::model::{
    BatchSize, Checkpoint, DeviceWeights, Mode, Network, Normalisation, Weights,
};
use lapidary::ops::{LogSumExp, Norm, gradient};
use pollster::block_on;
use std::path::PathBuf;

fn folder() -> PathBuf {
    let committed =
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cases/lookalikes");
    std::env::var_os("LAPIDARY_LOOKALIKES").map_or_else(committed, PathBuf::from)
}

/// File, network, whether the file says the normalisation, and a word of what is said of its names.
const CASES: [(&str, &str, bool, &str); 10] = [
    ("trades_sub_block", "WRN-10-1", true, "sub_block1"),
    ("wrn_without_last_bias", "WRN-10-1", true, "no bias of the last layer"),
    ("deepmind", "WRN-10-1 of DeepMind's", true, "DeepMind"),
    ("jem", "WRN-10-1 without normalisation layers", false, "JEM"),
    ("preact_rice", "PreActResNet-18", true, "pre-activation"),
    ("preact_liu", "PreActResNet-18", false, "pre-activation"),
    ("torchvision_basic", "ResNet-12", true, ""),
    ("torchvision_wide", "WRN-14-2", false, ""),
    ("robustness_bottleneck", "ResNet-14 for small images", true, "a second copy of the network"),
    ("cifar_basic", "ResNet-18 for small images", true, "for small images"),
];

#[test]
fn networks_of_others_give_pytorchs_logits_and_gradients() {
    let wanted = Checkpoint::read(folder().join("lookalikes.safetensors")).unwrap().weights;
    for (name, shown, tells, word) in CASES {
        let mut checkpoint = Checkpoint::read(folder().join(format!("{name}.pth"))).unwrap();
        let notes = checkpoint.notes.join("; ");
        assert!(notes.contains(word), "{name}: {notes}");
        assert_eq!(checkpoint.metadata.normalisation.is_some(), tells, "{name}: {notes}");
        let (mean, std) = (vec![0.5, 0.25, 0.375], vec![0.25, 0.5, 0.25]);
        let normalisation = Normalisation { mean, std };
        let found = checkpoint.metadata.normalisation.get_or_insert(normalisation.clone());
        assert_eq!(*found, normalisation, "{name}");
        let network = Network::from_checkpoint(&checkpoint).unwrap();
        assert_eq!(network.to_string(), shown, "{name}");
        assert!(Network::told_by(&checkpoint).is_some());

        let part = |part: &str| wanted.get(&format!("{name}.{part}")).unwrap();
        let images = part("images");
        let (parameters, gpu) = (network.parameters(), gpu());
        let mut graph = Graph::default();
        let x = graph.input(Shape::new(2, 3, 16, 16).unwrap());
        let weights = Weights::inputs(&mut graph, &parameters).unwrap();
        let logits = network.logits(&mut graph, x, &weights, Mode::Frozen).unwrap();
        let sum = graph.push(LogSumExp, &[logits]).unwrap();
        let ones = graph.input(graph.shape(sum).unwrap());
        let gradient = gradient(&mut graph, sum, ones, &[x]).unwrap()[0];
        block_on(async {
            let there = DeviceWeights::upload(gpu, &parameters, &checkpoint.weights).await.unwrap();
            let given = there.bindings(&weights).unwrap();
            let results = [logits, gradient];
            let mut made = Program::new(gpu, &graph, &results, &[x, ones], &given).await.unwrap();
            made.write(x, &images.data).await.unwrap();
            made.write(ones, &[1.0_f32; 2]).await.unwrap();
            made.submit().await.unwrap();
            for (value, what) in [(logits, "logits"), (gradient, "gradient")] {
                let (given, wanted) = (made.read(value).await.unwrap(), &part(what).data);
                let (largest, off) = (most(wanted, &[]), most(&given, wanted));
                println!("{name} {what}: {:.1e}", off / largest);
                assert_eq!(given.len(), wanted.len());
                assert!(off <= 1e-5 * largest, "{name}: {what} off by {off} of {largest}");
            }
        });
        attacked(name, &network, &checkpoint, &images.data, &part("pgd").data);
        let mut graph = Graph::default();
        let x = graph.input(Shape::new(1, 3, 16, 16).unwrap());
        let weights = Weights::inputs(&mut graph, &parameters).unwrap();
        let logits = network.logits(&mut graph, x, &weights, Mode::Frozen).unwrap();
        let export = Export {
            graph: &graph,
            images: x,
            logits,
            weights: &weights,
            numbers: &checkpoint.weights,
            fixed_size: true,
        };
        let folder = tempfile::tempdir().unwrap();
        export
            .write(folder.path().join("net.onnx"), &Default::default(), FilePrecision::F32)
            .unwrap();

        // Written anew it is the same network, which says all by itself.
        let metadata = lapidary::model::Metadata { side: Some(16), ..network.metadata() };
        let again = Checkpoint { metadata, ..checkpoint };
        let again = Checkpoint::from_bytes("again", &again.to_bytes().unwrap()).unwrap();
        assert_eq!(Network::from_checkpoint(&again).unwrap(), network, "{name}");
        assert_eq!(Network::from_metadata(&again.metadata).unwrap(), network, "{name}");
    }
}

/// The largest distance of two lists, or from 0 where there is no other; not a number where one is not, as `f32::max` would pass over it.
pub fn most(given: &[f32], from: &[f32]) -> f32 {
    let from = from.iter().copied().chain(std::iter::repeat(0.0));
    let apart = given.iter().zip(from).map(|(a, b)| (a - b).abs());
    apart.max_by(f32::total_cmp).unwrap_or(f32::NAN)
}

/// Ten steps of PGD on two images of classes 0 and 1, and what PyTorch makes of them.
pub fn attacked(
    name: &str,
    network: &Network,
    checkpoint: &Checkpoint,
    images: &[f32],
    wanted: &[f32],
) {
    let settings = Pgd { step_size: 1.0 / 16.0, ..Pgd::attack(Norm::L2, 0.5, 10) };
    let size = BatchSize { images: 2, side: 16 };
    let given = block_on(async {
        let (parameters, numbers) = (network.parameters(), &checkpoint.weights);
        let weights = DeviceWeights::upload(gpu(), &parameters, numbers).await.unwrap();
        let mut attack = PgdAttack::new(network, &weights, size, settings).await.unwrap();
        attack.attack(images, &[0, 1]).await.unwrap()
    });
    let (moved, off) = (most(images, wanted), most(&given, wanted));
    println!("{name} PGD-10: {off:.1e} of {moved}");
    assert!(given.len() == wanted.len() && moved > 0.02, "{name}: {moved}");
    assert!(off <= 1e-4 * moved, "{name}: PGD off by {off} of {moved}");
}
