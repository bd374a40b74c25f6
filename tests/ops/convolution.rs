//! Convolutions: the packed kernels against the plain ones on random shapes, and those against f64.

use crate::bench::{Bench, gpu, numbers, plan};
use crate::objectives::bits;
use lapidary::gpu::{Adapter, AdapterKind, Preferences};
use lapidary::graph::{Graph, Op, Shape, Value};
use lapidary::ops::{
    self, Conv2d, Epilogue, PackedConv2d, PackedWeightGradient, ReluMask, Residual, Winograd,
};
use proptest::prelude::*;
use std::sync::Arc;

/// Products of matrices by workgroups, for GPUs.
const GEMM: [&str; 2] = ["gemm 64x64", "gemm 32x128"];

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

fn data(shape: Shape, seed: u32) -> Vec<f32> {
    numbers(shape.elements() as usize, seed)
}

/// Weights that half precision shows as they are: what is compared then is the kernels.
fn weights(shape: Shape) -> Vec<f32> {
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

/// What [`ReluMask`] says that it makes.
fn words(y: Shape, values: &[f32]) -> Vec<u32> {
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

/// The packed kernels beside the plain ones: the adapter's own with and without Winograd's filtering, where these read
/// texels, those of GPUs with weights in both precisions, and everywhere these with either filtering; and variants that
/// tuning alone chooses.
fn compare(case: &Case, variants: &[&str]) {
    let own = gpu().adapter();
    let (x, w, _) = case.shapes();
    let [outputs, inputs, rows, columns] = w.sides();
    // However few the channels are.
    let many = Shape::new(outputs.max(32), inputs.max(32), rows, columns).unwrap();
    let filter = Winograd::of(case.conv, x, many, own, &Preferences::default());
    let plain = plain(case);
    if filter.is_some() {
        compare_on(case, &plain, own, (filter, false), "");
    }
    compare_on(case, &plain, own, (None, false), "");
    let gpus = Arc::new(Adapter { kind: AdapterKind::Discrete, ..own.as_ref().clone() });
    if own.subgroup.is_some_and(|size| size >= 8) {
        for half in [false, true] {
            compare_on(case, &plain, &gpus, (None, half), "");
        }
    }
    // More images are more tiles of the same sort, in memory that CPU rasterisers are slow at.
    if case.images <= 5 && Winograd::filters(case.conv, x, w) {
        for filter in [Winograd::Two, Winograd::Four] {
            compare_on(case, &plain, &gpus, (Some(filter), false), "");
        }
    }
    for variant in variants {
        compare_on(case, &plain, &gpus, (None, false), variant);
    }
}

fn compare_on(
    case: &Case,
    plain: &Plain,
    adapter: &Arc<Adapter>,
    (winograd, half): (Option<Winograd>, bool),
    variant: &str,
) {
    let conv = case.conv;
    let (x_shape, w_shape, y_shape) = case.shapes();
    let [outputs, inputs, ..] = w_shape.sides();
    let case = format!("{case:?}, {winograd:?}, halves {half}, {variant:?}, for {adapter}");
    let mut graph = Graph::default();
    let [x, w, dy] = [x_shape, w_shape, y_shape].map(|shape| graph.input(shape));
    let (mask, x_mask, rest) = (graph.input(y_shape), graph.input(x_shape), graph.input(y_shape));
    let [affine, x_affine] =
        [outputs, inputs].map(|many| graph.input(Shape::matrix(2, many).unwrap()));
    let packed = |graph: &mut Graph, transposed, epilogue, values: &[Value]| {
        let op =
            PackedConv2d { conv, x: x_shape, w: w_shape, transposed, winograd, half, epilogue };
        let weights = graph.push(op.packing(), &[w]).unwrap();
        let inputs: Vec<_> = values[..1]
            .iter()
            .copied()
            .chain([weights])
            .chain(values[1..].iter().copied())
            .collect();
        graph.push_all(op, &inputs).unwrap()
    };
    let none = Epilogue::default();
    let fast_y = packed(&mut graph, false, none, &[x])[0];
    let fast_dx = packed(&mut graph, true, none, &[dy])[0];
    let relu = Epilogue { affine: true, residual: Residual::Last, relu: true, ..none };
    let fused = packed(&mut graph, false, relu, &[x, affine, rest])[0];
    let [mask_bits, x_mask_bits, fused_bits] =
        [mask, x_mask, fused].map(|y| graph.push(ReluMask, &[y]).unwrap());
    let masked = Epilogue { mask: true, residual: Residual::First, ..none };
    let fused_mask = packed(&mut graph, false, masked, &[x, affine, mask_bits, rest])[0];
    let masked = Epilogue { mask: true, ..none };
    let masked_dx = packed(&mut graph, true, masked, &[dy, x_affine, x_mask_bits])[0];
    let mut wanted = vec![fast_y, fast_dx, fused, fused_mask];
    wanted.extend([mask_bits, fused_bits, masked_dx]);
    let (of_x, of_w) = (x_shape, w_shape);
    let writes =
        PackedConv2d { conv, x: of_x, w: of_w, transposed: false, winograd, half, epilogue: relu };
    let along = writes
        .writes_bits()
        .then(|| packed(&mut graph, false, Epilogue { bits: true, ..relu }, &[x, affine, rest]));
    wanted.extend(along.iter().flatten());
    let mut dw = None;
    let of_dw = PackedWeightGradient::new(conv, x_shape, w_shape, adapter);
    if let Some(op) = of_dw.filter(|_| winograd.is_none()) {
        dw = Some(graph.push_all(op, &[dy, x]).unwrap()[0]);
    }
    wanted.extend(dw);
    let affine_data = numbers(2 * outputs as usize, 6);
    let given = [
        (x, data(x_shape, 1)),
        (w, weights(w_shape)),
        (dy, data(y_shape, 3)),
        (mask, data(y_shape, 4)),
        (rest, data(y_shape, 5)),
        (affine, affine_data.clone()),
        (x_mask, data(x_shape, 7)),
        (x_affine, numbers(2 * inputs as usize, 8)),
    ];
    let bench = Bench::forced(adapter, variant, &graph, &wanted, &given);
    let y_data = &plain.y;
    close(&format!("y of {case}"), &bench.read(fast_y), y_data, 1e-5);
    close(&format!("dx of {case}"), &bench.read(fast_dx), &plain.dx, 1e-5);
    if let Some(dw) = dw {
        close(&format!("dw of {case}"), &bench.read(dw), &plain.dw, 2e-5);
    }
    let plane = y_shape.pixels() as usize;
    let at = |i: usize| i / plane % outputs as usize;
    let (mask, rest) = (data(y_shape, 4), data(y_shape, 5));
    let wanted_relu: Vec<_> = (0..y_data.len())
        .map(|i| {
            let (scale, shift) = (affine_data[at(i)], affine_data[outputs as usize + at(i)]);
            (y_data[i] * scale + shift + rest[i]).max(0.0)
        })
        .collect();
    close(&format!("fused relu of {case}"), &bench.read(fused), &wanted_relu, 1e-5);
    let wanted_mask: Vec<_> = (0..y_data.len())
        .map(|i| if mask[i] > 0.0 { (y_data[i] + rest[i]) * affine_data[at(i)] } else { 0.0 })
        .collect();
    close(&format!("fused mask of {case}"), &bench.read(fused_mask), &wanted_mask, 1e-5);
    assert_eq!(bits(&bench.read(mask_bits)), words(y_shape, &mask), "mask of {case}");
    let (scale, x_mask) = (numbers(inputs as usize, 8), data(x_shape, 7));
    let pixels = x_shape.pixels() as usize;
    let wanted_dx: Vec<_> = (plain.dx.iter().enumerate())
        .map(|(i, dx)| if x_mask[i] > 0.0 { dx * scale[i / pixels % inputs as usize] } else { 0.0 })
        .collect();
    close(&format!("masked dx of {case}"), &bench.read(masked_dx), &wanted_dx, 1e-5);
    if let Some([y, along]) = along.as_deref() {
        assert_eq!(bits(&bench.read(*y)), bits(&bench.read(fused)), "y with bits of {case}");
        let wanted = words(y_shape, &bench.read(fused));
        assert_eq!(bits(&bench.read(*along)), wanted, "bits of {case}");
        assert_eq!(bits(&bench.read(fused_bits)), wanted, "bits of {case}");
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
        compare(&Case { images, inputs, outputs, side: [side; 2], kernel: [kernel; 2], conv }, &[]);
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
        (2, 72, 40, [8, 8], 1, 2), // phases that no tap meets
        (37, 8, 9, [3, 12], 3, 1), // weight gradients in 13 parts, the last of one image
    ] {
        let conv = Conv2d::square(stride, kernel / 2);
        compare(&Case { images, inputs, outputs, side, kernel: [kernel; 2], conv }, &GEMM);
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
        compare(&Case { images, inputs, outputs, side, kernel, conv: Conv2d { stride, padding } }, &GEMM);
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
        compare(&Case { images, inputs, outputs, side, kernel: [kernel; 2], conv }, &GEMM);
    }
}

/// On an adapter whose bindings show less than the weights: packed and read in runs of output channels.
#[test]
fn weights_beyond_one_binding() {
    use lapidary::gpu::Executor;
    use std::collections::BTreeMap;
    let gpu = crate::bench::gpu();
    // Three runs of at most 64 channels, packed and convolved; of at most 128 packed, and two of 256 convolved.
    for (half_weights, outputs, shown, dispatches) in [(false, 144, 64, 6), (true, 288, 128, 5)] {
        let small = Adapter {
            kind: AdapterKind::Discrete, // which reads buffers
            max_binding: 9 * 16 * 4 * shown,
            ..gpu.adapter().as_ref().clone()
        };
        let preferences = Preferences { half_weights, ..Preferences::default() };
        for x in [Shape::new(2, 16, 8, 8), Shape::new(2, 16, 5, 5)].map(Result::unwrap) {
            let mut graph = Graph::default();
            let of_w = Shape::new(outputs, 16, 3, 3).unwrap();
            let (of_x, w) = (graph.input(x), graph.input(of_w));
            let y = graph.push(Conv2d::square(1, 1), &[of_x, w]).unwrap();
            let mut results = Vec::new();
            let (own, small) = (gpu.adapter(), &Arc::new(small.clone()));
            let gemm = if half_weights { [""; 2] } else { GEMM };
            for (adapter, variant) in [(own, ""), (small, ""), (small, gemm[0]), (small, gemm[1])] {
                let split = adapter.max_binding == small.max_binding;
                let asked = if split { &preferences } else { &Preferences::default() };
                let graph = lapidary::rewrite::optimise(&graph, &[y], adapter, asked).unwrap();
                let plan = plan(adapter, variant, &graph, &[y], &[of_x, w]);
                assert!(!split || plan.summary().dispatches == dispatches, "{}", plan.summary());
                results.push(pollster::block_on(async {
                    let run = Executor::new(gpu, &plan.every, &BTreeMap::new()).await.unwrap();
                    for (value, given) in [(of_x, data(x, 1)), (w, weights(of_w))] {
                        let buffer = run.buffer(plan.buffer(value).unwrap()).unwrap();
                        gpu.write(buffer, &given).await.unwrap();
                    }
                    run.submit().await.unwrap();
                    gpu.read(run.buffer(plan.buffer(y).unwrap()).unwrap()).await.unwrap()
                }));
            }
            assert!(results[1].iter().any(|v| v.abs() > 1.0));
            for result in &results[1..] {
                close(&format!("halves {half_weights}, {x}"), result, &results[0], 1e-5);
            }
        }
    }
}

/// Layers whose transformed weights a bound leaves no room for are convolved directly, to the same values.
#[test]
fn transformed_weights_are_bounded() {
    use lapidary::graph::Plan;
    let gpu = crate::bench::gpu();
    let mut graph = Graph::default();
    let x = graph.input(Shape::new(2, 32, 8, 8).unwrap());
    let weights = [40, 32].map(|outputs| {
        graph.input(Shape::new(outputs, if outputs == 40 { 32 } else { 40 }, 3, 3).unwrap())
    });
    let mut y = x;
    for w in weights {
        y = graph.push(Conv2d::square(1, 1), &[y, w]).unwrap();
    }
    let kept = |most_transformed: u64| {
        let bounded = Preferences { most_transformed, ..Preferences::default() };
        let graph = lapidary::rewrite::optimise(&graph, &[y], gpu.adapter(), &bounded).unwrap();
        let plan = Plan::new(&graph, &[y], &[x], gpu.adapter()).unwrap();
        plan.summary().kept_bytes
    };
    let (direct, filtered) = (4 * 9 * 32 * 40, 4 * 36 * 32 * 40);
    let texels = Winograd::of(
        Conv2d::square(1, 1),
        graph.shape(x).unwrap(),
        graph.shape(weights[0]).unwrap(),
        gpu.adapter(),
        &Preferences::default(),
    )
    .is_some();
    let of =
        |layers: u64| if texels { layers * filtered + (2 - layers) * direct } else { 2 * direct };
    assert_eq!([0, filtered - 1, filtered, 2 * filtered].map(kept), [of(0), of(0), of(1), of(2)]);
}
