//! Convolutions in groups on random shapes, depthwise and dense ones among them: y, dx and dw against f64.

use crate::bench::{Bench, numbers};
use crate::convolution::{close, shapes};
use lapidary::graph::{Graph, Shape};
use lapidary::ops::{self, Conv2d, GroupedConv2d};
use proptest::prelude::*;

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
