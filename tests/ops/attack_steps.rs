//! Compares attack steps and random starts with their formulas in f64.

use crate::bench::{Bench, numbers};
use crate::objectives::{assert_close, bits, wide};
use lapidary::graph::{Graph, Shape, Value};
use lapidary::ops::*;
use proptest::prelude::*;

/// Runs a graph of nodes that write in place and reads what they wrote.
fn run_in_place(graph: &Graph, inputs: &[(Value, Vec<f32>)], read: &[Value]) -> Vec<Vec<f32>> {
    let bench = Bench::new(graph, &[], inputs);
    read.iter().map(|&value| bench.read(value)).collect()
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
