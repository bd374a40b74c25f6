//! The enum `Network`, one type for all built-in networks, so that attacks, training and commands work with any of them.

use super::initial::{self, initial};
use super::layers::Mode;
use super::{
    Activation, Checkpoint, ConvNext, Imported, Metadata, Normalisation, Parameter, PreActResNet,
    ResNet, Role, StateDict, Stem, Tensor, Variant, Weights, WideResNet,
};
use crate::graph::{Graph, Value};
use crate::{Error, Result};
use std::fmt;

/// A network of any architecture that the library can read.
#[derive(Clone, Debug, PartialEq)]
pub enum Network {
    /// A wide residual network, such as WRN-34-10, for images of 32 pixels.
    WideResNet(WideResNet),
    /// A pre-activation residual network, such as PreActResNet-18, for images of 32 pixels.
    PreActResNet(PreActResNet),
    /// A residual network, such as ResNet-50 or WRN-50-4, for images of any size.
    ResNet(ResNet),
    /// A ConvNeXt, for images of any size.
    ConvNext(ConvNext),
    /// A network as a list of layers, such as one read from an ONNX file.
    Imported(Imported),
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

impl From<Imported> for Network {
    fn from(model: Imported) -> Self {
        Self::Imported(model)
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
            Network::PreActResNet($model) => $result,
            Network::ResNet($model) => $result,
            Network::ConvNext($model) => $result,
            Network::Imported($model) => $result,
        }
    };
}

/// Tensor names that only one architecture's checkpoints have, in the order in which they are tried: of those with
/// `layer1.0.bn1.weight`, only the usual ResNets normalise after the first convolution.
const MARKS: [(&str, [&str; 2]); 4] = [
    ("wrn", ["block1.layer.0.conv1.weight", "conv1.weight"]),
    ("resnet", ["layer1.0.conv2.weight", "bn1.weight"]),
    ("preact-resnet", ["layer1.0.conv2.weight", "layer1.0.bn1.weight"]),
    ("convnext", ["stages.0.blocks.0.conv_dw.weight", "stages.0.blocks.0.mlp.fc1.weight"]),
];

/// The architecture name in metadata of a network that is stored as a list of layers.
const IMPORTED: &str = "imported";

/// Name, base width and depths of each ResNet that has a name.
const RESNETS: [(&str, u32, [u32; 4]); 4] = [
    ("resnet50", 64, [3, 4, 6, 3]),
    ("resnet101", 64, [3, 4, 23, 3]),
    ("wide-resnet50-2", 128, [3, 4, 6, 3]),
    ("wide-resnet50-4", 256, [3, 4, 6, 3]),
];

/// Planes of the four stages of every ResNet.
const RESNET_DIMS: [u32; 4] = [64, 128, 256, 512];

/// Name, channels of the first stage, which double in each that follows, and blocks of the third of each ConvNeXt.
const CONVNEXTS: [(&str, u32, u32); 4] = [
    ("convnext-tiny", 96, 9),
    ("convnext-small", 96, 27),
    ("convnext-base", 128, 27),
    ("convnext-large", 192, 27),
];

/// The suffix of the name of a ConvNeXt whose stem is a row of convolutions.
const CONV_STEM: &str = "-convstem";

impl Network {
    /// Makes a network by its name, one of [`Network::names`].
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
        let unknown = || {
            Error::mismatch(
                "architecture",
                name,
                format_args!("one of {}", Self::names().join(", ")),
            )
        };
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

    /// Returns the names that [`Network::named`] accepts: ResNets, and ConvNeXts with patches or with convolutions for a stem.
    pub fn names() -> Vec<String> {
        let resnets = RESNETS.iter().map(|(name, ..)| (*name).to_owned());
        let convnexts = CONVNEXTS
            .iter()
            .flat_map(|(name, ..)| [(*name).to_owned(), format!("{name}{CONV_STEM}")]);
        resnets.chain(convnexts).collect()
    }

    /// Makes a network from metadata that are complete for the architecture they name.
    pub fn from_metadata(metadata: &Metadata) -> Result<Self> {
        match metadata.architecture.as_deref() {
            Some("wrn") => WideResNet::from_metadata(metadata).map(Self::WideResNet),
            Some("preact-resnet") => PreActResNet::from_metadata(metadata).map(Self::PreActResNet),
            Some("resnet") => ResNet::from_metadata(metadata).map(Self::ResNet),
            Some("convnext") => ConvNext::from_metadata(metadata).map(Self::ConvNext),
            Some(IMPORTED) => Imported::from_metadata(metadata).map(Self::Imported),
            other => {
                let given =
                    other.map_or("no architecture".into(), |name| format!("architecture {name}"));
                Err(Error::mismatch(
                    "network",
                    given,
                    "wrn, preact-resnet, resnet, convnext or imported",
                ))
            }
        }
    }

    /// Makes a network from a checkpoint: its tensors' names show the architecture, their shapes what the metadata leave out. Err
    /// unless the tensors are exactly the network's parameters.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self> {
        let model = Self::meant_by(checkpoint)?;
        checkpoint.check(&model.parameters())?;
        Ok(model)
    }

    /// Makes the network that a checkpoint describes, even if tensors are missing or too many: only those that show its sizes
    /// must be there.
    pub fn meant_by(checkpoint: &Checkpoint) -> Result<Self> {
        match Self::architecture(checkpoint).map(|(name, _)| name) {
            Some("wrn") => WideResNet::meant_by(checkpoint).map(Self::WideResNet),
            Some("preact-resnet") => PreActResNet::meant_by(checkpoint).map(Self::PreActResNet),
            Some("resnet") => ResNet::meant_by(checkpoint).map(Self::ResNet),
            Some("convnext") => ConvNext::meant_by(checkpoint).map(Self::ConvNext),
            Some(IMPORTED) => Imported::from_metadata(&checkpoint.metadata)
                .map(Self::Imported)
                .map_err(|error| Error::bad_file(&checkpoint.source, error)),
            _ => {
                let reason = format!(
                    "no network is recognised by the file's tensors: {}",
                    nearest(checkpoint)
                );
                Err(Error::bad_file(&checkpoint.source, reason))
            }
        }
    }

    /// Recognises the architecture of a checkpoint, and says by what.
    fn architecture(checkpoint: &Checkpoint) -> Option<(&'static str, String)> {
        if checkpoint.metadata.layers.is_some() {
            return Some((IMPORTED, "its list of layers".into()));
        }
        let told = checkpoint.metadata.architecture.as_deref();
        let told = MARKS.iter().find(|(name, _)| Some(*name) == told);
        if let Some((name, _)) = told {
            return Some((name, "its metadata".into()));
        }
        let has = |mark: &&str| checkpoint.weights.get(mark).is_ok();
        let found = MARKS.iter().find(|(_, marks)| marks.iter().all(&has));
        found.map(|(name, marks)| (*name, marks.join(", ")))
    }

    /// Returns, for messages, by what a checkpoint's architecture is recognised: its metadata, or the names of certain tensors.
    /// None if it is not recognised.
    pub fn told_by(checkpoint: &Checkpoint) -> Option<String> {
        Self::architecture(checkpoint).map(|(_, by)| by)
    }

    /// Returns the metadata from which [`Network::from_metadata`] makes this network again.
    pub fn metadata(&self) -> Metadata {
        each!(self, model => model.metadata())
    }

    /// Returns the names, shapes and roles of all tensors, in the order of PyTorch's state dict.
    pub fn parameters(&self) -> Vec<Parameter> {
        each!(self, model => model.parameters())
    }

    /// Returns the number of trained parameters: all numbers in all weights.
    pub fn count(&self) -> usize {
        let trained = |parameter: &&Parameter| parameter.role == Role::Weight;
        self.parameters().iter().filter(trained).map(Parameter::count).sum()
    }

    /// Adds the nodes of the forward pass to a graph: from images x \[N, C, H, W\] in \[0, 1\] to logits \[N, K\]. `mode` matters
    /// only to networks with batch norm.
    pub fn logits(
        &self,
        graph: &mut Graph,
        x: Value,
        weights: &Weights,
        mode: Mode,
    ) -> Result<Value> {
        match self {
            Self::WideResNet(model) => model.logits(graph, x, weights, mode),
            Self::PreActResNet(model) => model.logits(graph, x, weights, mode),
            Self::ResNet(model) => model.logits(graph, x, weights, mode),
            Self::ConvNext(model) => model.logits(graph, x, weights),
            Self::Imported(model) => model.logits(graph, x, weights, mode),
        }
    }

    /// Returns random weights to start training from, drawn as is usual for the architecture: for ConvNeXts as [`initial::small`]
    /// says, for all others as [`initial()`] says.
    pub fn initial(&self, seed: u64) -> StateDict {
        match self {
            Self::ConvNext(model) => initial::small(&model.parameters(), seed),
            _ => initial(&self.parameters(), seed),
        }
    }

    /// Weight and bias of the layer that logits come from, whose rows are the classes. None for an imported network that
    /// ends otherwise.
    pub(super) fn head(&self) -> Option<[Option<String>; 2]> {
        let of = |name: &str| Some(["weight", "bias"].map(|part| Some(format!("{name}.{part}"))));
        match self {
            Self::ConvNext(_) => of("head.fc"),
            Self::WideResNet(_) | Self::PreActResNet(_) | Self::ResNet(_) => of("fc"),
            Self::Imported(model) => Some(model.head()?.map(|name| name.map(str::to_owned))),
        }
    }

    /// Reorders the classes of a network's last layer: the new class i is the old class `classes[i]`. Err unless each class is
    /// there once.
    pub fn with_classes(&self, mut weights: StateDict, classes: &[u32]) -> Result<StateDict> {
        let mut sorted = classes.to_vec();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..self.classes()) {
            let wanted = format_args!("each of the {} classes once", self.classes());
            return Err(Error::mismatch("classes", format_args!("{classes:?}"), wanted));
        }
        let other = || Error::mismatch("classes", self, "a network whose last layer is linear");
        for name in self.head().ok_or_else(other)?.into_iter().flatten() {
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

    /// Replaces the last layer for another number of classes, and returns the network with its weights: the last layer is drawn
    /// from the seed ([`initial()`]), all else stays.
    ///
    /// # Errors
    /// `Mismatch` for an imported network, whose layers are those of its file, and for no classes.
    pub fn with_new_classes(
        &self,
        mut weights: StateDict,
        classes: u32,
        seed: u64,
    ) -> Result<(Self, StateDict)> {
        let head = self.head().filter(|_| !matches!(self, Self::Imported(_)));
        let other =
            || Error::mismatch("classes", self, "a network that was not imported from ONNX");
        let head = head.ok_or_else(other)?;
        let network = Self::from_metadata(&Metadata { classes: Some(classes), ..self.metadata() })?;
        let initial = network.initial(seed);
        for name in head.into_iter().flatten() {
            let fresh = initial.get(&name)?.clone();
            weights.insert(name, fresh);
        }
        weights.check(&network.parameters())?;
        Ok((network, weights))
    }

    /// Returns the number of channels of the images.
    pub fn channels(&self) -> u32 {
        each!(self, model => model.channels())
    }

    /// Returns the number of classes, which is the number of logits.
    pub fn classes(&self) -> u32 {
        each!(self, model => model.classes())
    }

    /// Returns the normalisation of the input; `None` where the network takes images as they are.
    pub fn normalisation(&self) -> Option<&Normalisation> {
        each!(self, model => model.normalisation())
    }

    /// Returns whether a network with another activation would have the same tensors, so that a file has to name the activation.
    pub fn asks_activation(&self) -> bool {
        matches!(self, Self::WideResNet(_) | Self::PreActResNet(_))
    }

    /// Returns the name of the activation function.
    pub fn activation(&self) -> &'static str {
        match self {
            Self::WideResNet(model) => model.activation().name(),
            Self::PreActResNet(model) => model.activation().name(),
            Self::ResNet(_) => Activation::Relu.name(),
            Self::ConvNext(_) => "gelu",
            Self::Imported(model) => model.activation(),
        }
    }
}

/// Names the architecture nearest to an unknown checkpoint: the one of which most telling tensors ([`MARKS`]) are there.
fn nearest(checkpoint: &Checkpoint) -> String {
    let marks = MARKS.map(|(name, marks)| format!("{} ({name})", marks.join(" and ")));
    let near = MARKS.map(|(name, marks)| {
        let has = marks.iter().filter(|mark| checkpoint.weights.get(mark).is_ok()).count();
        (has, name)
    });
    let near = near.into_iter().max_by_key(|&(has, _)| has).filter(|&(has, _)| has > 0);
    let near = near.map_or(String::new(), |(_, name)| format!("; the nearest is {name}"));
    format!("expected one of: {}{near}{}", marks.join(", "), elsewhere(checkpoint))
}

/// The prefixes under which an unknown checkpoint has the telling tensors of a network, and what to do about them.
fn elsewhere(checkpoint: &Checkpoint) -> String {
    let prefixes = MARKS.iter().flat_map(|(_, marks)| {
        let names = checkpoint.weights.iter().map(|(name, _)| name);
        let prefixes = names.filter_map(|name| name.strip_suffix(marks.first()?));
        prefixes.filter(|prefix| {
            let has = |mark: &str| checkpoint.weights.get(&format!("{prefix}{mark}")).is_ok();
            prefix.ends_with('.') && marks.iter().all(|mark| has(mark))
        })
    });
    let prefixes: Vec<_> = prefixes.map(|prefix| prefix.escape_debug().to_string()).collect();
    match prefixes.as_slice() {
        [] => String::new(),
        [one] => format!("; but tensors under {one} fit: --rename {one}= removes the prefix"),
        [first, .., last] => format!(
            "; but tensors under {first} and {last} fit: --drop {last} leaves the first of these networks"
        ),
    }
}

/// The name that papers have for it, if there is one: WRN-34-10, ResNet-50, WRN-50-4, ConvNeXt-L + ConvStem.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::WideResNet(model) => {
                write!(f, "WRN-{}-{}", model.depth(), model.width())?;
                match model.variant() {
                    None => Ok(()),
                    Some(Variant::DeepMind) => write!(f, " of DeepMind's"),
                    Some(Variant::Jem) => write!(f, " without normalisation layers"),
                }
            }
            Self::PreActResNet(model) => {
                write!(f, "PreActResNet-{}", 2 + 2 * model.depths().iter().sum::<u32>())
            }
            Self::ResNet(model) => {
                let convs = if model.is_basic() { 2 } else { 3 };
                let layers = 2 + convs * model.depths().iter().sum::<u32>();
                match model.base_width() {
                    64 => write!(f, "ResNet-{layers}")?,
                    wide if wide % 64 == 0 => write!(f, "WRN-{layers}-{}", wide / 64)?,
                    odd => write!(f, "ResNet-{layers} of base width {odd}")?,
                }
                if model.is_small() { write!(f, " for small images") } else { Ok(()) }
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
            Self::Imported(model) => {
                write!(f, "imported network of {} layers", model.layers().len())?;
                let counts = model.counts();
                let counts: Vec<_> =
                    counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
                if counts.is_empty() { Ok(()) } else { write!(f, " ({})", counts.join(", ")) }
            }
        }
    }
}
