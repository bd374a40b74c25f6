//! Building blocks that several networks share: modes of batch normalisation, layers with their weights' names, and checks of
//! sizes.

use super::{Activation, Normalisation, Parameter, Role, StateDict, Weights};
use crate::graph::{Graph, Value};
use crate::ops::{
    BatchNorm, Broadcast, Conv2d, FrozenBatchNorm, LayerNorm, Linear, Normalise, Unary,
    UpdateRunningStats,
};
use crate::{Error, Result};

/// PyTorch's defaults for batch normalisation.
const EPS: f32 = 1e-5;
const MOMENTUM: f32 = 0.1;

/// Slope of a leaky rectifier below 0.
const LEAK: f32 = 0.2;

/// ConvNeXt's for layer normalisation.
const LAYER_NORM_EPS: f32 = 1e-6;

/// Which statistics batch normalisation uses in a forward pass.
#[derive(Debug)]
pub enum Mode<'a> {
    /// The running statistics, which stay as they are: PyTorch's eval mode.
    Frozen,
    /// The batch's own statistics: PyTorch's training mode. The updates of the running statistics are appended to this vector;
    /// where the caller does not push them into the graph, the running statistics stay as they are.
    Training(&'a mut Vec<RunningUpdate>),
}

/// An update of one layer's running statistics, ready to be pushed into the graph.
#[derive(Clone, Copy, Debug)]
pub struct RunningUpdate {
    op: UpdateRunningStats,
    inputs: [Value; 4],
}

impl RunningUpdate {
    /// Makes an update from the values of the batch's mean and variance and of the running mean and variance.
    pub(super) fn new(op: UpdateRunningStats, inputs: [Value; 4]) -> Self {
        Self { op, inputs }
    }

    /// Adds the update to the graph: each run of the graph then updates the running statistics.
    pub fn push(self, graph: &mut Graph) -> Result<()> {
        graph.push_all(self.op, &self.inputs).map(drop)
    }
}

pub(super) fn batch_norm(
    graph: &mut Graph,
    x: Value,
    weights: &Weights,
    name: &str,
    mode: &mut Mode,
) -> Result<Value> {
    let of = |part: &str| weights.get(&format!("{name}.{part}"));
    let (gamma, beta) = (of("weight")?, of("bias")?);
    let (running_mean, running_variance) = (of("running_mean")?, of("running_var")?);
    match mode {
        Mode::Frozen => {
            let inputs = [x, gamma, beta, running_mean, running_variance];
            graph.push(FrozenBatchNorm { eps: EPS }, &inputs)
        }
        Mode::Training(updates) => {
            let [y, mean, variance] = BatchNorm { eps: EPS }.push(graph, [x, gamma, beta])?;
            let op = UpdateRunningStats::of(graph.shape(x)?, MOMENTUM)?;
            let inputs = [mean, variance, running_mean, running_variance];
            updates.push(RunningUpdate::new(op, inputs));
            Ok(y)
        }
    }
}

pub(super) fn activate(graph: &mut Graph, x: Value, activation: Activation) -> Result<Value> {
    match activation {
        Activation::Relu => graph.push(Unary::Relu, &[x]),
        Activation::Silu => graph.push(Unary::Silu, &[x]),
        Activation::LeakyRelu => graph.push(Unary::LeakyRelu { slope: LEAK }, &[x]),
    }
}

pub(super) fn batch_norm_parameters(all: &mut Vec<Parameter>, name: &str, channels: u32) {
    for (part, role) in [
        ("weight", Role::Weight),
        ("bias", Role::Weight),
        ("running_mean", Role::Statistic),
        ("running_var", Role::Statistic),
    ] {
        push(all, &format!("{name}.{part}"), &[channels as usize], role);
    }
}

pub(super) fn push(all: &mut Vec<Parameter>, name: &str, shape: &[usize], role: Role) {
    all.push(Parameter { name: name.into(), shape: shape.into(), role });
}

/// Images as the network wants them.
pub(super) fn normalise(
    graph: &mut Graph,
    x: Value,
    normalisation: Option<&Normalisation>,
) -> Result<Value> {
    match normalisation {
        Some(Normalisation { mean, std }) => {
            graph.push(Normalise { mean: mean.clone(), std: std.clone() }, &[x])
        }
        None => Ok(x),
    }
}

/// Convolution `name` without a bias.
pub(super) fn conv(
    graph: &mut Graph,
    x: Value,
    weights: &Weights,
    name: &str,
    conv: Conv2d,
) -> Result<Value> {
    graph.push(conv, &[x, weights.get(&format!("{name}.weight"))?])
}

/// Convolution `name` with a bias. A linear layer's weights are those of a 1x1 convolution.
pub(super) fn conv_bias(
    graph: &mut Graph,
    x: Value,
    weights: &Weights,
    name: &str,
    op: Conv2d,
) -> Result<Value> {
    let y = conv(graph, x, weights, name, op)?;
    graph.push(Broadcast::Add, &[y, weights.get(&format!("{name}.bias"))?])
}

/// Layer `name` with a bias from pooled maps to logits.
pub(super) fn linear(graph: &mut Graph, x: Value, weights: &Weights, name: &str) -> Result<Value> {
    let [w, b] = ["weight", "bias"].map(|part| weights.get(&format!("{name}.{part}")));
    graph.push(Linear { bias: true }, &[x, w?, b?])
}

/// Layer normalisation `name` over the channels of each pixel.
pub(super) fn layer_norm(
    graph: &mut Graph,
    x: Value,
    weights: &Weights,
    name: &str,
) -> Result<Value> {
    let [gamma, beta] = ["weight", "bias"].map(|part| weights.get(&format!("{name}.{part}")));
    LayerNorm { eps: LAYER_NORM_EPS }.push(graph, [x, gamma?, beta?])
}

/// Appends a weight of this shape, and a bias as long as its first dimension.
pub(super) fn push_biased(all: &mut Vec<Parameter>, name: &str, shape: &[u32]) {
    let shape: Vec<_> = shape.iter().map(|&side| side as usize).collect();
    push(all, &format!("{name}.weight"), &shape, Role::Weight);
    push(all, &format!("{name}.bias"), shape.get(..1).unwrap_or_default(), Role::Weight);
}

/// Err, in the name of `op`, beyond 4 channels or 65,536 classes, and for a normalisation of other channels.
pub(super) fn check_ends(
    op: &'static str,
    channels: u32,
    classes: u32,
    normalisation: Option<&Normalisation>,
) -> Result<()> {
    if !(1..=4).contains(&channels) || !(1..=1 << 16).contains(&classes) {
        let given = format_args!("{channels} channels, {classes} classes");
        return Err(Error::mismatch(op, given, "1 to 4 channels, 1 to 65536 classes"));
    }
    if let Some(Normalisation { mean, std }) = normalisation {
        let lengths = [mean.len(), std.len()];
        if lengths != [channels as usize; 2]
            || mean.iter().any(|mean| !mean.is_finite())
            || std.iter().any(|&std| !(std > 0.0 && std.is_finite()))
        {
            let given = format_args!("mean {mean:?}, std {std:?}");
            let wanted = format_args!(
                "a finite mean and a finite std above 0 for each channel, of which there are {channels}"
            );
            return Err(Error::mismatch(op, given, wanted));
        }
    }
    Ok(())
}

/// Err, in the name of `op`, unless depths and widths of four stages are sane.
pub(super) fn check_stages(op: &'static str, depths: [u32; 4], dims: [u32; 4]) -> Result<()> {
    if depths.iter().any(|depth| !(1..=1000).contains(depth)) {
        return Err(Error::mismatch(
            op,
            format_args!("depths {depths:?}"),
            "1 to 1000 blocks in each stage",
        ));
    }
    if dims.iter().any(|dim| !(1..=8192).contains(dim)) {
        return Err(Error::mismatch(
            op,
            format_args!("dims {dims:?}"),
            "1 to 8192 channels in each stage",
        ));
    }
    Ok(())
}

/// Returns a value that metadata or the shape of a tensor must show. Err, naming `op`, if neither does.
pub(super) fn known<T>(op: &'static str, key: &str, value: Option<T>) -> Result<T> {
    let wanted = match key {
        "classes" => {
            "this key in the metadata, or the weight of the last layer, which has a row for each class"
        }
        "channels" => "this key in the metadata, or the weight of the first convolution",
        _ => "this key in the metadata, or tensors whose shapes show it",
    };
    value.ok_or_else(|| Error::mismatch(op, format_args!("no value for {key}"), wanted))
}

/// Returns a list that metadata must have, with one number for each of the four stages.
pub(super) fn known_stages(op: &'static str, key: &str, list: Option<&[u32]>) -> Result<[u32; 4]> {
    let list = known(op, key, list)?;
    list.try_into().map_err(|_| {
        Error::mismatch(op, format_args!("{key} {list:?}"), "4 numbers, one for each stage")
    })
}

/// Returns dimension `at` of the tensor `name`, if it is there.
pub(super) fn side(weights: &StateDict, name: &str, at: usize) -> Option<u32> {
    weights.get(name).ok()?.shape.get(at).copied()?.try_into().ok()
}

/// Counts the tensors named `name(0)`, `name(1)`, ... up to the first gap.
pub(super) fn run_of(weights: &StateDict, name: impl Fn(u32) -> String) -> u32 {
    (0..1000).take_while(|&j| weights.get(&name(j)).is_ok()).count() as u32
}
