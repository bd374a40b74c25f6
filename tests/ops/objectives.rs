//! Compares energies, losses, optimiser steps, and copied and concatenated values with their formulas in f64.

use crate::bench::{Bench, gpu, numbers};
use lapidary::graph::{Graph, Shape, Value};
use lapidary::lower::Program;
use lapidary::ops::*;
use pollster::block_on;

pub fn assert_close(what: &str, given: &[f32], wanted: &[f64], tolerance: f64) {
    assert_eq!(given.len(), wanted.len(), "{what}");
    let scale = wanted.iter().fold(1.0, |most: f64, v| most.max(v.abs()));
    for (i, (&given, wanted)) in given.iter().zip(wanted).enumerate() {
        let within = (f64::from(given) - wanted).abs() <= tolerance * scale; // false for NaN
        assert!(within, "{what}[{i}] is {given}, want {wanted} within {tolerance:e} of {scale}");
    }
}

pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

pub fn words(values: &[u32]) -> Vec<f32> {
    values.iter().map(|&value| f32::from_bits(value)).collect()
}

pub fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

fn log_sum_exp(row: &[f64]) -> f64 {
    let most = row.iter().copied().fold(f64::MIN, f64::max);
    most + row.iter().map(|v| (v - most).exp()).sum::<f64>().ln()
}

type Formula = fn(&[f64], u32) -> f64;
type Build = fn(&mut Graph, Value, Value) -> lapidary::Result<Value>;

/// Everything that takes a row of logits and a label to one number.
const ROWS: [(&str, Build, Formula); 6] = [
    ("log_sum_exp", |graph, z, _| graph.push(LogSumExp, &[z]), |row, _| log_sum_exp(row)),
    ("pick_logit", |graph, z, t| graph.push(PickLogit, &[z, t]), picked),
    ("joint_energy", joint_energy, |row, label| -picked(row, label)),
    ("marginal_energy", |graph, z, _| marginal_energy(graph, z), |row, _| -log_sum_exp(row)),
    (
        "cross_entropy",
        |graph, z, t| graph.push(CrossEntropy { label_smoothing: 0.0 }, &[z, t]),
        |row, label| cross_entropy(row, label, 0.0),
    ),
    (
        "cross_entropy, smooth",
        |graph, z, t| graph.push(CrossEntropy { label_smoothing: 0.25 }, &[z, t]),
        |row, label| cross_entropy(row, label, 0.25),
    ),
];

fn picked(row: &[f64], label: u32) -> f64 {
    row.get(label as usize).copied().unwrap_or(0.0)
}

fn cross_entropy(row: &[f64], label: u32, smoothing: f64) -> f64 {
    let Some(own) = row.get(label as usize) else { return 0.0 };
    let mean = row.iter().sum::<f64>() / row.len() as f64;
    log_sum_exp(row) - (1.0 - smoothing) * own - smoothing * mean
}

#[test]
fn row_objectives_and_their_slopes() {
    for (images, classes) in [(1, 1), (3, 10), (5, 67), (2, 1000), (7, 2)] {
        let logits: Vec<_> =
            numbers((images * classes) as usize, classes).iter().map(|v| v * 6.0).collect();
        // One label beyond the classes.
        let labels: Vec<u32> =
            (0..images).map(|i| if i == 2 { u32::MAX } else { i * 7 % classes }).collect();
        let dy = numbers(images as usize, 9);
        for (name, build, formula) in ROWS {
            let what = format!("{name} of {images}x{classes}");
            let mut graph = Graph::default();
            let z = graph.input(Shape::matrix(images, classes).unwrap());
            let [t, seed] = [Shape::per_image(images).unwrap(); 2].map(|shape| graph.input(shape));
            let y = build(&mut graph, z, t).unwrap();
            let dz = gradient(&mut graph, y, seed, &[z]).unwrap()[0];
            let mut inputs = vec![(z, logits.clone()), (seed, dy.clone())];
            if !name.contains("sum_exp") && !name.contains("marginal") {
                inputs.push((t, words(&labels)));
            }
            let bench = Bench::new(&graph, &[y, dz], &inputs);

            let mut rows: Vec<Vec<f64>> = logits.chunks(classes as usize).map(wide).collect();
            let values: Vec<_> =
                rows.iter().zip(&labels).map(|(row, &t)| formula(row, t)).collect();
            assert_close(&what, &bench.read(y), &values, 1e-6);
            let (mut slopes, step) = (Vec::new(), 1e-5);
            for ((row, &label), &dy) in rows.iter_mut().zip(&labels).zip(&dy) {
                for k in 0..row.len() {
                    let at = row[k];
                    let mut loss = |value| {
                        row[k] = value;
                        formula(row, label) * f64::from(dy)
                    };
                    slopes.push((loss(at + step) - loss(at - step)) / (2.0 * step));
                    row[k] = at;
                }
            }
            assert_close(&format!("slope of {what}"), &bench.read(dz), &slopes, 1e-6);
        }
    }
}

/// Rows whose exponentials overflow or all vanish unless the largest logit is taken off first.
#[test]
fn large_logits_lose_nothing() {
    let rows = [[1e4, -1e4, 9999.5, 0.0], [-1e4, -1e4, -10000.5, -1e4], [0.0, 0.0, 1e4, 1e4]];
    let mut graph = Graph::default();
    let z = graph.input(Shape::matrix(3, 4).unwrap());
    let [t, dy] = [Shape::per_image(3).unwrap(); 2].map(|shape| graph.input(shape));
    let lse = graph.push(LogSumExp, &[z]).unwrap();
    let loss = graph.push(CrossEntropy { label_smoothing: 0.0 }, &[z, t]).unwrap();
    let softmax = gradient(&mut graph, lse, dy, &[z]).unwrap()[0];
    let inputs = [(z, rows.concat()), (t, words(&[2, 0, 3])), (dy, vec![1.0; 3])];
    let bench = Bench::new(&graph, &[lse, loss, softmax], &inputs);
    let rows = rows.map(|row| wide(&row));
    assert_close("lse", &bench.read(lse), &rows.each_ref().map(|row| log_sum_exp(row)), 1e-7);
    let losses = [(0, 2), (1, 0), (2, 3)].map(|(i, t): (usize, _)| cross_entropy(&rows[i], t, 0.0));
    assert_close("loss", &bench.read(loss), &losses, 1e-6);
    let wanted = rows.each_ref().map(|row| {
        let sum = log_sum_exp(row);
        row.iter().map(|v| (v - sum).exp()).collect::<Vec<_>>()
    });
    assert_close("softmax", &bench.read(softmax), &wanted.concat(), 1e-6);
}

/// Also the mean over all, as the training loss takes it.
#[test]
fn binary_cross_entropy_of_any_logit() {
    let mut logits = numbers(14, 3);
    logits.iter_mut().for_each(|v| *v *= 5.0);
    logits.extend([200.0, -200.0, 0.0, 88.0, -88.0, 200.0, -200.0]);
    let targets: Vec<_> = (0..21).map(|i| [0.0, 1.0, 0.3][i % 3]).collect();
    let mut graph = Graph::default();
    let [z, t] = [Shape::per_image(21).unwrap(); 2].map(|shape| graph.input(shape));
    let seed = graph.input(Shape::SCALAR);
    let each = graph.push(BceWithLogits, &[z, t]).unwrap();
    let mean = graph.push(Sum { scale: 1.0 / 21.0 }, &[each]).unwrap();
    let dz = gradient(&mut graph, mean, seed, &[z]).unwrap()[0];
    let inputs = [(z, logits.clone()), (t, targets.clone()), (seed, vec![21.0])];
    let bench = Bench::new(&graph, &[each, mean, dz], &inputs);
    let pairs = || logits.iter().zip(&targets).map(|(&z, &t)| (f64::from(z), f64::from(t)));
    let losses: Vec<_> =
        pairs().map(|(z, t)| z.max(0.0) - z * t + (-z.abs()).exp().ln_1p()).collect();
    let given = bench.read(each);
    for (given, wanted) in given.iter().zip(&losses) {
        // Relative: small losses keep their digits.
        assert!((f64::from(*given) - wanted).abs() <= 3e-6 * wanted + 1e-30, "{given}, {wanted}");
    }
    assert_close("mean", &bench.read(mean), &[losses.iter().sum::<f64>() / 21.0], 1e-6);
    // At exactly 0 the slopes of max(z, 0) and |z| count as 0.
    let sigmoid = |z: f64| if z == 0.0 { 0.0 } else { 1.0 / (1.0 + (-z).exp()) };
    let slopes: Vec<_> = pairs().map(|(z, t)| sigmoid(z) - t).collect();
    assert_close("slope", &bench.read(dz), &slopes, 1e-6);
    assert!(gradient(&mut graph, mean, seed, &[t]).is_err());
}

#[test]
fn ranges_and_concatenation_move_words() {
    let shape = |images| Shape::new(images, 3, 1, 3).unwrap();
    let mut graph = Graph::default();
    let [a, b, c] = [2, 1, 4].map(|images| graph.input(shape(images)));
    let seed = graph.input(shape(3));
    let all = graph.push(Concat, &[a, b, c]).unwrap();
    let range = graph.push(ImageRange { first: 1, count: 3 }, &[c]).unwrap();
    let dc = gradient(&mut graph, range, seed, &[c]).unwrap()[0];
    let data = [numbers(18, 1), numbers(9, 2), numbers(36, 3), numbers(27, 4)];
    let [da, db, dcs, ds] = data.clone();
    let inputs = [(a, da), (b, db), (c, dcs), (seed, ds)];
    let bench = Bench::new(&graph, &[all, range, dc], &inputs);
    assert_eq!(bench.read(all), data[..3].concat());
    assert_eq!(bench.read(range), data[2][9..]);
    assert_eq!(bench.read(dc), [&[0.0; 9], &data[3][..]].concat());
    for wrong in [ImageRange { first: 3, count: 2 }, ImageRange { first: 0, count: 0 }] {
        assert!(graph.push(wrong, &[c]).is_err(), "{wrong:?}");
    }
    assert!(graph.push(ImageRange { first: u32::MAX, count: 2 }, &[c]).is_err());
    let other = graph.input(Shape::new(2, 3, 3, 1).unwrap());
    assert!(graph.push(Concat, &[a, other]).is_err());
    assert!(gradient(&mut graph, all, all, &[a]).is_err());
}

/// Three replays whose control values the host changes in between.
#[test]
fn optimiser_steps_read_their_control_values() {
    let shape = Shape::new(5, 3, 3, 1).unwrap();
    let (weights, gradient) = (numbers(45, 1), numbers(45, 2));
    for (nesterov, weight_decay) in [(true, 5e-4), (false, 0.1), (true, 0.0)] {
        let mut graph = Graph::default();
        let [w, buf, g, average] = [shape; 4].map(|shape| graph.input(shape));
        let rate = graph.input(Shape::vector(2).unwrap());
        let decay = graph.input(Shape::vector(1).unwrap());
        let op = SgdStep { momentum: 0.9, weight_decay, nesterov };
        graph.push_all(op, &[w, buf, g, rate]).unwrap();
        graph.push_all(EmaStep, &[average, w, decay]).unwrap();
        let mut wanted = [wide(&weights), vec![0.0; 45], vec![0.0; 45]];
        let given = block_on(async {
            let mut program = Program::new(gpu(), &graph, &[], &[], &[]).await.unwrap();
            program.write(w, &weights).await.unwrap();
            program.write(g, &gradient).await.unwrap();
            // What is there before the first step does not count.
            program.write(buf, &[f32::NAN; 45]).await.unwrap();
            program.write(average, &[f32::NAN; 45]).await.unwrap();
            for (lr, first, keep) in
                [(0.1f32, 1.0f32, 0.0), (0.1, 0.0, 0.25), (0.02, 0.0, 0.999f32)]
            {
                program.write(rate, &[lr, first]).await.unwrap();
                program.write(decay, &[keep]).await.unwrap();
                program.submit().await.unwrap();
                let [w, buf, average] = &mut wanted;
                for (i, &g) in gradient.iter().enumerate() {
                    let d = f64::from(g) + f64::from(weight_decay) * w[i];
                    let m = f64::from(0.9f32);
                    buf[i] = if first == 1.0 { d } else { m * buf[i] + d };
                    w[i] -= f64::from(lr) * if nesterov { d + m * buf[i] } else { buf[i] };
                    average[i] = f64::from(keep) * average[i] + (1.0 - f64::from(keep)) * w[i];
                }
            }
            program.read_all(&[w, buf, average]).await.unwrap()
        });
        for (given, wanted) in given.iter().zip(&wanted) {
            assert_close(&format!("{op:?}"), given, wanted, 1e-6);
        }
    }
}

#[test]
fn bad_arguments_are_refused() {
    let mut graph = Graph::default();
    let x = graph.input(Shape::new(2, 3, 4, 4).unwrap());
    let logits = graph.input(Shape::matrix(2, 10).unwrap());
    let labels = graph.input(Shape::per_image(2).unwrap());
    let good = PgdStep { norm: Norm::L2, step_size: 0.1, eps: 0.5, clamp: true };
    assert!(graph.push_all(good, &[x, x]).is_err());
    assert!(graph.push_all(good, &[x, x, logits]).is_err());
    for bad in [PgdStep { eps: -1.0, ..good }, PgdStep { step_size: f32::NAN, ..good }] {
        assert!(graph.push_all(bad, &[x, x, x]).is_err());
    }
    let good = MomentumStep { norm: Norm::L2, step_size: 0.1, eps: 0.5, momentum: 0.9 };
    assert!(graph.push_all(MomentumStep { eps: f32::INFINITY, ..good }, &[x; 4]).is_err());
    assert!(graph.push_all(MomentumStep { momentum: 1.0, ..good }, &[x; 4]).is_err());
    assert!(graph.push_all(CrossEntropy { label_smoothing: 1.5 }, &[logits, labels]).is_err());
    assert!(graph.push_all(CrossEntropy { label_smoothing: 0.0 }, &[logits, logits]).is_err());
    assert!(graph.push_all(LogSumExp, &[x]).is_err());
    assert!(graph.push_all(EmaStep, &[x, x, labels]).is_err());
    assert!(graph.nodes().is_empty());
}
