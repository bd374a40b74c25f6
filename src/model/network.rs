//! Any network there is, so that attacks, training and commands need not know which.

use super::initial::{self, initial};
use super::layers::Mode;
use super::{
    Activation, Checkpoint, ConvNext, Metadata, Normalisation, Parameter, ResNet, Role, StateDict,
    Stem, Tensor, Weights, WideResNet,
};
use crate::graph::{Graph, Value};
use crate::{Error, Result};
use std::fmt;

/// One of the architectures.
#[derive(Clone, Debug, PartialEq)]
pub enum Network {
    /// For images of 32 pixels.
    WideResNet(WideResNet),
    /// For images of any size; ResNet-50, WRN-50-4.
    ResNet(ResNet),
    /// For images of any size.
    ConvNext(ConvNext),
}

impl From<WideResNet> for Network {
    fn from(model: WideResNet) -> Self {
        Self::WideResNet(model)
    }
}

impl From<ResNet> for Network {
    fn from(model: ResNet) -> Self {
        Self::ResNet(model)
    }
}

impl From<ConvNext> for Network {
    fn from(model: ConvNext) -> Self {
        Self::ConvNext(model)
    }
}

/// The same expression for whichever network it is.
macro_rules! each {
    ($network:expr, $model:ident => $result:expr) => {
        match $network {
            Network::WideResNet($model) => $result,
            Network::ResNet($model) => $result,
            Network::ConvNext($model) => $result,
        }
    };
}

/// A tensor that only the architecture's checkpoints have.
const MARKS: [(&str, &str); 3] = [
    ("wrn", "block1.layer.0.conv1.weight"),
    ("resnet", "layer1.0.conv3.weight"),
    ("convnext", "stages.0.blocks.0.conv_dw.weight"),
];

/// Name, base width and depths of each ResNet that has a name.
const RESNETS: [(&str, u32, [u32; 4]); 4] = [
    ("resnet50", 64, [3, 4, 6, 3]),
    ("resnet101", 64, [3, 4, 23, 3]),
    ("wide-resnet50-2", 128, [3, 4, 6, 3]),
    ("wide-resnet50-4", 256, [3, 4, 6, 3]),
];

/// Planes of all of them.
const RESNET_DIMS: [u32; 4] = [64, 128, 256, 512];

/// Name, channels of the first stage, which double in each that follows, and blocks of the third of each ConvNeXt.
const CONVNEXTS: [(&str, u32, u32); 4] = [
    ("convnext-tiny", 96, 9),
    ("convnext-small", 96, 27),
    ("convnext-base", 128, 27),
    ("convnext-large", 192, 27),
];

/// What the name of one with convolutions for a stem ends with.
const CONV_STEM: &str = "-convstem";

impl Network {
    /// A network by its name: one of [`Network::names`].
    pub fn named(
        name: &str,
        channels: u32,
        classes: u32,
        normalisation: Option<Normalisation>,
    ) -> Result<Self> {
        if let Some(&(_, base_width, depths)) = RESNETS.iter().find(|(known, ..)| *known == name) {
            let made =
                ResNet::new(depths, RESNET_DIMS, base_width, channels, classes, normalisation);
            return made.map(Self::ResNet);
        }
        let bare = name.strip_suffix(CONV_STEM).unwrap_or(name);
        let found = CONVNEXTS.iter().find(|(known, ..)| *known == bare);
        let unknown = || Error::mismatch("architecture", name, Self::names().join(", "));
        let &(_, dim, third) = found.ok_or_else(unknown)?;
        let stem = match (bare == name, dim) {
            (true, _) => Stem::Patch,
            (_, 96) => Stem::Convs { channels: vec![48, 96], strides: vec![2, 2] },
            (_, 128) => Stem::Convs { channels: vec![64, 96, 128], strides: vec![2, 2, 1] },
            _ => Stem::Convs { channels: vec![96, 144, 192], strides: vec![2, 2, 1] },
        };
        let (depths, dims) = ([3, 3, third, 3], [dim, 2 * dim, 4 * dim, 8 * dim]);
        ConvNext::new(depths, dims, stem, channels, classes, normalisation).map(Self::ConvNext)
    }

    /// The names that [`Network::named`] knows: ResNets, and ConvNeXts with patches or with convolutions for a stem.
    pub fn names() -> Vec<String> {
        let resnets = RESNETS.iter().map(|(name, ..)| (*name).to_owned());
        let convnexts = CONVNEXTS
            .iter()
            .flat_map(|(name, ..)| [(*name).to_owned(), format!("{name}{CONV_STEM}")]);
        resnets.chain(convnexts).collect()
    }

    /// From metadata that are complete for the architecture they name.
    pub fn from_metadata(metadata: &Metadata) -> Result<Self> {
        match metadata.architecture.as_deref() {
            Some("wrn") => WideResNet::from_metadata(metadata).map(Self::WideResNet),
            Some("resnet") => ResNet::from_metadata(metadata).map(Self::ResNet),
            Some("convnext") => ConvNext::from_metadata(metadata).map(Self::ConvNext),
            other => {
                let given = format_args!("architecture {}", other.unwrap_or("unnamed"));
                Err(Error::mismatch("network", given, "wrn, resnet or convnext"))
            }
        }
    }

    /// The network of a checkpoint: its tensors' names tell the architecture, their shapes what its metadata leave out.
    /// Err unless the tensors are exactly the network's parameters.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self> {
        let model = Self::meant_by(checkpoint)?;
        checkpoint.check(&model.parameters())?;
        Ok(model)
    }

    /// The same network where tensors may be missing or too many: those that tell its sizes are there.
    pub fn meant_by(checkpoint: &Checkpoint) -> Result<Self> {
        let told = checkpoint.metadata.architecture.as_deref();
        let told = told.filter(|told| MARKS.iter().any(|(name, _)| name == told));
        let marked = |(_, mark): &&(&str, &str)| checkpoint.weights.get(mark).is_ok();
        let found = MARKS.iter().find(marked).map(|(name, _)| *name);
        match told.or(found) {
            Some("wrn") => WideResNet::meant_by(checkpoint).map(Self::WideResNet),
            Some("resnet") => ResNet::meant_by(checkpoint).map(Self::ResNet),
            Some("convnext") => ConvNext::meant_by(checkpoint).map(Self::ConvNext),
            _ => {
                let marks = MARKS.map(|(name, mark)| format!("{mark} ({name})")).join(", ");
                let reason = format_args!("no network is recognised: none of the tensors {marks}");
                Err(Error::bad_file(&checkpoint.source, reason))
            }
        }
    }

    /// What [`Network::from_metadata`] needs.
    pub fn metadata(&self) -> Metadata {
        each!(self, model => model.metadata())
    }

    /// All tensors, in the order of PyTorch's state dict.
    pub fn parameters(&self) -> Vec<Parameter> {
        each!(self, model => model.parameters())
    }

    /// Number of trained numbers.
    pub fn count(&self) -> usize {
        let trained = |parameter: &&Parameter| parameter.role == Role::Weight;
        self.parameters().iter().filter(trained).map(Parameter::count).sum()
    }

    /// Adds the nodes from images x \[N, C, H, W\] in \[0, 1\] to logits \[N, K\]. Layer norm knows no modes.
    pub fn logits(
        &self,
        graph: &mut Graph,
        x: Value,
        weights: &Weights,
        mode: Mode,
    ) -> Result<Value> {
        match self {
            Self::WideResNet(model) => model.logits(graph, x, weights, mode),
            Self::ResNet(model) => model.logits(graph, x, weights, mode),
            Self::ConvNext(model) => model.logits(graph, x, weights),
        }
    }

    /// Weights to start training from: see [`initial()`] and [`initial::small`].
    pub fn initial(&self, seed: u64) -> StateDict {
        match self {
            Self::ConvNext(model) => initial::small(&model.parameters(), seed),
            _ => initial(&self.parameters(), seed),
        }
    }

    /// The layer that logits come from, whose rows are the classes.
    fn head(&self) -> &'static str {
        match self {
            Self::ConvNext(_) => "head.fc",
            Self::WideResNet(_) | Self::ResNet(_) => "fc",
        }
    }

    /// The same weights with logits in another order: new class i is what class `classes[i]` was. Err unless each class is
    /// there once.
    pub fn with_classes(&self, mut weights: StateDict, classes: &[u32]) -> Result<StateDict> {
        let mut sorted = classes.to_vec();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..self.classes()) {
            let wanted = format_args!("each of {} classes once", self.classes());
            return Err(Error::mismatch("classes", format_args!("{classes:?}"), wanted));
        }
        for part in ["weight", "bias"] {
            let name = format!("{}.{part}", self.head());
            let Some(Tensor { shape, data }) = weights.remove(&name) else { continue };
            let row = data.len() / classes.len().max(1);
            let rows = classes.iter().filter_map(|&class| {
                let start = class as usize * row;
                data.get(start..start + row)
            });
            let data = rows.flatten().copied().collect();
            weights.insert(name, Tensor::new(shape, data)?);
        }
        Ok(weights)
    }

    /// Of the images.
    pub fn channels(&self) -> u32 {
        each!(self, model => model.channels())
    }

    /// Number of logits.
    pub fn classes(&self) -> u32 {
        each!(self, model => model.classes())
    }

    /// Of the input.
    pub fn normalisation(&self) -> Option<&Normalisation> {
        each!(self, model => model.normalisation())
    }

    /// The non-linearity, by name.
    pub fn activation(&self) -> &'static str {
        match self {
            Self::WideResNet(model) => model.activation().name(),
            Self::ResNet(_) => Activation::Relu.name(),
            Self::ConvNext(_) => "gelu",
        }
    }
}

/// As papers call it: WRN-34-10, ResNet-50, WRN-50-4, ConvNeXt-L + ConvStem.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::WideResNet(model) => write!(f, "WRN-{}-{}", model.depth(), model.width()),
            Self::ResNet(model) => {
                let layers = 2 + 3 * model.depths().iter().sum::<u32>();
                match model.base_width() {
                    64 => write!(f, "ResNet-{layers}"),
                    wide if wide % 64 == 0 => write!(f, "WRN-{layers}-{}", wide / 64),
                    odd => write!(f, "ResNet-{layers} of base width {odd}"),
                }
            }
            Self::ConvNext(model) => {
                let (depths, dims) = (model.depths(), model.dims());
                let size = match (dims, depths) {
                    ([96, 192, 384, 768], [3, 3, 9, 3]) => "-T".into(),
                    ([96, 192, 384, 768], [3, 3, 27, 3]) => "-S".into(),
                    ([128, 256, 512, 1024], [3, 3, 27, 3]) => "-B".into(),
                    ([192, 384, 768, 1536], [3, 3, 27, 3]) => "-L".into(),
                    _ => format!(" of depths {depths:?} and widths {dims:?}"),
                };
                write!(f, "ConvNeXt{size}")?;
                if *model.stem() == Stem::Patch { Ok(()) } else { write!(f, " + ConvStem") }
            }
        }
    }
}
