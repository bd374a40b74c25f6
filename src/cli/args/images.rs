//! The options of the commands `sample`, which draws images from a network, and `classify`, which names the classes of pictures.

use std::path::PathBuf;

use clap::Args;

use super::shared::NetworkOptions;
use super::values::{fit, length};
use crate::data::Fit;

/// The arguments of the command `sample`.
#[derive(Debug, Args)]
pub struct Sample {
    #[command(flatten)]
    pub network: NetworkOptions,
    /// Class to draw, by name or number [default: each in turn]
    #[arg(help_heading = "Sampling", long)]
    pub class: Option<String>,
    /// Number of images to draw
    #[arg(help_heading = "Sampling", long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub count: u32,
    /// Seed of the images that sampling starts from: of random ones, and of the order in which given ones are taken
    #[arg(help_heading = "Sampling", long, default_value_t = 0)]
    pub seed: u64,
    /// Images that sampling starts from: builtin:fractal (random fields with a 1/f^b spectrum), builtin:noise (independent
    /// uniform values), a folder of pictures, or other images that `train` reads, such as .npz or idx files
    #[arg(
        help_heading = "Sampling",
        long,
        value_name = "IMAGES",
        default_value = "builtin:fractal"
    )]
    pub start: Start,
    /// Number of gradient steps that raise the class's logit [default: as many as the checkpoint names for sampling, else 20]
    #[arg(help_heading = "Sampling", long, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub steps: Option<u32>,
    /// Length of one gradient step in the L2 norm, such as 0.8 or 8/255 [default: the step size that the checkpoint names for
    /// sampling, else 0.8]
    #[arg(help_heading = "Sampling", long, value_parser = length)]
    pub step_size: Option<f64>,
    /// File or folder to write: NAME.png for a grid of all images; NAME.npz, NAME.tar or a folder for single images
    ///
    /// NAME.png is a grid, and NAME-trajectory.png beside it shows the steps that led to it. NAME.npz and NAME.tar hold
    /// single images, a folder holds them as PNG files; after an interruption the same command goes on with what it has drawn.
    #[arg(help_heading = "Output", long, value_name = "OUT", default_value = "samples.png")]
    pub out: PathBuf,
}

/// The arguments of the command `classify`.
#[derive(Debug, Args)]
pub struct Classify {
    /// Pictures to classify, one or more (none are needed with --show-plan): PNG, JPEG, WebP, GIF, BMP or TIFF files
    #[arg(required_unless_present = "show_plan")]
    pub images: Vec<PathBuf>,
    /// The network: the folder of a training run or of a checkpoint, a .safetensors or .onnx file, a PyTorch checkpoint, or zoo:NAME
    /// [default: zoo:fashion-demo]
    ///
    /// The default comes with the program and knows the ten classes of Fashion-MNIST. `lapidary models` lists the networks of the
    /// zoo.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Number of classes to print for each picture
    #[arg(help_heading = "Output", long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub top: u32,
    /// Print JSON instead of a table: of each picture the classes of the table, and the logits of all classes
    #[arg(help_heading = "Output", long)]
    pub json: bool,
    /// Height and width in pixels that pictures are resized to [default: the checkpoint's]
    #[arg(help_heading = "Images", long, value_parser = clap::value_parser!(u32).range(8..=1024))]
    pub side: Option<u32>,
    /// Way to fit pictures of other sizes to the network: crop, letterbox or stretch [default: as in training]
    ///
    /// `crop` takes the square in the middle, `letterbox` puts black around the picture, `stretch` changes its proportions.
    #[arg(help_heading = "Images", long, value_parser = fit)]
    pub fit: Option<Fit>,
    /// Print the kernel launches and the memory of one batch, of at most 8 pictures, instead of classifying
    #[arg(help_heading = "Output", long)]
    pub show_plan: bool,
}

/// The images that sampling starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Sampling starts from images of independent uniform values.
    Noise,
    /// Sampling starts from the images of this name or path: `builtin:fractal`, `builtin:fashion` or a folder, as
    /// [`crate::data::Ood::parse`] reads them.
    Images(String),
}

impl std::str::FromStr for Start {
    type Err = crate::Error;

    fn from_str(text: &str) -> crate::Result<Self> {
        // The short form is of earlier versions.
        if ["builtin:noise", "noise"].contains(&text) {
            return Ok(Self::Noise);
        }
        crate::data::Ood::parse(text).map(|_| Self::Images(text.into()))
    }
}
