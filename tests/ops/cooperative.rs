//! Compares convolutions by cooperative matrices with f64, on a device that has them: some real GPUs, and Mesa's lavapipe
//! from 26.2 on. Without such a device the tests pass and do nothing, unless `LAPIDARY_COOPERATIVE=required`: then they
//! fail. `scripts/gpu-compilers --cooperative` runs them so, on that lavapipe.

use crate::bench::numbers;
use crate::convolution::{close, words};
use crate::objectives::bits;
use lapidary::gpu::{
    Adapter, AdapterKind, Choices, Executor, Gpu, Options, Precision, Preferences,
};
use lapidary::graph::{Graph, Plan, Shape, Value};
use lapidary::ops::conv::{Choice, ConvRole, WAYS, choose, most_work};
use lapidary::ops::{
    Conv2d, Epilogue, PackedConv2d, PackedWeightGradient, Problem, ReluMask, Residual,
};
use pollster::block_on;
use std::collections::BTreeMap;

const PROBLEMS: u32 = 200;
const ROLES: [ConvRole; 3] = [ConvRole::Forward, ConvRole::InputGradient, ConvRole::WeightGradient];

/// A device with cooperative matrices, if there is one.
fn gpu() -> Option<Gpu> {
    let mut options = Options::from_env();
    options.preferences.precision = Precision::HalfWeights;
    let gpu = block_on(Gpu::new(&options)).unwrap();
    let has = gpu.adapter().cooperative.is_some();
    let required = std::env::var("LAPIDARY_COOPERATIVE").is_ok_and(|value| value == "required");
    assert!(has || !required, "{} has no cooperative matrices", gpu.adapter());
    has.then_some(gpu)
}

/// A value in f64, and how far a sum in single precision of products of halves may be from it.
#[derive(Clone, Copy, Default)]
struct Exact {
    value: f64,
    bound: f64,
}

impl Exact {
    /// A factor is off by 2^-11 of itself, or by 2^-25 where it is very small; the rest of the first bound is for the sums.
    fn add(&mut self, a: f32, b: f32) {
        let product = f64::from(a) * f64::from(b);
        self.value += product;
        self.bound +=
            product.abs() * 1.02 / 1024.0 + 2.0f64.powi(-24) * f64::from(a.abs() + b.abs());
    }
}

struct Case {
    problem: Problem,
    x: Vec<f32>,
    w: Vec<f32>,
    dy: Vec<f32>,
}

impl Case {
    /// A random problem: full and partial tiles of both matrix sizes, strides, and phases without taps.
    fn random(seed: u32) -> Option<Self> {
        let mut places = numbers(12, seed).into_iter();
        let mut between = |least: u32, most: u32| {
            let share = f64::from(places.next().unwrap()) / 2.0 + 0.5;
            least + (share * f64::from(most + 1 - least)) as u32
        };
        let (images, inputs, outputs) = (between(1, 3), between(16, 40), between(16, 70));
        let [rows, columns] = [between(1, 9), between(1, 9)];
        let kernel = [between(1, 4), between(1, 4)];
        let conv = Conv2d {
            stride: [between(1, 2), between(1, 2)],
            padding: [between(0, 2), between(0, 2)],
        };
        let x = Shape::new(images, inputs, rows, columns).unwrap();
        let w = Shape::new(outputs, inputs, kernel[0], kernel[1]).unwrap();
        let problem = Problem::new(conv, 1, x, w).ok()?;
        let of = |shape: Shape, seed| numbers(shape.elements() as usize, seed);
        let dy = of(problem.y, seed + 2).into_iter().map(|dy| dy * 1e-3).collect();
        Some(Self { problem, x: of(x, seed), w: of(w, seed + 1), dy })
    }

    fn exact(&self) -> [Vec<Exact>; 3] {
        let Problem { x, w, y, stride, padding, .. } = self.problem;
        let of = |shape: Shape| vec![Exact::default(); shape.elements() as usize];
        let [mut all_y, mut all_dx, mut all_dw] = [of(y), of(x), of(w)];
        let [images, outputs, out_rows, out_columns] = y.sides();
        let [_, inputs, rows, columns] = w.sides();
        let place = |shape: Shape, at: [u32; 4]| {
            let [_, channels, height, width] = shape.sides();
            (((at[0] * channels + at[1]) * height + at[2]) * width + at[3]) as usize
        };
        for (n, o, v, u) in product([images, outputs, out_rows, out_columns]) {
            let of_y = place(y, [n, o, v, u]);
            for (i, r, c, _) in product([inputs, rows, columns, 1]) {
                let row = (v * stride[0] + r).wrapping_sub(padding[0]);
                let column = (u * stride[1] + c).wrapping_sub(padding[1]);
                if row < x.height() && column < x.width() {
                    let (of_x, of_w) = (place(x, [n, i, row, column]), place(w, [o, i, r, c]));
                    all_y[of_y].add(self.w[of_w], self.x[of_x]);
                    all_dx[of_x].add(self.w[of_w], self.dy[of_y]);
                    all_dw[of_w].add(self.dy[of_y], self.x[of_x]);
                }
            }
        }
        [all_y, all_dx, all_dw]
    }

    fn made(&self, gpu: &Gpu, choice: Choice, role: ConvRole) -> Vec<f32> {
        let problem = self.problem;
        let mut graph = Graph::default();
        let inputs = [problem.x, problem.w, problem.y].map(|shape| graph.input(shape));
        let [x, w, dy] = inputs;
        let made = if role == ConvRole::WeightGradient {
            graph
                .push_all(PackedWeightGradient { problem, choice, most_work: 1 << 33 }, &[dy, x])
                .unwrap()[0]
        } else {
            let op = PackedConv2d { problem, role, choice, epilogue: Epilogue::default() };
            let packed = graph.push(op.packing(), &[w]).unwrap();
            graph.push(op, &[if role == ConvRole::Forward { x } else { dy }, packed]).unwrap()
        };
        let given = [&self.x, &self.w, &self.dy];
        let given: Vec<_> = inputs.into_iter().zip(given.map(Vec::as_slice)).collect();
        run(gpu, &graph, &[made], &given).remove(0)
    }
}

fn run(gpu: &Gpu, graph: &Graph, wanted: &[Value], given: &[(Value, &[f32])]) -> Vec<Vec<f32>> {
    let changing: Vec<_> = given.iter().map(|(value, _)| *value).collect();
    let plan = Plan::new(graph, wanted, &changing, gpu.adapter()).unwrap();
    block_on(async {
        let run = Executor::new(gpu, &plan.every, &BTreeMap::new()).await.unwrap();
        for (value, given) in given {
            // What nothing reads has none.
            if let Ok(buffer) = plan.buffer(*value).and_then(|place| run.buffer(place)) {
                gpu.write(buffer, given).await.unwrap();
            }
        }
        run.submit().await.unwrap();
        let mut results = Vec::new();
        for value in wanted {
            let buffer = run.buffer(plan.buffer(*value).unwrap()).unwrap();
            results.push(gpu.read(buffer).await.unwrap());
        }
        results
    })
}

/// All places of four counters.
fn product([a, b, c, d]: [u32; 4]) -> impl Iterator<Item = (u32, u32, u32, u32)> {
    (0..a * b * c * d).map(move |i| (i / d / c / b, i / d / c % b, i / d % c, i % d))
}

#[test]
fn cooperative_matrices_equal_f64() {
    let Some(gpu) = gpu() else { return };
    let side = gpu.adapter().cooperative.unwrap();
    let mut cases = (0..).step_by(4).filter_map(Case::random);
    let mut largest = 0.0f64;
    for number in 0..PROBLEMS {
        let case = cases.next().unwrap();
        for (role, exact) in ROLES.into_iter().zip(case.exact()) {
            let row = |way: &&lapidary::ops::conv::Way| {
                way.cooperative == side && way.computes(&case.problem, role)
            };
            let way = WAYS.iter().find(row).unwrap();
            let choice = Choice { way, size: way.sizes(&case.problem, gpu.adapter())[0] };
            let made = case.made(&gpu, choice, role);
            assert_eq!(made.len(), exact.len());
            for (i, (made, exact)) in made.iter().zip(&exact).enumerate() {
                let off = (f64::from(*made) - exact.value).abs();
                let within = off <= exact.bound; // false for NaN
                let (Exact { value, bound }, what) = (exact, &case.problem);
                assert!(
                    within,
                    "{choice}, {role:?} of {number}: {what:?}: [{i}] is {made}, want {value} within {bound:e}"
                );
                largest = largest.max(off / exact.bound.max(f64::MIN_POSITIVE));
            }
        }
    }
    assert!(largest > 0.05, "halves round: {largest}");
}

/// What follows a convolution, on rows that are whole quads and on others: beside the same done to what it makes by itself.
#[test]
fn epilogues_follow_cooperative_matrices() {
    let Some(gpu) = gpu() else { return };
    let side = gpu.adapter().cooperative.unwrap();
    for (rows, columns, outputs) in [(9, 12, 70), (5, 7, 19)] {
        let x_shape = Shape::new(2, 20, rows, columns).unwrap();
        let w_shape = Shape::new(outputs, 20, 3, 3).unwrap();
        let problem = Problem::new(Conv2d::square(1, 1), 1, x_shape, w_shape).unwrap();
        let (role, y_shape) = (ConvRole::Forward, problem.y);
        let way = WAYS.iter().find(|way| way.cooperative == side && way.computes(&problem, role));
        let way = way.unwrap();
        let choice = Choice { way, size: way.sizes(&problem, gpu.adapter())[0] };
        let shapes = [x_shape, w_shape, Shape::matrix(2, outputs).unwrap(), y_shape, y_shape];
        let data: Vec<_> =
            (1..).zip(shapes).map(|(seed, s)| numbers(s.elements() as usize, seed)).collect();
        let mut graph = Graph::default();
        let inputs = shapes.map(|shape| graph.input(shape));
        let [x, w, affine, rest, mask] = inputs;
        let packed = |graph: &mut Graph, epilogue, more: &[Value]| {
            let op = PackedConv2d { problem, role, choice, epilogue };
            let weights = graph.push(op.packing(), &[w]).unwrap();
            graph.push_all(op, &[&[x, weights], more].concat()).unwrap()
        };
        let none = Epilogue::default();
        let y = packed(&mut graph, none, &[])[0];
        let relu =
            Epilogue { affine: true, residual: Residual::Last, relu: true, bits: true, ..none };
        let fused = packed(&mut graph, relu, &[affine, rest]);
        let mask_bits = graph.push(ReluMask, &[mask]).unwrap();
        let masked = Epilogue { mask: true, residual: Residual::First, ..none };
        let masked = packed(&mut graph, masked, &[affine, mask_bits, rest])[0];
        let given: Vec<_> = inputs.into_iter().zip(data.iter().map(Vec::as_slice)).collect();
        let made = run(&gpu, &graph, &[y, fused[0], fused[1], masked], &given);
        let (channels, plane) = (outputs as usize, y_shape.pixels() as usize);
        let [affine, rest, mask] = [2, 3, 4].map(|i: usize| &data[i]);
        let of = |i: usize| (affine[i / plane % channels], affine[channels + i / plane % channels]);
        let values = || made[0].iter().enumerate();
        let wanted: Vec<_> =
            values().map(|(i, y)| (y * of(i).0 + of(i).1 + rest[i]).max(0.0)).collect();
        close("rectified", &made[1], &wanted, 1e-5);
        assert_eq!(bits(&made[2]), words(y_shape, &made[1]));
        let masked =
            |(i, y): (usize, &f32)| if mask[i] > 0.0 { (y + rest[i]) * of(i).0 } else { 0.0 };
        close("masked", &made[3], &values().map(masked).collect::<Vec<_>>(), 1e-5);
    }
}

/// Half precision takes them where an adapter has them, in all roles, and nothing else does.
#[test]
fn half_precision_takes_cooperative_matrices() {
    let shape = |sides: [u32; 4]| Shape::new(sides[0], sides[1], sides[2], sides[3]).unwrap();
    let (x, w) = (shape([8, 64, 14, 14]), shape([128, 64, 3, 3]));
    let problem = Problem::new(Conv2d::square(2, 1), 1, x, w).unwrap();
    for side in [8, 16] {
        let subgroup = Some(32);
        let (single, halves) = (Precision::Single, Precision::HalfWeights);
        for (precision, cooperative) in [
            (halves, Some(side)),
            (Precision::Mixed, Some(side)),
            (halves, None),
            (single, Some(side)),
        ] {
            let adapter =
                Adapter { cooperative, subgroup, ..Adapter::imaginary(AdapterKind::Discrete) };
            let preferences = Preferences { precision, ..Preferences::default() };
            for role in ROLES {
                let by = (&adapter, &preferences, &Choices::default());
                let (choice, ..) = choose(&problem, role, by, |_| true).unwrap().unwrap();
                let wanted = if precision == single { 0 } else { cooperative.unwrap_or(0) };
                assert_eq!(choice.way.cooperative, wanted, "{choice}, {role:?}");
                assert!(choice.way.cooperative == 0 || choice.size == 128, "{choice}");
            }
        }
    }
}

/// Weight gradients of a large batch read dy and x as a whole: the kernel finds its images in them by their numbers. They were
/// shown parts of these as if they were copied to texels, in a launch each.
#[test]
fn weight_gradients_of_large_batches_see_all_images() {
    let shape = |sides: [u32; 4]| Shape::new(sides[0], sides[1], sides[2], sides[3]).unwrap();
    let (x, w) = (shape([128, 160, 32, 32]), shape([160, 160, 3, 3]));
    let problem = Problem::new(Conv2d::square(1, 1), 1, x, w).unwrap();
    let adapter = std::sync::Arc::new(Adapter {
        cooperative: Some(16),
        ..Adapter::imaginary_gpu(AdapterKind::Discrete)
    });
    let preferences = Preferences { precision: Precision::HalfWeights, ..Preferences::default() };
    let by = (&*adapter, &preferences, &Choices::default());
    let (choice, ..) = choose(&problem, ConvRole::WeightGradient, by, |_| true).unwrap().unwrap();
    let mut graph = Graph::default();
    let [dy, x] = [problem.y, x].map(|shape| graph.input(shape));
    let op = PackedWeightGradient { problem, choice, most_work: most_work(&adapter) };
    let dw = graph.push_all(op, &[dy, x]).unwrap()[0];
    let plan = Plan::new(&graph, &[dw], &[dy, x], &adapter).unwrap();
    let products =
        |dispatch: &&lapidary::gpu::Dispatch| dispatch.kernel.name.contains("cooperative");
    let launches: Vec<_> = plan.every.dispatches.iter().filter(products).collect();
    assert_eq!(launches.len(), 1, "{launches:?}");
    assert!(launches[0].buffers.iter().all(|bound| bound.part.is_none()), "{launches:?}");
    // 69 workgroups are a part of the images; those of all parts fill a large GPU.
    assert!(launches[0].grid.iter().product::<u32>() >= 1024, "{:?}", launches[0].grid);
}
