//! Tests that rectifiers, pools and normalisations pass infinities and NaN on instead of turning them into numbers. In WGSL
//! max(x, 0) may be 0 for NaN.

use crate::bench::{Bench, gpu, numbers};
use lapidary::gpu::{Adapter, AdapterKind};
use lapidary::graph::{Graph, Shape, Value};
use lapidary::ops::conv::{Choice, ConvRole, WAYS};
use lapidary::ops::{
    Affine, AffineMask, BatchNorm, Conv2d, Epilogue, GroupNorm, LayerNorm, MaxPool, PackedConv2d,
    Problem, Residual, Unary,
};
use std::sync::Arc;

const ODD: [f32; 3] = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN];

fn shape(sides: [u32; 4]) -> Shape {
    Shape::new(sides[0], sides[1], sides[2], sides[3]).unwrap()
}

/// Numbers of which one in each image is odd.
fn with_odd(shape: Shape, seed: u32) -> Vec<f32> {
    let mut values = numbers(shape.elements() as usize, seed);
    let image = values.len() / shape.images() as usize;
    for (i, odd) in (0..shape.images() as usize).zip(ODD) {
        values[i * image + image / 2 + i] = odd;
    }
    values
}

fn result(graph: &Graph, y: Value, given: &[(Value, Vec<f32>)]) -> Vec<f32> {
    Bench::new(graph, &[y], given).read(y)
}

/// Each value is as odd as it was, or what it has to be.
fn kept(what: &str, found: &[f32], wanted: &[f32]) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    assert!(wanted.iter().any(|value| !value.is_finite()), "{what}");
    for (i, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        let same = if wanted.is_finite() { found == wanted } else { !found.is_finite() };
        assert!(same, "{what}[{i}] is {found}, want {wanted}");
    }
}

/// The rectifier, and the same bits of all finite numbers as ever.
fn relu(value: f32) -> f32 {
    if value.is_finite() { value.max(0.0) } else { value }
}

#[test]
fn rectifiers_keep_what_overflowed() {
    for sides in [[3, 5, 3, 8], [3, 5, 3, 7]] {
        let of_x = shape(sides);
        let values = with_odd(of_x, 1);
        let unary = |op: Unary| {
            let mut graph = Graph::default();
            let x = graph.input(of_x);
            let y = graph.push(op, &[x]).unwrap();
            result(&graph, y, &[(x, values.clone())])
        };
        let each = |f: fn(f32) -> f32| values.iter().copied().map(f).collect::<Vec<_>>();
        kept("relu", &unary(Unary::Relu), &each(relu));
        kept("relu6", &unary(Unary::Relu6), &each(relu));
        for op in [Unary::Silu, Unary::Gelu] {
            for (x, y) in values.iter().zip(unary(op)) {
                // Of +inf the value is +inf, of -inf and of NaN it is NaN.
                assert_eq!(x.is_finite(), y.is_finite(), "{op:?} of {x} is {y}");
            }
        }
        let affine_values = numbers(10, 2);
        let wanted: Vec<_> = (values.iter().enumerate())
            .map(|(i, x)| {
                let c = i / of_x.pixels() as usize % 5;
                relu(x * affine_values[c] + affine_values[5 + c])
            })
            .collect();
        let mut graph = Graph::default();
        let x = graph.input(of_x);
        let affine = graph.input(Shape::matrix(2, 5).unwrap());
        let mut made = vec![graph.push(Affine { relu: true }, &[x, affine]).unwrap()];
        if of_x.width().is_multiple_of(4) {
            made.push(graph.push_all(AffineMask, &[x, affine]).unwrap()[0]);
        }
        let given = [(x, values.clone()), (affine, affine_values.clone())];
        let bench = Bench::new(&graph, &made, &given);
        for (name, y) in ["affine", "affine_mask"].into_iter().zip(made) {
            let found = bench.read(y);
            for (i, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
                let same = if wanted.is_finite() {
                    (found - wanted).abs() < 1e-6
                } else {
                    !found.is_finite()
                };
                assert!(same, "{name}[{i}] is {found}, want {wanted}");
            }
        }
    }
}

#[test]
fn pools_keep_what_overflowed() {
    let of_x = shape([3, 2, 4, 4]);
    let values = with_odd(of_x, 3);
    let mut graph = Graph::default();
    let x = graph.input(of_x);
    let y = MaxPool { kernel: 2, stride: 2, padding: 0 }.push(&mut graph, x).unwrap();
    let wanted: Vec<_> = (0..3 * 2 * 2 * 2)
        .map(|at| {
            let (u, v, plane) = (at % 2, at / 2 % 2, at / 4);
            let window = [0, 1, 4, 5].map(|i| values[plane * 16 + v * 8 + u * 2 + i]);
            let odd = window.iter().copied().find(|value| !value.is_finite());
            odd.unwrap_or(window.into_iter().fold(f32::NEG_INFINITY, f32::max))
        })
        .collect();
    kept("max_pool", &result(&graph, y, &[(x, values)]), &wanted);
}

/// A variance beyond f32 would divide all by infinity.
#[test]
fn normalisations_keep_what_overflowed() {
    let of_x = shape([3, 4, 2, 4]);
    let large: Vec<_> = numbers(of_x.elements() as usize, 4).iter().map(|x| x * 1e25).collect();
    let mut graph = Graph::default();
    let x = graph.input(of_x);
    let [gamma, beta] = [(); 2].map(|()| graph.input(Shape::vector(4).unwrap()));
    let layer = LayerNorm { eps: 1e-5 }.push(&mut graph, [x, gamma, beta]).unwrap();
    let group = graph.push_all(GroupNorm { groups: 2, eps: 1e-5 }, &[x]).unwrap()[0];
    let [batch, ..] = BatchNorm { eps: 1e-5 }.push(&mut graph, [x, gamma, beta]).unwrap();
    let given = [(x, large), (gamma, vec![1.0; 4]), (beta, vec![0.0; 4])];
    let made = [layer, group, batch];
    let bench = Bench::new(&graph, &made, &given);
    for (name, y) in ["layer_norm", "group_norm", "batch_norm"].into_iter().zip(made) {
        let found = bench.read(y);
        assert!(found.iter().all(|value| !value.is_finite()), "{name}: {found:?}");
    }
}

/// Behind every row of the table, as what is done before the store.
#[test]
fn convolutions_keep_what_overflowed() {
    let own = gpu().adapter();
    let gpus = Arc::new(Adapter { kind: AdapterKind::Discrete, ..own.as_ref().clone() });
    let subgroups = own.subgroup.is_some_and(|size| size >= 8);
    let mut rows = std::collections::BTreeSet::new();
    for (side, kernel, stride, inputs, outputs) in [
        ([8, 8], 3, 1, 4, 33),
        ([8, 8], 3, 1, 4, 4),
        ([8, 8], 1, 1, 4, 33),
        ([8, 8], 1, 1, 4, 4),
        ([8, 8], 3, 2, 4, 4),
        ([5, 7], 3, 1, 4, 4),
        ([5, 7], 3, 1, 4, 33),
        ([4, 4], 3, 1, 128, 33), // what is summed in slices
        ([4, 4], 1, 1, 128, 33),
        ([8, 8], 3, 2, 128, 33),
        ([3, 5], 3, 1, 128, 33),
    ] {
        let of_x = shape([3, inputs, side[0], side[1]]);
        let of_w = shape([outputs, inputs, kernel, kernel]);
        let problem = Problem::new(Conv2d::square(stride, kernel / 2), 1, of_x, of_w).unwrap();
        let values = with_odd(of_x, 5);
        let weights = numbers(of_w.elements() as usize, 6);
        let scales = numbers(2 * outputs as usize, 7);
        let mut graph = Graph::default();
        let (x, w) = (graph.input(of_x), graph.input(of_w));
        let y = graph.push(Conv2d::square(stride, kernel / 2), &[x, w]).unwrap();
        let plain = result(&graph, y, &[(x, values.clone()), (w, weights.clone())]);
        let wanted: Vec<_> = (plain.iter().enumerate())
            .map(|(i, y)| {
                let c = i / problem.y.pixels() as usize % outputs as usize;
                relu(y * scales[c] + scales[outputs as usize + c])
            })
            .collect();
        for way in WAYS.iter().filter(|way| way.computes(&problem, ConvRole::Forward)) {
            // Once is enough: most of the time goes into compiling.
            let cannot = way.name.contains("texels") && !subgroups || way.cooperative > 0;
            if cannot || !rows.insert(way.name) {
                continue;
            }
            let adapter = if way.launches_groups() { &gpus } else { own };
            let choice = Choice { way, size: way.sizes(&problem, adapter)[0] };
            let relu = Epilogue {
                affine: true,
                residual: Residual::None,
                relu: true,
                ..Epilogue::default()
            };
            let op = PackedConv2d { problem, role: ConvRole::Forward, choice, epilogue: relu };
            let mut graph = Graph::default();
            let (x, w) = (graph.input(of_x), graph.input(of_w));
            let affine = graph.input(Shape::matrix(2, outputs).unwrap());
            let packed = graph.push(op.packing(), &[w]).unwrap();
            let y = graph.push_all(op, &[x, packed, affine]).unwrap()[0];
            let given = [(x, values.clone()), (w, weights.clone()), (affine, scales.clone())];
            let found = result(&graph, y, &given);
            for (i, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
                let near =
                    || (found - wanted).abs() < if way.name.contains("half") { 1e-2 } else { 1e-4 };
                // A filter spreads it over a tile.
                let spread = way.name.contains("winograd") && !found.is_finite();
                let same = if wanted.is_finite() { spread || near() } else { !found.is_finite() };
                assert!(same, "{choice} of {problem:?}: y[{i}] is {found}, want {wanted}");
            }
        }
    }
    let forward =
        WAYS.iter().filter(|way| way.roles.contains(&ConvRole::Forward) && way.cooperative == 0);
    let left: Vec<_> = forward.filter(|way| !rows.contains(way.name)).map(|way| way.name).collect();
    assert!(
        subgroups && left.is_empty() || left.iter().all(|name| name.contains("texels")),
        "{left:?}"
    );
}
