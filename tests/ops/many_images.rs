//! Tests convolutions of more images than a dimension of a grid has workgroups, whose weight gradients are sums of more
//! terms than some CPU drivers let a loop run (65,535 turns in Mesa's lavapipe, which then leaves out the rest without a
//! word). All fast convolution kernels that the adapter can run, the plain ones and the grouped ones are tested, except those by
//! cooperative matrices. All numbers are small and whole, so sums are exact in any order, and one image that is left out or
//! counted twice is seen.

use crate::bench::{Bench, gpu, numbers};
use crate::convolution::close;
use crate::grouped::products;
use lapidary::gpu::{Adapter, AdapterKind};
use lapidary::graph::{Graph, Shape, Value};
use lapidary::ops::conv::{Choice, ConvRole, WAYS, Way};
use lapidary::ops::{
    self, Conv2d, Epilogue, GroupedConv2d, PackedConv2d, PackedWeightGradient, Problem,
};
use std::sync::Arc;

const MANY: u32 = 70_000;

/// Whole numbers from 0 to 2.
fn whole(shape: Shape, seed: u32) -> Vec<f32> {
    numbers(shape.elements() as usize, seed).iter().map(|n| (n * 1.5 + 1.5).floor()).collect()
}

struct Case {
    problem: Problem,
    /// The values of x, w and dy.
    given: [Vec<f32>; 3],
    /// The right values of y, dx and dw.
    wanted: [Vec<f32>; 3],
}

impl Case {
    fn new(x: [u32; 4], conv: Conv2d, groups: u32, [outputs, rows, columns]: [u32; 3]) -> Self {
        let x = Shape::new(x[0], x[1], x[2], x[3]).unwrap();
        let w = Shape::new(outputs, x.channels() / groups, rows, columns).unwrap();
        let problem = Problem::new(conv, groups, x, w).unwrap();
        let shapes = [x, w, problem.y];
        let given = [0, 1, 2].map(|i: usize| whole(shapes[i], i as u32 + 1));
        let mut wanted = [problem.y, x, w].map(|shape| vec![0.0f64; shape.elements() as usize]);
        let sizes = [groups, x.images()].map(|size| size as usize);
        let side = [x.height(), x.width()].map(|side| side as usize);
        products(conv, sizes, side, w, |y, x, w| {
            let [x_value, w_value, dy_value] =
                [given[0][x], given[1][w], given[2][y]].map(f64::from);
            wanted[0][y] += x_value * w_value;
            wanted[1][x] += dy_value * w_value;
            wanted[2][w] += dy_value * x_value;
        });
        let wanted = wanted.map(|all| all.iter().map(|&value| value as f32).collect());
        Self { problem, given, wanted }
    }

    fn inputs(&self) -> (Graph, [(Value, Vec<f32>); 3]) {
        let mut graph = Graph::default();
        let Problem { x, w, y, .. } = self.problem;
        let [x, w, dy] = [x, w, y].map(|shape| graph.input(shape));
        let [of_x, of_w, of_dy] = self.given.clone();
        (graph, [(x, of_x), (w, of_w), (dy, of_dy)])
    }

    /// By the kernels that compute any shape.
    fn plain(&self) {
        let (mut graph, given) = self.inputs();
        let [x, w, dy] = [0, 1, 2].map(|i: usize| given[i].0);
        let Problem { stride, padding, groups, .. } = self.problem;
        let conv = Conv2d { stride, padding };
        let y = if groups == 1 {
            graph.push(conv, &[x, w]).unwrap()
        } else {
            graph.push(GroupedConv2d { conv, groups }, &[x, w]).unwrap()
        };
        let of = ops::gradient(&mut graph, y, dy, &[x, w]).unwrap();
        let results = [y, of[0], of[1]];
        let bench = Bench::new(&graph, &results, &given);
        for (what, (value, wanted)) in
            ["y", "dx", "dw"].into_iter().zip(results.into_iter().zip(&self.wanted))
        {
            same(&format!("{what} of {:?}", self.problem), &bench.read(value), wanted);
        }
    }

    /// By every row of the table that computes it and whose kernel this adapter runs. How many of weights there were.
    fn rows(&self, asked: impl Fn(&Way) -> bool) -> usize {
        let own = gpu().adapter();
        let gpus = Arc::new(Adapter { kind: AdapterKind::Discrete, ..own.as_ref().clone() });
        let subgroups = own.subgroup.is_some_and(|size| size >= 8);
        let mut of_weights = 0;
        let texels = |way: &Way| way.name.contains("texels");
        let runs = |way: &&Way| asked(way) && (subgroups || !texels(way)) && way.cooperative == 0;
        for way in WAYS.iter().filter(runs) {
            for role in [ConvRole::Forward, ConvRole::InputGradient, ConvRole::WeightGradient] {
                if !way.computes(&self.problem, role) {
                    continue;
                }
                let adapter = if way.launches_groups() { &gpus } else { own };
                let choice = Choice { way, size: way.sizes(&self.problem, adapter)[0] };
                self.row(choice, role);
                of_weights += usize::from(role == ConvRole::WeightGradient);
            }
        }
        of_weights
    }

    fn row(&self, choice: Choice, role: ConvRole) {
        let [y, dx, dw] = &self.wanted;
        let wanted = match role {
            ConvRole::Forward => y,
            ConvRole::InputGradient => dx,
            ConvRole::WeightGradient => dw,
        };
        let (made, _) = self.made(choice, role);
        let what = format!("{choice}, {role:?} of {:?}", self.problem);
        // The points of a filter are no whole numbers.
        if choice.way.name.contains("winograd") {
            close(&what, &made, wanted, 1e-4);
        } else {
            same(&what, &made, wanted);
        }
    }

    /// Returns the result of a row, and the number of launches of its kernel.
    fn made(&self, choice: Choice, role: ConvRole) -> (Vec<f32>, usize) {
        let (mut graph, given) = self.inputs();
        let [x, w, dy] = [0, 1, 2].map(|i: usize| given[i].0);
        let problem = self.problem;
        let made = if role == ConvRole::WeightGradient {
            graph
                .push_all(PackedWeightGradient { problem, choice, most_work: 1 << 33 }, &[dy, x])
                .unwrap()[0]
        } else {
            let op = PackedConv2d { problem, role, choice, epilogue: Epilogue::default() };
            let weights = graph.push(op.packing(), &[w]).unwrap();
            let read = if role == ConvRole::Forward { x } else { dy };
            graph.push_all(op, &[read, weights]).unwrap()[0]
        };
        let bench = Bench::new(&graph, &[made], &given);
        let others = ["conv2d_pack", "conv2d_sum_parts"];
        let launches = bench.launches().filter(|name| !others.contains(name)).count();
        (bench.read(made), launches)
    }
}

fn same(what: &str, found: &[f32], wanted: &[f32]) {
    assert!(wanted.iter().all(|&value| value < (1 << 24) as f32), "{what}: sums are exact");
    let apart = found.iter().zip(wanted).position(|(found, wanted)| found != wanted);
    let apart = apart.map(|at| (at, found[at], wanted[at]));
    assert_eq!((found.len(), apart), (wanted.len(), None), "{what}: place, found and wanted");
}

#[test]
fn three_by_three() {
    let case = Case::new([MANY, 2, 4, 4], Conv2d::square(1, 1), 1, [3, 3, 3]);
    case.plain();
    let few = |way: &Way| !way.name.ends_with("64");
    assert!(case.rows(few) >= 4);
    let case = Case::new([MANY, 1, 1, 4], Conv2d::square(1, 1), 1, [33, 3, 3]);
    assert_eq!(case.rows(|way| way.name.ends_with("block 64")), 1);
}

#[test]
fn three_by_three_that_halves() {
    let case = Case::new([MANY, 1, 2, 8], Conv2d::square(2, 1), 1, [2, 3, 3]);
    case.plain();
    let names = ["halve", "double", "weights nine"];
    assert!(case.rows(|way| names.iter().any(|name| way.name.starts_with(name))) >= 1);
}

#[test]
fn points() {
    let of_points = |way: &Way| way.name.starts_with("point");
    let case = Case::new([MANY, 2, 1, 4], Conv2d::square(1, 0), 1, [3, 1, 1]);
    case.rows(of_points);
    let case = Case::new([MANY, 1, 1, 4], Conv2d::square(1, 0), 1, [33, 1, 1]);
    case.rows(|way| way.name == "point block 64");
}

#[test]
fn other_windows() {
    let conv = Conv2d { stride: [1, 1], padding: [0, 1] };
    let case = Case::new([MANY, 2, 3, 4], conv, 1, [3, 2, 3]);
    assert!(case.rows(|way| way.name.starts_with("weights")) >= 2);
}

/// Rows of no whole quads, whose weight gradient the plain kernel computes.
#[test]
fn odd_rows() {
    let case = Case::new([MANY, 2, 3, 3], Conv2d::square(1, 1), 1, [2, 3, 3]);
    case.plain();
    assert_eq!(case.rows(|way| way.name.starts_with("gemm words")), 0);
}

#[test]
fn groups() {
    Case::new([MANY, 4, 3, 3], Conv2d::square(1, 1), 4, [4, 3, 3]).plain();
    Case::new([MANY, 4, 2, 3], Conv2d::square(1, 0), 2, [2, 1, 2]).plain();
}

/// The loops over one image turn more often than drivers count: its lines are summed in several launches.
#[test]
fn one_large_image() {
    let case = Case::new([2, 1, 512, 512], Conv2d::square(1, 1), 1, [1, 3, 3]);
    assert!(case.rows(|way| way.name.starts_with("weights")) >= 4);
    Case::new([2, 1, 301, 301], Conv2d::square(1, 1), 1, [1, 3, 3]).plain();
    Case::new([2, 2, 301, 301], Conv2d::square(1, 1), 2, [2, 3, 3]).plain();
}

/// Planes wider than the columns that lanes hold side by side, and planes that end in the middle of a lane's columns: lanes
/// get neighbouring columns from each other.
#[test]
fn wide_planes() {
    for width in [40, 64, 72] {
        let case = Case::new([1, 32, 2, width], Conv2d::square(1, 1), 1, [32, 3, 3]);
        let names = ["winograd", "quads", "block", "weights nine", "weights block"];
        assert!(case.rows(|way| names.iter().any(|name| way.name.starts_with(name))) >= 2);
    }
}

/// More tiles than a launch has workgroups: several launches, of some of the images each.
#[test]
fn many_tiles() {
    let case = Case::new([MANY, 1, 8, 4], Conv2d::square(1, 0), 1, [1, 1, 1]);
    case.rows(|way| way.name == "taps");
}

/// One launch computes at most so many operations, for devices that are taken away if they are at work for too long. The window
/// is counted whole here, and all but its middle lies in the padding, so it is soon computed.
#[test]
fn much_work_by_the_plain_kernels() {
    const IMAGES: u32 = 75_000;
    for groups in [1, 2] {
        let of_x = Shape::new(IMAGES, groups, 1, 1).unwrap();
        let of_w = Shape::new(groups, 1, 241, 241).unwrap();
        let (conv, middle) = (Conv2d::square(1, 120), 120 * 241 + 120);
        let mut graph = Graph::default();
        let [x, w, dy] = [of_x, of_w, of_x].map(|shape| graph.input(shape));
        let y = if groups == 1 {
            graph.push(conv, &[x, w]).unwrap()
        } else {
            graph.push(GroupedConv2d { conv, groups }, &[x, w]).unwrap()
        };
        let of = ops::gradient(&mut graph, y, dy, &[x]).unwrap();
        let (values, weights, above) = (whole(of_x, 1), whole(of_w, 2), whole(of_x, 3));
        let given = [(x, values.clone()), (w, weights.clone()), (dy, above.clone())];
        let bench = Bench::new(&graph, &[y, of[0]], &given);
        let groups = groups as usize;
        let product = |values: &[f32]| -> Vec<f32> {
            let weight = |i: usize| weights[i % groups * 241 * 241 + middle];
            values.iter().enumerate().map(|(i, value)| value * weight(i)).collect()
        };
        same("y", &bench.read(y), &product(&values));
        same("dx", &bench.read(of[0]), &product(&above));
        // 2 * 241 * 241 operations an image and channel.
        let launches = bench.launches().filter(|name| name.contains("conv2d")).count();
        assert_eq!(launches, 2 * (1 + groups));
    }
}

/// The same by rows of the table: 18 GFLOP of images that repeat.
#[test]
fn much_work_by_rows_of_the_table() {
    const PERIOD: u32 = 8;
    const TIMES: u32 = 30;
    for (name, role) in [("quads", ConvRole::Forward), ("weights nine", ConvRole::WeightGradient)] {
        let way = Way::named(name).unwrap();
        let run = |times: u32| {
            let sides = |images| Shape::new(images, 64, 32, 32).unwrap();
            let (x, w) = (sides(PERIOD * times), Shape::new(64, 64, 3, 3).unwrap());
            let problem = Problem::new(Conv2d::square(1, 1), 1, x, w).unwrap();
            let choice = Choice { way, size: way.sizes(&problem, gpu().adapter())[0] };
            let repeated = |seed| whole(sides(PERIOD), seed).repeat(times as usize);
            let given = [repeated(1), whole(w, 2), repeated(3)];
            Case { problem, given, wanted: Default::default() }.made(choice, role)
        };
        let ((few, one), (many, more)) = (run(1), run(TIMES));
        let wanted: Vec<_> = match role {
            ConvRole::WeightGradient => few.iter().map(|value| value * TIMES as f32).collect(),
            _ => few.repeat(TIMES as usize),
        };
        same(name, &many, &wanted);
        assert!((one, more >= 3) == (1, true), "{name}: {one} and {more} launches");
    }
}
