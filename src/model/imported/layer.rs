//! Defines one layer of a network imported from ONNX, and how it is written as a line in a checkpoint's metadata.

use crate::graph::{Graph, Value};
use crate::model::layers::Mode;
use crate::model::{Parameter, Role, RunningUpdate, Weights};
use crate::ops::{
    Add, AvgPool, BatchNorm, Broadcast, ConcatChannels, Conv2d, FrozenBatchNorm, GlobalAvgPool,
    GroupNorm, GroupedConv2d, LayerNorm, Linear, LocalMean, MaxPool, Mul, Pad, Reshape, Scale,
    Unary, UpdateRunningStats,
};
use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// PyTorch's default for batch normalisation: files do not say what a network was trained with.
const MOMENTUM: f32 = 0.1;

/// The largest number of values that one layer joins: beyond what the widest of networks do.
pub const MOST_JOINED: usize = 64;

/// The operation of a layer. Maps are \[N, C, H, W\], and matrices \[N, C, 1, 1\].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A convolution: weights \[O, I / groups, R, C\], or \[O, I\] for one pixel.
    Conv {
        /// The convolution's stride and padding.
        conv: Conv2d,
        /// The number of groups; with 1 each output channel is computed from all input channels.
        groups: u32,
    },
    /// A linear layer of a matrix: weights \[O, I\], and a bias \[O\] if there is a second tensor.
    Linear,
    /// Batch normalisation: gamma, beta, mean and variance, each \[C\].
    BatchNorm {
        /// The number added to the variance.
        eps: f32,
    },
    /// Normalises over the channels of each pixel, with gamma and beta, each \[C\].
    LayerNorm {
        /// The number added to the variance.
        eps: f32,
    },
    /// Normalises over each group of an image's channels, with gamma and beta, each \[C\].
    GroupNorm {
        /// The number of groups: a divisor of C.
        groups: u32,
        /// The number added to the variance.
        eps: f32,
    },
    /// Joins several feature maps along their channels.
    Concat,
    /// Adds one number to each channel; the numbers are \[C\].
    ChannelAdd,
    /// Multiplies each channel by one number; the numbers are \[C\].
    ChannelMul,
    /// The sum of two feature maps; the second may have one pixel for each image and channel.
    Add,
    /// The product of two feature maps, value by value; the second may have one pixel for each image and channel.
    Mul,
    /// Multiplies all values by one number.
    Scale {
        /// The number that all values are multiplied by.
        factor: f32,
    },
    /// An element-wise function, such as ReLU.
    Unary(Unary),
    /// Max pooling: the largest value of each window.
    MaxPool(MaxPool),
    /// Average pooling: the mean of each window, for windows that follow each other without overlap.
    AvgPool {
        /// The side of a pooling window.
        kernel: u32,
    },
    /// The mean of the pixels around each pixel that lie in the image, a pooling of stride 1.
    LocalMean {
        /// Half of the side of the window that is averaged, rounded down.
        reach: u32,
    },
    /// Global average pooling: the mean of each channel of each image.
    GlobalAvgPool,
    /// Puts zeros around feature maps.
    Pad(Pad),
    /// Turns feature maps into a matrix \[N, C H W\].
    Flatten,
}

/// A layer, its inputs (0 for the images, i for the result of layer i - 1) and its tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// The layer's operation, with its settings.
    pub kind: Kind,
    /// The layers whose outputs this layer takes, as many as its operation needs.
    pub inputs: Vec<usize>,
    /// Names and shapes of the layer's tensors.
    pub weights: Vec<(String, Vec<usize>)>,
}

impl Kind {
    /// Returns the operation's name in metadata, and its number of inputs, which for a concatenation is the least one.
    pub fn name(self) -> (&'static str, usize) {
        match self {
            Self::Conv { .. } => ("conv", 1),
            Self::Linear => ("linear", 1),
            Self::BatchNorm { .. } => ("batch-norm", 1),
            Self::LayerNorm { .. } => ("layer-norm", 1),
            Self::GroupNorm { .. } => ("group-norm", 1),
            Self::Concat => ("concat", 1),
            Self::ChannelAdd => ("channel-add", 1),
            Self::ChannelMul => ("channel-mul", 1),
            Self::Add => ("add", 2),
            Self::Mul => ("mul", 2),
            Self::Scale { .. } => ("scale", 1),
            Self::Unary(unary) => (unary_name(unary), 1),
            Self::MaxPool(_) => ("max-pool", 1),
            Self::AvgPool { .. } => ("avg-pool", 1),
            Self::LocalMean { .. } => ("local-mean", 1),
            Self::GlobalAvgPool => ("global-avg-pool", 1),
            Self::Pad(_) => ("pad", 1),
            Self::Flatten => ("flatten", 1),
        }
    }

    /// The numbers that go with it.
    fn numbers(self) -> Vec<String> {
        let whole = |all: &[u32]| all.iter().map(u32::to_string).collect();
        let real = |number: f32| vec![number.to_string()];
        match self {
            Self::Conv { conv: Conv2d { stride: [sy, sx], padding: [py, px] }, groups } => {
                whole(&[sy, sx, py, px, groups])
            }
            Self::BatchNorm { eps } | Self::LayerNorm { eps } => real(eps),
            Self::GroupNorm { groups, eps } => vec![groups.to_string(), eps.to_string()],
            Self::Scale { factor } => real(factor),
            Self::Unary(Unary::LeakyRelu { slope }) => real(slope),
            Self::Unary(Unary::Elu { alpha }) => real(alpha),
            Self::MaxPool(MaxPool { kernel, stride, padding }) => whole(&[kernel, stride, padding]),
            Self::AvgPool { kernel: number } | Self::LocalMean { reach: number } => {
                whole(&[number])
            }
            Self::Pad(Pad { top, bottom, left, right }) => whole(&[top, bottom, left, right]),
            _ => Vec::new(),
        }
    }

    /// Makes a kind from its name and numbers in metadata. None where they do not fit each other.
    fn parse(name: &str, numbers: &[&str]) -> Option<Self> {
        let whole: Option<Vec<u32>> = numbers.iter().map(|text| text.parse().ok()).collect();
        let real = numbers.first().and_then(|text| text.parse().ok());
        let real = real.filter(|real: &f32| real.is_finite() && numbers.len() == 1);
        let found = match (name, whole.as_deref().unwrap_or_default()) {
            ("conv", &[sy, sx, py, px, groups]) => {
                Self::Conv { conv: Conv2d { stride: [sy, sx], padding: [py, px] }, groups }
            }
            ("batch-norm", _) => Self::BatchNorm { eps: real? },
            ("layer-norm", _) => Self::LayerNorm { eps: real? },
            ("group-norm", _) => {
                let [groups, eps] = numbers else { return None };
                let eps = eps.parse().ok().filter(|eps: &f32| eps.is_finite())?;
                Self::GroupNorm { groups: groups.parse().ok()?, eps }
            }
            ("scale", _) => Self::Scale { factor: real? },
            ("leaky-relu", _) => Self::Unary(Unary::LeakyRelu { slope: real? }),
            ("elu", _) => Self::Unary(Unary::Elu { alpha: real? }),
            ("max-pool", &[kernel, stride, padding]) => {
                Self::MaxPool(MaxPool { kernel, stride, padding })
            }
            ("avg-pool", &[kernel]) => Self::AvgPool { kernel },
            ("local-mean", &[reach]) => Self::LocalMean { reach },
            ("pad", &[top, bottom, left, right]) => Self::Pad(Pad { top, bottom, left, right }),
            (_, []) if numbers.is_empty() => {
                let unary = Unary::ALL.into_iter().map(Self::Unary);
                let plain = [
                    Self::Linear,
                    Self::Concat,
                    Self::ChannelAdd,
                    Self::ChannelMul,
                    Self::Add,
                    Self::Mul,
                    Self::GlobalAvgPool,
                    Self::Flatten,
                ];
                let mut all = plain.into_iter().chain(unary);
                all.find(|kind| kind.name().0 == name && kind.numbers().is_empty())?
            }
            _ => return None,
        };
        Some(found)
    }

    /// Returns the number of dimensions of each of the layer's tensors; a linear layer's second one (the bias) may be
    /// missing.
    fn sides(self) -> &'static [&'static [usize]] {
        match self {
            Self::Conv { .. } => &[&[2, 4]],
            Self::Linear => &[&[2], &[1]],
            Self::BatchNorm { .. } => &[&[1], &[1], &[1], &[1]],
            Self::LayerNorm { .. } | Self::GroupNorm { .. } => &[&[1], &[1]],
            Self::ChannelAdd | Self::ChannelMul => &[&[1]],
            _ => &[],
        }
    }
}

fn unary_name(unary: Unary) -> &'static str {
    match unary {
        Unary::Relu => "relu",
        Unary::Relu6 => "relu6",
        Unary::Gelu => "gelu",
        Unary::Sigmoid => "sigmoid",
        Unary::Silu => "silu",
        Unary::LeakyRelu { .. } => "leaky-relu",
        Unary::Elu { .. } => "elu",
        Unary::HardSigmoid => "hard-sigmoid",
        Unary::HardSwish => "hard-swish",
        Unary::Tanh => "tanh",
        Unary::Softplus => "softplus",
        Unary::Mish => "mish",
    }
}

impl Layer {
    /// Returns the layer's tensors as parameters.
    pub fn parameters(&self) -> impl Iterator<Item = Parameter> {
        let norm = matches!(self.kind, Kind::BatchNorm { .. });
        self.weights.iter().enumerate().map(move |(place, (name, shape))| Parameter {
            name: name.clone(),
            shape: shape.clone(),
            role: if norm && place > 1 { Role::Statistic } else { Role::Weight },
        })
    }

    /// Adds the layer's nodes to a graph; `inputs` are the values of the layer's inputs.
    pub fn push(
        &self,
        graph: &mut Graph,
        inputs: &[Value],
        weights: &Weights,
        mode: &mut Mode,
    ) -> Result<Value> {
        let named = |(name, _): &(String, Vec<usize>)| weights.get(name);
        let all: Vec<Value> = inputs
            .iter()
            .map(|&value| Ok(value))
            .chain(self.weights.iter().map(named))
            .collect::<Result<_>>()?;
        match (self.kind, &all[..]) {
            (Kind::Conv { conv, groups: 1 }, _) => graph.push(conv, &all),
            (Kind::Conv { conv, groups }, _) => graph.push(GroupedConv2d { conv, groups }, &all),
            (Kind::Linear, _) => graph.push(Linear { bias: self.weights.len() == 2 }, &all),
            (Kind::BatchNorm { eps }, &[x, gamma, beta, mean, variance]) => match mode {
                Mode::Frozen => graph.push(FrozenBatchNorm { eps }, &all),
                Mode::Training(updates) => {
                    let [y, mean_now, variance_now] =
                        BatchNorm { eps }.push(graph, [x, gamma, beta])?;
                    let op = UpdateRunningStats::of(graph.shape(x)?, MOMENTUM)?;
                    updates.push(RunningUpdate::new(op, [mean_now, variance_now, mean, variance]));
                    Ok(y)
                }
            },
            (Kind::LayerNorm { eps }, &[x, gamma, beta]) => {
                LayerNorm { eps }.push(graph, [x, gamma, beta])
            }
            (Kind::GroupNorm { groups, eps }, &[x, gamma, beta]) => {
                GroupNorm { groups, eps }.push(graph, [x, gamma, beta])
            }
            (Kind::Concat, _) => graph.push(ConcatChannels, &all),
            (Kind::ChannelAdd, _) => graph.push(Broadcast::Add, &all),
            (Kind::ChannelMul, _) => graph.push(Broadcast::Mul, &all),
            (Kind::Add, &[a, b]) => {
                joined(graph, [a, b], |graph, all| graph.push(Add, all), Broadcast::Add)
            }
            (Kind::Mul, &[a, b]) => {
                joined(graph, [a, b], |graph, all| graph.push(Mul, all), Broadcast::Mul)
            }
            (Kind::Scale { factor }, _) => graph.push(Scale { factor }, &all),
            (Kind::Unary(unary), _) => graph.push(unary, &all),
            (Kind::MaxPool(pool), &[x]) => pool.push(graph, x),
            (Kind::AvgPool { kernel }, _) => graph.push(AvgPool { kernel }, &all),
            (Kind::LocalMean { reach }, _) => graph.push(LocalMean { reach }, &all),
            (Kind::GlobalAvgPool, _) => graph.push(GlobalAvgPool, &all),
            (Kind::Pad(pad), _) => graph.push(pad, &all),
            (Kind::Flatten, &[x]) => {
                let flat = Reshape::flat(graph.shape(x)?)?;
                graph.push(flat, &[x])
            }
            (kind, _) => {
                let (name, count) = (kind.name().0, all.len());
                let given = format_args!("a layer {name} with {count} inputs and weights in all");
                Err(Error::mismatch(
                    "imported network",
                    given,
                    "as many as this kind of layer takes",
                ))
            }
        }
    }
}

/// Two values element by element; one number for each image and channel is the same for all its pixels.
fn joined(
    graph: &mut Graph,
    [a, b]: [Value; 2],
    alike: impl Fn(&mut Graph, &[Value]) -> Result<Value>,
    spread: Broadcast,
) -> Result<Value> {
    let (whole, part) = (graph.shape(a)?, graph.shape(b)?);
    let ends = [whole.images(), whole.channels()] == [part.images(), part.channels()];
    if whole == part || !ends || part.pixels() != 1 {
        return alike(graph, &[a, b]);
    }
    graph.push(spread, &[a, b])
}

/// `conv 0 / 1 1 1 1 1 / conv1.weight@16x3x3x3`: name and inputs, numbers, tensors.
impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.kind.name().0)?;
        self.inputs.iter().try_for_each(|input| write!(f, " {input}"))?;
        f.write_str(" /")?;
        self.kind.numbers().iter().try_for_each(|number| write!(f, " {number}"))?;
        f.write_str(" /")?;
        self.weights.iter().try_for_each(|(name, shape)| {
            let sides: Vec<String> = shape.iter().map(usize::to_string).collect();
            write!(f, " {name}@{}", sides.join("x"))
        })
    }
}

impl FromStr for Layer {
    type Err = String;

    /// Reads a layer from its line in metadata. The caller checks that its inputs are earlier layers. Whether its inputs
    /// come before it is for the caller to see.
    fn from_str(line: &str) -> std::result::Result<Self, String> {
        let wrong = || {
            let short: String = line.chars().take(80).collect();
            format!("not a layer: {}", short.escape_debug())
        };
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut parts = words.split(|word| *word == "/");
        let (Some([name, inputs @ ..]), Some(numbers), Some(weights), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        let kind = Kind::parse(name, numbers).ok_or_else(wrong)?;
        let inputs: Option<Vec<usize>> = inputs.iter().map(|input| input.parse().ok()).collect();
        let weight = |word: &&str| {
            let (name, sides) = word.rsplit_once('@')?;
            let sides: Option<Vec<usize>> =
                sides.split('x').map(|side| side.parse().ok()).collect();
            Some((name.to_owned(), sides?))
        };
        let weights: Option<Vec<_>> = weights.iter().map(weight).collect();
        let layer =
            Self { kind, inputs: inputs.ok_or_else(wrong)?, weights: weights.ok_or_else(wrong)? };
        let (sides, count) = (kind.sides(), layer.weights.len());
        let counts = count == sides.len() || kind == Kind::Linear && count == 1;
        let fits = layer.weights.iter().zip(sides).all(|((_, shape), allowed)| {
            let product = shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
            allowed.contains(&shape.len())
                && product.is_some_and(|count| (1..=1 << 30).contains(&count))
        });
        let (_, inputs) = kind.name();
        let given = layer.inputs.len();
        let joined = kind == Kind::Concat && (inputs..=MOST_JOINED).contains(&given);
        if !(given == inputs || joined) || !counts || !fits {
            return Err(wrong());
        }
        Ok(layer)
    }
}
