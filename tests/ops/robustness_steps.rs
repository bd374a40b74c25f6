//! Compares the ops of the attacks APGD, FAB and Square (their starts and steps), and the margin by which an image is
//! misclassified, with their formulas in f64, or with properties that must hold.

use crate::bench::{Bench, numbers};
use crate::objectives::{assert_close, bits, wide, words};
use lapidary::graph::{Graph, Shape, Value};
use lapidary::ops::{self, *};

/// Images of odd size, of whole vec4s, and longer than a workgroup; square ones, for Square.
const SHAPES: [[u32; 4]; 3] = [[4, 3, 5, 7], [6, 1, 16, 16], [2, 3, 37, 37]];

fn pixels(count: usize, seed: u32) -> Vec<f32> {
    numbers(count, seed).iter().map(|v| (0.65 * v + 0.5).clamp(0.0, 1.0)).collect()
}

fn length(norm: Norm, values: &[f64]) -> f64 {
    match norm {
        Norm::L2 => values.iter().map(|v| v * v).sum::<f64>().sqrt(),
        Norm::Linf => values.iter().fold(0.0, |most, v| v.abs().max(most)),
    }
}

fn away(norm: Norm, a: &[f32], b: &[f32]) -> f64 {
    let moves: Vec<_> = a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect();
    length(norm, &moves)
}

#[test]
fn margins_and_their_derivatives() {
    let (images, classes) = (70u32, 7u32);
    let logits = numbers((images * classes) as usize, 1);
    let labels: Vec<u32> = (0..images).map(|i| i % 8).collect(); // 7 is no class
    let targets: Vec<u32> = (0..images).map(|i| (i / 3) % 7).collect();
    for targeted in [false, true] {
        let mut graph = Graph::default();
        let z = graph.input(Shape::matrix(images, classes).unwrap());
        let [ys, ts, dy] = [(); 3].map(|()| graph.input(Shape::per_image(images).unwrap()));
        let inputs = if targeted { vec![z, ys, ts] } else { vec![z, ys] };
        let margin = graph.push(Margin { targeted }, &inputs).unwrap();
        let dz = ops::gradient(&mut graph, margin, dy, &[z]).unwrap()[0];
        let up = numbers(images as usize, 2);
        let mut given = vec![(z, logits.clone()), (ys, words(&labels)), (dy, up.clone())];
        given.extend(targeted.then(|| (ts, words(&targets))));
        let bench = Bench::new(&graph, &[margin, dz], &given);
        let (mut values, mut slopes) = (Vec::new(), Vec::new());
        for (i, row) in logits.chunks(classes as usize).enumerate() {
            let label = labels[i] as usize;
            let others = (0..row.len()).filter(|&k| k != label);
            let largest = others.max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
            let other = if targeted { targets[i] as usize } else { largest };
            let mut slope = vec![0.0; row.len()];
            let known = label < row.len();
            values.push(if known { f64::from(row[other] - row[label]) } else { 0.0 });
            if known && other != label {
                (slope[other], slope[label]) = (f64::from(up[i]), -f64::from(up[i]));
            }
            slopes.extend(slope);
        }
        assert_close("margin", &bench.read(margin), &values, 0.0);
        assert_close("margin's derivative", &bench.read(dz), &slopes, 0.0);
    }
}

/// The shortest move from t inside the box to where f, which is c at t and falls off as w says, is 0: by bisection.
fn shortest(norm: Norm, t: &[f64], w: &[f64], c: f64) -> Vec<f64> {
    let turn = if c >= 0.0 { 1.0 } else { -1.0 };
    let moved = |l: f64| -> Vec<f64> {
        let one = |(&t, &w): (&f64, &f64)| {
            let w = turn * w;
            let (pull, idle) = match norm {
                Norm::L2 => (w.abs(), w.abs() < 1e-8),
                Norm::Linf => (1.0, w == 0.0),
            };
            let room = if w > 0.0 { t } else { 1.0 - t };
            if idle { 0.0 } else { -w.signum() * (l * pull).min(room) }
        };
        t.iter().zip(w).map(one).collect()
    };
    let left = |l: f64| c.abs() + moved(l).iter().zip(w).map(|(d, w)| d * turn * w).sum::<f64>();
    let (mut low, mut high) = (0.0, 1e9);
    if left(high) > 0.0 {
        return moved(high);
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if left(middle) > 0.0 { low = middle } else { high = middle }
    }
    moved(high)
}

/// Near planes, planes beyond what the box allows, a plane through the point, gradients with zeros and without any slope.
#[test]
fn fab_steps_project_as_bisection_does() {
    for [n, c, h, w] in SHAPES {
        let shape = Shape::new(n, c, h, w).unwrap();
        let (count, span) = (shape.elements() as usize, (c * h * w) as usize);
        for norm in [Norm::L2, Norm::Linf] {
            for round in 0..6u32 {
                let (x, x0) = (pixels(count, 11 + round), pixels(count, 31 + round));
                let mut g: Vec<f32> = numbers(count, 51 + round);
                // Slopes over six orders of magnitude, a tenth of them 0; without any in one image.
                for (i, v) in g.iter_mut().enumerate() {
                    *v *= [1.0, 1e-2, 1e-4, 1e-6, 0.3][i % 5] * f32::from(u8::from(i % 10 != 3));
                }
                g[..span].iter_mut().for_each(|v| *v *= f32::from(u8::from(round != 5)));
                let reach = g.chunks(span).map(|g| g.iter().map(|v| v.abs()).sum::<f32>());
                let part = [0.05, -0.02, 0.4, -3.0, 0.0, -0.3][round as usize];
                let f: Vec<f32> = reach.map(|all| part * all).collect();

                let mut graph = Graph::default();
                let [xs, x0s, gs] = [shape; 3].map(|shape| graph.input(shape));
                let fs = graph.input(Shape::per_image(n).unwrap());
                let op = FabStep { norm, alpha_max: 0.1, eta: 1.05 };
                graph.push_all(op, &[xs, x0s, gs, fs]).unwrap();
                let inputs = [(xs, x.clone()), (x0s, x0.clone()), (gs, g.clone()), (fs, f.clone())];
                let [given, again] = [(); 2].map(|()| Bench::new(&graph, &[], &inputs).read(xs));
                assert_eq!(bits(&given), bits(&again));

                let mut wanted = Vec::new();
                for image in 0..n as usize {
                    let own = |data: &[f32]| wide(&data[image * span..(image + 1) * span]);
                    let [x, x0, g] = [&x, &x0, &g].map(|data| own(data));
                    let here = f64::from(f[image]);
                    let slope: f64 = (0..span).map(|i| g[i] * (x0[i] - x[i])).sum();
                    let d = shortest(norm, &x, &g, here);
                    let d0 = shortest(norm, &x0, &g, here + slope);
                    let [a, b] = [&d, &d0].map(|d| length(norm, d).max(1e-8));
                    let part = (a / (a + b)).min(f64::from(0.1f32));
                    let eta = f64::from(1.05f32);
                    wanted.extend((0..span).map(|i| {
                        let (near, far) = (x[i] + eta * d[i], x0[i] + eta * d0[i]);
                        (near * (1.0 - part) + far * part).clamp(0.0, 1.0)
                    }));
                }
                assert_close(&format!("{op:?} of {shape}, round {round}"), &given, &wanted, 2e-5);
            }
        }
    }
}

/// Of three classes, the second is nearest to the first image, the third to the second: by the gradient's dual norm, not by f.
#[test]
fn fab_goes_to_the_nearest_boundary() {
    for [n, c, h, w] in [[2, 1, 2, 2], [2, 1, 3, 3]] {
        let shape = Shape::new(n, c, h, w).unwrap();
        let (span, per_image) = ((c * h * w) as usize, Shape::per_image(n).unwrap());
        for norm in [Norm::L2, Norm::Linf] {
            let mut graph = Graph::default();
            let kept = [shape, per_image, per_image].map(|shape| graph.input(shape));
            // Slopes of both images, and how far below the label's each class's logit is.
            let classes = [
                ([1.0, 1.0], [-0.5, -0.9]),
                ([2.0, 1.0], [-0.6, -0.8]),
                ([1.0, 4.0], [-0.7, -2.0]),
            ];
            let mut inputs = vec![
                (kept[0], vec![9.0; 2 * span]),
                (kept[1], vec![9.0; 2]),
                (kept[2], vec![0.0; 2]),
            ];
            for (number, (slopes, fs)) in classes.into_iter().enumerate() {
                let (g, f) = (graph.input(shape), graph.input(per_image));
                let op = FabNearest { norm, first: number == 0 };
                graph.push_all(op, &[g, f, kept[0], kept[1], kept[2]]).unwrap();
                inputs.push((g, slopes.iter().flat_map(|&slope| vec![slope; span]).collect()));
                inputs.push((f, fs.to_vec()));
            }
            let bench = Bench::new(&graph, &[], &inputs);
            assert_eq!(bench.read(kept[0]), [vec![2.0; span], vec![4.0; span]].concat());
            assert_eq!(bench.read(kept[1]), [-0.6, -2.0]);
            let slope = |of: f64| match norm {
                Norm::L2 => of * (span as f64).sqrt(),
                Norm::Linf => of * span as f64,
            };
            let away = [0.6 / slope(2.0), 2.0 / slope(4.0)];
            assert_close("away", &bench.read(kept[2]), &away, 1e-6);
        }
    }
}

#[test]
fn fab_keeps_the_nearest_and_steps_back() {
    let shape = Shape::new(3, 1, 2, 2).unwrap();
    let per_image = Shape::per_image(3).unwrap();
    for (norm, lengths) in [(Norm::L2, [0.5f32, 1.0]), (Norm::Linf, [0.25, 0.5])] {
        let mut graph = Graph::default();
        let [x, x0, nearest] = [shape; 3].map(|shape| graph.input(shape));
        let [margin, distance] = [per_image; 2].map(|shape| graph.input(shape));
        graph.push_all(FabJudge { norm, beta: 0.9 }, &[x, x0, margin, nearest, distance]).unwrap();
        // The first is classified correctly, the second found nearer than before, the third further away.
        let moved = [vec![0.25; 4], vec![0.25; 4], vec![0.5; 4]].concat();
        let inputs = [
            (x, moved),
            (x0, vec![0.0; 12]),
            (nearest, vec![0.75; 12]),
            (margin, vec![-1.0, 1.0, 1.0]),
            (distance, vec![0.7, 0.7, 0.4]),
        ];
        let bench = Bench::new(&graph, &[], &inputs);
        let back = [vec![0.25; 4], vec![0.9 * 0.25; 4], vec![0.9 * 0.5; 4]].concat();
        assert_close("x", &bench.read(x), &wide(&back), 1e-7);
        let kept = [vec![0.75; 4], vec![0.25; 4], vec![0.75; 4]].concat();
        assert_eq!(bench.read(nearest), kept);
        assert_eq!(bench.read(distance), [0.7, lengths[0], 0.4]);
    }
}

/// Seed, stream and id decide what is drawn; the place does not.
fn draws(graph: &mut Graph, ids: &[u32], stream: u32) -> ([Value; 2], Vec<(Value, Vec<f32>)>) {
    let per_image = graph.input(Shape::per_image(ids.len() as u32).unwrap());
    let control = graph.input(Shape::vector(4).unwrap());
    let given = vec![(per_image, words(ids)), (control, words(&[7, 9, stream, 0]))];
    ([per_image, control], given)
}

#[test]
fn boundary_starts_lie_on_the_surface() {
    for [n, c, h, w] in SHAPES {
        let shape = Shape::new(n, c, h, w).unwrap();
        let span = (c * h * w) as usize;
        for (norm, eps) in [(Norm::L2, 0.3), (Norm::Linf, 0.03)] {
            let start = |ids: &[u32], stream| {
                let mut graph = Graph::default();
                let [x, x0] = [shape; 2].map(|shape| graph.input(shape));
                let ([per_image, control], mut inputs) = draws(&mut graph, ids, stream);
                let op = BoundaryStart { norm, eps };
                graph.push_all(op, &[x, x0, per_image, control]).unwrap();
                // Far from the box.
                inputs.extend([
                    (x, vec![f32::NAN; n as usize * span]),
                    (x0, vec![0.5; n as usize * span]),
                ]);
                Bench::new(&graph, &[], &inputs).read(x)
            };
            let ids: Vec<u32> = (0..n).collect();
            let turned: Vec<u32> = (0..n).rev().collect();
            let [first, again, other] =
                [(&ids, 1), (&turned, 1), (&ids, 2)].map(|(ids, stream)| start(ids, stream));
            assert_ne!(first, other);
            for (image, back) in first.chunks(span).zip(again.chunks(span).rev()) {
                assert_eq!(bits(image), bits(back));
                let far = away(norm, image, &vec![0.5; span]);
                assert!((far - f64::from(eps)).abs() < 1e-6, "{norm:?} {far}");
                let mean = image.iter().map(|v| f64::from(*v) - 0.5).sum::<f64>() / span as f64;
                assert!(mean.abs() < 0.5 * f64::from(eps), "{mean}");
            }
            assert_ne!(first[..span], first[span..2 * span]);
        }
    }
}

/// Some hundred candidates of images whose margins are played: all in ball and box, the best the one of the largest margin,
/// changes in a square (Linf) or two (L2) that shrink, and no changes once an image is misclassified.
#[test]
fn square_candidates_are_what_they_should_be() {
    for [n, c, side] in [[3u32, 1u32, 16u32], [2, 3, 19], [1, 4, 9]] {
        let shape = Shape::new(n, c, side, side).unwrap();
        let (span, count) = ((c * side * side) as usize, shape.elements() as usize);
        let x0 = pixels(count, 3);
        for (norm, eps) in [(Norm::L2, 0.5f32), (Norm::Linf, 0.05)] {
            let per_image = Shape::per_image(n).unwrap();
            let state_shape = square_state(n).unwrap();
            let ids: Vec<u32> = (0..n).map(|i| 100 + i).collect();
            let mut graph = Graph::default();
            let [x, x0s] = [shape; 2].map(|shape| graph.input(shape));
            let ([id, control], mut inputs) = draws(&mut graph, &ids, 4);
            graph.push_all(SquareStart { norm, eps }, &[x, x0s, id, control]).unwrap();
            inputs.extend([(x, vec![f32::NAN; count]), (x0s, x0.clone())]);
            let mut candidate = Bench::new(&graph, &[], &inputs).read(x);

            let mut graph = Graph::default();
            let [x, best, x0s] = [shape; 3].map(|shape| graph.input(shape));
            let margin = graph.input(per_image);
            let state = graph.input(state_shape);
            let ([id, control], drawn) = draws(&mut graph, &ids, 4);
            let op = SquareStep { norm, eps, queries: 300 };
            graph.push_all(op, &[x, best, x0s, margin, id, control, state]).unwrap();
            let (mut bests, mut states) = (vec![f32::NAN; count], vec![0.0; 2 * n as usize]);
            let mut wanted_best: Vec<Vec<f32>> = vec![Vec::new(); n as usize];
            let mut most = vec![f32::NEG_INFINITY; n as usize];
            let mut extents = Vec::new();
            for query in 0..60u32 {
                for (image, x0) in candidate.chunks(span).zip(x0.chunks(span)) {
                    assert!(image.iter().all(|v| (0.0..=1.0).contains(v)), "{query}");
                    let far = away(norm, image, x0);
                    assert!(far <= f64::from(eps) * (1.0 + 1e-5), "{norm:?} {query}: {far}");
                    assert!(far > 0.1 * f64::from(eps), "{norm:?} {query}: {far}");
                }
                // Below 0 but for the first image's 40th.
                let mut margins: Vec<f32> =
                    numbers(n as usize, 77 + query).iter().map(|v| v - 1.5).collect();
                if query == 40 {
                    margins[0] = 0.0;
                }
                let judged = |i: usize| !(i == 0 && query > 40);
                for i in 0..n as usize {
                    if judged(i) && margins[i] > most[i] {
                        most[i] = margins[i];
                        wanted_best[i] = candidate[i * span..(i + 1) * span].to_vec();
                    }
                }
                let mut inputs = vec![(x, candidate.clone()), (best, bests), (x0s, x0.clone())];
                inputs.extend([(margin, margins), (state, states)]);
                inputs.extend(drawn.clone());
                let bench = Bench::new(&graph, &[], &inputs);
                let next = bench.read(x);
                bests = bench.read(best);
                states = bench.read(state);
                assert_eq!(bests, wanted_best.concat(), "{norm:?} {query}");
                for i in 0..n as usize {
                    assert_eq!(states[2 * i], most[i]);
                    let count = if i == 0 { (query + 1).min(41) } else { query + 1 };
                    assert_eq!(states[2 * i + 1], count as f32);
                }
                if query > 41 {
                    assert_eq!(next[..span], candidate[..span], "misclassified images stay");
                } else if norm == Norm::Linf {
                    let own = |all: &[f32]| all[..span].to_vec();
                    extents.push(extent(&own(&next), &own(&bests), side));
                }
                candidate = next;
            }
            if norm == Norm::Linf {
                // 0.8 of the area for the first eleven, half of it up to the fiftieth.
                let rows = |share: f64| (share.sqrt() * f64::from(side)).round() as usize;
                let largest = |part: &[usize]| part.iter().copied().max().unwrap();
                assert!(largest(&extents[..11]) <= rows(0.8), "{extents:?}");
                assert!(largest(&extents[11..]) <= rows(0.4), "{extents:?}");
                assert!(largest(&extents[..11]) > rows(0.4), "{extents:?}");
            }
        }
    }
}

/// Rows or columns, whichever are more, between the first and the last that differ.
fn extent(a: &[f32], b: &[f32], side: u32) -> usize {
    let side = side as usize;
    let differing = a.iter().zip(b).enumerate().filter(|(_, (a, b))| a != b);
    let places: Vec<_> = differing.map(|(i, _)| (i % (side * side) / side, i % side)).collect();
    let span = |of: fn(&(usize, usize)) -> usize| {
        let all = places.iter().map(of);
        all.clone().max().map_or(0, |most| most - all.min().unwrap_or(most) + 1)
    };
    span(|place| place.0).max(span(|place| place.1))
}

#[test]
fn langevin_steps_add_gradient_and_noise() {
    let shape = Shape::new(2, 3, 5, 7).unwrap();
    let [x, g, noise] = [1, 2, 3].map(|seed| numbers(210, seed));
    let mut graph = Graph::default();
    let [xs, gs, ns] = [shape; 3].map(|shape| graph.input(shape));
    graph.push_all(LangevinStep { step_size: 0.5, noise_size: 0.01 }, &[xs, gs, ns]).unwrap();
    let inputs = [(xs, x.clone()), (gs, g.clone()), (ns, noise.clone())];
    let given = Bench::new(&graph, &[], &inputs).read(xs);
    let one = |i: usize| f64::from(x[i]) + 0.5 * f64::from(g[i]) + 0.01 * f64::from(noise[i]);
    assert_close("x", &given, &(0..210).map(one).collect::<Vec<_>>(), 1e-6);
}
