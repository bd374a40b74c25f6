//! Residual networks with pre-activation blocks for small images (He and others 2016, arXiv 1603.05027) as PreActResNet-18 is
//! written in most work on adversarial training: a 3x3 convolution, and four stages of the blocks that wide residual networks
//! have.

use super::layers::{
    Mode, activate, batch_norm, batch_norm_parameters, check_ends, check_stages, conv, known,
    known_stages, linear, normalise, push, push_biased, run_of, side,
};
use super::{
    Activation, Block, Checkpoint, Metadata, Normalisation, Parameter, Role, Stem, Weights,
};
use crate::graph::{Graph, Value};
use crate::ops::{Conv2d, GlobalAvgPool};
use crate::{Error, Result};

/// A pre-activation residual network: four stages of [`Block`]s.
#[derive(Clone, Debug, PartialEq)]
pub struct PreActResNet {
    depths: [u32; 4],
    dims: [u32; 4],
    /// Channels behind the first convolution.
    stem: u32,
    /// Whether the last maps are normalised and activated before they are averaged.
    closing: bool,
    activation: Activation,
    channels: u32,
    classes: u32,
    normalisation: Option<Normalisation>,
}

impl PreActResNet {
    /// Makes the network from complete metadata (only the normalisation may be missing, then there is none; the activation is
    /// ReLU where it is not named). Err for sizes out of range.
    pub fn from_metadata(metadata: &Metadata) -> Result<Self> {
        const NAME: &str = "preact-resnet";
        let depths = known_stages(NAME, "depths", metadata.depths.as_deref())?;
        let dims = known_stages(NAME, "dims", metadata.dims.as_deref())?;
        check_stages(NAME, depths, dims)?;
        let stem = match &metadata.stem {
            Some(Stem::Convs { channels, .. }) => channels.first().copied(),
            _ => dims.first().copied(),
        };
        let stem = stem.filter(|channels| (1..=8192).contains(channels));
        let stem = known(NAME, "stem", stem)?;
        let channels = known(NAME, "channels", metadata.channels)?;
        let classes = known(NAME, "classes", metadata.classes)?;
        let normalisation = metadata.normalisation.clone();
        check_ends(NAME, channels, classes, normalisation.as_ref())?;
        let activation = metadata.activation.unwrap_or_default();
        let closing = metadata.closing.unwrap_or(false);
        Ok(Self { depths, dims, stem, closing, activation, channels, classes, normalisation })
    }

    /// Makes the network from a checkpoint; what its metadata leave out is taken from the tensors' shapes. Tensors may be missing
    /// or too many.
    pub fn meant_by(checkpoint: &Checkpoint) -> Result<Self> {
        let weights = &checkpoint.weights;
        let stages = 1..=4;
        let depths =
            stages.clone().map(|i| run_of(weights, |j| format!("layer{i}.{j}.conv1.weight")));
        let dims = stages.map(|i| side(weights, &format!("layer{i}.0.conv2.weight"), 0)).collect();
        let told = checkpoint.metadata.clone();
        let stem = side(weights, "conv1.weight", 0);
        let stem = stem.map(|channels| Stem::Convs { channels: vec![channels], strides: vec![1] });
        let metadata = Metadata {
            depths: told.depths.or_else(|| Some(depths.collect())),
            dims: told.dims.or(dims),
            stem: told.stem.or(stem),
            closing: told.closing.or(Some(weights.get("bn.weight").is_ok())),
            channels: told.channels.or(side(weights, "conv1.weight", 1)),
            classes: told.classes.or(side(weights, "fc.weight", 0)),
            ..told
        };
        Self::from_metadata(&metadata).map_err(|error| Error::bad_file(&checkpoint.source, error))
    }

    /// Returns the metadata from which [`PreActResNet::from_metadata`] makes this network again.
    pub fn metadata(&self) -> Metadata {
        Metadata {
            architecture: Some("preact-resnet".into()),
            depths: Some(self.depths.into()),
            dims: Some(self.dims.into()),
            stem: Some(Stem::Convs { channels: vec![self.stem], strides: vec![1] }),
            closing: Some(self.closing),
            classes: Some(self.classes),
            channels: Some(self.channels),
            activation: Some(self.activation),
            normalisation: self.normalisation.clone(),
            ..Metadata::default()
        }
    }

    /// Returns the number of blocks in each stage.
    pub fn depths(&self) -> [u32; 4] {
        self.depths
    }

    /// Returns the activation function.
    pub fn activation(&self) -> Activation {
        self.activation
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
        let first = [self.stem as usize, self.channels as usize, 3, 3];
        push(&mut all, "conv1.weight", &first, Role::Weight);
        let mut last = self.stem;
        for block in self.blocks() {
            block.parameters(&mut all);
            last = block.outputs;
        }
        if self.closing {
            batch_norm_parameters(&mut all, "bn", last);
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
        let h = normalise(graph, x, self.normalisation.as_ref())?;
        let mut h = conv(graph, h, weights, "conv1", Conv2d::square(1, 1))?;
        for block in self.blocks() {
            h = block.push(graph, h, weights, &mut mode)?;
        }
        if self.closing {
            h = batch_norm(graph, h, weights, "bn", &mut mode)?;
            h = activate(graph, h, self.activation)?;
        }
        let h = graph.push(GlobalAvgPool, &[h])?;
        linear(graph, h, weights, "fc")
    }

    /// The first block of each stage but the first halves the sides.
    fn blocks(&self) -> Vec<Block> {
        let (mut inputs, activation) = (self.stem, self.activation);
        let mut blocks = Vec::new();
        for (stage, (depth, outputs)) in (1..).zip(self.depths.into_iter().zip(self.dims)) {
            for j in 0..depth {
                let stride = if stage > 1 && j == 0 { 2 } else { 1 };
                let prefix = format!("layer{stage}.{j}.");
                blocks.push(Block { prefix, inputs, outputs, stride, activation, variant: None });
                inputs = outputs;
            }
        }
        blocks
    }
}
