//! Wide residual networks (Zagoruyko and Komodakis 2016, arXiv 1605.07146) with pre-activation blocks.

use super::layers::{
    Mode, activate, batch_norm, batch_norm_parameters, check_ends, conv, conv_bias, known, linear,
    normalise, push, push_biased, run_of, side,
};
use super::{Activation, Checkpoint, Metadata, Normalisation, Parameter, Role, Variant, Weights};
use crate::graph::{Graph, Value};
use crate::ops::{Add, Conv2d, GlobalAvgPool, Pad};
use crate::{Error, Result};

/// A wide residual network WRN-`depth`-`width`, such as WRN-34-10.
#[derive(Clone, Debug, PartialEq)]
pub struct WideResNet {
    depth: u32,
    width: u32,
    channels: u32,
    classes: u32,
    activation: Activation,
    normalisation: Option<Normalisation>,
    variant: Option<Variant>,
}

impl WideResNet {
    /// Makes a wide residual network: `depth` is 6 n + 4 for n blocks (1 or more) in each stage; `width` multiplies the 16, 32
    /// and 64 channels of the stages. Err beyond 1,000 layers, width 64, 4 channels or 65,536 classes, and for a normalisation
    /// with another number of channels.
    pub fn new(
        depth: u32,
        width: u32,
        channels: u32,
        classes: u32,
        activation: Activation,
        normalisation: Option<Normalisation>,
    ) -> Result<Self> {
        let wrong =
            |given: &dyn std::fmt::Display, wanted| Err(Error::mismatch("wrn", given, wanted));
        if !(10..=1000).contains(&depth) || !(depth - 4).is_multiple_of(6) {
            return wrong(&format_args!("depth {depth}"), "10, 16, 22, ... 1000: 6 n + 4");
        }
        if !(1..=64).contains(&width) {
            return wrong(&format_args!("width {width}"), "1 to 64");
        }
        check_ends("wrn", channels, classes, normalisation.as_ref())?;
        Ok(Self { depth, width, channels, classes, activation, normalisation, variant: None })
    }

    /// Makes a wide residual network from complete metadata (only the normalisation may be missing, then there is none; the
    /// activation is ReLU where it is not named).
    pub fn from_metadata(metadata: &Metadata) -> Result<Self> {
        if let Some(other) = metadata.architecture.as_deref().filter(|name| *name != "wrn") {
            return Err(Error::mismatch(
                "wrn",
                format_args!("architecture {other:?} in the metadata"),
                "\"wrn\"",
            ));
        }
        let model = Self::new(
            known("wrn", "depth", metadata.depth)?,
            known("wrn", "widen", metadata.width)?,
            known("wrn", "channels", metadata.channels)?,
            known("wrn", "classes", metadata.classes)?,
            metadata.activation.unwrap_or_default(),
            metadata.normalisation.clone(),
        )?;
        Ok(Self { variant: metadata.variant, ..model })
    }

    /// Makes a wide residual network from a checkpoint; what its metadata leave out is taken from the tensors' shapes. Err unless
    /// the tensors are exactly the network's parameters.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self> {
        let model = Self::meant_by(checkpoint)?;
        checkpoint.check(&model.parameters())?;
        Ok(model)
    }

    /// Makes the wide residual network that a checkpoint describes, even if tensors are missing or too many: only those that show
    /// its sizes must be there.
    pub fn meant_by(checkpoint: &Checkpoint) -> Result<Self> {
        let weights = &checkpoint.weights;
        let side = |name: &str, at: usize| side(weights, name, at);
        let blocks = run_of(weights, |j| format!("block1.layer.{j}.conv1.weight"));
        let mut metadata = checkpoint.metadata.clone();
        let fill = |known: &mut Option<u32>, told: Option<u32>| *known = known.or(told);
        fill(&mut metadata.depth, Some(6 * blocks + 4).filter(|_| blocks > 0));
        fill(&mut metadata.width, side("block1.layer.0.conv1.weight", 0).map(|side| side / 16));
        fill(&mut metadata.channels, side("conv1.weight", 1));
        fill(&mut metadata.classes, side("fc.weight", 0));
        Self::from_metadata(&metadata).map_err(|error| Error::bad_file(&checkpoint.source, error))
    }

    /// Returns the metadata from which [`WideResNet::from_metadata`] makes this network again.
    pub fn metadata(&self) -> Metadata {
        Metadata {
            architecture: Some("wrn".into()),
            depth: Some(self.depth),
            width: Some(self.width),
            classes: Some(self.classes),
            channels: Some(self.channels),
            activation: Some(self.activation),
            normalisation: self.normalisation.clone(),
            variant: self.variant,
            ..Metadata::default()
        }
    }

    /// Returns the depth in layers, such as 34 for WRN-34-10.
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Returns the widening factor, such as 10 for WRN-34-10.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Returns the number of channels of the images.
    pub fn channels(&self) -> u32 {
        self.channels
    }

    /// Returns the number of classes, which is the number of logits.
    pub fn classes(&self) -> u32 {
        self.classes
    }

    /// Returns how the network departs from the usual wide ResNet, if it does: DeepMind's padding, or JEM's blocks without
    /// normalisation.
    pub fn variant(&self) -> Option<Variant> {
        self.variant
    }

    /// Returns the activation function.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Returns the normalisation of the input; `None` where the network takes images as they are.
    pub fn normalisation(&self) -> Option<&Normalisation> {
        self.normalisation.as_ref()
    }

    /// Returns the names, shapes and roles of all tensors, in the order of PyTorch's state dict.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut all = Vec::new();
        let first = [16, self.channels as usize, 3, 3];
        push(&mut all, "conv1.weight", &first, Role::Weight);
        let plain = self.variant == Some(Variant::Jem);
        if plain {
            push(&mut all, "conv1.bias", &[16], Role::Weight);
        }
        let mut last = 16;
        for block in self.blocks() {
            block.parameters(&mut all);
            last = block.outputs;
        }
        if !plain {
            batch_norm_parameters(&mut all, "bn1", last);
        }
        push_biased(&mut all, "fc", &[self.classes, last]);
        all
    }

    /// Adds the nodes of the forward pass to a graph: from images x \[N, C, H, W\] in \[0, 1\] to logits \[N, K\].
    pub fn logits(
        &self,
        graph: &mut Graph,
        x: Value,
        weights: &Weights,
        mut mode: Mode,
    ) -> Result<Value> {
        let mut h = normalise(graph, x, self.normalisation.as_ref())?;
        let plain = self.variant == Some(Variant::Jem);
        let first = if plain { conv_bias } else { conv };
        h = first(graph, h, weights, "conv1", Conv2d::square(1, 1))?;
        for block in self.blocks() {
            h = block.push(graph, h, weights, &mut mode)?;
        }
        if !plain {
            h = batch_norm(graph, h, weights, "bn1", &mut mode)?;
        }
        h = activate(graph, h, self.activation)?;
        h = graph.push(GlobalAvgPool, &[h])?;
        linear(graph, h, weights, "fc")
    }

    /// Three stages of (depth - 4) / 6 blocks; the first of the second and third halves the sides.
    fn blocks(&self) -> Vec<Block> {
        let (each, activation, variant) = ((self.depth - 4) / 6, self.activation, self.variant);
        let mut inputs = 16;
        let mut blocks = Vec::new();
        for (stage, stride) in [(1, 1), (2, 2), (3, 2)] {
            let outputs = (8 * self.width) << stage;
            for j in 0..each {
                let stride = if j == 0 { stride } else { 1 };
                let prefix = format!("block{stage}.layer.{j}.");
                blocks.push(Block { prefix, inputs, outputs, stride, activation, variant });
                inputs = outputs;
            }
        }
        blocks
    }
}

/// A pre-activation residual block: y = shortcut + conv2(act(bn2(conv1(act(bn1(x)))))).
///
/// Where channels or sides change, the shortcut is a 1x1 convolution of act(bn1(x)); else it is x itself.
#[derive(Clone, Debug)]
pub struct Block {
    /// The prefix of the block's parameter names, with its final dot; may be empty.
    pub prefix: String,
    /// The number of channels of the block's input.
    pub inputs: u32,
    /// The number of channels of the block's output.
    pub outputs: u32,
    /// The stride of the block's first convolution and of the shortcut.
    pub stride: u32,
    /// The activation function after both normalisations.
    pub activation: Activation,
    /// How the block departs from the usual one, if it does: DeepMind's padding, or JEM's block without normalisation.
    pub variant: Option<Variant>,
}

impl Block {
    /// Whether input and output differ in shape, so that the shortcut needs a convolution.
    fn changes(&self) -> bool {
        self.inputs != self.outputs || self.stride != 1
    }

    pub(super) fn parameters(&self, all: &mut Vec<Parameter>) {
        let name = |name: &str| format!("{}{name}", self.prefix);
        let [inputs, outputs] = [self.inputs, self.outputs].map(|count| count as usize);
        if self.variant == Some(Variant::Jem) {
            push_biased(all, &name("conv1"), &[self.outputs, self.inputs, 3, 3]);
            push_biased(all, &name("conv2"), &[self.outputs, self.outputs, 3, 3]);
            if self.changes() {
                push_biased(all, &name("convShortcut"), &[self.outputs, self.inputs, 1, 1]);
            }
            return;
        }
        batch_norm_parameters(all, &name("bn1"), self.inputs);
        push(all, &name("conv1.weight"), &[outputs, inputs, 3, 3], Role::Weight);
        batch_norm_parameters(all, &name("bn2"), self.outputs);
        push(all, &name("conv2.weight"), &[outputs, outputs, 3, 3], Role::Weight);
        if self.changes() {
            push(all, &name("convShortcut.weight"), &[outputs, inputs, 1, 1], Role::Weight);
        }
    }

    /// Adds the block's nodes to a graph and returns its output y.
    pub fn push(
        &self,
        graph: &mut Graph,
        x: Value,
        weights: &Weights,
        mode: &mut Mode,
    ) -> Result<Value> {
        let name = |name: &str| format!("{}{name}", self.prefix);
        if self.variant == Some(Variant::Jem) {
            return self.push_plain(graph, x, weights);
        }
        let h = batch_norm(graph, x, weights, &name("bn1"), mode)?;
        let h = activate(graph, h, self.activation)?;
        let mut shortcut = x;
        if self.changes() {
            let op = Conv2d::square(self.stride, 0);
            shortcut = conv(graph, h, weights, &name("convShortcut"), op)?;
        }
        let h = if self.variant == Some(Variant::DeepMind) && self.stride == 2 {
            let pad = Pad { bottom: 1, right: 1, ..Pad::default() };
            let h = graph.push(pad, &[h])?;
            conv(graph, h, weights, &name("conv1"), Conv2d::square(2, 0))?
        } else {
            conv(graph, h, weights, &name("conv1"), Conv2d::square(self.stride, 1))?
        };
        let h = batch_norm(graph, h, weights, &name("bn2"), mode)?;
        let h = activate(graph, h, self.activation)?;
        let h = conv(graph, h, weights, &name("conv2"), Conv2d::square(1, 1))?;
        graph.push(Add, &[h, shortcut])
    }
    /// JEM's: y = shortcut(x) + conv2(act(conv1(act(x)))), all with biases.
    fn push_plain(&self, graph: &mut Graph, x: Value, weights: &Weights) -> Result<Value> {
        let name = |name: &str| format!("{}{name}", self.prefix);
        let h = activate(graph, x, self.activation)?;
        let h = conv_bias(graph, h, weights, &name("conv1"), Conv2d::square(1, 1))?;
        let h = activate(graph, h, self.activation)?;
        let h = conv_bias(graph, h, weights, &name("conv2"), Conv2d::square(self.stride, 1))?;
        let mut shortcut = x;
        if self.changes() {
            let op = Conv2d::square(self.stride, 0);
            shortcut = conv_bias(graph, x, weights, &name("convShortcut"), op)?;
        }
        graph.push(Add, &[h, shortcut])
    }
}
