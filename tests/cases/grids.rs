//! Runs each kernel family on 70,000 rows, images or channels, more than the 65,535 workgroups that a dimension of a grid
//! has. The inputs repeat the same seven over and over, so the results must repeat those of a batch of seven. This file also
//! works out, without running them, the launches of a batch that once ended in the error "workgroups given".

use crate::common::gpu;
use lapidary::Result;
use lapidary::gpu::{Adapter, AdapterKind, Choices, Preferences};
use lapidary::graph::{Graph, Plan, Shape, Value};
use lapidary::lower::{Program, Target, lower};
use lapidary::model::{Activation, Mode, Network, Weights, WideResNet};
use lapidary::ops::{self, *};
use pollster::block_on;
use std::sync::Arc;

const PERIOD: u32 = 7;
const MANY: u32 = 70_000;

/// A graph on a batch, and what goes into it.
#[derive(Default)]
struct Case {
    graph: Graph,
    inputs: Vec<(Value, Vec<u32>)>,
}

/// A number in [0, 1) by a place in an image of the period.
fn number(image: u32, place: u32, salt: usize) -> f32 {
    let mixed = (image * 7919 + place * 104_729 + salt as u32 * 1_299_709 + 12_345)
        .wrapping_mul(2_654_435_761);
    (mixed >> 8) as f32 / (1 << 24) as f32
}

impl Case {
    /// An input whose images repeat, or whose channels do where it has one image alone.
    fn values(&mut self, shape: Shape) -> Value {
        let salt = self.inputs.len();
        let rows = if shape.images() == 1 { shape.channels() } else { shape.images() };
        let each = shape.elements() / rows;
        let words = (0..rows).flat_map(|row| {
            (0..each).map(move |place| number(row % PERIOD, place, salt).to_bits())
        });
        let words = words.collect();
        self.words(shape, words)
    }

    fn words(&mut self, shape: Shape, words: Vec<u32>) -> Value {
        let value = self.graph.input(shape);
        self.inputs.push((value, words));
        value
    }

    /// Labels below `classes`, or any other number for each image.
    fn labels(&mut self, images: u32, classes: u32) -> Value {
        let shape = Shape::per_image(images).unwrap();
        self.words(shape, (0..images).map(|image| image % PERIOD % classes).collect())
    }

    fn zeros(&mut self, shape: Shape) -> Value {
        self.words(shape, vec![0; shape.elements() as usize])
    }

    /// Seed, stream and step of random numbers.
    fn control(&mut self) -> Value {
        self.words(Shape::vector(4).unwrap(), vec![3, 5, 0, 0])
    }

    fn run(&self, wanted: &[Value]) -> Vec<Vec<u32>> {
        let changing: Vec<_> = self.inputs.iter().map(|(value, _)| *value).collect();
        block_on(async {
            let mut program =
                Program::new(gpu(), &self.graph, wanted, &changing, &[]).await.unwrap();
            for (value, words) in &self.inputs {
                if program.buffer(*value).is_ok() {
                    program.write(*value, words).await.unwrap();
                }
            }
            program.submit().await.unwrap();
            let read = program.read_all(wanted).await.unwrap();
            read.iter().map(|all| all.iter().map(|value| value.to_bits()).collect()).collect()
        })
    }
}

/// Runs on the period and on the whole batch; the bits of each image must agree.
fn repeats(name: &str, build: impl Fn(&mut Case, u32) -> Vec<Value>) {
    let made = |rows: u32| {
        let mut case = Case::default();
        let wanted = build(&mut case, rows);
        case.run(&wanted)
    };
    let (small, large) = (made(PERIOD), made(MANY));
    assert!(!small.is_empty(), "{name}");
    for (output, (small, large)) in small.iter().zip(&large).enumerate() {
        assert!(small.iter().any(|&word| word << 1 != 0), "{name}: output {output} is all zeros");
        let times = (MANY / PERIOD) as usize;
        assert_eq!(small.len() * times, large.len(), "{name}: output {output}");
        for (turn, part) in large.chunks(small.len()).enumerate() {
            assert_eq!(part, small, "{name}: output {output}, repetition {turn}");
        }
    }
}

fn shape(images: u32, channels: u32, height: u32, width: u32) -> Shape {
    Shape::new(images, channels, height, width).unwrap()
}

/// An op's result and its derivatives for all of the inputs `asked` for.
fn derived(
    case: &mut Case,
    op: impl FnOnce(&mut Graph, &[Value]) -> Result<Value>,
    inputs: &[Value],
    asked: usize,
) -> Vec<Value> {
    let y = op(&mut case.graph, inputs).unwrap();
    let of_y = case.graph.shape(y).unwrap();
    let dy = case.values(of_y);
    let mut wanted = vec![y];
    wanted.extend(ops::gradient(&mut case.graph, y, dy, &inputs[..asked]).unwrap());
    wanted
}

#[test]
fn rows_of_logits() {
    for log in [false, true] {
        repeats("softmax", |case, rows| {
            let x = case.values(Shape::matrix(rows, 5).unwrap());
            derived(case, |graph, v| graph.push(Softmax { log }, v), &[x], 1)
        });
    }
    repeats("log_sum_exp", |case, rows| {
        let x = case.values(Shape::matrix(rows, 5).unwrap());
        derived(case, |graph, v| graph.push(LogSumExp, v), &[x], 1)
    });
    repeats("linear", |case, rows| {
        let x = case.values(Shape::matrix(rows, 3).unwrap());
        let w = case.values(Shape::matrix(2, 3).unwrap());
        derived(case, |graph, v| graph.push(Linear { bias: false }, v), &[x, w], 1)
    });
}

#[test]
fn losses() {
    fn loss<T: lapidary::graph::Op + std::marker::Copy>(name: &str, op: T, targets: bool) {
        repeats(name, |case, rows| {
            let x = case.values(Shape::matrix(rows, 5).unwrap());
            let labels = case.labels(rows, 5);
            let mut inputs = vec![x, labels];
            if targets {
                inputs.push(case.labels(rows, 3));
            }
            derived(case, |graph, v| graph.push(op, v), &inputs, 1)
        });
    }
    loss("cross_entropy", CrossEntropy { label_smoothing: 0.1 }, false);
    loss("pick_logit", PickLogit, false);
    for targeted in [false, true] {
        loss("dlr", Dlr { targeted }, targeted);
        loss("margin", Margin { targeted }, targeted);
    }
    repeats("bce_with_logits", |case, rows| {
        let shape = Shape::per_image(rows).unwrap();
        let inputs = [case.values(shape), case.values(shape)];
        derived(case, |graph, v| graph.push(BceWithLogits, v), &inputs, 1)
    });
}

#[test]
fn steps_of_attacks() {
    for (norm, width) in [(Norm::L2, 4), (Norm::Linf, 3)] {
        repeats("pgd_step", |case, rows| {
            let x = [(); 3].map(|()| case.values(shape(rows, 1, 1, width)));
            let step = PgdStep { norm, step_size: 0.3, eps: 0.5, clamp: true };
            case.graph.push_all(step, &x).unwrap();
            x[..1].to_vec()
        });
        repeats("momentum_step", |case, rows| {
            let x = [(); 4].map(|()| case.values(shape(rows, 1, 1, width)));
            let step = MomentumStep { norm, step_size: 0.3, eps: 0.5, momentum: 0.7 };
            case.graph.push_all(step, &x).unwrap();
            x[..2].to_vec()
        });
        repeats("random_start", |case, rows| {
            let x = [(); 2].map(|()| case.values(shape(rows, 1, 1, width)));
            let start = RandomStart { norm, eps: 0.5, group: Group::Image };
            case.graph.push_all(start, &x).unwrap();
            x[..1].to_vec()
        });
        repeats("boundary_start", |case, rows| {
            let x = [(); 2].map(|()| case.values(shape(rows, 1, 1, width)));
            let (ids, control) = (case.labels(rows, PERIOD), case.control());
            let start = BoundaryStart { norm, eps: 0.5 };
            case.graph.push_all(start, &[x[0], x[1], ids, control]).unwrap();
            x[..1].to_vec()
        });
        repeats("fab", |case, rows| {
            let [x, x0, g, nearest] = [(); 4].map(|()| case.values(shape(rows, 1, 1, width)));
            let [f, distance] = [(); 2].map(|()| case.values(Shape::per_image(rows).unwrap()));
            let step = FabStep { norm, alpha_max: 0.1, eta: 1.05 };
            case.graph.push_all(step, &[x, x0, g, f]).unwrap();
            let judge = FabJudge { norm, beta: 0.9 };
            case.graph.push_all(judge, &[x, x0, f, nearest, distance]).unwrap();
            let best = case.values(shape(rows, 1, 1, width));
            let [best_f, away] = [(); 2].map(|()| case.values(Shape::per_image(rows).unwrap()));
            let class = FabNearest { norm, first: false };
            case.graph.push_all(class, &[g, f, best, best_f, away]).unwrap();
            vec![x, nearest, distance, best, best_f, away]
        });
        repeats("apgd", |case, rows| {
            let images = [(); 7].map(|()| case.values(shape(rows, 1, 1, width)));
            let [x, g, best, wrong, best_g, previous, x0] = images;
            let [loss, margin] = [(); 2].map(|()| case.values(Shape::per_image(rows).unwrap()));
            let state = case.zeros(apgd_state(rows).unwrap());
            let judge = ApgdJudge { period: 3, least: 1, less: 1, rho: 0.75, step_size: 0.4 };
            let judged = [x, g, loss, margin, best, wrong, best_g, state];
            case.graph.push_all(judge, &judged).unwrap();
            let step = ApgdStep { norm, eps: 0.5 };
            case.graph.push_all(step, &[x, previous, g, best_g, x0, state]).unwrap();
            vec![x, best, wrong, best_g, previous, state]
        });
        repeats("square", |case, rows| {
            let [candidate, best, x0] = [(); 3].map(|()| case.values(shape(rows, 1, 5, 5)));
            let margin = case.values(Shape::per_image(rows).unwrap());
            let (ids, control) = (case.labels(rows, PERIOD), case.control());
            let state = case.zeros(square_state(rows).unwrap());
            let start = SquareStart { norm, eps: 0.3 };
            case.graph.push_all(start, &[candidate, x0, ids, control]).unwrap();
            let step = SquareStep { norm, eps: 0.3, queries: 100 };
            let judged = [candidate, best, x0, margin, ids, control, state];
            case.graph.push_all(step, &judged).unwrap();
            vec![candidate, best, state]
        });
    }
    repeats("keep_best and l2_norm", |case, rows| {
        let [x, best_x] = [(); 2].map(|()| case.values(shape(rows, 1, 1, 4)));
        let [loss, best_loss] = [(); 2].map(|()| case.values(Shape::per_image(rows).unwrap()));
        let length = case.graph.push(L2Norm, &[x]).unwrap();
        case.graph.push_all(KeepBest, &[x, loss, best_x, best_loss]).unwrap();
        vec![length, best_x, best_loss]
    });
    repeats("langevin_step", |case, rows| {
        let x = [(); 3].map(|()| case.values(shape(rows, 1, 1, 4)));
        let step = LangevinStep { step_size: 0.5, noise_size: 0.01 };
        case.graph.push_all(step, &x).unwrap();
        x[..1].to_vec()
    });
}

#[test]
fn maps_of_many_images() {
    let x = |case: &mut Case, rows| case.values(shape(rows, 2, 4, 4));
    repeats("unary", |case, rows| {
        let x = x(case, rows);
        derived(case, |graph, v| graph.push(Unary::Silu, v), &[x], 1)
    });
    repeats("group_norm", |case, rows| {
        let x = x(case, rows);
        let norm = GroupNorm { groups: 2, eps: 1e-3 };
        let pushed = |graph: &mut Graph, v: &[Value]| Ok(graph.push_all(norm, v)?[0]);
        derived(case, pushed, &[x], 1)
    });
    repeats("layer_norm", |case, rows| {
        let x = x(case, rows);
        let [gamma, beta] = [(); 2].map(|()| case.values(Shape::vector(2).unwrap()));
        let norm = LayerNorm { eps: 1e-3 };
        derived(case, |graph, v| norm.push(graph, [v[0], v[1], v[2]]), &[x, gamma, beta], 1)
    });
    repeats("broadcast of a value an image", |case, rows| {
        let (x, b) = (x(case, rows), case.values(Shape::per_image(rows).unwrap()));
        derived(case, |graph, v| graph.push(Broadcast::Mul, v), &[x, b], 2)
    });
    repeats("pools", |case, rows| {
        let x = x(case, rows);
        let all = [
            derived(case, |graph, v| graph.push(AvgPool { kernel: 2 }, v), &[x], 1),
            derived(case, |graph, v| graph.push(GlobalAvgPool, v), &[x], 1),
            derived(case, |graph, v| graph.push(LocalMean { reach: 1 }, v), &[x], 1),
            derived(
                case,
                |graph, v| MaxPool { kernel: 2, stride: 2, padding: 0 }.push(graph, v[0]),
                &[x],
                1,
            ),
        ];
        all.concat()
    });
    repeats("resize, pad and images", |case, rows| {
        let x = x(case, rows);
        let resize = Resize { height: 3, width: 5, filter: Filter::Bilinear, antialias: true };
        let pad = Pad { top: 1, right: 2, ..Pad::default() };
        let all = [
            derived(case, |graph, v| resize.push(graph, v[0]), &[x], 1),
            derived(case, |graph, v| graph.push(pad, v), &[x], 1),
            derived(case, |graph, v| graph.push(ImageRange { first: 0, count: rows }, v), &[x], 1),
        ];
        all.concat()
    });
    repeats("frozen batch norm and what rewrites make of it", |case, rows| {
        let x = x(case, rows);
        let vectors = [(); 4].map(|()| case.values(Shape::vector(2).unwrap()));
        let affine = case.graph.push(FoldBatchNorm { eps: 1e-3 }, &vectors).unwrap();
        let [y, mask] = case.graph.push_all(AffineMask, &[x, affine]).unwrap()[..] else {
            panic!("y and its mask")
        };
        let masked = case.graph.push(MaskedScale, &[x, affine, mask]).unwrap();
        let scaled = case.graph.push(ChannelScale, &[x, affine]).unwrap();
        let [gamma, beta, mean, variance] = vectors;
        let inputs = [x, gamma, beta, mean, variance];
        let op = FrozenBatchNorm { eps: 1e-3 };
        let mut all = derived(case, |graph, v| graph.push(op, v), &inputs, 1);
        all.extend([y, masked, scaled]);
        all
    });
    repeats("concat_channels and scale", |case, rows| {
        let x = x(case, rows);
        let doubled = case.graph.push(Scale { factor: 2.0 }, &[x]).unwrap();
        vec![case.graph.push(ConcatChannels, &[x, doubled]).unwrap()]
    });
}

/// Channels have a workgroup each, or lie in the second dimension of a grid.
#[test]
fn many_channels() {
    let vector = |case: &mut Case, channels| case.values(Shape::vector(channels).unwrap());
    for side in [1, 8] {
        repeats("sums and batch norm", |case, channels| {
            let x = case.values(shape(1, channels, side, 8));
            let [b, gamma, beta] = [(); 3].map(|()| vector(case, channels));
            let mut all = derived(case, |graph, v| graph.push(Broadcast::Mul, v), &[x, b], 2);
            let norm = BatchNorm { eps: 1e-3 };
            let pushed =
                |graph: &mut Graph, v: &[Value]| Ok(norm.push(graph, [v[0], v[1], v[2]])?[0]);
            all.extend(derived(case, pushed, &[x, gamma, beta], 3));
            all
        });
    }
}

/// The plan of a small network's logsumexp, and of its derivative for the images, on an adapter that is not there.
fn planned(kind: AdapterKind, [channels, images, side]: [u32; 3]) -> Plan {
    let adapter = Arc::new(Adapter::imaginary(kind));
    let network = WideResNet::new(10, 1, channels, 10, Activation::Relu, None).unwrap();
    let network = Network::from(network);
    let mut graph = Graph::default();
    let weights = Weights::inputs(&mut graph, &network.parameters()).unwrap();
    let x = graph.input(shape(images, channels, side, side));
    let logits = network.logits(&mut graph, x, &weights, Mode::Frozen).unwrap();
    let sums = graph.push(LogSumExp, &[logits]).unwrap();
    let seed = graph.input(Shape::per_image(images).unwrap());
    let mut wanted = vec![logits];
    wanted.extend(ops::gradient(&mut graph, sums, seed, &[x]).unwrap());
    let (preferences, choices) = (Preferences::default(), Choices::default());
    let target =
        Target { adapter: &adapter, preferences: &preferences, choices: &choices, rules: &[] };
    let graph = lower(&graph, &wanted, &target).unwrap().graph;
    Plan::new(&graph, &wanted, &[x, seed], &adapter).unwrap()
}

/// `plan fashion-tiny --set data.side=8 --set stage2.batch=40000`, whose score of real and generated images has 80,000 rows.
#[test]
fn large_batches_are_planned() {
    for kind in [AdapterKind::Cpu, AdapterKind::Discrete] {
        for dispatch in &planned(kind, [1, 80_000, 8]).every.dispatches {
            let grid = dispatch.grid;
            assert!(grid.iter().all(|side| (1..=65_535).contains(side)), "{grid:?}");
        }
    }
}

/// Mesa's lavapipe ends the loops of an invocation after 65,535 turns and says nothing: sums over more values than that
/// are shared out among more lanes, or refused.
#[test]
fn sums_longer_than_a_driver_counts() {
    let ones = |case: &mut Case, shape: Shape| {
        case.words(shape, vec![1.0f32.to_bits(); shape.elements() as usize])
    };
    let mut case = Case::default();
    let x = ones(&mut case, shape(600, 1, 64, 64));
    let long = ones(&mut case, shape(1, 1, 1, 5_000_000));
    let many = ones(&mut case, shape(240_000, 1, 1, 1));
    let [gamma, beta] = [(); 2].map(|()| case.zeros(Shape::SCALAR));
    let channel = case.graph.push(Reduce::PerChannel, &[x]).unwrap();
    let dot = case.graph.push(Reduce::PerChannel, &[x, x]).unwrap();
    let sum = case.graph.push(Sum { scale: 1.0 }, &[long]).unwrap();
    let [_, mean, _] = BatchNorm { eps: 1e-3 }.push(&mut case.graph, [x, gamma, beta]).unwrap();
    let short = case.graph.push(Reduce::PerChannel, &[many]).unwrap();
    let norm = BatchNorm { eps: 1e-3 }.push(&mut case.graph, [many, gamma, beta]).unwrap();
    let wanted = [
        (channel, 600.0 * 4096.0),
        (dot, 600.0 * 4096.0),
        (sum, 5e6),
        (mean, 1.0),
        (short, 240_000.0),
        (norm[1], 1.0),
    ];
    let found = case.run(&wanted.map(|(value, _)| value));
    for ((_, wanted), found) in wanted.into_iter().zip(found) {
        assert_eq!(f32::from_bits(found[0]), wanted);
    }

    let mut graph = Graph::default();
    let [x, dy] = [1, 2].map(|columns| graph.input(Shape::matrix(MANY, columns).unwrap()));
    let w = graph.input(Shape::matrix(2, 1).unwrap());
    let y = graph.push(Linear { bias: false }, &[x, w]).unwrap();
    let dw = ops::gradient(&mut graph, y, dy, &[w]).unwrap();
    let planned = |kind| Plan::new(&graph, &dw, &[x, dy], &Arc::new(Adapter::imaginary(kind)));
    let said = planned(AdapterKind::Cpu).unwrap_err();
    assert!(matches!(said, lapidary::Error::OutOfMemory(_)), "{said}");
    let text = said.to_string();
    assert!(text.contains("70000 loop iterations") && !text.contains("memory"), "{text}");
    assert!(planned(AdapterKind::Discrete).is_ok());
}

/// The same where random numbers are drawn in a loop in the loop over an image: each value of a large one is moved.
#[test]
fn starts_of_large_images() {
    for (channels, side) in [(3, 224), (1, 430)] {
        for norm in [Norm::L2, Norm::Linf] {
            let images = shape(2, channels, side, side);
            let mut case = Case::default();
            let half = |case: &mut Case| {
                case.words(images, vec![0.5f32.to_bits(); images.elements() as usize])
            };
            let [near, far, candidate, centre] = [(); 4].map(|()| half(&mut case));
            let (ids, control) = (case.labels(2, 2), case.control());
            let start = BoundaryStart { norm, eps: 4.0 };
            case.graph.push_all(start, &[near, far, ids, control]).unwrap();
            let start = SquareStart { norm, eps: 4.0 };
            case.graph.push_all(start, &[candidate, centre, ids, control]).unwrap();
            let found = case.run(&[near, candidate]);
            for (name, values) in ["boundary", "square"].iter().zip(&found) {
                let moved = values.iter().filter(|&&bits| f32::from_bits(bits) != 0.5).count();
                let share = moved as f64 / values.len() as f64;
                // Tiles leave out a border, and the middle of a bump may be zero.
                assert!(share > 0.9, "{name}, {norm:?} of {images}: {share} of the values moved");
            }
        }
    }
}
