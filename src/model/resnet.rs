//! Residual networks with bottlenecks or blocks of two convolutions (He and others 2016, arXiv 1512.03385) with the tensor
//! names of torchvision and timm, wide ones included (Zagoruyko and Komodakis 2016, arXiv 1605.07146: more inner channels in
//! each block), and those for small images, whose first convolution is 3x3 and halves nothing.

use super::layers::{
    Mode, activate, batch_norm, batch_norm_parameters, check_ends, check_stages, conv, known,
    known_stages, linear, normalise, push, push_biased, run_of, side,
};
use super::{Activation, Checkpoint, Metadata, Normalisation, Parameter, Role, Stem, Weights};
use crate::graph::{Graph, Value};
use crate::ops::{Add, Conv2d, GlobalAvgPool, MaxPool};
use crate::{Error, Result};

/// Channels behind the first convolution.
const STEM: u32 = 64;

/// A bottleneck block has this many times the channels of its stage.
const EXPANSION: u32 = 4;

/// A residual network (ResNet): four stages of [`Bottleneck`]s, or of blocks of two convolutions.
#[derive(Clone, Debug, PartialEq)]
pub struct ResNet {
    depths: [u32; 4],
    dims: [u32; 4],
    base_width: u32,
    channels: u32,
    classes: u32,
    normalisation: Option<Normalisation>,
    /// Blocks of two convolutions.
    basic: bool,
    /// Channels of a first convolution of 3x3 and stride 1; none for one of 7x7 with a pool behind it.
    small: Option<u32>,
}

impl ResNet {
    /// Makes a ResNet: `depths` is the number of blocks in each stage and `dims` their planes, a fourth of the channels that a
    /// stage puts out; a block's inner channels are `base_width` / 64 times its planes. Err for sizes out of range, beyond 4
    /// channels or 65,536 classes, and for a normalisation with another number of channels.
    pub fn new(
        depths: [u32; 4],
        dims: [u32; 4],
        base_width: u32,
        channels: u32,
        classes: u32,
        normalisation: Option<Normalisation>,
    ) -> Result<Self> {
        check_stages("resnet", depths, dims)?;
        let whole = |dim: &u32| dim * base_width / 64 > 0;
        if !(1..=4096).contains(&base_width) || !dims.iter().all(whole) {
            let wanted = format_args!(
                "1 to 4096, and at least 64 divided by the smallest of the stages' dims {dims:?}"
            );
            return Err(Error::mismatch("resnet", format_args!("base width {base_width}"), wanted));
        }
        check_ends("resnet", channels, classes, normalisation.as_ref())?;
        Ok(Self {
            depths,
            dims,
            base_width,
            channels,
            classes,
            normalisation,
            basic: false,
            small: None,
        })
    }

    /// Makes a ResNet from complete metadata (only the normalisation may be missing, then there is none; the base width is 64
    /// where it is not named).
    pub fn from_metadata(metadata: &Metadata) -> Result<Self> {
        let model = Self::new(
            known_stages("resnet", "depths", metadata.depths.as_deref())?,
            known_stages("resnet", "dims", metadata.dims.as_deref())?,
            metadata.base_width.unwrap_or(64),
            known("resnet", "channels", metadata.channels)?,
            known("resnet", "classes", metadata.classes)?,
            metadata.normalisation.clone(),
        )?;
        let basic = metadata.basic.unwrap_or(false);
        let small = match &metadata.stem {
            None => None,
            Some(Stem::Convs { channels, strides })
                if strides[..] == [1] && matches!(channels[..], [1..=8192]) =>
            {
                channels.first().copied()
            }
            Some(other) => {
                let wanted = "one convolution of stride 1 with 1 to 8192 channels, or none for the usual 7x7 convolution with a pool";
                return Err(Error::mismatch(
                    "resnet",
                    format_args!("stem {}", other.to_json()),
                    wanted,
                ));
            }
        };
        if basic && model.base_width != 64 {
            let given = format_args!("base width {}", model.base_width);
            return Err(Error::mismatch(
                "resnet",
                given,
                "64, because blocks of two convolutions have no other",
            ));
        }
        Ok(Self { basic, small, ..model })
    }

    /// Makes a ResNet from a checkpoint; what its metadata leave out is taken from the tensors' shapes. Err unless the tensors
    /// are exactly the network's parameters.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self> {
        let model = Self::meant_by(checkpoint)?;
        checkpoint.check(&model.parameters())?;
        Ok(model)
    }

    /// Makes the ResNet that a checkpoint describes, even if tensors are missing or too many: only those that show its sizes must
    /// be there.
    pub fn meant_by(checkpoint: &Checkpoint) -> Result<Self> {
        let weights = &checkpoint.weights;
        let stages = 1..=4;
        let depths =
            stages.clone().map(|i| run_of(weights, |j| format!("layer{i}.{j}.conv1.weight")));
        let basic = side(weights, "layer1.0.conv3.weight", 0).is_none();
        let (last, expansion) = if basic { ("conv2", 1) } else { ("conv3", EXPANSION) };
        let outputs = stages.map(|i| side(weights, &format!("layer{i}.0.{last}.weight"), 0));
        let dims: Option<Vec<u32>> = outputs.map(|side| Some(side? / expansion)).collect();
        let inner = side(weights, "layer1.0.conv2.weight", 0).filter(|_| !basic);
        let first = dims.as_ref().and_then(|dims| dims.first().copied()).filter(|&dim| dim > 0);
        let base_width = inner.zip(first).map(|(inner, dim)| (64 * inner).div_ceil(dim));
        let small = side(weights, "conv1.weight", 2) == Some(3);
        let stem = side(weights, "conv1.weight", 0).filter(|_| small);
        let stem = stem.map(|channels| Stem::Convs { channels: vec![channels], strides: vec![1] });
        let told = checkpoint.metadata.clone();
        let metadata = Metadata {
            depths: told.depths.or_else(|| Some(depths.collect())),
            dims: told.dims.or(dims),
            base_width: told.base_width.or(base_width),
            basic: told.basic.or(Some(basic)),
            stem: told.stem.or(stem),
            channels: told.channels.or(side(weights, "conv1.weight", 1)),
            classes: told.classes.or(side(weights, "fc.weight", 0)),
            ..told
        };
        Self::from_metadata(&metadata).map_err(|error| Error::bad_file(&checkpoint.source, error))
    }

    /// Returns the metadata from which [`ResNet::from_metadata`] makes this network again.
    pub fn metadata(&self) -> Metadata {
        Metadata {
            architecture: Some("resnet".into()),
            depths: Some(self.depths.into()),
            dims: Some(self.dims.into()),
            base_width: Some(self.base_width),
            basic: self.basic.then_some(true),
            stem: self
                .small
                .map(|channels| Stem::Convs { channels: vec![channels], strides: vec![1] }),
            classes: Some(self.classes),
            channels: Some(self.channels),
            activation: Some(Activation::Relu),
            normalisation: self.normalisation.clone(),
            ..Metadata::default()
        }
    }

    /// Returns the number of blocks in each stage.
    pub fn depths(&self) -> [u32; 4] {
        self.depths
    }

    /// Returns whether the blocks have two convolutions, as in ResNet-18, and not three.
    pub fn is_basic(&self) -> bool {
        self.basic
    }

    /// Returns whether the first convolution is 3x3 and keeps the images' size, as for small images.
    pub fn is_small(&self) -> bool {
        self.small.is_some()
    }

    /// Returns the base width: a block's inner channels divided by its planes, times 64.
    pub fn base_width(&self) -> u32 {
        self.base_width
    }

    /// Returns the number of channels of the images.
    pub fn channels(&self) -> u32 {
        self.channels
    }

    /// Returns the number of classes, which is the number of logits.
    pub fn classes(&self) -> u32 {
        self.classes
    }

    /// Returns the normalisation of the input; `None` where the network takes images as they are.
    pub fn normalisation(&self) -> Option<&Normalisation> {
        self.normalisation.as_ref()
    }

    /// Returns the names, shapes and roles of all tensors, in the order of PyTorch's state dict.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut all = Vec::new();
        let (stem, side) = (self.small.unwrap_or(STEM), if self.small.is_some() { 3 } else { 7 });
        let first = [stem as usize, self.channels as usize, side, side];
        push(&mut all, "conv1.weight", &first, Role::Weight);
        batch_norm_parameters(&mut all, "bn1", stem);
        let mut last = stem;
        for block in self.blocks() {
            block.parameters(&mut all);
            last = block.outputs;
        }
        push_biased(&mut all, "fc", &[self.classes, last]);
        all
    }

    /// Adds the nodes of the forward pass to a graph: from images x \[N, C, H, W\] in \[0, 1\], of any size, to logits \[N, K\].
    pub fn logits(
        &self,
        graph: &mut Graph,
        x: Value,
        weights: &Weights,
        mut mode: Mode,
    ) -> Result<Value> {
        let h = normalise(graph, x, self.normalisation.as_ref())?;
        let small = self.small.is_some();
        let first = if small { Conv2d::square(1, 1) } else { Conv2d::square(2, 3) };
        let h = conv(graph, h, weights, "conv1", first)?;
        let h = batch_norm(graph, h, weights, "bn1", &mut mode)?;
        let mut h = activate(graph, h, Activation::Relu)?;
        if !small {
            h = MaxPool { kernel: 3, stride: 2, padding: 1 }.push(graph, h)?;
        }
        for block in self.blocks() {
            h = block.push(graph, h, weights, &mut mode)?;
        }
        let h = graph.push(GlobalAvgPool, &[h])?;
        linear(graph, h, weights, "fc")
    }

    /// The first block of each stage but the first halves the sides.
    fn blocks(&self) -> Vec<Bottleneck> {
        let mut inputs = self.small.unwrap_or(STEM);
        let basic = self.basic;
        let mut blocks = Vec::new();
        for (stage, (depth, dim)) in (1..).zip(self.depths.into_iter().zip(self.dims)) {
            let expansion = if basic { 1 } else { EXPANSION };
            let (inner, outputs) = (dim * self.base_width / 64, dim * expansion);
            for j in 0..depth {
                let stride = if stage > 1 && j == 0 { 2 } else { 1 };
                let prefix = format!("layer{stage}.{j}.");
                blocks.push(Bottleneck { prefix, inputs, inner, outputs, stride, basic });
                inputs = outputs;
            }
        }
        blocks
    }
}

/// A bottleneck block: y = relu(shortcut + bn3(conv3(relu(bn2(conv2(relu(bn1(conv1(x)))))))))
///
/// conv1 and conv3 are 1x1 and conv2 is 3x3. Where channels or sides change, the shortcut is a normalised 1x1
/// convolution of x; else it is x itself. Without the third, conv1 and conv2 are both 3x3 and conv1 has the stride.
#[derive(Clone, Debug)]
pub struct Bottleneck {
    /// The prefix of the block's parameter names, with its final dot; may be empty.
    pub prefix: String,
    /// The number of channels of the block's input.
    pub inputs: u32,
    /// The number of channels between the block's convolutions.
    pub inner: u32,
    /// The number of channels of the block's output.
    pub outputs: u32,
    /// The stride of the shortcut and of one convolution: the second of three, or the first of two.
    pub stride: u32,
    /// Whether the block has two convolutions instead of three.
    pub basic: bool,
}

impl Bottleneck {
    fn changes(&self) -> bool {
        self.inputs != self.outputs || self.stride != 1
    }

    fn parameters(&self, all: &mut Vec<Parameter>) {
        let name = |name: &str| format!("{}{name}", self.prefix);
        let Self { inputs, inner, outputs, .. } = *self;
        let mut layer = |conv: &str, norm: &str, [outputs, inputs, side]: [u32; 3]| {
            let shape = [outputs, inputs, side, side].map(|side| side as usize);
            push(all, &name(&format!("{conv}.weight")), &shape, Role::Weight);
            batch_norm_parameters(all, &name(norm), outputs);
        };
        if self.basic {
            layer("conv1", "bn1", [outputs, inputs, 3]);
            layer("conv2", "bn2", [outputs, outputs, 3]);
        } else {
            layer("conv1", "bn1", [inner, inputs, 1]);
            layer("conv2", "bn2", [inner, inner, 3]);
            layer("conv3", "bn3", [outputs, inner, 1]);
        }
        if self.changes() {
            layer("downsample.0", "downsample.1", [outputs, inputs, 1]);
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
        let mut layer = |graph: &mut Graph, x, op, name: &str, norm: &str| {
            let h = conv(graph, x, weights, &format!("{}{name}", self.prefix), op)?;
            batch_norm(graph, h, weights, &format!("{}{norm}", self.prefix), mode)
        };
        let (one, three) = (Conv2d::square(1, 0), Conv2d::square(self.stride, 1));
        let h = if self.basic {
            let h = layer(graph, x, three, "conv1", "bn1")?;
            let h = activate(graph, h, Activation::Relu)?;
            layer(graph, h, Conv2d::square(1, 1), "conv2", "bn2")?
        } else {
            let h = layer(graph, x, one, "conv1", "bn1")?;
            let h = activate(graph, h, Activation::Relu)?;
            let h = layer(graph, h, three, "conv2", "bn2")?;
            let h = activate(graph, h, Activation::Relu)?;
            layer(graph, h, one, "conv3", "bn3")?
        };
        let mut shortcut = x;
        if self.changes() {
            let op = Conv2d::square(self.stride, 0);
            shortcut = layer(graph, x, op, "downsample.0", "downsample.1")?;
        }
        let y = graph.push(Add, &[h, shortcut])?;
        activate(graph, y, Activation::Relu)
    }
}
