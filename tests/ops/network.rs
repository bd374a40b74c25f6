//! Tests the ops that wide residual networks use: values against the formula in f64, derivatives against its finite
//! differences.
#![allow(clippy::type_complexity, reason = "functions as data, each used once")]

use crate::bench::{Bench, numbers};
use crate::objectives::bits;
use lapidary::graph::{Graph, Shape, Value};
use lapidary::ops::{self, *};
use lapidary::{Error, Result};
use proptest::prelude::*;

/// A row of the table: an op as a graph and as a formula.
pub struct Row {
    pub name: &'static str,
    pub inputs: Vec<Shape>,
    /// The number of the first inputs that have a derivative.
    pub derivatives: usize,
    pub push: Box<dyn Fn(&mut Graph, &[Value]) -> Result<Value>>,
    formula: Box<dyn Fn(&[Vec<f64>]) -> Vec<f64>>,
}

pub fn row(
    name: &'static str,
    inputs: &[Shape],
    derivatives: usize,
    push: impl Fn(&mut Graph, &[Value]) -> Result<Value> + 'static,
    formula: impl Fn(&[Vec<f64>]) -> Vec<f64> + 'static,
) -> Row {
    let (push, formula) = (Box::new(push), Box::new(formula));
    Row { name, inputs: inputs.to_vec(), derivatives, push, formula }
}

/// Image and channel of each element of x.
pub fn places(x: Shape) -> impl Iterator<Item = (usize, usize)> {
    let (c, pixels) = (x.channels() as usize, x.pixels() as usize);
    (0..x.elements() as usize).map(move |i| (i / pixels / c, i / pixels % c))
}

fn moments(x: Shape, values: &[f64]) -> [Vec<f64>; 2] {
    let (channels, count) = (x.channels() as usize, f64::from(x.images() * x.pixels()));
    let [mut mean, mut variance] = [vec![0.0; channels], vec![0.0; channels]];
    places(x).zip(values).for_each(|((_, c), v)| mean[c] += v / count);
    places(x).zip(values).for_each(|((_, c), v)| variance[c] += (v - mean[c]).powi(2) / count);
    [mean, variance]
}

const EPS: f32 = 1e-3;

fn normalised(x: Shape, values: &[f64], [gamma, beta, mean, variance]: [&[f64]; 4]) -> Vec<f64> {
    let each = |((_, c), v): ((usize, usize), &f64)| {
        (v - mean[c]) / (variance[c] + f64::from(EPS)).sqrt() * gamma[c] + beta[c]
    };
    places(x).zip(values).map(each).collect()
}

/// Many ops at one shape of x, with layers to `outputs` numbers and windows of `kernel` by `kernel`.
fn rows(x: Shape, outputs: u32, kernel: u32) -> Vec<Row> {
    let [n, c, h, w] = x.sides();
    let vector = Shape::vector(c).unwrap();
    let mut rows = vec![
        row(
            "frozen_batch_norm",
            &[x, vector, vector, vector, vector],
            3,
            |graph, inputs| graph.push(FrozenBatchNorm { eps: EPS }, inputs),
            move |v| normalised(x, &v[0], [&v[1], &v[2], &v[3], &v[4]]),
        ),
        row(
            "silu",
            &[x],
            1,
            |graph, inputs| graph.push(Unary::Silu, inputs),
            |v| v[0].iter().map(|x| x / (1.0 + (-x).exp())).collect(),
        ),
        row(
            "global_avg_pool",
            &[x],
            1,
            |graph, inputs| graph.push(GlobalAvgPool, inputs),
            move |v| {
                let pixels = x.pixels() as usize;
                v[0].chunks(pixels).map(|plane| plane.iter().sum::<f64>() / pixels as f64).collect()
            },
        ),
        row(
            "avg_pool",
            &[Shape::new(n, c, h * kernel, w * kernel).unwrap()],
            1,
            move |graph, inputs| graph.push(AvgPool { kernel }, inputs),
            move |v| {
                let (k, width) = (kernel as usize, (w * kernel) as usize);
                let mut y = vec![0.0; x.elements() as usize];
                for (i, value) in v[0].iter().enumerate() {
                    y[i / width / k * w as usize + i % width / k] += value / (k * k) as f64;
                }
                y
            },
        ),
        row(
            "broadcast_add, a channel",
            &[x, vector],
            2,
            |graph, inputs| graph.push(Broadcast::Add, inputs),
            move |v| places(x).zip(&v[0]).map(|((_, c), a)| a + v[1][c]).collect(),
        ),
        row(
            "broadcast_add, an image",
            &[x, Shape::per_image(n).unwrap()],
            2,
            |graph, inputs| graph.push(Broadcast::Add, inputs),
            // One channel and one image are the same sum.
            move |v| places(x).zip(&v[0]).map(|((n, _), a)| a + v[1][n % v[1].len()]).collect(),
        ),
    ];
    if n * h * w > 1 {
        rows.push(row(
            "batch_norm",
            &[x, vector, vector],
            3,
            |graph, inputs| Ok(graph.push_all(BatchNorm { eps: EPS }, inputs)?[0]),
            move |v| {
                let [mean, variance] = moments(x, &v[0]);
                normalised(x, &v[0], [&v[1], &v[2], &mean, &variance])
            },
        ));
    }
    if c <= 4 {
        let [mean, std] = [numbers(c as usize, 7), numbers(c as usize, 8)];
        let std: Vec<_> = std.iter().map(|v| v.abs() + 0.25).collect();
        let op = Normalise { mean: mean.clone(), std: std.clone() };
        rows.push(row(
            "normalise",
            &[x],
            1,
            move |graph, inputs| graph.push(op.clone(), inputs),
            move |v| {
                let each = |((_, c), v): ((usize, usize), &f64)| {
                    (v - f64::from(mean[c])) / f64::from(std[c])
                };
                places(x).zip(&v[0]).map(each).collect()
            },
        ));
    }
    for bias in [false, true] {
        let length = c * h;
        let mut inputs =
            vec![Shape::matrix(n, length).unwrap(), Shape::matrix(outputs, length).unwrap()];
        inputs.extend(bias.then(|| Shape::vector(outputs).unwrap()));
        rows.push(row(
            "linear",
            &inputs,
            inputs.len(),
            move |graph, inputs| graph.push(Linear { bias }, inputs),
            move |v| {
                let mut y = Vec::new();
                for x in v[0].chunks(length as usize) {
                    for (o, w) in v[1].chunks(length as usize).enumerate() {
                        let sum: f64 = x.iter().zip(w).map(|(x, w)| x * w).sum();
                        y.push(sum + if bias { v[2][o] } else { 0.0 });
                    }
                }
                y
            },
        ));
    }
    rows
}

pub fn assert_close(what: &str, given: &[f32], wanted: &[f64], tolerance: f64) {
    assert_eq!(given.len(), wanted.len(), "{what}");
    let scale = wanted.iter().fold(1.0, |most: f64, v| most.max(v.abs()));
    for (i, (&given, wanted)) in given.iter().zip(wanted).enumerate() {
        let within = (f64::from(given) - wanted).abs() <= tolerance * scale; // false for NaN
        assert!(within, "{what}[{i}] is {given}, want {wanted} within {tolerance:e} of {scale}");
    }
}

impl Row {
    /// From [-1, 1), except that a fifth input is above 0: a variance.
    pub fn data(&self) -> Vec<Vec<f32>> {
        let mut data: Vec<_> = (1..)
            .zip(&self.inputs)
            .map(|(seed, shape)| numbers(shape.elements() as usize, seed))
            .collect();
        if let Some(variance) = data.get_mut(4) {
            variance.iter_mut().for_each(|v| *v = v.abs() + 0.1);
        }
        data
    }

    pub fn check(&self) {
        let data = self.data();
        let mut graph = Graph::default();
        let inputs: Vec<_> = self.inputs.iter().map(|&shape| graph.input(shape)).collect();
        let y = (self.push)(&mut graph, &inputs).unwrap();
        let dy = graph.input(graph.shape(y).unwrap());
        let seed = numbers(graph.shape(y).unwrap().elements() as usize, 99);
        let asked = &inputs[..self.derivatives];
        let derivatives = ops::gradient(&mut graph, y, dy, asked).unwrap();
        let given: Vec<_> =
            inputs.iter().copied().zip(data.clone()).chain([(dy, seed.clone())]).collect();
        let wanted: Vec<_> = derivatives.iter().copied().chain([y]).filter(|v| *v != dy).collect();
        let bench = Bench::new(&graph, &wanted, &given);

        let what = |part: &str| format!("{part} of {} of {}", self.name, self.inputs[0]);
        let mut exact: Vec<Vec<f64>> =
            data.iter().map(|values| values.iter().map(|&v| f64::from(v)).collect()).collect();
        assert_close(&what("y"), &bench.read(y), &(self.formula)(&exact), 1e-5);
        for (k, &derivative) in derivatives.iter().enumerate() {
            let mut slopes = Vec::new();
            for i in 0..exact[k].len() {
                let (at, step) = (exact[k][i], 1e-5);
                let mut loss = |value: f64| -> f64 {
                    exact[k][i] = value;
                    let y = (self.formula)(&exact);
                    y.iter().zip(&seed).map(|(y, &dy)| y * f64::from(dy)).sum()
                };
                slopes.push((loss(at + step) - loss(at - step)) / (2.0 * step));
                exact[k][i] = at;
            }
            let values = if derivative == dy { seed.clone() } else { bench.read(derivative) };
            assert_close(&what(&format!("derivative {k}")), &values, &slopes, 2e-5);
        }
    }
}

#[test]
fn values_and_derivatives() {
    // Whole vec4s and not, one pixel, planes and batches longer than a workgroup, one of everything.
    for (sides, outputs, kernel) in [
        ([2, 3, 4, 5], 7, 2),
        ([3, 5, 3, 3], 4, 4),
        ([9, 6, 1, 1], 10, 3),
        ([1, 2, 17, 16], 5, 1),
        ([1, 3, 9, 9], 1, 1),
        ([70, 1, 2, 2], 3, 1),
        ([1, 1, 1, 1], 1, 2),
    ] {
        let [n, c, h, w] = sides;
        let x = Shape::new(n, c, h, w).unwrap();
        rows(x, outputs, kernel).iter().for_each(Row::check);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..Default::default() })]

    #[test]
    fn values_and_derivatives_of_random_shapes(
        (n, c, h, w) in (1..5u32, 1..10u32, 1..6u32, 1..6u32),
        outputs in 1..10u32,
        kernel in 1..5u32,
    ) {
        rows(Shape::new(n, c, h, w).unwrap(), outputs, kernel).iter().for_each(Row::check);
    }
}

/// Too large for finite differences: more than one workgroup across, down and deep, against the formula.
#[test]
fn large_maps() {
    for (n, c, h, w) in [(3, 70, 2, 2), (2, 3, 32, 40), (2, 130, 5, 5), (300, 2, 4, 4)] {
        let x = Shape::new(n, c, h, w).unwrap();
        for row in rows(x, 130, 1) {
            let mut graph = Graph::default();
            let inputs: Vec<_> = row.inputs.iter().map(|&shape| graph.input(shape)).collect();
            let y = (row.push)(&mut graph, &inputs).unwrap();
            let given: Vec<_> = inputs.into_iter().zip(row.data()).collect();
            let bench = Bench::new(&graph, &[y], &given);
            let exact: Vec<Vec<f64>> = given
                .iter()
                .map(|(_, values)| values.iter().map(|&v| f64::from(v)).collect())
                .collect();
            let what = format!("{} of {x}", row.name);
            assert_close(&what, &bench.read(y), &(row.formula)(&exact), 2e-5);
        }
    }
}

/// Folding and its affine are frozen batch normalisation; their backward is its backward.
#[test]
fn folded_batch_norm() {
    for (n, c, h, w) in [(2, 5, 4, 6), (3, 70, 3, 3), (70, 11, 3, 8)] {
        let x = Shape::new(n, c, h, w).unwrap();
        let row = rows(x, 1, 1).remove(0);
        let mut graph = Graph::default();
        let inputs: Vec<_> = row.inputs.iter().map(|&shape| graph.input(shape)).collect();
        let dy = graph.input(x);
        let [of_x, vectors @ ..] = &inputs[..] else { unreachable!() };
        let frozen = graph.push(FrozenBatchNorm { eps: EPS }, &inputs).unwrap();
        let rectified = graph.push(Unary::Relu, &[frozen]).unwrap();
        let folded = graph.push(FoldBatchNorm { eps: EPS }, vectors).unwrap();
        let pairs = [
            (frozen, graph.push(Affine { relu: false }, &[*of_x, folded]).unwrap()),
            (rectified, graph.push(Affine { relu: true }, &[*of_x, folded]).unwrap()),
        ];
        let mut backward = Vec::new();
        for (y, with) in pairs {
            let dx = ops::gradient(&mut graph, y, dy, &[*of_x]).unwrap()[0];
            let scaled = if y == rectified {
                let mask = graph.push(ReluMask, &[with]).unwrap();
                graph.push(MaskedScale, &[dy, folded, mask]).unwrap()
            } else {
                graph.push(ChannelScale, &[dy, folded]).unwrap()
            };
            backward.push((dx, scaled));
        }
        let mut pairs: Vec<_> = pairs.into_iter().chain(backward).collect();
        let mut masks = Vec::new();
        if w % 4 == 0 {
            let made = graph.push_all(AffineMask, &[*of_x, folded]).unwrap();
            pairs.push((rectified, made[0]));
            masks.extend([graph.push(ReluMask, &[made[0]]).unwrap(), made[1]]);
        }
        let mut wanted: Vec<_> = pairs.iter().flat_map(|&(a, b)| [a, b]).collect();
        wanted.extend(&masks);
        let seed = numbers(x.elements() as usize, 99);
        let given: Vec<_> = inputs.into_iter().zip(row.data()).chain([(dy, seed)]).collect();
        let bench = Bench::new(&graph, &wanted, &given);
        for (a, b) in pairs {
            let a: Vec<_> = bench.read(a).into_iter().map(f64::from).collect();
            assert_close(&format!("folded {x}"), &bench.read(b), &a, 1e-5);
        }
        if let [of_y, along] = masks[..] {
            assert_eq!(bits(&bench.read(along)), bits(&bench.read(of_y)), "{x}");
        }
    }
}

#[test]
fn running_statistics() {
    let x = Shape::new(3, 5, 2, 3).unwrap();
    let vector = Shape::vector(5).unwrap();
    let mut graph = Graph::default();
    let [of_x, gamma, beta] = [x, vector, vector].map(|shape| graph.input(shape));
    let [running_mean, running_variance] = [vector; 2].map(|shape| graph.input(shape));
    let [_y, mean, variance] =
        BatchNorm { eps: EPS }.push(&mut graph, [of_x, gamma, beta]).unwrap();
    let update = UpdateRunningStats::of(x, 0.1).unwrap();
    graph.push_all(update, &[mean, variance, running_mean, running_variance]).unwrap();
    let data = numbers(90, 1);
    let given = [
        (of_x, data.clone()),
        (running_mean, numbers(5, 2)),
        (running_variance, numbers(5, 3)),
        (gamma, numbers(5, 4)),
        (beta, numbers(5, 5)),
    ];
    let bench = Bench::new(&graph, &[mean, variance], &given);
    let exact: Vec<_> = data.into_iter().map(f64::from).collect();
    let [means, variances] = moments(x, &exact);
    assert_close("mean", &bench.read(mean), &means, 1e-6);
    assert_close("variance", &bench.read(variance), &variances, 1e-6);
    let unbiased = variances.iter().map(|v| v * 18.0 / 17.0).collect();
    for (running, seed, batch) in [(running_mean, 2, means), (running_variance, 3, unbiased)] {
        let before = numbers(5, seed).into_iter().map(f64::from);
        let wanted: Vec<_> = before.zip(batch).map(|(r, v)| 0.9 * r + 0.1 * v).collect();
        assert_close("running", &bench.read(running), &wanted, 1e-6);
    }
}

/// One pass, E[x^2] - mean^2, would lose a variance of 1/3 beside a mean of 3000.
#[test]
fn a_large_mean_does_not_cancel() {
    let x = Shape::new(2, 4, 16, 16).unwrap();
    let row = rows(x, 1, 1).into_iter().find(|row| row.name == "batch_norm").unwrap();
    let mut data = row.data();
    data[0].iter_mut().for_each(|v| *v += 3000.0);
    let mut graph = Graph::default();
    let inputs: Vec<_> = row.inputs.iter().map(|&shape| graph.input(shape)).collect();
    let y = (row.push)(&mut graph, &inputs).unwrap();
    let given: Vec<_> = inputs.into_iter().zip(data.clone()).collect();
    let exact: Vec<Vec<f64>> =
        data.iter().map(|values| values.iter().map(|&v| f64::from(v)).collect()).collect();
    let bench = Bench::new(&graph, &[y], &given);
    assert_close("y", &bench.read(y), &(row.formula)(&exact), 5e-4);
}

/// No overflow on the way, and PyTorch's values at the ends.
#[test]
fn silu_far_from_zero() {
    let xs = vec![-1e30, -200.0, -88.0, -1.0, -0.0, 0.0, 1.0, 88.0, 200.0, 1e30];
    let mut graph = Graph::default();
    let shape = Shape::vector(xs.len() as u32).unwrap();
    let (x, dy) = (graph.input(shape), graph.input(shape));
    let y = graph.push(Unary::Silu, &[x]).unwrap();
    let dx = ops::gradient(&mut graph, y, dy, &[x]).unwrap()[0];
    let bench = Bench::new(&graph, &[y, dx], &[(x, xs.clone()), (dy, vec![1.0; xs.len()])]);
    for ((x, y), dx) in xs.into_iter().zip(bench.read(y)).zip(bench.read(dx)) {
        let sigmoid = 1.0 / (1.0 + f64::from(-x).exp());
        let wanted = f64::from(x) * sigmoid;
        assert!((f64::from(y) - wanted).abs() <= 1e-6 * wanted.abs() + 1e-30, "{y} at {x}");
        let slope = sigmoid * (1.0 + f64::from(x) * (1.0 - sigmoid));
        assert!((f64::from(dx) - slope).abs() <= 1e-6, "{dx} at {x}, want {slope}");
    }
}

/// Nodes beyond those of the forward pass, by what is asked for.
#[test]
fn only_what_is_asked_for_is_derived() {
    let added =
        |op: fn(&mut Graph, &[Value]) -> Result<Value>, shapes: &[Shape], asked: &[usize]| {
            let mut graph = Graph::default();
            let inputs: Vec<_> = shapes.iter().map(|&shape| graph.input(shape)).collect();
            let y = op(&mut graph, &inputs).unwrap();
            let dy = graph.input(graph.shape(y).unwrap());
            let asked: Vec<_> = asked.iter().map(|&i| inputs[i]).collect();
            ops::gradient(&mut graph, y, dy, &asked).unwrap();
            graph.nodes()[1..].iter().map(|node| node.op.name()).collect::<Vec<_>>()
        };
    let (x, vector) = (Shape::new(2, 3, 4, 4).unwrap(), Shape::vector(3).unwrap());
    let frozen =
        |graph: &mut Graph, inputs: &[Value]| graph.push(FrozenBatchNorm { eps: EPS }, inputs);
    let shapes = [x, vector, vector, vector, vector];
    assert_eq!(added(frozen, &shapes, &[0]), ["frozen_batch_norm_backward"]);
    assert_eq!(added(frozen, &shapes, &[2]), ["batch_norm_weights"]);
    let linear = |graph: &mut Graph, inputs: &[Value]| graph.push(Linear { bias: true }, inputs);
    let shapes = [Shape::matrix(2, 5), Shape::matrix(3, 5), Shape::vector(3)].map(Result::unwrap);
    assert_eq!(added(linear, &shapes, &[0]), ["linear_backward"]);
    assert_eq!(added(linear, &shapes, &[2]), ["channel_sum"]);
    let bias = |graph: &mut Graph, inputs: &[Value]| graph.push(Broadcast::Add, inputs);
    assert_eq!(added(bias, &[x, vector], &[0]), [""; 0]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let shape = |n, c, h, w| Shape::new(n, c, h, w).unwrap();
    let refused = |op: &dyn Fn(&mut Graph, &[Value]) -> Result<Vec<Value>>, shapes: &[Shape]| {
        let mut graph = Graph::default();
        let inputs: Vec<_> = shapes.iter().map(|&shape| graph.input(shape)).collect();
        let result = op(&mut graph, &inputs);
        assert!(matches!(result, Err(Error::Mismatch { .. })), "{result:?}");
    };
    let vector = Shape::vector(3).unwrap();
    let norm = |eps| move |g: &mut Graph, v: &[Value]| g.push_all(BatchNorm { eps }, v);
    refused(&norm(1e-5), &[shape(1, 3, 1, 1), vector, vector]);
    refused(&norm(0.0), &[shape(2, 3, 1, 1), vector, vector]);
    refused(&norm(1e-5), &[shape(2, 4, 1, 1), vector, vector]);
    assert!(UpdateRunningStats::of(shape(1, 3, 1, 1), 0.1).is_err());
    let update =
        |g: &mut Graph, v: &[Value]| g.push_all(UpdateRunningStats { momentum: 0.1, count: 1 }, v);
    refused(&update, &[vector; 4]);
    let pool = |kernel| move |g: &mut Graph, v: &[Value]| g.push_all(AvgPool { kernel }, v);
    refused(&pool(3), &[shape(1, 1, 6, 8)]);
    refused(&pool(0), &[shape(1, 1, 6, 8)]);
    let add = |g: &mut Graph, v: &[Value]| g.push_all(Broadcast::Add, v);
    refused(&add, &[shape(2, 3, 4, 4), shape(1, 2, 1, 1)]);
    let linear = |g: &mut Graph, v: &[Value]| g.push_all(Linear { bias: false }, v);
    refused(&linear, &[shape(2, 3, 2, 2), shape(4, 3, 1, 1)]);
    refused(&linear, &[shape(2, 3, 1, 1), shape(4, 2, 1, 1)]);
    for (mean, std) in
        [(vec![0.0; 2], vec![1.0; 3]), (vec![0.0; 3], vec![1.0, 0.0, 1.0]), (vec![], vec![])]
    {
        let op = Normalise { mean, std };
        refused(&|g: &mut Graph, v: &[Value]| g.push_all(op.clone(), v), &[shape(1, 3, 2, 2)]);
    }
    let mut graph = Graph::default();
    let inputs =
        [shape(2, 3, 1, 1), vector, vector, vector, vector].map(|shape| graph.input(shape));
    let y = graph.push(FrozenBatchNorm { eps: 1e-5 }, &inputs).unwrap();
    let constants = ops::gradient(&mut graph, y, y, &inputs[3..4]);
    assert!(matches!(constants, Err(Error::NoDerivative { .. })), "{constants:?}");
}
