//! Whole networks and single blocks: outputs, gradients for images and weights, running statistics.

use crate::Handlers;
use crate::case::{Case, Fault, Outcome};
use crate::run::{Runner, Sketch};
use lapidary::graph::{Shape, Value};
use lapidary::model::{
    Activation, Block, Checkpoint, Metadata, Mode, Parameter, Role, StateDict, Weights, WideResNet,
};
use lapidary::ops::{CrossEntropy, LogSumExp, PickLogit, Sum};
use std::collections::BTreeMap;

/// Single blocks.
pub const BLOCKS: Handlers = &[("block_wrn", block)];

/// Whole networks.
pub const NETWORKS: Handlers = &[("model_eval", evaluation), ("model_train", training)];

/// The network that a case names, and its weights.
pub fn network(case: &Case) -> Outcome<(WideResNet, StateDict)> {
    let told = case.param("model").ok_or_else(|| Fault::Broken("params has no model".into()))?;
    match told.get("arch").and_then(|arch| arch.as_str()) {
        Some("wrn") => {}
        other => return Fault::unsupported(format_args!("model {}", other.unwrap_or("unnamed"))),
    }
    let mut checkpoint = Checkpoint::read(case.weights_file()?)?;
    // What the case says counts, not what the file with the weights does.
    let strings = BTreeMap::from([("params".to_owned(), told.to_string())]);
    checkpoint.metadata = Metadata::from_strings(strings).map_err(Fault::Broken)?;
    let model = WideResNet::from_checkpoint(&checkpoint)?;
    Ok((model, checkpoint.weights))
}

/// What is trained, with the prefix that its gradients have.
fn trained<'a>(
    weights: &'a Weights,
    prefix: &'a str,
) -> impl Iterator<Item = (String, Value)> + 'a {
    let statistic = |name: &str| name.contains(".running_");
    let named = weights.iter().filter(move |(name, _)| !statistic(name));
    named.map(move |(name, value)| (format!("{prefix}{name}"), value))
}

fn evaluation(case: &Case, runner: &Runner) -> Outcome {
    let (model, state) = network(case)?;
    let mut sketch = Sketch::new(case);
    let (x, labels) = (sketch.input("in.x")?, sketch.per_image("in.labels")?);
    let weights = sketch.weights(&model.parameters(), &state)?;
    let logits = model.logits(&mut sketch.graph, x, &weights, Mode::Frozen)?;
    let sum = sketch.graph.push(LogSumExp, &[logits])?;
    let picked = sketch.graph.push(PickLogit, &[logits, labels])?;
    sketch.result("out.logits", logits);
    sketch.result("out.logsumexp", sum);
    let ones = sketch.constant(sketch.graph.shape(labels)?, 1.0);
    sketch.gradients(picked, ones, &[("x.joint", x)])?;
    sketch.gradients(sum, ones, &[("x.logsumexp", x)])?;
    cross_entropy(&mut sketch, x, logits, labels, &weights)?;
    sketch.run(runner)
}

fn training(case: &Case, runner: &Runner) -> Outcome {
    let (model, state) = network(case)?;
    let mut sketch = Sketch::new(case);
    let (x, labels) = (sketch.input("in.x")?, sketch.per_image("in.labels")?);
    let weights = sketch.weights(&model.parameters(), &state)?;
    let mut updates = Vec::new();
    let logits = model.logits(&mut sketch.graph, x, &weights, Mode::Training(&mut updates))?;
    for update in updates {
        update.push(&mut sketch.graph)?;
    }
    sketch.result("out.logits", logits);
    cross_entropy(&mut sketch, x, logits, labels, &weights)?;
    statistics(&mut sketch, &weights);
    sketch.run(runner)
}

/// The mean loss and its gradients.
fn cross_entropy(
    sketch: &mut Sketch,
    x: Value,
    logits: Value,
    labels: Value,
    weights: &Weights,
) -> Outcome<()> {
    let scale = 1.0 / sketch.graph.shape(labels)?.images() as f32;
    let losses = sketch.graph.push(CrossEntropy { label_smoothing: 0.0 }, &[logits, labels])?;
    let loss = sketch.graph.push(Sum { scale }, &[losses])?;
    sketch.result("out.ce_loss", loss);
    let one = sketch.constant(Shape::SCALAR, 1.0);
    let mut of: Vec<_> = trained(weights, "param.").collect();
    of.push(("x.ce".into(), x));
    let of: Vec<_> = of.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    sketch.gradients(loss, one, &of)
}

/// Running statistics as they are afterwards.
fn statistics(sketch: &mut Sketch, weights: &Weights) {
    for (name, value) in weights.iter().filter(|(name, _)| name.contains(".running_")) {
        sketch.result(&format!("out.buffer.{name}"), value);
    }
}

fn block(case: &Case, runner: &Runner) -> Outcome {
    let unknown = || Fault::Broken("params has an unknown act".into());
    let activation = Activation::parse(case.text("act")?).ok_or_else(unknown)?;
    let state = case.state("in.w.")?;
    let parameter = |(name, tensor): (&str, &lapidary::model::Tensor)| Parameter {
        name: name.into(),
        shape: tensor.shape.clone(),
        role: Role::Weight,
    };
    let parameters: Vec<_> = state.iter().map(parameter).collect();
    let mut sketch = Sketch::new(case);
    let (x, weights) = (sketch.input("in.x")?, sketch.weights(&parameters, &state)?);
    let first = sketch.graph.shape(weights.get("conv1.weight")?)?;
    let block = Block {
        prefix: String::new(),
        inputs: first.channels(),
        outputs: first.images(),
        stride: case.count("stride")?,
        activation,
    };
    let (mut updates, training) = (Vec::new(), case.flag("train")?);
    let mut mode = if training { Mode::Training(&mut updates) } else { Mode::Frozen };
    let y = block.push(&mut sketch.graph, x, &weights, &mut mode)?;
    for update in updates {
        update.push(&mut sketch.graph)?;
    }
    let mut of: Vec<_> = trained(&weights, "w.").collect();
    of.push(("x".into(), x));
    let of: Vec<_> = of.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    sketch.value_and_gradients(y, &of)?;
    if training {
        statistics(&mut sketch, &weights);
    }
    sketch.run(runner)
}
