//! Compares grouped convolutions on random shapes, depthwise and dense ones among them, with f64: y, dx and dw.

use crate::bench::{Bench, gpu, numbers};
use crate::convolution::{close, shapes};
use lapidary::gpu::{Adapter, AdapterKind};
use lapidary::graph::{Graph, Shape};
use lapidary::ops::{self, Conv2d, GroupedConv2d};
use proptest::prelude::*;
use std::sync::Arc;

/// Calls `product` with the places in y, x and w of each product that y sums up. How many values y has.
pub fn products(
    conv: Conv2d,
    [groups, images]: [usize; 2],
    [height, width]: [usize; 2],
    w: Shape,
    mut product: impl FnMut(usize, usize, usize),
) -> usize {
    let [outputs, inputs, rows, columns] = w.sides().map(|side| side as usize);
    let ([sy, sx], [py, px]) = (conv.stride.map(|s| s as usize), conv.padding.map(|p| p as usize));
    let (down, across) = ((height + 2 * py - rows) / sy + 1, (width + 2 * px - columns) / sx + 1);
    let count = images * outputs * down * across;
    for y in 0..count {
        let (at, row) = (y % across, y / across % down);
        let (out, image) = (y / (across * down) % outputs, y / (across * down * outputs));
        let first = out / (outputs / groups) * inputs;
        for k in 0..inputs * rows * columns {
            let (c, r, i) = (k % columns, k / columns % rows, k / (columns * rows));
            let (row, column) = ((row * sy + r).wrapping_sub(py), (at * sx + c).wrapping_sub(px));
            if row < height && column < width {
                let plane = image * inputs * groups + first + i;
                product(
                    y,
                    (plane * height + row) * width + column,
                    out * inputs * rows * columns + k,
                );
            }
        }
    }
    count
}

/// A GPU's kernel, on whatever runs the tests, beside the plain one: planes that fill its cells and planes that do not,
/// several in a workgroup and parts of one.
fn depthwise(images: u32, channels: u32, side: [u32; 2], kernel: [u32; 2], padding: [u32; 2]) {
    let conv = Conv2d { stride: [1, 1], padding };
    let mut graph = Graph::default();
    let x = graph.input(Shape::new(images, channels, side[0], side[1]).unwrap());
    let w = graph.input(Shape::new(channels, 1, kernel[0], kernel[1]).unwrap());
    let y = graph.push(GroupedConv2d { conv, groups: channels }, &[x, w]).unwrap();
    let dy = graph.input(graph.shape(y).unwrap());
    let dx = ops::gradient(&mut graph, y, dy, &[x]).unwrap()[0];
    let values = (1..).zip([x, w, dy]);
    let count = |value| graph.shape(value).unwrap().elements() as usize;
    let given: Vec<_> = values.map(|(seed, value)| (value, numbers(count(value), seed))).collect();
    let own = gpu().adapter().as_ref().clone();
    let [one, other] = [AdapterKind::Cpu, AdapterKind::Discrete].map(|kind| {
        Bench::on(&Arc::new(Adapter { kind, ..own.clone() }), &graph, &[y, dx], &given)
    });
    assert!(one.launches().all(|name| name.starts_with("grouped_conv2d")));
    assert!(other.launches().all(|name| name == "conv2d_depthwise"));
    for (what, value) in [("y", y), ("dx", dx)] {
        let what = format!("{what} of {images}, {channels}, {side:?}, {kernel:?}, {padding:?}");
        close(&what, &other.read(value), &one.read(value), 1e-5);
    }
}

#[test]
fn depthwise_of_networks() {
    for (channels, side) in [(3, 56), (5, 28), (9, 14), (31, 7), (2, 67)] {
        depthwise(2, channels, [side; 2], [7, 7], [3, 3]);
    }
}

proptest! {
    #![proptest_config(shapes())]
    #[test]
    fn depthwise_of_any_shape(
        images in 1u32..4, channels in 2u32..20, side in prop::array::uniform2(1u32..40),
        kernel in prop::array::uniform2(1u32..8), padding in prop::array::uniform2(0u32..4),
    ) {
        prop_assume!((0..2).all(|i| side[i] + 2 * padding[i] >= kernel[i]));
        prop_assume!((0..2).all(|i| padding[i] < kernel[i] && kernel[i] - 1 - padding[i] < 4));
        depthwise(images, channels, side, kernel, padding);
    }
}

proptest! {
    #![proptest_config(shapes())]
    #[test]
    fn groups_are_f64s(
        images in 1u32..4, groups in 1u32..7, inputs in 1u32..5, outputs in 1u32..5,
        side in prop::array::uniform2(1u32..14), kernel in prop::array::uniform2(1u32..8),
        stride in prop::array::uniform2(1u32..4), padding in prop::array::uniform2(0u32..4),
    ) {
        prop_assume!((0..2).all(|i| side[i] + 2 * padding[i] >= kernel[i]));
        let x_shape = Shape::new(images, groups * inputs, side[0], side[1]).unwrap();
        let w_shape = Shape::new(groups * outputs, inputs, kernel[0], kernel[1]).unwrap();
        let op = GroupedConv2d { conv: Conv2d { stride, padding }, groups };
        let mut graph = Graph::default();
        let (x, w) = (graph.input(x_shape), graph.input(w_shape));
        let y = graph.push(op, &[x, w]).unwrap();
        let dy = graph.input(graph.shape(y).unwrap());
        let of = ops::gradient(&mut graph, y, dy, &[x, w]).unwrap();
        let values = [x, w, dy];
        let given: Vec<_> = (1..).zip(values).map(|(seed, value)| {
            (value, numbers(graph.shape(value).unwrap().elements() as usize, seed))
        }).collect();
        let [x_data, w_data, dy_data] = [0, 1, 2].map(|i: usize| &given[i].1);
        let results = [y, of[0], of[1]];
        let mut wanted = results.map(|value| vec![0.0f64; graph.shape(value).unwrap().elements() as usize]);
        let sizes = [groups as usize, images as usize];
        products(op.conv, sizes, side.map(|side| side as usize), w_shape, |y, x, w| {
            let [x_value, w_value, dy_value] = [x_data[x], w_data[w], dy_data[y]].map(f64::from);
            wanted[0][y] += x_value * w_value;
            wanted[1][x] += dy_value * w_value;
            wanted[2][w] += dy_value * x_value;
        });
        let bench = Bench::new(&graph, &results, &given);
        for (what, (value, wanted)) in ["y", "dx", "dw"].into_iter().zip(results.into_iter().zip(&wanted)) {
            let wanted: Vec<_> = wanted.iter().map(|&value| value as f32).collect();
            close(&format!("{what} of {x_shape}, {w_shape}, {op:?}"), &bench.read(value), &wanted, 1e-5);
        }
    }
}
