//! Compares whole networks and single blocks with PyTorch's reference values: outputs, gradients for images and weights, running
//! statistics.

use crate::Handlers;
use crate::case::{Case, Fault, Outcome};
use crate::run::{Runner, Sketch};
use lapidary::graph::{Graph, Shape, Value};
use lapidary::model::{
    Activation, Block, Bottleneck, Checkpoint, ConvNextBlock, Metadata, Mode, Network, Parameter,
    Role, StateDict, Stem, Weights, push_stem,
};
use lapidary::ops::{Add, CrossEntropy, LogSumExp, PickLogit, Sum, r1};
use std::collections::BTreeMap;

/// Single blocks.
pub const BLOCKS: Handlers = &[
    ("block_bottleneck", bottleneck),
    ("block_conv_stem", conv_stem),
    ("block_convnext", convnext),
    ("block_wrn", wide),
];

/// Whole networks.
pub const NETWORKS: Handlers =
    &[("model_eval", evaluation), ("model_train", training), ("r1", penalty)];

/// The network that a case names, and its weights.
pub fn network(case: &Case) -> Outcome<(Network, StateDict)> {
    let told = case.param("model").ok_or_else(|| Fault::Broken("params has no model".into()))?;
    let mut checkpoint = Checkpoint::read(case.weights_file()?)?;
    // What the case says counts, not what the file with the weights does.
    let strings = BTreeMap::from([("params".to_owned(), told.to_string())]);
    checkpoint.metadata = Metadata::from_strings(strings).map_err(Fault::Broken)?;
    let model = Network::from_checkpoint(&checkpoint)?;
    Ok((model, checkpoint.weights))
}

/// The trained weights, with the prefix that their gradients have.
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

/// R1 and its gradients for the weights, through derivatives of derivatives.
fn penalty(case: &Case, runner: &Runner) -> Outcome {
    let (model, state) = network(case)?;
    let mut sketch = Sketch::new(case);
    let x = sketch.input("in.x")?;
    let weights = sketch.weights(&model.parameters(), &state)?;
    let logits = model.logits(&mut sketch.graph, x, &weights, Mode::Frozen)?;
    let score = match case.text("target")? {
        "joint" => {
            let labels = sketch.per_image("in.labels")?;
            sketch.graph.push(PickLogit, &[logits, labels])?
        }
        "logsumexp" => sketch.graph.push(LogSumExp, &[logits])?,
        other => return Fault::unsupported(format_args!("target {other}")),
    };
    let ones = sketch.constant(sketch.graph.shape(score)?, 1.0);
    let r1 = r1(&mut sketch.graph, score, ones, x)?;
    sketch.result("out.r1", r1);
    sketch.result("logits", logits); // which alone reads the last bias
    // In training R1 stands beside losses; without one the last bias would have no derivative rather than 0.
    let nothing = sketch.graph.push(Sum { scale: 0.0 }, &[score])?;
    let loss = sketch.graph.push(Add, &[r1, nothing])?;
    let one = sketch.constant(Shape::SCALAR, 1.0);
    let of: Vec<_> = trained(&weights, "param.").collect();
    let of: Vec<_> = of.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    sketch.gradients(loss, one, &of)?;
    sketch.run(runner)
}

fn wide(case: &Case, runner: &Runner) -> Outcome {
    let unknown = || Fault::Broken("params has an unknown act".into());
    let activation = Activation::parse(case.text("act")?).ok_or_else(unknown)?;
    let stride = case.count("stride")?;
    block(case, runner, case.flag("train")?, |graph, x, weights, mode| {
        let first = graph.shape(weights.get("conv1.weight")?)?;
        let (prefix, inputs, outputs) = (String::new(), first.channels(), first.images());
        Block { prefix, inputs, outputs, stride, activation, variant: None }
            .push(graph, x, weights, mode)
    })
}

fn bottleneck(case: &Case, runner: &Runner) -> Outcome {
    let stride = case.count("stride")?;
    block(case, runner, case.flag("train")?, |graph, x, weights, mode| {
        let first = graph.shape(weights.get("conv1.weight")?)?;
        let (prefix, inputs, inner) = (String::new(), first.channels(), first.images());
        let outputs = graph.shape(weights.get("conv3.weight")?)?.images();
        Bottleneck { prefix, inputs, inner, outputs, stride, basic: false }
            .push(graph, x, weights, mode)
    })
}

fn convnext(case: &Case, runner: &Runner) -> Outcome {
    block(case, runner, false, |graph, x, weights, _| {
        ConvNextBlock { prefix: String::new() }.push(graph, x, weights)
    })
}

fn conv_stem(case: &Case, runner: &Runner) -> Outcome {
    let strides: Vec<_> = case.numbers("strides")?.iter().map(|&stride| stride as u32).collect();
    block(case, runner, false, |graph, x, weights, _| {
        push_stem(
            graph,
            x,
            weights,
            &Stem::Convs { channels: Vec::new(), strides: strides.clone() },
        )
    })
}

/// A block whose weights are in the case.
fn block(
    case: &Case,
    runner: &Runner,
    training: bool,
    push: impl Fn(&mut Graph, Value, &Weights, &mut Mode) -> lapidary::Result<Value>,
) -> Outcome {
    let state = case.state("in.w.")?;
    let parameter = |(name, tensor): (&str, &lapidary::model::Tensor)| Parameter {
        name: name.into(),
        shape: tensor.shape.clone(),
        role: Role::Weight,
    };
    let parameters: Vec<_> = state.iter().map(parameter).collect();
    let mut sketch = Sketch::new(case);
    let (x, weights) = (sketch.input("in.x")?, sketch.weights(&parameters, &state)?);
    let mut updates = Vec::new();
    let mut mode = if training { Mode::Training(&mut updates) } else { Mode::Frozen };
    let y = push(&mut sketch.graph, x, &weights, &mut mode)?;
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
