//! The command-line options of `attack`, which measures a network's accuracy under attacks.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::shared::LabelledOptions;
use super::values::{NormName, radius};
use crate::data::is_picture;
use crate::eval::{AttackName, Loss, Version};
use crate::train::fraction;

/// The number of steps of `attack`'s PGD where the arguments give none.
pub const PGD_STEPS: u32 = 50;
/// The number of starts of `attack`'s PGD where the arguments give none.
pub const PGD_RESTARTS: u32 = 1;

/// The arguments of the command `attack`.
#[derive(Debug, Args)]
pub struct Attack {
    /// The network, pictures to attack, or the network and then pictures [default: zoo:fashion-demo, and the images of --data]
    ///
    /// The network is the folder of a training run or of a checkpoint, a .safetensors or .onnx file, a PyTorch checkpoint, or
    /// zoo:NAME; pictures are PNG, JPEG, WebP, GIF, BMP or TIFF files. Without pictures the images of --data are attacked. Pictures
    /// need no labels: each is attacked away from the class that the network sees in it. Without a network the one that comes with
    /// the program is taken, which knows the ten classes of Fashion-MNIST. `lapidary models` lists the networks of the zoo.
    #[arg(value_name = "CHECKPOINT|PICTURE")]
    pub given: Vec<PathBuf>,
    /// The network, where only pictures are named beside it [default: zoo:fashion-demo]
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Height and width of the images in pixels [default: the checkpoint's]
    ///
    /// Images of another size are resized to this one.
    #[arg(help_heading = "Images", long, value_parser = clap::value_parser!(u32).range(8..=512))]
    pub side: Option<u32>,
    /// Largest change of an image by an attack, in --norm, such as 8/255
    ///
    /// It is the radius of the ball of changes that an attack may make, for pixels in [0, 1].
    #[arg(help_heading = "Attack", long, default_value = "0.5", value_parser = radius)]
    pub eps: f64,
    /// Norm that measures the size of an attack's changes
    ///
    /// `l2` is the Euclidean length of the change over all pixels, `linf` the largest change of one pixel.
    #[arg(help_heading = "Attack", long, value_enum, ignore_case = true, default_value_t = NormName::L2)]
    pub norm: NormName,
    /// Set of attacks that are run one after the other [default: standard, or few-classes for networks of 2 or 3 classes]
    ///
    /// Each attack is run on the images that none before has broken:
    /// standard (apgd-ce, apgd-t, fab-t, square), AutoAttack's usual set, for 4 classes and more;
    /// plus (apgd-ce, apgd-dlr, fab, square, apgd-t, fab-t), AutoAttack's longest set;
    /// few-classes (apgd-ce, fab-t, square), for networks of 2 or 3 classes;
    /// rand (apgd-ce, apgd-dlr), AutoAttack's set for randomised networks;
    /// custom, the attacks that --attacks lists.
    #[arg(help_heading = "Attack", long, value_enum)]
    pub version: Option<VersionName>,
    /// Attacks to run one after the other, in the order of LIST, instead of a ready-made set of attacks (--version): any of
    /// apgd-ce, apgd-dlr, apgd-t, fab, fab-t, square and pgd, such as apgd-ce,square
    #[arg(help_heading = "Attack", long, value_name = "LIST", value_delimiter = ',', value_parser = attack_name,
        required_if_eq("version", "custom"))]
    pub attacks: Vec<AttackName>,
    /// Number of the labelled images (--data) to attack, drawn evenly by class [default: all]
    ///
    /// The same images are drawn each time.
    #[arg(help_heading = "Images", long, value_parser = clap::value_parser!(u32).range(1..))]
    pub count: Option<u32>,
    /// Seed of all random numbers
    #[arg(help_heading = "Attack", long, default_value_t = 0)]
    pub seed: u64,
    /// File that keeps the evaluation's state after each batch, so that the same command goes on after an interruption
    ///
    /// If the file exists already, the evaluation goes on from the state in it.
    #[arg(help_heading = "Output", long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Write all images as safetensors: as changed by the attack that succeeded, or unchanged where none did
    ///
    /// `eval --data FILE` reads them, and `sample --start FILE --steps 0 --count N --out FOLDER` writes N of them as PNG, in an
    /// order that --seed determines.
    #[arg(help_heading = "Output", long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print the results as one JSON object instead of lines
    #[arg(help_heading = "Output", long)]
    pub json: bool,
    /// Number of steps of the attack pgd (--attacks) from each start
    #[arg(help_heading = "Attack pgd", long, value_name = "N", default_value_t = PGD_STEPS, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub pgd_steps: u32,
    /// Length of one step of the attack pgd (--attacks), in the norm that --norm sets, such as 0.1 or 2/255 [default: eps/8]
    #[arg(help_heading = "Attack pgd", long, value_name = "LENGTH", value_parser = radius)]
    pub pgd_step_size: Option<f64>,
    /// Number of times that the attack pgd (--attacks) is run on each image: first from the image itself, then from random starts
    ///
    /// Random starts are drawn from the ball of radius --eps around the image.
    #[arg(help_heading = "Attack pgd", long, value_name = "N", default_value_t = PGD_RESTARTS, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub pgd_restarts: u32,
    /// Momentum of the attack pgd (--attacks): the part of the last direction that is kept, from 0 to below 1
    ///
    /// Above 0 the result is the image with the highest loss on the way, at 0 the image after the last step.
    #[arg(help_heading = "Attack pgd", long, value_name = "PART", default_value = "0", value_parser = part)]
    pub pgd_momentum: f64,
    /// Loss that the steps of the attack pgd (--attacks) increase: ce (cross-entropy), dlr (difference of logits ratio) or cw
    /// (Carlini and Wagner's margin)
    #[arg(help_heading = "Attack pgd", long, value_enum, default_value_t = LossName::Ce)]
    pub pgd_loss: LossName,
    /// Run the attack pgd (--attacks) towards each of the nine likeliest other classes in turn, instead of away from the label
    ///
    /// Where there are fewer other classes, it is run towards each of them.
    #[arg(help_heading = "Attack pgd", long)]
    pub pgd_targeted: bool,
    #[command(flatten)]
    pub labelled: LabelledOptions,
}

impl Attack {
    /// Returns the network, if one is named, and the pictures.
    pub fn network_and_pictures(&self) -> (Option<&Path>, &[PathBuf]) {
        match (&self.checkpoint, self.given.split_first()) {
            (None, Some((first, rest))) if !is_picture(first) => (Some(first), rest),
            (checkpoint, _) => (checkpoint.as_deref(), &self.given),
        }
    }
}

/// The names of AutoAttack's versions ([`Version`]) on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum VersionName {
    Standard,
    Plus,
    Rand,
    FewClasses,
    Custom,
}

impl From<VersionName> for Version {
    fn from(name: VersionName) -> Self {
        match name {
            VersionName::Standard => Self::Standard,
            VersionName::Plus => Self::Plus,
            VersionName::Rand => Self::Rand,
            VersionName::FewClasses => Self::FewClasses,
            VersionName::Custom => Self::Custom,
        }
    }
}

/// The losses that PGD can increase ([`Loss`]), by their usual names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LossName {
    Ce,
    Dlr,
    Cw,
}

impl From<LossName> for Loss {
    fn from(name: LossName) -> Self {
        match name {
            LossName::Ce => Self::CrossEntropy,
            LossName::Dlr => Self::Dlr,
            LossName::Cw => Self::Margin,
        }
    }
}

fn part(text: &str) -> Result<f64, String> {
    fraction(text)
        .filter(|number| (0.0..1.0).contains(number))
        .ok_or_else(|| "expected a number from 0 to below 1, such as 0.9".into())
}

fn attack_name(text: &str) -> Result<AttackName, String> {
    text.parse().map_err(|error: crate::Error| error.to_string())
}
