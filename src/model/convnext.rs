//! The ConvNeXt architecture (Liu and others 2022, arXiv 2201.03545) with timm's tensor names, with the patch stem or the
//! convolutions of ConvStem (Singh and others 2023, arXiv 2303.01870), which makes networks more robust.

use super::layers::{
    check_ends, check_stages, conv_bias, known, known_stages, layer_norm, linear, normalise, push,
    push_biased, run_of, side,
};
use super::{Checkpoint, Metadata, Normalisation, Parameter, Role, Stem, Weights};
use crate::graph::{Graph, Value};
use crate::ops::{Add, Broadcast, Conv2d, GlobalAvgPool, GroupedConv2d, Unary};
use crate::{Error, Result};

/// A ConvNeXt: a network of four stages of [`ConvNextBlock`]s.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvNext {
    depths: [u32; 4],
    dims: [u32; 4],
    stem: Stem,
    channels: u32,
    classes: u32,
    normalisation: Option<Normalisation>,
}

impl ConvNext {
    /// Makes a ConvNeXt: `depths` is the number of blocks in each stage, `dims` their channels. Err for sizes out of range, for a
    /// stem that does not end in `dims[0]` channels, beyond 4 channels or 65,536 classes, and for a normalisation with another
    /// number of channels.
    pub fn new(
        depths: [u32; 4],
        dims: [u32; 4],
        stem: Stem,
        channels: u32,
        classes: u32,
        normalisation: Option<Normalisation>,
    ) -> Result<Self> {
        check_stages("convnext", depths, dims)?;
        if let Stem::Convs { channels, strides } = &stem {
            let sane = |side: &u32| (1..=8192).contains(side);
            let fits = channels.last() == dims.first()
                && channels.len() == strides.len()
                && channels.iter().chain(strides).all(sane);
            if !fits {
                let wanted = format_args!(
                    "a stem with a stride for each convolution, all numbers from 1 to 8192, and {} channels at its end",
                    dims[0]
                );
                let given = format_args!("a stem of channels {channels:?} and strides {strides:?}");
                return Err(Error::mismatch("convnext", given, wanted));
            }
        }
        check_ends("convnext", channels, classes, normalisation.as_ref())?;
        Ok(Self { depths, dims, stem, channels, classes, normalisation })
    }

    /// Makes a ConvNeXt from complete metadata (only the normalisation may be missing, then there is none; the stem is
    /// [`Stem::Patch`] where it is not named).
    pub fn from_metadata(metadata: &Metadata) -> Result<Self> {
        Self::new(
            known_stages("convnext", "depths", metadata.depths.as_deref())?,
            known_stages("convnext", "dims", metadata.dims.as_deref())?,
            metadata.stem.clone().unwrap_or(Stem::Patch),
            known("convnext", "channels", metadata.channels)?,
            known("convnext", "classes", metadata.classes)?,
            metadata.normalisation.clone(),
        )
    }

    /// Makes a ConvNeXt from a checkpoint; what its metadata leave out is taken from the tensors' shapes. Shapes do not show the
    /// strides of a ConvStem, which are then 2, 2, 1, 1, ... Err unless the tensors are exactly the network's parameters.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self> {
        let model = Self::meant_by(checkpoint)?;
        checkpoint.check(&model.parameters())?;
        Ok(model)
    }

    /// Makes the ConvNeXt that a checkpoint describes, even if tensors are missing or too many: only those that show its sizes
    /// must be there.
    pub fn meant_by(checkpoint: &Checkpoint) -> Result<Self> {
        let weights = &checkpoint.weights;
        let block = |s: u32, j: u32| format!("stages.{s}.blocks.{j}.conv_dw.weight");
        let depths = (0..4).map(|s| run_of(weights, |j| block(s, j))).collect();
        let dims = (0..4).map(|s| side(weights, &block(s, 0), 0)).collect();
        let convs = run_of(weights, |j| format!("stem.stem.{}.weight", 3 * j));
        let behind = |j| side(weights, &format!("stem.stem.{}.weight", 3 * j), 0);
        let stem = match convs {
            0 => Some(Stem::Patch),
            _ => (0..convs).map(behind).collect::<Option<Vec<_>>>().map(|channels| Stem::Convs {
                strides: (0..convs).map(|j| if j < 2 { 2 } else { 1 }).collect(),
                channels,
            }),
        };
        let first = if convs > 0 { "stem.stem.0.weight" } else { "stem.0.weight" };
        let told = checkpoint.metadata.clone();
        let metadata = Metadata {
            depths: told.depths.or(Some(depths)),
            dims: told.dims.or(dims),
            stem: told.stem.or(stem),
            channels: told.channels.or(side(weights, first, 1)),
            classes: told.classes.or(side(weights, "head.fc.weight", 0)),
            ..told
        };
        Self::from_metadata(&metadata).map_err(|error| Error::bad_file(&checkpoint.source, error))
    }

    /// Returns the metadata from which [`ConvNext::from_metadata`] makes this network again.
    pub fn metadata(&self) -> Metadata {
        Metadata {
            architecture: Some("convnext".into()),
            depths: Some(self.depths.into()),
            dims: Some(self.dims.into()),
            stem: Some(self.stem.clone()),
            classes: Some(self.classes),
            channels: Some(self.channels),
            normalisation: self.normalisation.clone(),
            ..Metadata::default()
        }
    }

    /// Returns the number of blocks in each stage.
    pub fn depths(&self) -> [u32; 4] {
        self.depths
    }

    /// Returns the number of channels in each stage.
    pub fn dims(&self) -> [u32; 4] {
        self.dims
    }

    /// Returns the stem: the first layers, which read the image.
    pub fn stem(&self) -> &Stem {
        &self.stem
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
        stem_parameters(&mut all, &self.stem, self.channels, self.dims[0]);
        let mut last = self.dims[0];
        for (s, (depth, dim)) in self.depths.into_iter().zip(self.dims).enumerate() {
            if s > 0 {
                push_biased(&mut all, &format!("stages.{s}.downsample.0"), &[last]);
                push_biased(&mut all, &format!("stages.{s}.downsample.1"), &[dim, last, 2, 2]);
            }
            for j in 0..depth {
                ConvNextBlock { prefix: format!("stages.{s}.blocks.{j}.") }
                    .parameters(&mut all, dim);
            }
            last = dim;
        }
        push_biased(&mut all, "head.norm", &[last]);
        push_biased(&mut all, "head.fc", &[self.classes, last]);
        all
    }

    /// Adds the nodes of the forward pass to a graph: from images x \[N, C, H, W\] in \[0, 1\], of sides of 32 or more, to logits
    /// \[N, K\].
    pub fn logits(&self, graph: &mut Graph, x: Value, weights: &Weights) -> Result<Value> {
        let h = normalise(graph, x, self.normalisation.as_ref())?;
        let mut h = push_stem(graph, h, weights, &self.stem)?;
        for (s, depth) in self.depths.into_iter().enumerate() {
            if s > 0 {
                h = layer_norm(graph, h, weights, &format!("stages.{s}.downsample.0"))?;
                let name = format!("stages.{s}.downsample.1");
                h = conv_bias(graph, h, weights, &name, Conv2d::square(2, 0))?;
            }
            for j in 0..depth {
                let prefix = format!("stages.{s}.blocks.{j}.");
                h = ConvNextBlock { prefix }.push(graph, h, weights)?;
            }
        }
        let h = graph.push(GlobalAvgPool, &[h])?;
        let h = layer_norm(graph, h, weights, "head.norm")?;
        linear(graph, h, weights, "head.fc")
    }
}

fn stem_parameters(all: &mut Vec<Parameter>, stem: &Stem, inputs: u32, outputs: u32) {
    match stem {
        Stem::Patch => {
            push_biased(all, "stem.0", &[outputs, inputs, 4, 4]);
            push_biased(all, "stem.1", &[outputs]);
        }
        Stem::Convs { channels, .. } => {
            let mut last = inputs;
            for (j, &outputs) in channels.iter().enumerate() {
                push_biased(all, &format!("stem.stem.{}", 3 * j), &[outputs, last, 3, 3]);
                push_biased(all, &format!("stem.stem.{}", 3 * j + 1), &[outputs]);
                last = outputs;
            }
        }
    }
}

/// Adds the nodes of a ConvNeXt's stem (its first layers) and returns the first feature maps.
pub fn push_stem(graph: &mut Graph, x: Value, weights: &Weights, stem: &Stem) -> Result<Value> {
    match stem {
        Stem::Patch => {
            let h = conv_bias(graph, x, weights, "stem.0", Conv2d::square(4, 0))?;
            layer_norm(graph, h, weights, "stem.1")
        }
        Stem::Convs { strides, .. } => {
            let mut h = x;
            for (j, &stride) in strides.iter().enumerate() {
                let name = format!("stem.stem.{}", 3 * j);
                h = conv_bias(graph, h, weights, &name, Conv2d::square(stride, 1))?;
                h = layer_norm(graph, h, weights, &format!("stem.stem.{}", 3 * j + 1))?;
                h = graph.push(Unary::Gelu, &[h])?;
            }
            Ok(h)
        }
    }
}

/// A block of a ConvNeXt: y = x + gamma * fc2(gelu(fc1(norm(conv_dw(x)))))
///
/// conv_dw is a depthwise 7x7 convolution; fc1 widens each pixel's channels fourfold, and fc2 undoes that.
#[derive(Clone, Debug)]
pub struct ConvNextBlock {
    /// The prefix of the block's parameter names, with its final dot; may be empty.
    pub prefix: String,
}

impl ConvNextBlock {
    fn parameters(&self, all: &mut Vec<Parameter>, dim: u32) {
        let name = |name: &str| format!("{}{name}", self.prefix);
        push(all, &name("gamma"), &[dim as usize], Role::Weight);
        push_biased(all, &name("conv_dw"), &[dim, 1, 7, 7]);
        push_biased(all, &name("norm"), &[dim]);
        push_biased(all, &name("mlp.fc1"), &[4 * dim, dim]);
        push_biased(all, &name("mlp.fc2"), &[dim, 4 * dim]);
    }

    /// Adds the block's nodes to a graph and returns its output y.
    pub fn push(&self, graph: &mut Graph, x: Value, weights: &Weights) -> Result<Value> {
        let name = |name: &str| format!("{}{name}", self.prefix);
        let groups = graph.shape(x)?.channels();
        let depthwise = GroupedConv2d { conv: Conv2d::square(1, 3), groups };
        let h = graph.push(depthwise, &[x, weights.get(&name("conv_dw.weight"))?])?;
        let h = graph.push(Broadcast::Add, &[h, weights.get(&name("conv_dw.bias"))?])?;
        let h = layer_norm(graph, h, weights, &name("norm"))?;
        let h = conv_bias(graph, h, weights, &name("mlp.fc1"), Conv2d::square(1, 0))?;
        let h = graph.push(Unary::Gelu, &[h])?;
        let h = conv_bias(graph, h, weights, &name("mlp.fc2"), Conv2d::square(1, 0))?;
        let h = graph.push(Broadcast::Mul, &[h, weights.get(&name("gamma"))?])?;
        graph.push(Add, &[h, x])
    }
}
