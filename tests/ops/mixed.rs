//! Tests mixed precision: whole networks in it against single precision, which ops take part, and how much memory it saves.

use crate::bench::{Bench, gpu, lowered, numbers};
use lapidary::gpu::{Adapter, AdapterKind, Precision, Preferences};
use lapidary::graph::{Element, Graph, Shape, Value};
use lapidary::model::{
    Activation, BatchSize, ConvNext, Mode, Network, ResNet, Stem, Weights, WideResNet,
};
use lapidary::ops::{self, LogSumExp};
use std::collections::BTreeSet;
use std::sync::Arc;

const IMAGES: u32 = 4;

fn mixed() -> Preferences {
    Preferences { precision: Precision::Mixed, ..Preferences::default() }
}

/// The energy of a network's logits with its gradients for the images and for all weights, in training or frozen.
struct Whole {
    graph: Graph,
    /// Logits, the images' gradient, and the weights' gradients.
    wanted: Vec<Value>,
    given: Vec<(Value, Vec<f32>)>,
}

fn whole(model: &Network, side: u32, training: bool) -> Whole {
    let parameters = model.parameters();
    let random = model.initial(5);
    let mut graph = Graph::default();
    let shape = Shape::new(IMAGES, 3, side, side).unwrap();
    let x = graph.input(shape);
    let weights = Weights::inputs(&mut graph, &parameters).unwrap();
    let seed = graph.input(Shape::per_image(IMAGES).unwrap());
    let mut statistics = Vec::new();
    let mode = if training { Mode::Training(&mut statistics) } else { Mode::Frozen };
    let logits = model.logits(&mut graph, x, &weights, mode).unwrap();
    let energy = graph.push(LogSumExp, &[logits]).unwrap();
    let trained = parameters.iter().filter(|each| each.role == lapidary::model::Role::Weight);
    let mut by: Vec<_> = trained.map(|each| weights.get(&each.name).unwrap()).collect();
    by.insert(0, x);
    let gradients = ops::gradient(&mut graph, energy, seed, &by).unwrap();
    let mut given = vec![(x, numbers(shape.elements() as usize, 1)), (seed, vec![4096.0; 4])];
    for parameter in &parameters {
        let value = weights.get(&parameter.name).unwrap();
        given.push((value, random.get(&parameter.name).unwrap().data.clone()));
    }
    Whole { graph, wanted: [vec![logits], gradients].concat(), given }
}

/// The root mean square of the difference, as a share of that of the first.
fn share(single: &[f32], mixed: &[f32]) -> f64 {
    let root = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let off = root(&mut single.iter().zip(mixed).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    let all = root(&mut single.iter().map(|v| f64::from(*v)));
    if all == 0.0 { off } else { off / all }
}

fn networks() -> Vec<(&'static str, Network, u32)> {
    let wrn = |activation| WideResNet::new(10, 2, 3, 10, activation, None).unwrap().into();
    let resnet = ResNet::new([1, 1, 1, 1], [16, 32, 48, 64], 64, 3, 10, None);
    let stem = Stem::Convs { channels: vec![8, 16], strides: vec![2, 2] };
    let convnext = ConvNext::new([1, 1, 1, 1], [16, 24, 32, 40], stem, 3, 10, None);
    vec![
        ("WideResNet with rectifiers", wrn(Activation::Relu), 16),
        ("WideResNet with SiLU", wrn(Activation::Silu), 16),
        ("ResNet", Network::ResNet(resnet.unwrap()), 64),
        ("ConvNeXt", Network::ConvNext(convnext.unwrap()), 64),
    ]
}

/// Adapters whose kernels are compared: the device as it is, and as if it were a GPU.
fn adapters() -> [Arc<Adapter>; 2] {
    let own = gpu().adapter();
    let as_gpu = Adapter { kind: AdapterKind::Discrete, ..own.as_ref().clone() };
    [own.clone(), Arc::new(as_gpu)]
}

/// Logits differ by some 2^-10 of their size, gradients by several of that; through rectifiers more, of which some fall on
/// the other side.
#[test]
fn networks_agree_with_single_precision() {
    if !gpu().adapter().f16 {
        return; // `an_adapter_without_half_precision_is_refused` has it
    }
    for (name, model, side) in networks() {
        for training in [false, true] {
            let Whole { graph, wanted, given } = whole(&model, side, training);
            for adapter in adapters() {
                let run = |preferences: &Preferences| {
                    let lowered = lowered(&graph, &wanted, &adapter, preferences);
                    Bench::on(&adapter, &lowered, &wanted, &given)
                };
                let [single, mixed] = [Preferences::default(), mixed()].map(|each| run(&each));
                let mut shares = wanted.iter().map(|&v| share(&single.read(v), &mixed.read(v)));
                let (of_logits, of_images) = (shares.next().unwrap(), shares.next().unwrap());
                let mut rest: Vec<f64> = shares.collect();
                rest.sort_by(f64::total_cmp);
                // A bias in front of a batch's own statistics has a gradient of 0, of which rounding alone is seen.
                let middle = rest[rest.len() / 2];
                println!(
                    "{name}, training {training}, {:?}: logits {of_logits:.1e}, gradients for images {of_images:.1e}, for weights {middle:.1e}",
                    adapter.kind
                );
                let smooth = name.contains("SiLU") || name == "ConvNeXt";
                let most = if smooth { [2e-3, 1e-2, 1e-2] } else { [1e-2, 0.2, 0.2] };
                for (found, most) in [of_logits, of_images, middle].into_iter().zip(most) {
                    assert!((1e-5..most).contains(&found), "{name}, {training}: {found:e}");
                }
            }
        }
    }
}

/// Every op that allows halves gets them in some network, so that the test above has run its kernels with them.
#[test]
fn every_op_that_allows_halves_is_run_with_them() {
    let adapter = Adapter { f16: true, ..Adapter::imaginary(AdapterKind::Discrete) };
    let (mut allowing, mut halved) = (BTreeSet::new(), BTreeSet::new());
    for (_, model, side) in networks() {
        for training in [false, true] {
            let Whole { graph, wanted, .. } = whole(&model, side, training);
            let lowered = lowered(&graph, &wanted, &adapter, &mixed());
            for node in lowered.nodes() {
                let allowed = node.op.halves();
                if allowed != Default::default() {
                    allowing.insert(node.op.name());
                }
                let all = node.inputs.iter().chain(&node.outputs);
                if all.clone().any(|value| lowered.element(*value) == Element::Half) {
                    halved.insert(node.op.name());
                }
            }
            for value in &wanted {
                assert_eq!(lowered.element(*value), Element::Word);
            }
        }
    }
    assert_eq!(allowing, halved);
    assert!(halved.len() > 12, "{halved:?}");
}

/// A training step of WRN-34-10 with 128 images, and a PGD step, which keeps bits in the place of most activations.
#[test]
fn memory_is_saved() {
    let model: Network = WideResNet::new(34, 10, 3, 10, Activation::Relu, None).unwrap().into();
    let size = BatchSize { images: 128, side: 32 };
    let adapter = Arc::new(Adapter::imaginary_gpu(AdapterKind::Discrete));
    let [single, mixed] = [Preferences::default(), mixed()].map(|wish| {
        let training = lapidary::train::plan_update(&model, size, &adapter, &wish).unwrap();
        let pgd = lapidary::attack::Pgd::default().plan(&model, size, &adapter, &wish).unwrap();
        [training, pgd].map(|plan| plan.summary().clone())
    });
    for (what, single, mixed) in
        [("training", &single[0], &mixed[0]), ("PGD", &single[1], &mixed[1])]
    {
        let (single, mixed) =
            (single.shared_bytes + single.scratch_bytes, mixed.shared_bytes + mixed.scratch_bytes);
        println!("{what}: {} MiB in single precision, {} in mixed", single >> 20, mixed >> 20);
        assert!(mixed as f64 <= 0.6 * single as f64, "{what}: {single} and {mixed} bytes");
    }
}

#[test]
fn an_adapter_without_half_precision_is_refused() {
    let adapter = Arc::new(Adapter::imaginary(AdapterKind::Cpu));
    let (_, model, side) = networks().remove(0);
    let size = BatchSize { images: 2, side };
    let plan = lapidary::attack::Pgd::default().plan(&model, size, &adapter, &mixed());
    let said = plan.unwrap_err().to_string();
    assert!(said.contains("no half precision"), "{said}");
}
