//! Tests convolutions whose weights are larger than an adapter's largest binding, and those whose transformed weights would take
//! more memory than the user allows for them.

use crate::bench::lowered;
use crate::convolution::{close, data, weights};
use lapidary::gpu::{Adapter, AdapterKind, Precision, Preferences};
use lapidary::graph::{Graph, Plan, Shape};
use lapidary::ops::conv::{Choice, ConvRole, Way};
use lapidary::ops::{Conv2d, Epilogue, PackedConv2d, Problem};
use std::sync::Arc;

/// On an adapter whose bindings show less than the weights: packed and read in runs of output channels.
#[test]
fn weights_beyond_one_binding() {
    use lapidary::gpu::Executor;
    use std::collections::BTreeMap;
    let gpu = crate::bench::gpu();
    // Three runs of at most 64 channels, packed and convolved.
    let (outputs, shown, dispatches) = (176, 64, 6);
    for precision in [Precision::Single, Precision::HalfWeights] {
        let small = Adapter {
            kind: AdapterKind::Discrete, // which reads buffers
            max_binding: 9 * 16 * 4 * shown,
            ..gpu.adapter().as_ref().clone()
        };
        for x in [Shape::new(2, 16, 8, 8), Shape::new(2, 16, 5, 5)].map(Result::unwrap) {
            let mut graph = Graph::default();
            let of_w = Shape::new(outputs, 16, 3, 3).unwrap();
            let (of_x, w) = (graph.input(x), graph.input(of_w));
            let y = graph.push(Conv2d::square(1, 1), &[of_x, w]).unwrap();
            let mut results = Vec::new();
            let (own, small) = (gpu.adapter(), &Arc::new(small.clone()));
            let rows: &[&str] = match (precision, x.width()) {
                (Precision::HalfWeights, _) => &["", "lowered"],
                (_, 8) => &["", "quads", "block 64", "block 32", "gemm 64x64", "gemm 32x128"],
                _ => &["", "taps", "gemm words 64x64", "gemm words 32x128"],
            };
            for name in rows {
                let split = !name.is_empty();
                let adapter = if split { small } else { own };
                let mut own_graph = graph.clone();
                let (graph, y) = if name == &"lowered" {
                    let wish = Preferences { precision, ..Preferences::default() };
                    (lowered(&graph, &[y], adapter, &wish), y)
                } else if split {
                    let problem = Problem::new(Conv2d::square(1, 1), 1, x, of_w).unwrap();
                    let way = Way::named(name).unwrap();
                    let choice = Choice { way, size: way.sizes(&problem, adapter)[0] };
                    let (role, epilogue) = (ConvRole::Forward, Epilogue::default());
                    let op = PackedConv2d { problem, role, choice, epilogue };
                    let packed = own_graph.push(op.packing(), &[w]).unwrap();
                    let y = own_graph.push(op, &[of_x, packed]).unwrap();
                    (own_graph, y)
                } else {
                    (lowered(&graph, &[y], adapter, &Preferences::default()), y)
                };
                let plan = Plan::new(&graph, &[y], &[of_x, w], adapter).unwrap();
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
                let bound = if precision == Precision::Single { 1e-5 } else { 2e-3 };
                close(&format!("{precision}, {x}"), result, &results[0], bound);
            }
        }
    }
}

/// Layers whose transformed weights a bound leaves no room for are convolved directly, to the same values.
#[test]
fn transformed_weights_are_bounded() {
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
        let graph = lowered(&graph, &[y], gpu.adapter(), &bounded);
        let plan = Plan::new(&graph, &[y], &[x], gpu.adapter()).unwrap();
        plan.summary().kept_bytes
    };
    let (direct, filtered) = (4 * 9 * 32 * 40, 4 * 36 * 32 * 40);
    let texels = lapidary::ops::conv::reads_texels(gpu.adapter());
    let of =
        |layers: u64| if texels { layers * filtered + (2 - layers) * direct } else { 2 * direct };
    assert_eq!([0, filtered - 1, filtered, 2 * filtered].map(kept), [of(0), of(0), of(1), of(2)]);
}
