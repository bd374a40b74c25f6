//! Tests ops on a real adapter; without one these tests fail, they never skip. They are one binary, so that it is linked
//! once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod attack_steps;
mod bench;
#[path = "../common/mod.rs"]
mod common;
mod convolution;
mod cooperative;
mod far_from_zero;
mod filtering;
mod formulas;
mod grouped;
mod halves;
mod large_weights;
mod layers;
mod many_images;
mod mixed;
mod network;
mod objectives;
mod overflow;
mod random_numbers;
mod robustness_steps;

#[test]
fn relu_and_add() {
    use lapidary::graph::{Graph, Shape};
    use lapidary::ops::{self, Add, Unary};
    let shape = Shape::new(2, 3, 5, 1).unwrap();
    let mut graph = Graph::default();
    let (x, dy) = (graph.input(shape), graph.input(shape));
    let r = graph.push(Unary::Relu, &[x]).unwrap();
    let y = graph.push(Add, &[r, x]).unwrap();
    let dx = ops::gradient(&mut graph, y, dy, &[x]).unwrap()[0];
    let bench = bench::Bench::new(
        &graph,
        &[y, dx],
        &[(x, bench::numbers(30, 1)), (dy, bench::numbers(30, 2))],
    );
    let [ys, dxs] = [bench.read(y), bench.read(dx)];
    for (i, (x, dy)) in bench::numbers(30, 1).into_iter().zip(bench::numbers(30, 2)).enumerate() {
        assert_eq!(ys[i], x + x.max(0.0));
        assert_eq!(dxs[i], if x > 0.0 { dy + dy } else { dy });
    }
}
