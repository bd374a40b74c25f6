//! Energies, losses, attack steps, optimiser steps and random numbers against their formulas in f64.

use crate::bench::{Bench, gpu, numbers};
use lapidary::gpu::{Access, Kernel, Layout};
use lapidary::graph::{Graph, Launch, Op, Program, Shape, Value};
use lapidary::ops::*;
use pollster::block_on;
use proptest::prelude::*;

fn assert_close(what: &str, given: &[f32], wanted: &[f64], tolerance: f64) {
    assert_eq!(given.len(), wanted.len(), "{what}");
    let scale = wanted.iter().fold(1.0, |most: f64, v| most.max(v.abs()));
    for (i, (&given, wanted)) in given.iter().zip(wanted).enumerate() {
        let within = (f64::from(given) - wanted).abs() <= tolerance * scale; // false for NaN
        assert!(within, "{what}[{i}] is {given}, want {wanted} within {tolerance:e} of {scale}");
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn words(values: &[u32]) -> Vec<f32> {
    values.iter().map(|&value| f32::from_bits(value)).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// Runs a graph of nodes that write in place and reads what they wrote.
fn run_in_place(graph: &Graph, inputs: &[(Value, Vec<f32>)], read: &[Value]) -> Vec<Vec<f32>> {
    let bench = Bench::new(graph, &[], inputs);
    read.iter().map(|&value| bench.read(value)).collect()
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
    let slopes: Vec<_> = pairs().map(|(z, t)| 1.0 / (1.0 + (-z).exp()) - t).collect();
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
    let range = graph.push(Images { first: 1, count: 3 }, &[c]).unwrap();
    let dc = gradient(&mut graph, range, seed, &[c]).unwrap()[0];
    let data = [numbers(18, 1), numbers(9, 2), numbers(36, 3), numbers(27, 4)];
    let [da, db, dcs, ds] = data.clone();
    let inputs = [(a, da), (b, db), (c, dcs), (seed, ds)];
    let bench = Bench::new(&graph, &[all, range, dc], &inputs);
    assert_eq!(bench.read(all), data[..3].concat());
    assert_eq!(bench.read(range), data[2][9..]);
    assert_eq!(bench.read(dc), [&[0.0; 9], &data[3][..]].concat());
    for wrong in [Images { first: 3, count: 2 }, Images { first: 0, count: 0 }] {
        assert!(graph.push(wrong, &[c]).is_err(), "{wrong:?}");
    }
    assert!(graph.push(Images { first: u32::MAX, count: 2 }, &[c]).is_err());
    let other = graph.input(Shape::new(2, 3, 3, 1).unwrap());
    assert!(graph.push(Concat, &[a, other]).is_err());
    assert!(gradient(&mut graph, all, all, &[a]).is_err());
}

fn length(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// x after the ball around x0 and the box.
fn projected(norm: Norm, eps: f64, clamp: bool, x: &[f64], x0: &[f64]) -> Vec<f64> {
    let away = length(&x.iter().zip(x0).map(|(x, x0)| x - x0).collect::<Vec<_>>());
    let shrink = if away > eps { eps / (away + 1e-7) } else { 1.0 };
    let project = |(&x, &x0): (&f64, &f64)| {
        let y = match norm {
            _ if eps.is_infinite() => x,
            Norm::L2 => x0 + (x - x0) * shrink,
            Norm::Linf => x0 + (x - x0).clamp(-eps, eps),
        };
        if clamp { y.clamp(0.0, 1.0) } else { y }
    };
    x.iter().zip(x0).map(project).collect()
}

fn sign(v: f64) -> f64 {
    if v == 0.0 { 0.0 } else { v.signum() }
}

/// Images in [0, 1], a gradient whose second image is 0, and a centre near the images.
fn attack_data(shape: Shape) -> [Vec<f32>; 3] {
    let count = shape.elements() as usize;
    let span = count / shape.images() as usize;
    let x: Vec<_> = numbers(count, 1).iter().map(|v| v / 2.0 + 0.5).collect();
    let mut g: Vec<_> = numbers(count, 2).iter().map(|v| v * 1e-3).collect();
    g.iter_mut().skip(span).take(span).for_each(|v| *v = 0.0);
    let x0 = x.iter().zip(numbers(count, 3)).map(|(x, n)| (x + n / 8.0).clamp(0.0, 1.0)).collect();
    [x, g, x0]
}

/// Images of odd size, of whole vec4s, of one value, and longer than a workgroup.
const SHAPES: [[u32; 4]; 4] = [[3, 3, 5, 7], [2, 3, 8, 4], [5, 1, 1, 1], [2, 3, 37, 29]];

#[test]
fn pgd_steps_follow_the_formula() {
    for [n, c, h, w] in SHAPES {
        let shape = Shape::new(n, c, h, w).unwrap();
        let [x, g, x0] = attack_data(shape);
        for (norm, step_size, eps, clamp) in [
            (Norm::L2, 0.3, f32::INFINITY, true),
            (Norm::L2, 2.0, f32::INFINITY, false),
            (Norm::L2, -0.3, 0.25, true),
            (Norm::L2, 0.0, 0.25, true),
            (Norm::L2, 0.1, 40.0, false),
            (Norm::Linf, 0.02, 0.03, true),
            (Norm::Linf, -0.02, f32::INFINITY, false),
            (Norm::Linf, 0.0, 0.0, true),
        ] {
            let op = PgdStep { norm, step_size, eps, clamp };
            let mut graph = Graph::default();
            let [xs, gs, x0s] = [shape; 3].map(|shape| graph.input(shape));
            let mut inputs = vec![(xs, x.clone()), (gs, g.clone()), (x0s, x0.clone())];
            if eps.is_infinite() {
                inputs.pop();
            }
            let values: Vec<_> = inputs.iter().map(|(value, _)| *value).collect();
            assert!(graph.push_all(op, &values).unwrap().is_empty());
            let [given] = &run_in_place(&graph, &inputs, &[xs])[..] else { panic!() };
            let [again] = &run_in_place(&graph, &inputs, &[xs])[..] else { panic!() };
            assert_eq!(bits(given), bits(again), "{op:?}");

            let (s, span) = (f64::from(step_size), (c * h * w) as usize);
            let mut wanted = Vec::new();
            for ((x, g), x0) in x.chunks(span).zip(g.chunks(span)).zip(x0.chunks(span)) {
                let [x, g, x0] = [x, g, x0].map(wide);
                let rate = s / (length(&g) + 1e-10);
                let moved: Vec<_> = x
                    .iter()
                    .zip(&g)
                    .map(|(x, g)| if norm == Norm::L2 { x + rate * g } else { x + s * sign(*g) })
                    .collect();
                wanted.extend(projected(norm, f64::from(eps), clamp, &moved, &x0));
            }
            assert_close(&format!("{op:?} of {shape}"), given, &wanted, 2e-6);
        }
    }
}

/// Two steps, so that momentum counts, and the best of three iterates.
#[test]
fn momentum_steps_keep_the_best() {
    for [n, c, h, w] in SHAPES {
        for norm in [Norm::L2, Norm::Linf] {
            let shape = Shape::new(n, c, h, w).unwrap();
            let [start, g, x0] = attack_data(shape);
            let second: Vec<_> = numbers(g.len(), 7).iter().map(|v| v * 1e-3).collect();
            let losses: [Vec<f32>; 3] = [5, 6, 7].map(|seed| numbers(n as usize, seed));
            let (step_size, eps) = if norm == Norm::L2 { (0.2, 0.3) } else { (0.02, 0.03) };
            let op = MomentumStep { norm, step_size, eps, momentum: 0.9 };

            let mut graph = Graph::default();
            let [x, v, g1, g2, centre, best_x] = [shape; 6].map(|shape| graph.input(shape));
            let numbers = Shape::per_image(n).unwrap();
            let [best, l0, l1, l2] = [numbers; 4].map(|shape| graph.input(shape));
            graph.push_all(Fill { value: 0.0 }, &[v]).unwrap();
            graph.push_all(Fill { value: f32::MIN }, &[best]).unwrap();
            graph.push_all(Copy, &[centre, best_x]).unwrap();
            for (loss, gradient) in [(l0, g1), (l1, g2)] {
                graph.push_all(KeepBest, &[x, loss, best_x, best]).unwrap();
                graph.push_all(op, &[x, v, gradient, centre]).unwrap();
            }
            graph.push_all(KeepBest, &[x, l2, best_x, best]).unwrap();
            let nan = vec![f32::NAN; g.len()];
            let mut inputs = vec![(x, start.clone()), (g1, g.clone()), (g2, second.clone())];
            inputs.extend([(centre, x0.clone()), (v, nan.clone()), (best_x, nan)]);
            inputs.push((best, vec![f32::NAN; n as usize]));
            inputs.extend([l0, l1, l2].into_iter().zip(losses.clone()));
            let given = run_in_place(&graph, &inputs, &[x, v, best_x, best]);

            let span = (c * h * w) as usize;
            let (mut wanted, mut velocities, mut bests) = (Vec::new(), Vec::new(), Vec::new());
            for i in 0..n as usize {
                let own = |data: &[f32]| wide(&data[i * span..(i + 1) * span]);
                let (mut x, centre, mut v) = (own(&start), own(&x0), vec![0.0; span]);
                let mut iterates = vec![x.clone()];
                for g in [own(&g), own(&second)] {
                    let gain = 1.0 / (g.iter().map(|g| g.abs()).sum::<f64>() + 1e-10);
                    v.iter_mut().zip(&g).for_each(|(v, g)| *v = f64::from(0.9f32) * *v + gain * g);
                    let (s, all) = (f64::from(step_size), length(&v).max(1e-12));
                    let step = |v: f64| if norm == Norm::L2 { s * v / all } else { s * sign(v) };
                    let moved: Vec<_> = x.iter().zip(&v).map(|(x, &v)| x + step(v)).collect();
                    x = projected(norm, f64::from(eps), true, &moved, &centre);
                    iterates.push(x.clone());
                }
                let best = (0..3).max_by(|&a, &b| losses[a][i].total_cmp(&losses[b][i])).unwrap();
                assert_eq!(given[3][i], losses[best][i]);
                bests.extend(iterates.swap_remove(best));
                wanted.extend(x);
                velocities.extend(v);
            }
            let what = format!("{op:?} of {shape}");
            assert_close(&what, &given[0], &wanted, 2e-6);
            assert_close(&what, &given[1], &velocities, 2e-6);
            assert_close(&what, &given[2], &bests, 2e-6);
        }
    }
}

#[test]
fn random_starts_and_lengths() {
    for [n, c, h, w] in SHAPES {
        let shape = Shape::new(n, c, h, w).unwrap();
        let [x, _, u] = attack_data(shape);
        let (pixels, image) = ((h * w) as usize, (c * h * w) as usize);
        for (norm, group, eps) in [
            (Norm::L2, Group::Image, 0.5),
            (Norm::L2, Group::Channel, 0.5),
            (Norm::L2, Group::Image, 50.0),
            (Norm::Linf, Group::Image, 0.03),
            (Norm::Linf, Group::Channel, 0.03),
        ] {
            let mut graph = Graph::default();
            let [xs, us] = [shape; 2].map(|shape| graph.input(shape));
            graph.push_all(RandomStart { norm, eps, group }, &[xs, us]).unwrap();
            let lengths = graph.push(L2Norm, &[xs]).unwrap();
            let bench = Bench::new(&graph, &[lengths], &[(xs, x.clone()), (us, u.clone())]);
            let group_of = |i: usize| match group {
                Group::Image => i / image,
                Group::Channel => i / pixels % c as usize,
            };
            let mut squares = vec![0.0; n.max(c) as usize];
            u.iter()
                .enumerate()
                .for_each(|(i, &u)| squares[group_of(i)] += (f64::from(u) - 0.5).powi(2));
            let eps = f64::from(eps);
            let start = |(i, (&x, &u)): (usize, (&f32, &f32))| {
                let all = squares[group_of(i)].sqrt();
                let rate = match norm {
                    Norm::Linf => 2.0 * eps,
                    Norm::L2 => {
                        if all > eps {
                            eps / (all + 1e-7)
                        } else {
                            1.0
                        }
                    }
                };
                f64::from(x) + rate * (f64::from(u) - 0.5)
            };
            let wanted: Vec<_> = x.iter().zip(&u).enumerate().map(start).collect();
            assert_close(&format!("{norm:?} {group:?} of {shape}"), &bench.read(xs), &wanted, 2e-6);
            let wanted: Vec<_> = wanted.chunks(image).map(length).collect();
            assert_close(&format!("lengths of {shape}"), &bench.read(lengths), &wanted, 2e-6);
        }
    }
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
            let program = Program::new(gpu(), &graph, &[], &[], &[]).await.unwrap();
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

/// Philox on the host.
fn philox(mut c: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let [a, b] = [(c[0], 0xd251_1f53u64), (c[2], 0xcd9e_8d57)].map(|(c, m)| u64::from(c) * m);
        c = [
            (b >> 32) as u32 ^ c[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ c[3] ^ key[1],
            a as u32,
        ];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    c
}

/// Counter, key and words of Random123's kat_vectors, "philox4x32 10".
const KNOWN: [([u32; 4], [u32; 2], [u32; 4]); 3] = [
    ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
    ([!0; 4], [!0; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
    (
        [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
        [0xa409_3822, 0x299f_31d0],
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
    ),
];

/// The shader's function under any counter: the op's own counters are small.
#[derive(Debug)]
struct Blocks;

static BLOCKS: Kernel = Kernel {
    name: "philox_blocks",
    source: concat!(
        "struct Params { count: u32 }
        struct Block { counter: vec4u, key: vec4u }
        @group(0) @binding(0) var<uniform> params: Params;
        @group(0) @binding(1) var<storage, read> blocks: array<Block>;
        @group(0) @binding(2) var<storage, read_write> y: array<vec4u>;
        @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) {
            if i < params.count { y[i] = philox(blocks[i].counter, blocks[i].key.xy); }
        }\n",
        include_str!("../../shaders/shared/philox.wgsl"),
    ),
    params: Layout { size: 4, fields: &[("count", "u32", 0)] },
    bindings: &[("blocks", Access::Read), ("y", Access::Write)],
    subgroup: 0,
};

impl Op for Blocks {
    fn name(&self) -> &'static str {
        BLOCKS.name
    }

    fn outputs(&self, inputs: &[Shape]) -> lapidary::Result<Vec<Shape>> {
        Ok(vec![Shape::matrix(inputs[0].images(), 4)?])
    }

    fn record(&self, launch: &mut Launch) -> lapidary::Result<()> {
        launch.all(&BLOCKS, launch.inputs[0].images(), [1, 1, 1])
    }
}

#[test]
fn philox_gives_the_published_words() {
    let mut graph = Graph::default();
    let blocks = graph.input(Shape::matrix(3, 8).unwrap());
    let y = graph.push(Blocks, &[blocks]).unwrap();
    let data = KNOWN.map(|([a, b, c, d], [k, l], _)| words(&[a, b, c, d, k, l, 0, 0])).concat();
    let bench = Bench::new(&graph, &[y], &[(blocks, data)]);
    assert_eq!(bits(&bench.read(y)), KNOWN.map(|(_, _, words)| words).concat());
    KNOWN.iter().for_each(|&(counter, key, words)| assert_eq!(philox(counter, key), words));
}

#[test]
fn random_values_depend_on_seed_step_image_and_element() {
    let [seed, step] = [[0xa409_3822, 0x299f_31d0], [7, 0xffff_fffe]];
    for [n, c, h, w] in [[3, 3, 5, 7], [2, 3, 8, 4], [5, 1, 1, 1], [4, 3, 37, 29]] {
        let shape = Shape::new(n, c, h, w).unwrap();
        let mut graph = Graph::default();
        let control = graph.input(Shape::vector(4).unwrap());
        let kinds = [Draw::Bits, Draw::Uniform, Draw::Normal];
        let [raw, uniform, normal] =
            kinds.map(|draw| graph.push(Random { shape, draw }, &[control]).unwrap());
        let inputs = [(control, words(&[seed, step].concat()))];
        let bench = Bench::new(&graph, &[raw, uniform, normal], &inputs);

        let mut wanted = Vec::new();
        for image in 0..n {
            let blocks = (0..).flat_map(|block| philox([block, image, step[0], step[1]], seed));
            wanted.push(blocks.take((c * h * w) as usize).collect::<Vec<u32>>());
        }
        assert_eq!(bits(&bench.read(raw)), wanted.concat(), "{shape}");
        let unit = |word: &u32| (word >> 8) as f32 / (1 << 24) as f32;
        assert_eq!(bench.read(uniform), wanted.concat().iter().map(unit).collect::<Vec<_>>());

        let mut normals = Vec::new();
        for image in &wanted {
            let mut own = Vec::new();
            // The last pair of an image may miss its angle, which then follows from the next words.
            let block = (image.len() as u32).div_ceil(4) * 4;
            let i = normals.len() as u32 / (c * h * w);
            let all: Vec<_> =
                (0..block / 4).flat_map(|b| philox([b, i, step[0], step[1]], seed)).collect();
            for pair in all.chunks(2) {
                let [u, v] = [pair[0], pair[1]].map(|word| f64::from(unit(&word)));
                let radius = (-2.0 * (u + f64::from(f32::EPSILON / 2.0)).ln()).sqrt();
                let angle = (v - 0.5) * std::f64::consts::TAU;
                own.extend([radius * angle.cos(), radius * angle.sin()]);
            }
            normals.extend(own.into_iter().take(image.len()));
        }
        // WGSL promises sin and cos within 2^-11.
        assert_close(&format!("normal {shape}"), &bench.read(normal), &normals, 6.0 / 2048.0);
    }
}

#[test]
fn normal_values_have_the_moments_of_a_normal_distribution() {
    let shape = Shape::new(4, 3, 64, 64).unwrap();
    let mut graph = Graph::default();
    let control = graph.input(Shape::vector(4).unwrap());
    let y = graph.push(Random { shape, draw: Draw::Normal }, &[control]).unwrap();
    let values = Bench::new(&graph, &[y], &[(control, words(&[1, 2, 3, 4]))]).read(y);
    let count = values.len() as f64;
    let moment = |power| wide(&values).iter().map(|v| v.powi(power)).sum::<f64>() / count;
    // Standard errors of the four: sqrt(1, 2, 15, 96) / sqrt(count).
    for (power, wanted, spread) in [(1, 0.0, 1.0f64), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)]
    {
        let error: f64 = moment(power) - wanted;
        assert!(error.abs() < 5.0 * (spread / count).sqrt(), "moment {power} is off by {error}");
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..Default::default() })]

    /// Whatever the step, the result lies in the box, and before it in the ball.
    #[test]
    fn attacks_stay_in_ball_and_box(
        (n, c, h, w) in (1u32..5, 1u32..4, 1u32..12, 1u32..12),
        step_size in -3.0f32..3.0,
        eps in 0.0f32..2.0,
        linf: bool,
    ) {
        let shape = Shape::new(n, c, h, w).unwrap();
        let norm = if linf { Norm::Linf } else { Norm::L2 };
        let [x, g, x0] = attack_data(shape);
        for clamp in [true, false] {
            let mut graph = Graph::default();
            let [xs, gs, x0s] = [shape; 3].map(|shape| graph.input(shape));
            graph.push_all(PgdStep { norm, step_size, eps, clamp }, &[xs, gs, x0s]).unwrap();
            let inputs = [(xs, x.clone()), (gs, g.clone()), (x0s, x0.clone())];
            let [given] = &run_in_place(&graph, &inputs, &[xs])[..] else { panic!() };
            prop_assert!(!clamp || given.iter().all(|v| (0.0..=1.0).contains(v)));
            let span = (c * h * w) as usize;
            for (x, x0) in given.chunks(span).zip(x0.chunks(span)) {
                let away: Vec<_> = x.iter().zip(x0).map(|(x, x0)| f64::from(x - x0)).collect();
                let far = if linf { away.iter().fold(0.0, |m: f64, v| m.max(v.abs())) } else { length(&away) };
                prop_assert!(far <= f64::from(eps) + 3e-6, "{far} from the centre, eps {eps}");
            }
        }
    }
}
