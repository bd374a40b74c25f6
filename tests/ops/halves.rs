//! Tests weights in half precision: how large their errors are, in one convolution and through whole networks.

use crate::bench::{Bench, gpu, lowered, numbers};
use lapidary::gpu::{Adapter, AdapterKind, Precision, Preferences};
use lapidary::graph::{Element, Graph, Node, Shape, Value};
use lapidary::model::{Activation, Mode, Network, Weights, WideResNet};
use lapidary::ops::{self, Conv2d, LogSumExp};
use std::sync::Arc;

/// A GPU's choices, on whatever runs the tests.
fn halving() -> (Arc<Adapter>, Preferences) {
    let own = gpu().adapter().as_ref().clone();
    let preferences = Preferences { precision: Precision::HalfWeights, ..Preferences::default() };
    (Arc::new(Adapter { kind: AdapterKind::Discrete, ..own }), preferences)
}

/// The root mean square of what halves change, as a share of that of each value.
fn shares(graph: &Graph, wanted: &[Value], given: &[(Value, Vec<f32>)]) -> Vec<f64> {
    let plain = (gpu().adapter().clone(), Preferences::default());
    let [plain, halves] = [plain, halving()].map(|(adapter, preferences)| {
        let rewritten = lowered(graph, wanted, &adapter, &preferences);
        let mut packs = rewritten.nodes().iter().filter(|node| node.op.name() == "conv2d_pack");
        let half = |node: &Node| rewritten.element(node.outputs[0]) == Element::Half;
        let asked = preferences.precision != Precision::Single;
        assert!(packs.all(|node| half(node) == (asked && adapter.f16)));
        Bench::on(&adapter, &rewritten, wanted, given)
    });
    let root = |values: &[f32]| values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    let share = |&value: &Value| {
        let (plain, halves) = (plain.read(value), halves.read(value));
        let off: Vec<_> = plain.iter().zip(&halves).map(|(a, b)| a - b).collect();
        root(&off) / root(&plain)
    };
    wanted.iter().map(share).collect()
}

/// Adapters without half precision keep single precision, in which kernels differ by the order of their sums.
fn is_within(share: f64, bounds: std::ops::Range<f64>) -> bool {
    if gpu().adapter().f16 { bounds.contains(&share) } else { share < bounds.end }
}

/// Any weights: off by what the op says, some 2^-12 of what random products sum up to.
#[test]
fn a_convolution() {
    let (x_shape, w_shape) = (Shape::new(2, 64, 8, 8).unwrap(), Shape::new(24, 64, 3, 3).unwrap());
    let mut graph = Graph::default();
    let (x, w) = (graph.input(x_shape), graph.input(w_shape));
    let y = graph.push(Conv2d::square(1, 1), &[x, w]).unwrap();
    let data = |shape: Shape, seed| numbers(shape.elements() as usize, seed);
    let share = shares(&graph, &[y], &[(x, data(x_shape, 1)), (w, data(w_shape, 2))])[0];
    assert!(is_within(share, 5e-5..3e-4), "{share:e}");
}

/// What docs/guide.md says of whole networks: logits are off by less than 1e-3 of their size, and so are images' gradients
/// where they are smooth. A rectifier near 0 that falls on the other side takes a whole path's gradient with it.
#[test]
fn networks() {
    let cases = [(10, 1), (16, 2)];
    let activations = [Activation::Relu, Activation::Silu];
    for ((depth, width), activation) in cases.iter().flat_map(|&c| activations.map(|a| (c, a))) {
        let model: Network = WideResNet::new(depth, width, 3, 10, activation, None).unwrap().into();
        let parameters = model.parameters();
        let random = model.initial(5);
        let mut graph = Graph::default();
        let x = graph.input(Shape::new(2, 3, 16, 16).unwrap());
        let weights = Weights::inputs(&mut graph, &parameters).unwrap();
        let ones = graph.input(Shape::per_image(2).unwrap());
        let logits = model.logits(&mut graph, x, &weights, Mode::Frozen).unwrap();
        let energy = graph.push(LogSumExp, &[logits]).unwrap();
        let dx = ops::gradient(&mut graph, energy, ones, &[x]).unwrap()[0];
        let mut given = vec![(x, numbers(2 * 3 * 16 * 16, 1)), (ones, vec![1.0; 2])];
        for parameter in &parameters {
            let value = weights.get(&parameter.name).unwrap();
            given.push((value, random.get(&parameter.name).unwrap().data.clone()));
        }
        let shares = shares(&graph, &[logits, dx], &given);
        let most = if activation == Activation::Relu { 0.1 } else { 1e-3 };
        assert!(is_within(shares[0], 1e-5..1e-3), "{depth}, {width}, {activation:?}: {shares:?}");
        assert!(is_within(shares[1], 1e-5..most), "{depth}, {width}, {activation:?}: {shares:?}");
    }
}
