//! Tests Winograd's filtering in three launches: its rounding compared with f64, its scratch memory, and where it is chosen.

use crate::bench::{Bench, gpu, lowered as optimised, numbers};
use crate::grouped::products;
use crate::objectives::bits;
use lapidary::gpu::{Adapter, AdapterKind, Filtering, Preferences};
use lapidary::graph::{Graph, Op, Plan, Shape, Value};
use lapidary::ops::conv::{Choice, ConvRole, Way};
use lapidary::ops::{self, Add, Conv2d, Epilogue, FrozenBatchNorm, PackedConv2d, Problem, Unary};
use std::sync::Arc;

const CONV: Conv2d = Conv2d { stride: [1, 1], padding: [1, 1] };

/// The device as if it were a GPU of its own.
fn discrete() -> Adapter {
    Adapter { kind: AdapterKind::Discrete, ..gpu().adapter().as_ref().clone() }
}

fn filtered(filtering: Filtering) -> Preferences {
    Preferences { filtering, ..Preferences::default() }
}

/// By the row of this name.
fn packed(x: Shape, w: Shape, name: &str) -> PackedConv2d {
    sized(x, w, name, 0)
}

/// With the size at this place of those that the row allows.
fn sized(x: Shape, w: Shape, name: &str, place: usize) -> PackedConv2d {
    let problem = Problem::new(CONV, 1, x, w).unwrap();
    let way = Way::named(name).unwrap();
    let choice = Choice { way, size: way.sizes(&problem, &discrete())[place] };
    PackedConv2d { problem, role: ConvRole::Forward, choice, epilogue: Epilogue::default() }
}

const TWO: &str = "winograd two";
const FOUR: &str = "winograd four";

/// y of x and w, in f64.
fn exact(x_shape: Shape, w_shape: Shape, x: &[f32], w: &[f32]) -> Vec<f64> {
    let mut y = vec![0.0; (x_shape.images() * w_shape.images() * x_shape.pixels()) as usize];
    let sides = [x_shape.height(), x_shape.width()].map(|side| side as usize);
    products(CONV, [1, x_shape.images() as usize], sides, w_shape, |at, of_x, of_w| {
        y[at] += f64::from(x[of_x]) * f64::from(w[of_w]);
    });
    y
}

/// The bounds that [`Winograd`]'s documentation states.
#[test]
fn rounding_is_bounded() {
    let adapter = Arc::new(discrete());
    for channels in [32, 160, 640] {
        let x_shape = Shape::new(2, channels, 8, 8).unwrap();
        let w_shape = Shape::new(16, channels, 3, 3).unwrap();
        let mut graph = Graph::default();
        let (x, w) = (graph.input(x_shape), graph.input(w_shape));
        let results = ["quads", TWO, FOUR].map(|filter| {
            let op = packed(x_shape, w_shape, filter);
            let weights = graph.push(op.packing(), &[w]).unwrap();
            graph.push(op, &[x, weights]).unwrap()
        });
        let data = [(x, x_shape, 1), (w, w_shape, 2)]
            .map(|(value, shape, seed)| (value, numbers(shape.elements() as usize, seed)));
        let wanted = exact(x_shape, w_shape, &data[0].1, &data[1].1);
        let most = wanted.iter().fold(0.0f64, |most, v| most.max(v.abs()));
        let bench = Bench::on(&adapter, &graph, &results, &data);
        let [direct, two, four] = results.map(|value| {
            let errors: Vec<_> = (bench.read(value).into_iter().zip(&wanted))
                .map(|(given, wanted)| (f64::from(given) - wanted).abs() / most)
                .collect();
            assert!(errors.iter().all(|error| error.is_finite()));
            errors.into_iter().fold(0.0, f64::max)
        });
        println!("{channels} channels: {direct:.1e} directly, {two:.1e} and {four:.1e}");
        assert!(two < four, "{channels} channels: F(2x2) {two:e}, F(4x4) {four:e}");
        assert!(two < 2e-6 && four < 6e-6, "{channels} channels: F(2x2) {two:e}, F(4x4) {four:e}");
    }
}

/// More tiles than V and M hold at once: groups in turn, which do not begin or end with an image.
#[test]
fn groups_of_tiles_go_through_one_scratch() {
    let (x_shape, w_shape) = (Shape::new(21, 40, 11, 12), Shape::new(37, 40, 3, 3));
    let (x_shape, w_shape) = (x_shape.unwrap(), w_shape.unwrap());
    let mut graph = Graph::default();
    let (x, w) = (graph.input(x_shape), graph.input(w_shape));
    let data = [(x, x_shape, 1), (w, w_shape, 2)]
        .map(|(value, shape, seed)| (value, numbers(shape.elements() as usize, seed)));
    let mut results = Vec::new();
    let max_binding = 36 * 64 * 40 * 4;
    for (filter, groups) in [("taps", 0), (TWO, 6), (FOUR, 3)] {
        let mut graph = graph.clone();
        let op = packed(x_shape, w_shape, filter);
        let weights = graph.push(op.packing(), &[w]).unwrap();
        let y = graph.push(op, &[x, weights]).unwrap();
        let adapter = Arc::new(Adapter { max_binding, ..discrete() });
        if groups > 0 {
            let plan = Plan::new(&graph, &[y], &[x, w], &adapter).unwrap();
            assert_eq!(plan.summary().dispatches, 1 + 3 * groups, "{filter:?}");
            let scratch = plan.summary().scratch_bytes;
            assert!(scratch > max_binding && scratch <= 2 * max_binding + 16, "{scratch}");
            for dispatch in
                plan.every.dispatches.iter().filter(|d| d.kernel.name == "winograd_product")
            {
                assert!(dispatch.grid.iter().all(|&side| side <= 65_535));
            }
        }
        results.push(Bench::on(&adapter, &graph, &[y], &data).read(y));
    }
    let most = results[0].iter().fold(0.0f32, |most, v| most.max(v.abs()));
    for filtered in &results[1..] {
        for (i, (given, wanted)) in filtered.iter().zip(&results[0]).enumerate() {
            assert!((given - wanted).abs() < 1e-5 * most, "{given} and {wanted} at {i}");
        }
    }
}

/// Workgroups of the product that tuning may choose: of one sum in one order, so of the same bits.
#[test]
fn workgroups_of_all_sizes_agree() {
    let [x, w] =
        [[3, 24, 9, 8], [80, 24, 3, 3]].map(|[n, c, h, w]| Shape::new(n, c, h, w).unwrap());
    let mut graph = Graph::default();
    let (of_x, of_w) = (graph.input(x), graph.input(w));
    let results = [0, 1, 2].map(|place| {
        let op = sized(x, w, TWO, place);
        let u = graph.push(op.packing(), &[of_w]).unwrap();
        graph.push(op, &[of_x, u]).unwrap()
    });
    let data = [(of_x, x, 1), (of_w, w, 2)]
        .map(|(value, shape, seed)| (value, numbers(shape.elements() as usize, seed)));
    let plan = Plan::new(&graph, &results, &[of_x, of_w], gpu().adapter()).unwrap();
    let products = plan.every.dispatches.iter().filter(|d| d.kernel.name == "winograd_product");
    let rows: Vec<_> = products.map(|dispatch| dispatch.constants[0].1).collect();
    assert_eq!(rows, [8.0, 4.0, 16.0]);
    let bench = Bench::new(&graph, &results, &data);
    let [wanted, others @ ..] = results.map(|value| bits(&bench.read(value)));
    assert!(others.iter().all(|other| *other == wanted));
}

/// A layer of WRN-28-10 at batch 128: 64 MiB of scratch at most.
#[test]
fn scratch_is_small() {
    for winograd in [Filtering::Two, Filtering::Four] {
        let mut graph = Graph::default();
        let x = graph.input(Shape::new(128, 160, 32, 32).unwrap());
        let w = graph.input(Shape::new(160, 160, 3, 3).unwrap());
        let y = graph.push(CONV, &[x, w]).unwrap();
        let adapter = Arc::new(discrete());
        let graph = optimised(&graph, &[y], &adapter, &filtered(winograd));
        let plan = Plan::new(&graph, &[y], &[x], &adapter).unwrap();
        let scratch = plan.summary().scratch_bytes;
        assert!((48 << 20..=(64 << 20) + 16).contains(&scratch), "{winograd:?}: {scratch}");
    }
}

/// Values that are written before a run.
type Data = Vec<(Value, Vec<f32>)>;

/// Two layers with a rectifier between, their sum with x, and the derivative for x.
fn block() -> (Graph, [Value; 2], Data) {
    let shape = Shape::new(2, 32, 7, 8).unwrap();
    let mut graph = Graph::default();
    let x = graph.input(shape);
    let w = [1, 2].map(|_| graph.input(Shape::new(32, 32, 3, 3).unwrap()));
    let statistics = [1, 2, 3, 4].map(|_| graph.input(Shape::vector(32).unwrap()));
    let [gamma, beta, mean, variance] = statistics;
    let hidden = graph.push(CONV, &[x, w[0]]).unwrap();
    let normed = [hidden, gamma, beta, mean, variance];
    let hidden = graph.push(FrozenBatchNorm { eps: 1e-5 }, &normed).unwrap();
    let hidden = graph.push(Unary::Relu, &[hidden]).unwrap();
    let y = graph.push(CONV, &[hidden, w[1]]).unwrap();
    let y = graph.push(Add, &[y, x]).unwrap();
    let dx = ops::gradient(&mut graph, y, y, &[x]).unwrap()[0];
    let mut data = Data::new();
    for (seed, value) in (0..).zip([x].into_iter().chain(w).chain(statistics)) {
        let mut values = numbers(graph.shape(value).unwrap().elements() as usize, seed);
        for v in &mut values {
            *v = if w.contains(&value) {
                0.1 * *v
            } else if value == variance {
                v.abs() + 0.5
            } else {
                *v
            };
        }
        data.push((value, values));
    }
    (graph, [y, dx], data)
}

/// The setting decides, and the rewrites treat filtered layers as all others.
#[test]
fn a_setting_says_which_filter() {
    let (graph, wanted, data) = block();
    let own = gpu().adapter();
    let texels = own.subgroup.is_some_and(|size| size >= 8) && own.kind == AdapterKind::Cpu;
    let mut results: Vec<[Vec<f32>; 2]> = Vec::new();
    for (kind, filtering, product, fused) in [
        (AdapterKind::Discrete, Filtering::Off, 0, 0),
        (AdapterKind::Discrete, Filtering::Auto, 0, 0),
        (AdapterKind::Discrete, Filtering::Two, 4, 0),
        (AdapterKind::Discrete, Filtering::Four, 4, 0),
        (AdapterKind::Cpu, Filtering::Off, 0, 0),
        (AdapterKind::Cpu, Filtering::Auto, 0, if texels { 4 } else { 0 }),
        (AdapterKind::Cpu, Filtering::Two, 4, 0),
        (AdapterKind::Cpu, Filtering::Four, if texels { 0 } else { 4 }, if texels { 4 } else { 0 }),
    ] {
        let adapter = Arc::new(Adapter { kind, ..own.as_ref().clone() });
        let graph = optimised(&graph, &wanted, &adapter, &filtered(filtering));
        let bench = Bench::on(&adapter, &graph, &wanted, &data);
        let launches = |name: &str| bench.launches().filter(|each| *each == name).count();
        assert_eq!(launches("winograd_product"), product, "{kind:?} {filtering:?}");
        assert_eq!(launches("conv2d_winograd"), fused, "{kind:?} {filtering:?}");
        // What follows a layer is part of it, however it is computed.
        for other in ["affine", "affine_vec4", "relu", "add", "relu_mask"] {
            assert_eq!(launches(other), 0, "{other} {kind:?} {filtering:?}");
        }
        results.push(wanted.map(|value| bench.read(value)));
    }
    for result in &results[1..] {
        for (given, wanted) in result.iter().flatten().zip(results[0].iter().flatten()) {
            assert!((given - wanted).abs() < 1e-4, "{given} and {wanted}");
        }
    }
}

/// U counts against the bound that programs set, of either filter.
#[test]
fn transformed_weights_count_for_both() {
    let mut graph = Graph::default();
    let x = graph.input(Shape::new(2, 32, 8, 8).unwrap());
    let w = graph.input(Shape::new(40, 32, 3, 3).unwrap());
    let y = graph.push(CONV, &[x, w]).unwrap();
    for (filtering, words) in [(Filtering::Two, 16), (Filtering::Four, 36)] {
        let transformed = 4 * words * 32 * 40;
        for (most_transformed, kept) in
            [(transformed - 1, 4 * 9 * 32 * 40), (transformed, transformed)]
        {
            let adapter = Arc::new(discrete());
            let bounded = Preferences { most_transformed, ..filtered(filtering) };
            let graph = optimised(&graph, &[y], &adapter, &bounded);
            let plan = Plan::new(&graph, &[y], &[x], &adapter).unwrap();
            assert_eq!(plan.summary().kept_bytes, kept, "{filtering:?}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    for (x, w) in [([2, 32, 8, 6], [32, 32, 3, 3]), ([2, 32, 8, 8], [32, 32, 5, 5])] {
        let [x, w] = [x, w].map(|[n, c, h, w]| Shape::new(n, c, h, w).unwrap());
        let op = packed(x, w, TWO);
        let weights = op.packing().outputs(&[w]).unwrap()[0];
        let error = op.outputs(&[x, weights]).unwrap_err().to_string();
        assert!(error.contains("rows of whole quads"), "{error}");
    }
}
