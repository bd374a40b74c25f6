//! Computes the results of a reference case on an adapter: a convolution, batch normalisation, one gradient step of a given L2
//! length, a whole network with its gradients, or a path of gradient steps on images.

use super::case::{Case, Results};
use crate::attack::{Attack, Pgd, PgdAttack, Start};
use crate::gpu::Gpu;
use crate::graph::{Graph, Shape, Value};
use crate::lower::Program;
use crate::model::{BatchSize, Checkpoint, DeviceWeights, Metadata, Mode, Network, Weights};
use crate::ops::{
    self, BatchNorm, Broadcast, Conv2d, CrossEntropy, LogSumExp, Norm, PgdStep, PickLogit, Sum,
    UpdateRunningStats,
};
use crate::{Error, Result};

/// A graph whose inputs are tensors of the file and whose values are results by name.
struct Sketch<'a> {
    case: &'a Case,
    graph: Graph,
    inputs: Vec<(Value, Vec<u32>)>,
    results: Vec<(String, Value)>,
}

impl<'a> Sketch<'a> {
    fn new(case: &'a Case) -> Self {
        Self { case, graph: Graph::default(), inputs: Vec::new(), results: Vec::new() }
    }

    fn input(&mut self, name: &str) -> Result<Value> {
        let tensor = self.case.tensor(name)?;
        Ok(self.with(tensor.shape()?, tensor.words.clone()))
    }

    fn labels(&mut self) -> Result<Value> {
        let words = self.case.tensor("in.labels")?.words.clone();
        Ok(self.with(Shape::per_image(words.len() as u32)?, words))
    }

    fn with(&mut self, shape: Shape, words: Vec<u32>) -> Value {
        let value = self.graph.input(shape);
        self.inputs.push((value, words));
        value
    }

    fn result(&mut self, name: &str, value: Value) {
        self.results.push((name.into(), value));
    }

    /// The gradients of sum(y seed) for the named values are `grad.NAME`.
    fn gradients(&mut self, y: Value, seed: Value, of: &[(String, Value)]) -> Result<()> {
        let values: Vec<_> = of.iter().map(|&(_, value)| value).collect();
        let gradients = ops::gradient(&mut self.graph, y, seed, &values)?;
        for ((name, _), gradient) in of.iter().zip(gradients) {
            self.result(&format!("grad.{name}"), gradient);
        }
        Ok(())
    }

    /// y is `out.y`, its upstream gradient `in.dy`.
    fn backward(&mut self, y: Value, of: &[(&str, Value)]) -> Result<()> {
        self.result("out.y", y);
        let seed = self.input("in.dy")?;
        let of: Vec<_> = of.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
        self.gradients(y, seed, &of)
    }

    /// Runs one replay, into buffers that are filled with NaN first.
    async fn run(self, gpu: &Gpu) -> Result<Results> {
        let (names, wanted): (Vec<_>, Vec<_>) = self.results.into_iter().unzip();
        let changing: Vec<_> = self.inputs.iter().map(|&(value, _)| value).collect();
        let mut program = Program::new(gpu, &self.graph, &wanted, &changing, &[]).await?;
        for &value in &wanted {
            let buffer = program.buffer(value)?;
            gpu.write(buffer, &vec![f32::NAN; buffer.words() as usize]).await?;
        }
        for (value, words) in &self.inputs {
            program.write(*value, words).await?;
        }
        program.submit().await?;
        Ok(names.into_iter().zip(program.read_all(&wanted).await?).collect())
    }
}

/// Computes a convolution and its gradients for all inputs.
pub async fn conv2d(case: &Case, gpu: &Gpu) -> Result<Results> {
    let mut sketch = Sketch::new(case);
    let (x, w) = (sketch.input("in.x")?, sketch.input("in.w")?);
    let op = Conv2d { stride: case.pair("stride"), padding: case.pair("padding") };
    let mut y = sketch.graph.push(op, &[x, w])?;
    let mut of = vec![("x", x), ("w", w)];
    if case.has("in.b") {
        let b = sketch.input("in.b")?;
        y = sketch.graph.push(Broadcast::Add, &[y, b])?;
        of.push(("b", b));
    }
    sketch.backward(y, &of)?;
    sketch.run(gpu).await
}

/// Checks batch norm in training mode: output, gradients, statistics.
pub async fn batch_norm(case: &Case, gpu: &Gpu) -> Result<Results> {
    let mut sketch = Sketch::new(case);
    let [x, w, b] = [sketch.input("in.x")?, sketch.input("in.w")?, sketch.input("in.b")?];
    let (mean, variance) = (sketch.input("in.running_mean")?, sketch.input("in.running_var")?);
    let op = BatchNorm { eps: case.number("eps") };
    let [y, batch_mean, batch_variance] = op.push(&mut sketch.graph, [x, w, b])?;
    let update = UpdateRunningStats::of(sketch.graph.shape(x)?, case.number("momentum"))?;
    sketch.graph.push_all(update, &[batch_mean, batch_variance, mean, variance])?;
    sketch.result("out.batch_mean", batch_mean);
    sketch.result("out.batch_var_biased", batch_variance);
    sketch.result("out.running_mean", mean);
    sketch.result("out.running_var", variance);
    sketch.backward(y, &[("x", x), ("w", w), ("b", b)])?;
    sketch.run(gpu).await
}

/// Runs one L2 gradient step without a ball.
pub async fn l2_step(case: &Case, gpu: &Gpu) -> Result<Results> {
    let mut sketch = Sketch::new(case);
    let (x, g) = (sketch.input("in.x")?, sketch.input("in.g")?);
    let step_size = case.number("step_size");
    let op = PgdStep { norm: Norm::L2, step_size, eps: f32::INFINITY, clamp: false };
    sketch.graph.push_all(op, &[x, g])?;
    sketch.result("out.y", x);
    sketch.run(gpu).await
}

fn network(case: &Case, weights: &[u8]) -> Result<(Network, Checkpoint)> {
    let mut checkpoint = Checkpoint::from_bytes(super::WEIGHTS, weights)?;
    let strings = [("params".to_owned(), case.param("model").to_string())].into();
    checkpoint.metadata = Metadata::from_strings(strings)
        .map_err(|reason| Error::bad_file(&checkpoint.source, reason))?;
    Ok((Network::from_checkpoint(&checkpoint)?, checkpoint))
}

/// Computes a network's logits, the gradients of a loss with respect to images and weights, and the gradient of an energy with
/// respect to images.
pub async fn evaluation(case: &Case, weights: &[u8], gpu: &Gpu) -> Result<Results> {
    let (model, checkpoint) = network(case, weights)?;
    let mut sketch = Sketch::new(case);
    let (x, labels) = (sketch.input("in.x")?, sketch.labels()?);
    let weights = Weights::inputs(&mut sketch.graph, &model.parameters())?;
    for (name, value) in weights.iter() {
        let words = bytemuck::cast_slice(&checkpoint.weights.get(name)?.data).to_vec();
        sketch.inputs.push((value, words));
    }
    let graph = &mut sketch.graph;
    let logits = model.logits(graph, x, &weights, Mode::Frozen)?;
    let sum = graph.push(LogSumExp, &[logits])?;
    let picked = graph.push(PickLogit, &[logits, labels])?;
    let losses = graph.push(CrossEntropy { label_smoothing: 0.0 }, &[logits, labels])?;
    let images = graph.shape(labels)?.images();
    let loss = graph.push(Sum { scale: 1.0 / images as f32 }, &[losses])?;
    sketch.result("out.logits", logits);
    sketch.result("out.logsumexp", sum);
    sketch.result("out.ce_loss", loss);
    let one = 1.0_f32.to_bits();
    let ones = sketch.with(Shape::per_image(images)?, vec![one; images as usize]);
    sketch.gradients(picked, ones, &[("x.joint".into(), x)])?;
    let trained = weights.iter().filter(|(name, _)| !name.contains(".running_"));
    let mut of: Vec<_> = trained.map(|(name, value)| (format!("param.{name}"), value)).collect();
    of.push(("x.ce".into(), x));
    let seed = sketch.with(Shape::SCALAR, vec![one]);
    sketch.gradients(loss, seed, &of)?;
    sketch.run(gpu).await
}

/// Takes gradient steps that raise the logits of images' labels, and returns the images before and after every step.
pub async fn trajectory(case: &Case, weights: &[u8], gpu: &Gpu) -> Result<Results> {
    let (model, checkpoint) = network(case, weights)?;
    let (x, labels) = (case.tensor("in.x")?, &case.tensor("in.labels")?.words);
    let settings = Pgd::sample(case.number("steps") as u32, case.number("step_size"));
    let weights = DeviceWeights::upload(gpu, &model.parameters(), &checkpoint.weights).await?;
    let size = BatchSize { images: x.shape()?.images(), side: x.shape()?.width() };
    let mut attack = PgdAttack::new(&model, &weights, size, settings).await?;
    attack.start(&Start::new(x.numbers(), labels)).await?;
    let (mut path, mut objective) = (x.numbers().to_vec(), Vec::new());
    for _ in 0..settings.steps {
        attack.run(1, |_| Ok(())).await?;
        path.extend(attack.images().await?);
        objective.extend(attack.objective().await?);
    }
    Ok([("out.traj".into(), path), ("out.objective".into(), objective)].into())
}
