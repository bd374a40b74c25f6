//! EfficientNet-Lite0 (Tan and Le 2019, arXiv 1905.11946; the Lite variant has ReLU6 for SiLU and no squeeze and excitation) with
//! the tensor names of the PyPI package efficientnet-lite-pytorch: TensorFlow's padding, batch norm by running statistics.

use super::extractor::Extracted;
use super::layers::{batch_norm_parameters, linear, push as parameter, push_biased};
use super::{Parameter, Role, Weights};
use crate::Result;
use crate::graph::{Graph, Value};
use crate::ops::{Add, Conv2d, FrozenBatchNorm, GlobalAvgPool, GroupedConv2d, Pad, Unary};

/// The height and width, in pixels, of the images that EfficientNet-Lite0 takes.
pub const SIDE: u32 = 224;

/// The number of EfficientNet-Lite0's classes, which are those of ImageNet.
pub const CLASSES: u32 = 1000;

/// The small number that batch normalisation adds to the variance.
const EPS: f32 = 1e-3;

/// Channels behind the first convolution.
const STEM: u32 = 32;

/// The number of features before the last layer.
const HEAD: u32 = 1280;

/// The stages: blocks, side of the kernel, stride of the first block, expansion, channels of each.
const STAGES: [[u32; 5]; 7] = [
    [1, 3, 1, 1, 16],
    [2, 3, 2, 6, 24],
    [2, 5, 2, 6, 40],
    [3, 3, 2, 6, 80],
    [3, 5, 1, 6, 112],
    [4, 5, 2, 6, 192],
    [1, 3, 1, 6, 320],
];

/// An inverted bottleneck: expansion (unless it is 1), depthwise convolution, projection.
struct Block {
    prefix: String,
    inputs: u32,
    expansion: u32,
    kernel: u32,
    stride: u32,
    outputs: u32,
}

fn blocks() -> Vec<Block> {
    let (mut blocks, mut inputs) = (Vec::new(), STEM);
    for [repeats, kernel, first_stride, expansion, outputs] in STAGES {
        for j in 0..repeats {
            let stride = if j == 0 { first_stride } else { 1 };
            let prefix = format!("_blocks.{}.", blocks.len());
            blocks.push(Block { prefix, inputs, expansion, kernel, stride, outputs });
            inputs = outputs;
        }
    }
    blocks
}

/// Returns the names, shapes and roles of all tensors of EfficientNet-Lite0, in the order of the PyTorch package's state dict.
pub fn parameters() -> Vec<Parameter> {
    let mut all = Vec::new();
    let mut layer = |conv: &str, norm: &str, shape: [u32; 4]| {
        let shape = shape.map(|side| side as usize);
        parameter(&mut all, &format!("{conv}.weight"), &shape, Role::Weight);
        batch_norm_parameters(&mut all, norm, shape[0] as u32);
    };
    layer("_conv_stem", "_bn0", [STEM, 3, 3, 3]);
    for Block { prefix, inputs, expansion, kernel, outputs, .. } in blocks() {
        let name = |part: &str| format!("{prefix}{part}");
        let inner = inputs * expansion;
        if expansion != 1 {
            layer(&name("_expand_conv"), &name("_bn0"), [inner, inputs, 1, 1]);
        }
        layer(&name("_depthwise_conv"), &name("_bn1"), [inner, 1, kernel, kernel]);
        layer(&name("_project_conv"), &name("_bn2"), [outputs, inner, 1, 1]);
    }
    let [.., [.., last]] = STAGES;
    layer("_conv_head", "_bn1", [HEAD, last, 1, 1]);
    push_biased(&mut all, "_fc", &[CLASSES, HEAD]);
    all
}

/// Adds the nodes by which EfficientNet-Lite0 computes features and logits from normalised images of three channels and [`SIDE`]
/// rows and columns.
pub fn push(graph: &mut Graph, x: Value, weights: &Weights) -> Result<Extracted> {
    let mut h = layer(graph, x, weights, ["_conv_stem", "_bn0"], 2, false)?;
    h = graph.push(Unary::Relu6, &[h])?;
    for block in blocks() {
        h = block.push(graph, h, weights)?;
    }
    h = layer(graph, h, weights, ["_conv_head", "_bn1"], 1, false)?;
    h = graph.push(Unary::Relu6, &[h])?;
    let features = graph.push(GlobalAvgPool, &[h])?;
    let logits = linear(graph, features, weights, "_fc")?;
    Ok(Extracted { features, logits })
}

impl Block {
    fn push(&self, graph: &mut Graph, x: Value, weights: &Weights) -> Result<Value> {
        let names =
            |conv: &str, norm: &str| [conv, norm].map(|part| format!("{}{part}", self.prefix));
        let part = |graph: &mut Graph, x, conv: &str, norm: &str, stride, depthwise| {
            let [conv, norm] = names(conv, norm);
            layer(graph, x, weights, [&conv, &norm], stride, depthwise)
        };
        let mut h = x;
        if self.expansion != 1 {
            h = part(graph, h, "_expand_conv", "_bn0", 1, false)?;
            h = graph.push(Unary::Relu6, &[h])?;
        }
        h = part(graph, h, "_depthwise_conv", "_bn1", self.stride, true)?;
        h = graph.push(Unary::Relu6, &[h])?;
        h = part(graph, h, "_project_conv", "_bn2", 1, false)?;
        let same = self.stride == 1 && self.inputs == self.outputs;
        if same { graph.push(Add, &[h, x]) } else { Ok(h) }
    }
}

/// A convolution with TensorFlow's SAME padding and the normalisation behind it. Where the padding is odd, the extra
/// zeros are below and to the right.
fn layer(
    graph: &mut Graph,
    x: Value,
    weights: &Weights,
    [conv, norm]: [&str; 2],
    stride: u32,
    depthwise: bool,
) -> Result<Value> {
    let w = weights.get(&format!("{conv}.weight"))?;
    let (images, kernel) = (graph.shape(x)?, graph.shape(w)?);
    let padding = |side: u32, kernel: u32| {
        ((side.div_ceil(stride) - 1) * stride + kernel).saturating_sub(side)
    };
    let [down, across] =
        [padding(images.height(), kernel.height()), padding(images.width(), kernel.width())];
    let pad = Pad { bottom: down % 2, right: across % 2, ..Pad::default() };
    let x = if pad == Pad::default() { x } else { graph.push(pad, &[x])? };
    let op = Conv2d { stride: [stride; 2], padding: [down / 2, across / 2] };
    let h = if depthwise {
        graph.push(GroupedConv2d { conv: op, groups: images.channels() }, &[x, w])?
    } else {
        graph.push(op, &[x, w])?
    };
    frozen_norm(graph, h, weights, norm, EPS)
}

/// Batch normalisation by the running statistics.
pub(super) fn frozen_norm(
    graph: &mut Graph,
    x: Value,
    weights: &Weights,
    name: &str,
    eps: f32,
) -> Result<Value> {
    let of = |part: &str| weights.get(&format!("{name}.{part}"));
    let inputs = [x, of("weight")?, of("bias")?, of("running_mean")?, of("running_var")?];
    graph.push(FrozenBatchNorm { eps }, &inputs)
}
