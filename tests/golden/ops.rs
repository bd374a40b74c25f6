//! Operators, forward and backward.

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
    ("energy_joint", joint),
    ("energy_marginal", marginal),
    ("global_avg_pool", |case, runner| {
        unary(case, runner, |graph, x| graph.push(GlobalAvgPool, &[x]))
    }),
    ("input_normalise", input_normalise),
    ("linear", linear),
    ("logsumexp", log_sum_exp),
    ("relu", |case, runner| unary(case, runner, |graph, x| graph.push(Relu, &[x]))),
    ("silu", |case, runner| unary(case, runner, |graph, x| graph.push(Silu, &[x]))),
];

/// One input, no parameters.
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
    let y = if same { graph.push(Add, &[a, b])? } else { graph.push(BroadcastAdd, &[a, b])? };
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

fn conv2d(case: &Case, runner: &Runner) -> Outcome {
    if case.count("groups")? != 1 {
        return Fault::unsupported("groups");
    }
    if case.pair("dilation")? != [1, 1] {
        return Fault::unsupported("dilation");
    }
    let (stride, padding) = (case.pair("stride")?, case.pair("padding")?);
    let mut sketch = Sketch::new(case);
    let (x, w) = (sketch.input("in.x")?, sketch.input("in.w")?);
    let mut y = sketch.graph.push(Conv2d { stride, padding }, &[x, w])?;
    let mut inputs = vec![("x", x), ("w", w)];
    if case.has("in.b") {
        let b = sketch.input("in.b")?;
        y = sketch.graph.push(BroadcastAdd, &[y, b])?;
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
