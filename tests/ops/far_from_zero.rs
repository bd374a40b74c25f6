//! Tests smooth units where exponentials overflow or vanish.
#![allow(clippy::type_complexity, reason = "functions as data, each used once")]

use crate::bench::Bench;
use lapidary::graph::{Graph, Shape};
use lapidary::ops::{self, Unary};

/// Ends where the values overflow or vanish on the way.
#[test]
fn gelu_and_sigmoid_far_from_zero() {
    let xs = vec![-1e30, -100.0, -10.0, -5.0, -0.0, 0.0, 5.0, 10.0, 100.0, 1e30];
    let mut graph = Graph::default();
    let shape = Shape::vector(xs.len() as u32).unwrap();
    let (x, dy) = (graph.input(shape), graph.input(shape));
    let mut wanted = Vec::new();
    for y in [graph.push(Unary::Gelu, &[x]).unwrap(), graph.push(Unary::Sigmoid, &[x]).unwrap()] {
        wanted.extend([y, ops::gradient(&mut graph, y, dy, &[x]).unwrap()[0]]);
    }
    let bench = Bench::new(&graph, &wanted, &[(x, xs.clone()), (dy, vec![1.0; xs.len()])]);
    let [gelu, slope, sigmoid, steepness] = [0, 1, 2, 3].map(|i| bench.read(wanted[i]));
    for (i, &x) in xs.iter().enumerate() {
        let (step, far) = (if x > 0.0 { 1.0 } else { 0.0 }, x.abs() >= 100.0);
        assert!(!far || gelu[i] == x * step && slope[i] == step, "{} {} at {x}", gelu[i], slope[i]);
        let exact = 1.0 / (1.0 + f64::from(-x).exp());
        assert!((f64::from(sigmoid[i]) - exact).abs() < 1e-6, "{} at {x}", sigmoid[i]);
        let exact = exact * (1.0 - exact);
        assert!((f64::from(steepness[i]) - exact).abs() < 1e-6, "{} at {x}", steepness[i]);
    }
    // PyTorch's float64 value: the relative error of the lower tail is small too.
    assert!((f64::from(gelu[3]) / -1.433_257_859_3e-6 - 1.0).abs() < 1e-5, "{}", gelu[3]);
}

/// Ends where exponentials overflow or vanish on the way, and small results beside large numbers.
#[test]
fn smooth_units_far_from_zero() {
    let xs = vec![-1e30, -100.0, -20.0, -9.0, -0.01, 0.0, 0.01, 9.0, 20.0, 100.0, 1e30];
    let mut graph = Graph::default();
    let shape = Shape::vector(xs.len() as u32).unwrap();
    let (x, dy) = (graph.input(shape), graph.input(shape));
    let table: [(Unary, fn(f64) -> [f64; 2]); 3] = [
        (Unary::Tanh, |x| [x.tanh(), 1.0 / x.cosh().powi(2)]),
        (Unary::Softplus, |x| [x.max(0.0) + (-x.abs()).exp().ln_1p(), 1.0 / (1.0 + (-x).exp())]),
        (Unary::Mish, |x| {
            let t = (x.max(0.0) + (-x.abs()).exp().ln_1p()).tanh();
            [x * t, t + x * (1.0 - t * t) / (1.0 + (-x).exp())]
        }),
    ];
    let mut wanted = Vec::new();
    for (op, _) in table {
        let y = graph.push(op, &[x]).unwrap();
        wanted.extend([y, ops::gradient(&mut graph, y, dy, &[x]).unwrap()[0]]);
    }
    let bench = Bench::new(&graph, &wanted, &[(x, xs.clone()), (dy, vec![1.0; xs.len()])]);
    for (at, (op, exact)) in table.into_iter().enumerate() {
        let found = [0, 1].map(|part| bench.read(wanted[2 * at + part]));
        for (i, &x) in xs.iter().enumerate() {
            for (found, exact) in found.iter().zip(exact(f64::from(x))) {
                let off = (f64::from(found[i]) - exact).abs();
                assert!(off <= 2e-6 * exact.abs() + 1e-30, "{op:?} of {x}: {}, {exact}", found[i]);
            }
        }
    }
}
