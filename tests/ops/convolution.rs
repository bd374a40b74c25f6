//! Compares convolutions on random shapes: the packed kernels with the plain ones, and the plain ones with f64.

use crate::bench::{Bench, gpu, lowered, numbers};
use crate::objectives::bits;
use lapidary::gpu::{Adapter, AdapterKind, Choices, Precision, Preferences};
use lapidary::graph::{Element, Graph, Op, Shape, Value};
use lapidary::ops::conv::{Choice, ConvRole, WAYS, choose};
use lapidary::ops::{
    self, Conv2d, Epilogue, PackedConv2d, PackedWeightGradient, Problem, ReluMask, Residual, Scale,
};
use proptest::prelude::*;
use std::sync::Arc;

#[derive(Clone, Debug)]
struct Case {
    images: u32,
    inputs: u32,
    outputs: u32,
    side: [u32; 2],
    kernel: [u32; 2],
    conv: Conv2d,
}

impl Case {
    /// Of x, w and y.
    fn shapes(&self) -> (Shape, Shape, Shape) {
        let Self {
            images, inputs, outputs, side: [height, width], kernel: [rows, columns], ..
        } = *self;
        let x = Shape::new(images, inputs, height, width).unwrap();
        let w = Shape::new(outputs, inputs, rows, columns).unwrap();
        (x, w, self.conv.outputs(&[x, w]).unwrap()[0])
    }
}

/// Random shapes of each of the tests below: 200 and more are run by hand, `LAPIDARY_SHAPES=200`.
pub fn shapes() -> ProptestConfig {
    let asked = std::env::var("LAPIDARY_SHAPES").ok().and_then(|count| count.parse().ok());
    let cases = asked.unwrap_or(24);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

pub fn data(shape: Shape, seed: u32) -> Vec<f32> {
    numbers(shape.elements() as usize, seed)
}

/// Weights that half precision shows as they are: what is compared then is the kernels.
pub fn weights(shape: Shape) -> Vec<f32> {
    data(shape, 2).iter().map(|w| (w * 1024.0).round() / 1024.0).collect()
}

pub fn close(what: &str, given: &[f32], wanted: &[f32], tolerance: f32) {
    assert_eq!(given.len(), wanted.len(), "{what}");
    let scale = wanted.iter().fold(1.0, |most: f32, v| most.max(v.abs()));
    for (i, (given, wanted)) in given.iter().zip(wanted).enumerate() {
        let within = (given - wanted).abs() <= tolerance * scale; // false for NaN
        assert!(within, "{what}[{i}] is {given}, want {wanted} within {tolerance:e} of {scale}");
    }
}

/// The mask that [`ReluMask`] documents.
pub fn words(y: Shape, values: &[f32]) -> Vec<u32> {
    let [_, channels, height, width] = y.sides();
    let mask = ReluMask::of(y).unwrap();
    let mut words = vec![0; mask.elements() as usize];
    for (i, _) in (0u32..).zip(values).filter(|(_, value)| **value > 0.0) {
        let (column, row) = (i % width, i / width % height);
        let (channel, image) = (i / width / height % channels, i / width / height / channels);
        let word = (image * mask.channels() + channel / 8) * height + row;
        words[(word * mask.width() + column / 4) as usize] |= 1 << (channel % 8 * 4 + column % 4);
    }
    words
}

/// y, dx and dw by the plain kernels.
struct Plain {
    y: Vec<f32>,
    dx: Vec<f32>,
    dw: Vec<f32>,
}

fn plain(case: &Case) -> Plain {
    let (x_shape, w_shape, y_shape) = case.shapes();
    let mut graph = Graph::default();
    let [x, w, dy] = [x_shape, w_shape, y_shape].map(|shape| graph.input(shape));
    let y = graph.push(case.conv, &[x, w]).unwrap();
    let [dx, dw] = ops::gradient(&mut graph, y, dy, &[x, w]).unwrap()[..] else { panic!() };
    let given = [(x, data(x_shape, 1)), (w, weights(w_shape)), (dy, data(y_shape, 3))];
    let bench = Bench::new(&graph, &[y, dx, dw], &given);
    Plain { y: bench.read(y), dx: bench.read(dx), dw: bench.read(dw) }
}

/// Every row of the table that computes the problem, beside the plain kernels, with the size that is its static choice on
/// the adapter, and on GPUs.
fn compare(case: &Case) {
    let (x, w, _) = case.shapes();
    let problem = Problem::new(case.conv, 1, x, w).unwrap();
    let own = gpu().adapter();
    let gpus = Adapter { kind: AdapterKind::Discrete, ..own.as_ref().clone() };
    let plain = plain(case);
    for way in WAYS {
        let texels = way.name.contains("texels");
        let subgroups = own.subgroup.is_some_and(|size| size >= 8);
        // More images are more tiles of the same sort, and what GPUs share in workgroup memory is slow on CPU rasterisers.
        let slow = case.images > 5 && way.launches_groups();
        // Cooperative matrices have tests of their own (cooperative.rs), on devices that are opened with them.
        if texels && !subgroups || slow || way.cooperative > 0 {
            continue;
        }
        let adapter =
            if texels || way.name.contains("tall") { own } else { &Arc::new(gpus.clone()) };
        for role in way.roles.iter().copied().filter(|&role| way.computes(&problem, role)) {
            let size = way.sizes(&problem, adapter)[0];
            let choice = Choice { way, size };
            let what = format!("{choice}, {role:?}, {case:?}");
            match role {
                ConvRole::Forward => forward(case, &plain, problem, choice, &what),
                ConvRole::InputGradient => image_gradient(case, &plain, problem, choice, &what),
                ConvRole::WeightGradient => {
                    let (mut graph, given) = inputs(case);
                    let op = PackedWeightGradient { problem, choice, most_work: 1 << 33 };
                    let dw = graph.push_all(op, &[given[2].0, given[0].0]).unwrap()[0];
                    let bench = Bench::new(&graph, &[dw], &given);
                    close(&format!("dw of {what}"), &bench.read(dw), &plain.dw, 2e-5);
                }
            }
        }
    }
}

/// Every row of the table with its maps and packed weights in half precision beside itself in single precision, on numbers that
/// half precision shows as they are: results differ by the rounding of their stores.
fn compare_halves(case: &Case) {
    let (x_shape, w_shape, y_shape) = case.shapes();
    let problem = Problem::new(case.conv, 1, x_shape, w_shape).unwrap();
    let own = gpu().adapter();
    let mixed = Preferences { precision: Precision::Mixed, ..Preferences::default() };
    for way in WAYS {
        let texels = way.name.contains("texels");
        let subgroups = own.subgroup.is_some_and(|size| size >= 8);
        if texels && !subgroups || way.cooperative > 0 {
            continue;
        }
        for role in way.roles.iter().copied().filter(|&role| way.computes(&problem, role)) {
            let choice = Choice { way, size: way.sizes(&problem, own)[0] };
            let mut graph = Graph::default();
            let [x, w, dy] = [x_shape, w_shape, y_shape].map(|shape| graph.input(shape));
            let exact = |shape, seed| -> Vec<f32> {
                data(shape, seed).iter().map(|v| (v * 1024.0).round() / 1024.0).collect()
            };
            let given = [(x, exact(x_shape, 1)), (w, exact(w_shape, 2)), (dy, exact(y_shape, 3))];
            // What nodes make may lie in half precision, and what the caller reads may not.
            let same = |graph: &mut Graph, value| graph.push(Scale { factor: 1.0 }, &[value]);
            let [own_x, own_dy] = [x, dy].map(|value| same(&mut graph, value).unwrap());
            let made = if role == ConvRole::WeightGradient {
                let op = PackedWeightGradient { problem, choice, most_work: 1 << 33 };
                graph.push_all(op, &[own_dy, own_x]).unwrap()[0]
            } else {
                let (read, rest) =
                    if role == ConvRole::Forward { (own_x, own_dy) } else { (own_dy, own_x) };
                let epilogue = Epilogue { residual: Residual::Last, ..Epilogue::default() };
                let op = PackedConv2d { problem, role, choice, epilogue };
                let packed = graph.push(op.packing(), &[w]).unwrap();
                let made = graph.push(op, &[read, packed, rest]).unwrap();
                same(&mut graph, made).unwrap()
            };
            let halved = lowered(&graph, &[made], own, &mixed);
            let maps = [x_shape, y_shape].iter().any(|shape| shape.pixels() > 1);
            let halves = halved.nodes().iter().flat_map(|node| &node.outputs);
            let halves = halves.filter(|value| halved.element(**value) == Element::Half).count();
            assert!(halves > 0 || !maps, "{choice}, {case:?}");
            let [single, half] = [&graph, &halved].map(|graph| {
                let bench = Bench::new(graph, &[made], &given);
                bench.read(made)
            });
            close(&format!("{choice} in half precision, {role:?}, {case:?}"), &half, &single, 6e-4);
        }
    }
}

/// A graph with x, w, dy, what is added, and an affine of y's channels and one of x's; and their numbers.
fn inputs(case: &Case) -> (Graph, Vec<(Value, Vec<f32>)>) {
    let (x, w, y) = case.shapes();
    let mut graph = Graph::default();
    let mut given = Vec::new();
    for (shape, numbers) in [
        (x, data(x, 1)),
        (w, weights(w)),
        (y, data(y, 3)),
        (y, data(y, 4)),
        (y, data(y, 5)),
        (Shape::matrix(2, y.channels()).unwrap(), numbers(2 * y.channels() as usize, 6)),
        (x, data(x, 7)),
        (Shape::matrix(2, x.channels()).unwrap(), numbers(2 * x.channels() as usize, 8)),
    ] {
        given.push((graph.input(shape), numbers));
    }
    (graph, given)
}

/// By itself and with each epilogue.
fn forward(case: &Case, plain: &Plain, problem: Problem, choice: Choice, what: &str) {
    let (_, _, y_shape) = case.shapes();
    let (mut graph, given) = inputs(case);
    let values: Vec<_> = given.iter().map(|(value, _)| *value).collect();
    let [x, w, _, mask, rest, affine, ..] = values[..] else { unreachable!() };
    let role = ConvRole::Forward;
    let packed = |graph: &mut Graph, epilogue, more: &[Value]| {
        let op = PackedConv2d { problem, role, choice, epilogue };
        let weights = graph.push(op.packing(), &[w]).unwrap();
        graph.push_all(op, &[&[x, weights], more].concat()).unwrap()
    };
    let none = Epilogue::default();
    let fast_y = packed(&mut graph, none, &[])[0];
    let unfit = PackedConv2d { problem, role, choice, epilogue: none };
    let refused = graph.push(unfit, &[w, w]).unwrap_err().to_string();
    assert!(refused.contains(&format!("got {0}, {0};", problem.w)), "{refused}");
    let relu = Epilogue { affine: true, residual: Residual::Last, relu: true, ..none };
    let fused = packed(&mut graph, relu, &[affine, rest])[0];
    let [mask_bits, fused_bits] = [mask, fused].map(|y| graph.push(ReluMask, &[y]).unwrap());
    let masked = Epilogue { mask: true, residual: Residual::First, ..none };
    let fused_mask = packed(&mut graph, masked, &[affine, mask_bits, rest])[0];
    let writes = PackedConv2d { problem, role, choice, epilogue: relu }.writes_bits();
    let along =
        writes.then(|| packed(&mut graph, Epilogue { bits: true, ..relu }, &[affine, rest]));
    let mut wanted = vec![fast_y, fused, fused_mask, mask_bits, fused_bits];
    wanted.extend(along.iter().flatten());
    let bench = Bench::new(&graph, &wanted, &given);
    let outputs = y_shape.channels() as usize;
    let y_data = &plain.y;
    close(&format!("y of {what}"), &bench.read(fast_y), y_data, 1e-5);
    let plane = y_shape.pixels() as usize;
    let at = |i: usize| i / plane % outputs;
    let [mask, rest, affine] = [3, 4, 5].map(|i: usize| &given[i].1);
    let wanted_relu: Vec<_> = (0..y_data.len())
        .map(|i| (y_data[i] * affine[at(i)] + affine[outputs + at(i)] + rest[i]).max(0.0))
        .collect();
    close(&format!("fused relu of {what}"), &bench.read(fused), &wanted_relu, 1e-5);
    let wanted_mask: Vec<_> = (0..y_data.len())
        .map(|i| if mask[i] > 0.0 { (y_data[i] + rest[i]) * affine[at(i)] } else { 0.0 })
        .collect();
    close(&format!("fused mask of {what}"), &bench.read(fused_mask), &wanted_mask, 1e-5);
    assert_eq!(bits(&bench.read(mask_bits)), words(y_shape, mask), "mask of {what}");
    if let Some([y, along]) = along.as_deref() {
        assert_eq!(bits(&bench.read(*y)), bits(&bench.read(fused)), "y with bits of {what}");
        let wanted = words(y_shape, &bench.read(fused));
        assert_eq!(bits(&bench.read(*along)), wanted, "bits of {what}");
        assert_eq!(bits(&bench.read(fused_bits)), wanted, "bits of {what}");
    }
}

/// By itself and behind a rectifier's mask.
fn image_gradient(case: &Case, plain: &Plain, problem: Problem, choice: Choice, what: &str) {
    let (x_shape, ..) = case.shapes();
    let (mut graph, given) = inputs(case);
    let values: Vec<_> = given.iter().map(|(value, _)| *value).collect();
    let [_, w, dy, _, _, _, mask, affine] = values[..] else { unreachable!() };
    let packed = |graph: &mut Graph, epilogue, more: &[Value]| {
        let op = PackedConv2d { problem, role: ConvRole::InputGradient, choice, epilogue };
        let weights = graph.push(op.packing(), &[w]).unwrap();
        graph.push_all(op, &[&[dy, weights], more].concat()).unwrap()[0]
    };
    let none = Epilogue::default();
    let fast_dx = packed(&mut graph, none, &[]);
    let bits_of_x = graph.push(ReluMask, &[mask]).unwrap();
    let masked_dx = packed(&mut graph, Epilogue { mask: true, ..none }, &[affine, bits_of_x]);
    let bench = Bench::new(&graph, &[fast_dx, masked_dx], &given);
    close(&format!("dx of {what}"), &bench.read(fast_dx), &plain.dx, 1e-5);
    let (scale, mask) = (&given[7].1, &given[6].1);
    let (pixels, inputs) = (x_shape.pixels() as usize, x_shape.channels() as usize);
    let wanted: Vec<_> = (plain.dx.iter().enumerate())
        .map(|(i, dx)| if mask[i] > 0.0 { dx * scale[i / pixels % inputs] } else { 0.0 })
        .collect();
    close(&format!("masked dx of {what}"), &bench.read(masked_dx), &wanted, 1e-5);
}

/// The table has a row for every problem in every role on every kind of adapter, but on CPU rasterisers for weight gradients of
/// rows that are no whole quads, which the plain kernel computes; and the names of rows are theirs alone.
#[test]
fn every_problem_has_a_row() {
    for (i, way) in WAYS.iter().enumerate() {
        assert!(WAYS[..i].iter().all(|other| other.name != way.name), "{}", way.name);
    }
    let kinds = [
        AdapterKind::Discrete,
        AdapterKind::Integrated,
        AdapterKind::Virtual,
        AdapterKind::Other,
        AdapterKind::Cpu,
    ];
    for kind in kinds {
        for subgroup in [None, Some(4), Some(8), Some(32)] {
            let adapter = Adapter { subgroup, ..Adapter::imaginary(kind) };
            for (side, kernel, stride) in
                [([8, 8], 3, 1), ([7, 5], 3, 1), ([8, 16], 3, 2), ([9, 9], 7, 2), ([4, 4], 1, 1)]
            {
                let conv = Conv2d::square(stride, kernel / 2);
                let kernel = [kernel; 2];
                let case = Case { images: 2, inputs: 40, outputs: 24, side, kernel, conv };
                let (x, w, y) = case.shapes();
                let problem = Problem::new(conv, 1, x, w).unwrap();
                for role in [ConvRole::Forward, ConvRole::InputGradient, ConvRole::WeightGradient] {
                    let by = (&adapter, &Preferences::default(), &Choices::default());
                    let found = choose(&problem, role, by, |_| true).unwrap();
                    let odd = role == ConvRole::WeightGradient && y.width() % 4 != 0;
                    let plain = odd && kind == AdapterKind::Cpu;
                    assert_eq!(found.is_none(), plain, "{role:?} of {case:?} on {kind:?}");
                    let Some((choice, question, all)) = found else { continue };
                    assert_eq!(choice, all[question.default]);
                    assert!(choice.way.computes(&problem, role));
                    let shared = choice.way.launches_groups();
                    assert_eq!(shared, kind != AdapterKind::Cpu, "{choice} on {kind:?}");
                }
            }
        }
    }
}

/// The layers of the demo's network, and what meets the bounds of copies to texels.
#[test]
fn layers_of_a_wide_resnet() {
    for (images, inputs, outputs, side, kernel, stride) in [
        (64, 1, 16, 16, 3, 1),
        (64, 16, 16, 16, 3, 1),
        (64, 16, 32, 16, 3, 2),
        (64, 16, 32, 16, 1, 2),
        (64, 16, 32, 16, 1, 1),
        (5, 19, 11, 6, 1, 1), // planes of whole quads whose rows are not
        (64, 32, 32, 8, 3, 1),
        (64, 32, 64, 8, 3, 2),
        (40, 64, 64, 4, 3, 1),
        (2, 48, 40, 8, 3, 1),
        (3, 256, 256, 8, 3, 1),
        (2, 400, 8, 32, 3, 1), // one image at a time
        (2, 400, 16, 32, 3, 2),
        (5, 33, 24, 32, 1, 2),
        (3, 24, 9, 36, 3, 1),   // rows that eight lanes do not share
        (2, 1024, 72, 8, 3, 1), // three blocks of transformed weights at a time
    ] {
        let conv = Conv2d::square(stride, kernel / 2);
        compare(&Case { images, inputs, outputs, side: [side; 2], kernel: [kernel; 2], conv });
    }
}

/// More channels, pixels and in channels by taps than a tile of a workgroup has, and no multiples of these.
#[test]
fn several_tiles_of_a_product() {
    for (images, inputs, outputs, side, kernel, stride) in [
        (3, 24, 72, [12, 16], 3, 1),
        (2, 37, 72, [14, 14], 1, 1), // rows filled up to quads
        (3, 40, 33, [7, 7], 3, 1),
        (3, 40, 72, [8, 16], 3, 2), // phases of the derivative, one tap to four
        (2, 3, 64, [20, 20], 7, 2),
        (2, 72, 40, [8, 8], 1, 2),   // phases that no tap meets
        (37, 8, 9, [3, 12], 3, 1),   // weight gradients in 13 parts, the last of one image
        (2, 9, 10, [24, 12], 3, 1),  // and in parts of some of an image's lines
        (3, 70, 66, [6, 6], 1, 1),   // two rows that together are whole quads
        (2, 20, 17, [12, 5], 1, 1),  // four
        (2, 24, 40, [16, 16], 4, 4), // a tap to each word
        (3, 9, 16, [7, 7], 3, 2),    // few channels of odd rows
        (1, 150, 130, [4, 8], 3, 1), // in channels in slices, the last of fewer, and a second tile
        (2, 130, 72, [6, 6], 1, 1),
        (2, 200, 130, [7, 9], 3, 2), // and their phases
        (1, 130, 160, [8, 8], 3, 2),
    ] {
        let conv = Conv2d::square(stride, kernel / 2);
        compare(&Case { images, inputs, outputs, side, kernel: [kernel; 2], conv });
    }
}

proptest! {
    #![proptest_config(shapes())]
    #[test]
    fn packed_kernels_equal_plain_ones(
        images in 1u32..5, inputs in 1u32..19, outputs in 1u32..19,
        side in prop::array::uniform2(1u32..18), kernel in prop::array::uniform2(1u32..6),
        stride in prop::array::uniform2(1u32..3), padding in prop::array::uniform2(0u32..4),
    ) {
        prop_assume!((0..2).all(|i| side[i] + 2 * padding[i] >= kernel[i]));
        compare(&Case { images, inputs, outputs, side, kernel, conv: Conv2d { stride, padding } });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: shapes().cases / 2, ..shapes() })]
    #[test]
    fn rows_in_half_precision(
        images in 1u32..4, inputs in 1u32..40, outputs in 1u32..40, quads in 1u32..5, rows in 1u32..12,
        odd in 0u32..4, stride in 1u32..3, kernel in 1u32..4,
    ) {
        if gpu().adapter().f16 {
            let side = [rows, if odd == 0 { quads * 4 + 1 } else { quads * 4 }];
            let conv = Conv2d::square(stride, kernel / 2);
            prop_assume!((0..2).all(|i| side[i] + 2 * (kernel / 2) >= kernel));
            compare_halves(&Case { images, inputs, outputs, side, kernel: [kernel; 2], conv });
        }
    }
}

proptest! {
    #![proptest_config(shapes())]
    #[test]
    fn whole_quads_too(
        images in 1u32..5, inputs in 1u32..25, outputs in 1u32..25, quads in 1u32..9, rows in 1u32..21,
        stride in 1u32..3, kernel in 1u32..4,
    ) {
        let side = [rows, quads * 4];
        let conv = Conv2d::square(stride, kernel / 2);
        compare(&Case { images, inputs, outputs, side, kernel: [kernel; 2], conv });
    }
}
