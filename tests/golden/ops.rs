//! Compares single operators with PyTorch's reference values: results and gradients.

use crate::Handlers;
use crate::case::{Case, Fault, Outcome};
use crate::run::{Runner, Sketch};
use lapidary::graph::{Graph, Shape, Value};
use lapidary::ops::*;

pub const HANDLERS: Handlers = &[
    ("add", add),
    ("avg_pool", avg_pool),
    ("batch_norm", batch_norm),
    ("bce_with_logits", binary_cross_entropy),
    ("conv2d", conv2d),
    ("cross_entropy", cross_entropy),
    ("dlr", dlr),
    ("energy_joint", joint),
    ("energy_marginal", marginal),
    ("flatten", |case, runner| {
        unary(case, runner, |graph, x| graph.push(Reshape::flat(graph.shape(x)?)?, &[x]))
    }),
    ("gelu", |case, runner| unary(case, runner, |graph, x| graph.push(Unary::Gelu, &[x]))),
    ("global_avg_pool", |case, runner| {
        unary(case, runner, |graph, x| graph.push(GlobalAvgPool, &[x]))
    }),
    ("group_norm", group_norm),
    ("input_normalise", input_normalise),
    ("layer_norm", layer_norm),
    ("linear", linear),
    ("log_softmax", |case, runner| softmax(case, runner, true)),
    ("logsumexp", log_sum_exp),
    ("max_pool", max_pool),
    ("relu", |case, runner| unary(case, runner, |graph, x| graph.push(Unary::Relu, &[x]))),
    ("residual_layer_scale", layer_scale),
    ("resize", resize),
    ("sigmoid", |case, runner| unary(case, runner, |graph, x| graph.push(Unary::Sigmoid, &[x]))),
    ("silu", |case, runner| unary(case, runner, |graph, x| graph.push(Unary::Silu, &[x]))),
    ("softmax", |case, runner| softmax(case, runner, false)),
];

/// Ops with one input and no parameters.
fn unary(
    case: &Case,
    runner: &Runner,
    push: impl Fn(&mut Graph, Value) -> lapidary::Result<Value>,
) -> Outcome {
    let mut sketch = Sketch::new(case);
    let x = sketch.input("in.x")?;
    let y = push(&mut sketch.graph, x)?;
    sketch.value_and_gradients(y, &[("x", x)])?;
    sketch.run(runner)
}

fn add(case: &Case, runner: &Runner) -> Outcome {
    let mut sketch = Sketch::new(case);
    let (a, b) = (sketch.input("in.a")?, sketch.input("in.b")?);
    let graph = &mut sketch.graph;
    let same = graph.shape(a)? == graph.shape(b)?;
    let y = if same { graph.push(Add, &[a, b])? } else { graph.push(Broadcast::Add, &[a, b])? };
    sketch.value_and_gradients(y, &[("a", a), ("b", b)])?;
    sketch.run(runner)
}

fn avg_pool(case: &Case, runner: &Runner) -> Outcome {
    let kernel = case.count("k")?;
    unary(case, runner, |graph, x| graph.push(AvgPool { kernel }, &[x]))
}

fn input_normalise(case: &Case, runner: &Runner) -> Outcome {
    let (mean, std) = (case.numbers("mean")?, case.numbers("std")?);
    unary(case, runner, |graph, x| {
        graph.push(Normalise { mean: mean.clone(), std: std.clone() }, &[x])
    })
}

fn log_sum_exp(case: &Case, runner: &Runner) -> Outcome {
    if case.count("dim")? != 1 {
        return Fault::unsupported("over another dimension than the classes");
    }
    unary(case, runner, |graph, x| graph.push(LogSumExp, &[x]))
}

fn softmax(case: &Case, runner: &Runner, log: bool) -> Outcome {
    if case.count("dim")? != 1 {
        return Fault::unsupported("over another dimension than the classes");
    }
    unary(case, runner, |graph, x| graph.push(Softmax { log }, &[x]))
}

fn max_pool(case: &Case, runner: &Runner) -> Outcome {
    let (kernel, stride, padding) =
        (case.count("k")?, case.count("stride")?, case.count("padding")?);
    unary(case, runner, |graph, x| MaxPool { kernel, stride, padding }.push(graph, x))
}

fn resize(case: &Case, runner: &Runner) -> Outcome {
    let filter = match case.text("mode")? {
        "bilinear" => Filter::Bilinear,
        "bicubic" => Filter::Bicubic,
        other => return Fault::unsupported(format_args!("mode {other}")),
    };
    if case.flag("align_corners")? {
        return Fault::unsupported("align_corners");
    }
    let ([height, width], antialias) = (case.pair("size")?, case.flag("antialias")?);
    unary(case, runner, |graph, x| Resize { height, width, filter, antialias }.push(graph, x))
}

/// The residual is added to the scaled branch. Without pixels, channels last are rows.
fn layer_scale(case: &Case, runner: &Runner) -> Outcome {
    let mut sketch = Sketch::new(case);
    let gamma = sketch.input("in.gamma")?;
    let shape = match case.text("layout")? {
        "nhwc" => rows_of(&sketch, gamma, "in.x")?,
        _ => case.tensor("in.x")?.shape()?,
    };
    let (x, branch) = (sketch.input_as("in.x", shape)?, sketch.input_as("in.branch", shape)?);
    let scaled = sketch.graph.push(Broadcast::Mul, &[branch, gamma])?;
    let y = sketch.graph.push(Add, &[x, scaled])?;
    sketch.value_and_gradients(y, &[("x", x), ("branch", branch), ("gamma", gamma)])?;
    sketch.run(runner)
}

fn layer_norm(case: &Case, runner: &Runner) -> Outcome {
    let mut sketch = Sketch::new(case);
    let (w, b) = (sketch.input("in.w")?, sketch.input("in.b")?);
    let shape = match case.text("over")? {
        "last" => rows_of(&sketch, w, "in.x")?,
        "channels_nchw" => case.tensor("in.x")?.shape()?,
        other => return Fault::unsupported(format_args!("over {other}")),
    };
    let x = sketch.input_as("in.x", shape)?;
    let y = LayerNorm { eps: case.number("eps")? }.push(&mut sketch.graph, [x, w, b])?;
    sketch.value_and_gradients(y, &[("x", x), ("w", w), ("b", b)])?;
    sketch.run(runner)
}

/// A tensor whose last dimension is the vector's, as a matrix of all others by it.
fn rows_of(sketch: &Sketch, vector: Value, name: &str) -> Outcome<Shape> {
    let length = sketch.graph.shape(vector)?.channels();
    Ok(Shape::matrix(sketch.case.tensor(name)?.words().len() as u32 / length, length)?)
}

fn group_norm(case: &Case, runner: &Runner) -> Outcome {
    let op = GroupNorm { groups: case.count("groups")?, eps: case.number("eps")? };
    let mut sketch = Sketch::new(case);
    let [x, w, b] = [sketch.input("in.x")?, sketch.input("in.w")?, sketch.input("in.b")?];
    let y = op.push(&mut sketch.graph, [x, w, b])?;
    sketch.value_and_gradients(y, &[("x", x), ("w", w), ("b", b)])?;
    sketch.run(runner)
}

fn dlr(case: &Case, runner: &Runner) -> Outcome {
    let mut sketch = Sketch::new(case);
    let (logits, labels) = (sketch.input("in.logits")?, sketch.per_image("in.labels")?);
    let (targeted, mut inputs) = (case.flag("targeted")?, vec![logits, labels]);
    if targeted {
        inputs.push(sketch.per_image("in.target_labels")?);
    }
    let y = sketch.graph.push(Dlr { targeted }, &inputs)?;
    sketch.value_and_gradients(y, &[("logits", logits)])?;
    sketch.run(runner)
}

fn conv2d(case: &Case, runner: &Runner) -> Outcome {
    if case.pair("dilation")? != [1, 1] {
        return Fault::unsupported("dilation");
    }
    let (stride, padding) = (case.pair("stride")?, case.pair("padding")?);
    let mut sketch = Sketch::new(case);
    let (x, w) = (sketch.input("in.x")?, sketch.input("in.w")?);
    let (conv, groups) = (Conv2d { stride, padding }, case.count("groups")?);
    let mut y = match groups {
        1 => sketch.graph.push(conv, &[x, w])?,
        _ => sketch.graph.push(GroupedConv2d { conv, groups }, &[x, w])?,
    };
    let mut inputs = vec![("x", x), ("w", w)];
    if case.has("in.b") {
        let b = sketch.input("in.b")?;
        y = sketch.graph.push(Broadcast::Add, &[y, b])?;
        inputs.push(("b", b));
    }
    sketch.value_and_gradients(y, &inputs)?;
    sketch.run(runner)
}

/// Rows are all dimensions of x but the last.
fn linear(case: &Case, runner: &Runner) -> Outcome {
    let mut sketch = Sketch::new(case);
    let w = sketch.input("in.w")?;
    let length = sketch.graph.shape(w)?.channels();
    let rows = case.tensor("in.x")?.words().len() as u32 / length;
    let x = sketch.input_as("in.x", Shape::matrix(rows, length)?)?;
    let mut inputs = vec![("x", x), ("w", w)];
    if case.has("in.b") {
        inputs.push(("b", sketch.input("in.b")?));
    }
    let values: Vec<_> = inputs.iter().map(|&(_, value)| value).collect();
    let y = sketch.graph.push(Linear { bias: case.has("in.b") }, &values)?;
    sketch.value_and_gradients(y, &inputs)?;
    sketch.run(runner)
}

fn batch_norm(case: &Case, runner: &Runner) -> Outcome {
    let eps = case.number("eps")?;
    let mut sketch = Sketch::new(case);
    let [x, w, b] = [sketch.input("in.x")?, sketch.input("in.w")?, sketch.input("in.b")?];
    let running = [sketch.input("in.running_mean")?, sketch.input("in.running_var")?];
    let y = if case.flag("training")? {
        let [y, mean, variance] = BatchNorm { eps }.push(&mut sketch.graph, [x, w, b])?;
        let update = UpdateRunningStats::of(sketch.graph.shape(x)?, case.number("momentum")?)?;
        sketch.graph.push_all(update, &[mean, variance, running[0], running[1]])?;
        sketch.result("out.batch_mean", mean);
        sketch.result("out.batch_var_biased", variance);
        sketch.result("out.running_mean", running[0]);
        sketch.result("out.running_var", running[1]);
        y
    } else {
        sketch.graph.push(FrozenBatchNorm { eps }, &[x, w, b, running[0], running[1]])?
    };
    sketch.value_and_gradients(y, &[("x", x), ("w", w), ("b", b)])?;
    sketch.run(runner)
}

fn joint(case: &Case, runner: &Runner) -> Outcome {
    let mut sketch = Sketch::new(case);
    let (logits, labels) = (sketch.input("in.logits")?, sketch.per_image("in.labels")?);
    let y = joint_energy(&mut sketch.graph, logits, labels)?;
    sketch.value_and_gradients(y, &[("logits", logits)])?;
    sketch.run(runner)
}

fn marginal(case: &Case, runner: &Runner) -> Outcome {
    let mut sketch = Sketch::new(case);
    let logits = sketch.input("in.logits")?;
    let y = marginal_energy(&mut sketch.graph, logits)?;
    sketch.value_and_gradients(y, &[("logits", logits)])?;
    sketch.run(runner)
}

fn cross_entropy(case: &Case, runner: &Runner) -> Outcome {
    let mut sketch = Sketch::new(case);
    let (logits, labels) = (sketch.input("in.logits")?, sketch.per_image("in.labels")?);
    let label_smoothing = case.number("label_smoothing")?;
    let y = sketch.graph.push(CrossEntropy { label_smoothing }, &[logits, labels])?;
    let y = reduced(&mut sketch, y)?;
    sketch.value_and_gradients(y, &[("logits", logits)])?;
    sketch.run(runner)
}

fn binary_cross_entropy(case: &Case, runner: &Runner) -> Outcome {
    let mut sketch = Sketch::new(case);
    let (logits, targets) = (sketch.input("in.logits")?, sketch.input("in.target")?);
    let y = sketch.graph.push(BceWithLogits, &[logits, targets])?;
    let y = reduced(&mut sketch, y)?;
    sketch.value_and_gradients(y, &[("logits", logits)])?;
    sketch.run(runner)
}

/// The losses, or their mean.
fn reduced(sketch: &mut Sketch, losses: Value) -> Outcome<Value> {
    match sketch.case.text("reduction")? {
        "none" => Ok(losses),
        "mean" => {
            let scale = 1.0 / sketch.graph.shape(losses)?.elements() as f32;
            Ok(sketch.graph.push(Sum { scale }, &[losses])?)
        }
        other => Fault::unsupported(format_args!("reduction {other}")),
    }
}
