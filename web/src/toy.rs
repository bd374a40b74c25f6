//! Trains a joint energy-based model on points in the plane: a perceptron learns points of a few classes by the losses of stage
//! 2, dual adversarial training (docs/method.md: binary cross-entropy of logsumexp between real points and ones that gradient
//! steps made, plus cross-entropy), and its energy over the plane is read to be drawn. Images are [2, 1, 1] here; ops,
//! gradients and steps are the library's.

use crate::throw::{Thrown, throw};
use lapidary::Result;
use lapidary::data::Random;
use lapidary::gpu::Gpu;
use lapidary::graph::{Graph, Shape, Value, exactly};
use lapidary::lower::Program;
use lapidary::model::{DeviceWeights, Parameter, Role, StateDict, Tensor, Weights};
use lapidary::ops::{
    self, Add, BceWithLogits, Concat, CrossEntropy, ImageRange, Linear, LogSumExp, Norm, Normalise,
    PgdStep, PickLogit, SgdStep, Sum, Unary,
};
use wasm_bindgen::prelude::*;

/// Units of each of the two hidden layers.
const UNITS: usize = 48;
/// Points of a batch.
const BATCH: u32 = 64;
/// Gradient steps from a random place to a contrastive point, and their length in the unit square.
const STEPS: u32 = 8;
const STEP_SIZE: f32 = 0.04;
/// Standard deviation of the noise on points that are learnt.
const JITTER: f64 = 0.015;
const MOMENTUM: f32 = 0.9;
const WEIGHT_DECAY: f32 = 1e-4;
/// Rows and columns of the map.
const MAP: u32 = 48;

/// A joint energy-based model of points in the plane, under training.
#[wasm_bindgen]
pub struct Toy {
    update: Program,
    map: Program,
    inputs: Inputs,
    results: [Value; 3],
    seed: u64,
    done: u64,
}

/// The values written before an update; the made points start where they are written.
struct Inputs {
    real: Value,
    made: Value,
    labels: Value,
    control: Value,
}

impl Toy {
    /// Makes a classifier of `classes` classes, with weights drawn from the seed.
    pub async fn new(gpu: &Gpu, classes: u32, seed: u64) -> Result<Self> {
        let parameters = parameters(classes as usize);
        let weights = DeviceWeights::upload(gpu, &parameters, &initial(&parameters, seed)?).await?;
        let momenta = DeviceWeights::zeros(gpu, &parameters).await?;
        let (points, per_point) = (Shape::matrix(BATCH, 2)?, Shape::per_image(BATCH)?);

        // One replay is a whole update: the browser is asked once.
        let mut graph = Graph::default();
        let (real, made) = (graph.input(points), graph.input(points));
        let (labels, ones) = (graph.input(per_point), graph.input(per_point));
        let targets = graph.input(Shape::per_image(2 * BATCH)?);
        let one = graph.input(Shape::SCALAR);
        let values = Weights::inputs(&mut graph, &parameters)?;
        for _ in 0..STEPS {
            let logits = perceptron(&mut graph, made, &values)?;
            let picked = graph.push(PickLogit, &[logits, labels])?;
            let gradient = ops::gradient(&mut graph, picked, ones, &[made])?;
            let [gradient] = exactly("toy", "gradients", &gradient)?;
            let (norm, eps) = (Norm::L2, f32::INFINITY);
            let step = PgdStep { norm, step_size: STEP_SIZE, eps, clamp: true };
            graph.push_all(step, &[made, gradient])?;
        }
        let all = graph.push(Concat, &[real, made])?;
        let logits = perceptron(&mut graph, all, &values)?;
        let scores = graph.push(LogSumExp, &[logits])?;
        let each = graph.push(BceWithLogits, &[scores, targets])?;
        let bce = graph.push(Sum { scale: 0.5 / BATCH as f32 }, &[each])?;
        let named = graph.push(ImageRange { first: 0, count: BATCH }, &[logits])?;
        let each = graph.push(CrossEntropy { label_smoothing: 0.0 }, &[named, labels])?;
        let ce = graph.push(Sum { scale: 1.0 / BATCH as f32 }, &[each])?;
        let loss = graph.push(Add, &[bce, ce])?;
        let places: Vec<_> = values.iter().collect();
        let wanted: Vec<_> = places.iter().map(|&(_, value)| value).collect();
        let gradients = ops::gradient(&mut graph, loss, one, &wanted)?;
        let control = graph.input(Shape::vector(2)?);
        let mut given = weights.bindings(&values)?;
        for (&(name, weight), gradient) in places.iter().zip(gradients) {
            let momentum = graph.input(graph.shape(weight)?);
            given.push((momentum, momenta.buffer(name)?.clone()));
            let step = SgdStep { momentum: MOMENTUM, weight_decay: WEIGHT_DECAY, nesterov: true };
            graph.push_all(step, &[weight, momentum, gradient, control])?;
        }
        let changing = [real, made, labels, control];
        let mut update = Program::new(gpu, &graph, &[bce, ce], &changing, &given).await?;
        update.write(ones, &[1.0_f32; BATCH as usize]).await?;
        let mut ones_and_zeros = vec![1.0_f32; BATCH as usize];
        ones_and_zeros.resize(2 * BATCH as usize, 0.0);
        update.write(targets, &ones_and_zeros).await?;
        update.write(one, &[1.0_f32]).await?;

        let mut graph = Graph::default();
        let places = graph.input(Shape::matrix(MAP * MAP, 2)?);
        let values = Weights::inputs(&mut graph, &parameters)?;
        let logits = perceptron(&mut graph, places, &values)?;
        let changing: Vec<_> = values.iter().map(|(_, value)| value).collect();
        let given = weights.bindings(&values)?;
        let mut map = Program::new(gpu, &graph, &[logits], &changing, &given).await?;
        map.write(places, &grid()).await?;

        let inputs = Inputs { real, made, labels, control };
        let results = [bce, ce, logits];
        Ok(Self { update, map, inputs, results, seed, done: 0 })
    }

    async fn train_on(&mut self, points: &[f32], labels: &[u32], learning_rate: f32) -> Result<()> {
        let (places, _) = points.as_chunks::<2>();
        let mut random = Random::new(self.seed, "toy/batch", self.done, 0);
        let (mut real, mut named, mut start) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..BATCH {
            let chosen = random.below(places.len() as u64) as usize;
            let (Some(&[x, y]), Some(&label)) = (places.get(chosen), labels.get(chosen)) else {
                return Err(lapidary::Error::Mismatch {
                    op: "toy",
                    given: format!("{} points and {} labels", places.len(), labels.len()),
                    wanted: "one label for each of 1 or more".into(),
                });
            };
            let (right, down) = random.normal_pair();
            real.push((f64::from(x) + JITTER * right) as f32);
            real.push((f64::from(y) + JITTER * down) as f32);
            named.push(label);
            start.extend([random.uniform(0.0, 1.0) as f32, random.uniform(0.0, 1.0) as f32]);
        }
        let Inputs { real: real_points, made, labels: classes, control } = self.inputs;
        self.update.write(made, &start).await?;
        self.update.write(real_points, &real).await?;
        self.update.write(classes, &named).await?;
        let first = if self.done == 0 { 1.0 } else { 0.0 };
        self.update.write(control, &[learning_rate, first]).await?;
        self.update.submit().await?;
        self.done += 1;
        Ok(())
    }
}

#[wasm_bindgen]
impl Toy {
    /// Trains on points (x and y of each in \[0, 1\]) with their labels, for this many steps. Back come the last binary
    /// cross-entropy, the last cross-entropy, and the contrastive points.
    pub async fn train(
        &mut self,
        points: Vec<f32>,
        labels: Vec<u32>,
        steps: u32,
        learning_rate: f32,
    ) -> Thrown<Vec<f32>> {
        for _ in 0..steps {
            self.train_on(&points, &labels, learning_rate).await.map_err(throw)?;
        }
        let [bce, ce, _] = self.results;
        let read = self.update.read_all(&[bce, ce, self.inputs.made]).await.map_err(throw)?;
        Ok(read.concat())
    }

    /// Returns the logits over the unit square, row by row from above, K for each place; as many rows as columns.
    pub async fn map(&mut self) -> Thrown<Vec<f32>> {
        self.map.submit().await.map_err(throw)?;
        let [.., logits] = self.results;
        self.map.read(logits).await.map_err(throw)
    }

    /// Returns the number of training steps taken.
    pub fn steps(&self) -> f64 {
        self.done as f64
    }
}

/// Places of the map, in its order.
fn grid() -> Vec<f32> {
    let at = |i: u32| (i as f32 + 0.5) / MAP as f32;
    (0..MAP * MAP).flat_map(|i| [at(i % MAP), at(i / MAP)]).collect()
}

fn parameters(classes: usize) -> Vec<Parameter> {
    let layer = |name: &str, outputs: usize, inputs: usize| {
        let role = Role::Weight;
        let weight =
            Parameter { name: format!("{name}.weight"), shape: vec![outputs, inputs], role };
        [weight, Parameter { name: format!("{name}.bias"), shape: vec![outputs], role }]
    };
    [layer("first", UNITS, 2), layer("second", UNITS, UNITS), layer("last", classes, UNITS)]
        .concat()
}

/// Uniform, as PyTorch's `nn.Linear` draws them: within 1/sqrt(inputs); wider in the first layer, whose two inputs
/// are to bend the plane in many places.
fn initial(parameters: &[Parameter], seed: u64) -> Result<StateDict> {
    let mut inputs = 1;
    let mut drawn = StateDict::default();
    for (index, Parameter { name, shape, .. }) in (0..).zip(parameters) {
        inputs = shape.get(1).copied().unwrap_or(inputs);
        let most = if inputs == 2 { 2.5 } else { 1.0 / (inputs as f64).sqrt() };
        let mut random = Random::new(seed, "toy/initial", 0, index);
        let count = shape.iter().product();
        let values = (0..count).map(|_| random.uniform(-most, most) as f32).collect();
        drawn.insert(name.clone(), Tensor::new(shape.clone(), values)?);
    }
    Ok(drawn)
}

/// Two hidden layers with SiLU, as energies are to be smooth; x is brought to \[-2, 2\].
fn perceptron(graph: &mut Graph, x: Value, weights: &Weights) -> Result<Value> {
    let normalise = Normalise { mean: vec![0.5; 2], std: vec![0.25; 2] };
    let mut h = graph.push(normalise, &[x])?;
    for layer in ["first", "second"] {
        let of = |part: &str| weights.get(&format!("{layer}.{part}"));
        h = graph.push(Linear { bias: true }, &[h, of("weight")?, of("bias")?])?;
        h = graph.push(Unary::Silu, &[h])?;
    }
    graph.push(Linear { bias: true }, &[h, weights.get("last.weight")?, weights.get("last.bias")?])
}
