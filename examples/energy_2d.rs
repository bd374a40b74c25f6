//! Trains a joint energy-based model of two half moons in the plane and draws its energy, dark where points are likely.
//! Contrastive points walk down the energy on the GPU, and the model learns to tell them from real points.
//!
//!     cargo run --release --example energy_2d -- energy.png

#![allow(clippy::indexing_slicing, reason = "an example")]

use lapidary::Result;
use lapidary::data::Random;
use lapidary::gpu::{Gpu, Options};
use lapidary::graph::{Graph, Shape, Value};
use lapidary::lower::Program;
use lapidary::model::initial::initial;
use lapidary::model::{DeviceWeights, Parameter, Role, Weights};
use lapidary::ops::*;
use std::f64::consts::PI;

const UNITS: usize = 64;
const BATCH: u32 = 64;
/// Pixels of a side of the picture; ops of a row each take up to 65,535.
pub const SIDE: u32 = 192;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or("energy.png".into());
    let energy = pollster::block_on(run(600))?;
    let (low, high) = energy.iter().fold((f32::MAX, f32::MIN), |(l, h), &e| (l.min(e), h.max(e)));
    image::GrayImage::from_fn(SIDE, SIDE, |x, y| {
        let share = ((energy[(y * SIDE + x) as usize] - low) / (high - low)).sqrt();
        // Twelve steps make contour lines; the root widens the valleys.
        image::Luma([((share * 12.0).floor() / 12.0 * 255.0) as u8])
    })
    .save(path)?;
    Ok(())
}

/// A point of one of the moons in the unit square, and which.
pub fn moon(random: &mut Random) -> ([f32; 2], u32) {
    let (class, angle) = (random.below(2) as u32, random.uniform(0.0, PI));
    let noise = random.normal_pair();
    let (x, y) = match class {
        0 => (0.4 + 0.25 * angle.cos(), 0.55 - 0.25 * angle.sin()),
        _ => (0.6 - 0.25 * angle.cos(), 0.45 + 0.25 * angle.sin()),
    };
    ([(x + 0.02 * noise.0) as f32, (y + 0.02 * noise.1) as f32], class)
}

/// The marginal energy -logsumexp f(x) over the unit square, row by row, after so many steps.
pub async fn run(steps: u64) -> Result<Vec<f32>> {
    let gpu = Gpu::new(&Options::from_env()).await?;
    let parameters = parameters();
    let mut drawn = initial(&parameters, 1);
    // Two inputs are to bend the plane in many places: wider weights, and biases to match.
    for (name, seed) in [("first.weight", 1), ("first.bias", 2)] {
        let mut random = Random::new(seed, name, 0, 0);
        let mut tensor = drawn.get(name)?.clone();
        tensor.data.iter_mut().for_each(|value| *value = random.uniform(-2.5, 2.5) as f32);
        drawn.insert(name, tensor);
    }
    let weights = DeviceWeights::upload(&gpu, &parameters, &drawn).await?;

    // One replay is a whole update: walk, loss, derivatives, optimiser.
    let mut graph = Graph::default();
    let (points, each) = (Shape::matrix(BATCH, 2)?, Shape::per_image(BATCH)?);
    let [real, made] = [points; 2].map(|shape| graph.input(shape));
    let [labels, ones] = [each; 2].map(|shape| graph.input(shape));
    let targets = graph.input(Shape::per_image(2 * BATCH)?);
    let (one, control) = (graph.input(Shape::SCALAR), graph.input(Shape::vector(2)?));
    let values = Weights::inputs(&mut graph, &parameters)?;
    let step = PgdStep { norm: Norm::L2, step_size: 0.04, eps: f32::INFINITY, clamp: true };
    for _ in 0..6 {
        let logits = perceptron(&mut graph, made, &values)?;
        let score = graph.push(LogSumExp, &[logits])?;
        let slope = gradient(&mut graph, score, ones, &[made])?;
        graph.push_all(step, &[made, slope[0]])?;
    }
    let both = graph.push(Concat, &[real, made])?;
    let logits = perceptron(&mut graph, both, &values)?;
    let scores = graph.push(LogSumExp, &[logits])?;
    let bce = graph.push(BceWithLogits, &[scores, targets])?;
    let bce = graph.push(Sum { scale: 0.5 / BATCH as f32 }, &[bce])?;
    let named = graph.push(ImageRange { first: 0, count: BATCH }, &[logits])?;
    let ce = graph.push(CrossEntropy { label_smoothing: 0.0 }, &[named, labels])?;
    let ce = graph.push(Sum { scale: 1.0 / BATCH as f32 }, &[ce])?;
    let loss = graph.push(Add, &[bce, ce])?;
    let trained: Vec<_> = values.iter().map(|(_, value)| value).collect();
    let gradients = gradient(&mut graph, loss, one, &trained)?;
    for (&weight, slope) in trained.iter().zip(gradients) {
        let momentum = graph.input(graph.shape(weight)?);
        let sgd = SgdStep { momentum: 0.9, weight_decay: 1e-4, nesterov: true };
        graph.push_all(sgd, &[weight, momentum, slope, control])?;
    }
    let changing = [real, made, labels, control];
    let given = weights.bindings(&values)?;
    let mut update = Program::new(&gpu, &graph, &[loss], &changing, &given).await?;
    update.write(ones, &[1.0f32; BATCH as usize]).await?;
    update.write(one, &[1.0f32]).await?;
    update.write(targets, &[[1.0f32; BATCH as usize], [0.0; BATCH as usize]].concat()).await?;
    for number in 0..steps {
        let mut random = Random::new(1, "moons", number, 0);
        let (batch, classes): (Vec<_>, Vec<_>) = (0..BATCH).map(|_| moon(&mut random)).unzip();
        let start = |_| random.uniform(0.0, 1.0) as f32;
        update.write(made, &(0..2 * BATCH).map(start).collect::<Vec<_>>()).await?;
        update.write(real, &batch.concat()).await?;
        update.write(labels, &classes).await?;
        let first = if number == 0 { 1.0 } else { 0.0 };
        update.write(control, &[0.02f32, first]).await?;
        update.submit().await?;
    }

    let mut graph = Graph::default();
    let places = graph.input(Shape::matrix(SIDE * SIDE, 2)?);
    let values = Weights::inputs(&mut graph, &parameters)?;
    let logits = perceptron(&mut graph, places, &values)?;
    let energy = marginal_energy(&mut graph, logits)?;
    let given = weights.bindings(&values)?;
    let mut map = Program::new(&gpu, &graph, &[energy], &[places], &given).await?;
    let at = |i: u32| (i as f32 + 0.5) / SIDE as f32;
    let all: Vec<_> = (0..SIDE * SIDE).flat_map(|i| [at(i % SIDE), at(i / SIDE)]).collect();
    map.write(places, &all).await?;
    map.submit().await?;
    map.read(energy).await
}

fn parameters() -> Vec<Parameter> {
    let layer = |name: &str, outputs: usize, inputs: usize| {
        let make = |part: &str, shape| Parameter {
            name: format!("{name}.{part}"),
            shape,
            role: Role::Weight,
        };
        [make("weight", vec![outputs, inputs]), make("bias", vec![outputs])]
    };
    [layer("first", UNITS, 2), layer("second", UNITS, UNITS), layer("last", 2, UNITS)].concat()
}

/// Two hidden layers with SiLU, as energies are to be smooth; x is brought to \[-2, 2\].
fn perceptron(graph: &mut Graph, x: Value, weights: &Weights) -> Result<Value> {
    let mut y = graph.push(Normalise { mean: vec![0.5; 2], std: vec![0.25; 2] }, &[x])?;
    for layer in ["first", "second", "last"] {
        let of = |part: &str| weights.get(&format!("{layer}.{part}"));
        y = graph.push(Linear { bias: true }, &[y, of("weight")?, of("bias")?])?;
        if layer != "last" {
            y = graph.push(Unary::Silu, &[y])?;
        }
    }
    Ok(y)
}
