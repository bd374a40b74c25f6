//! The options of the commands about files of networks: `models`, `inspect` and `convert`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::model::Activation;

/// The arguments of the command `models`.
#[derive(Debug, Args)]
pub struct Models {
    /// Network to describe, such as fashion-demo: architecture, training data, and measurements with the commands that made them
    /// [default: list all networks that come with the program]
    pub name: Option<String>,
}

/// The arguments of the command `inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The network: the folder of a training run or of a checkpoint, a .safetensors or .onnx file, a PyTorch checkpoint, or zoo:NAME
    /// (`lapidary models` lists the names)
    pub file: PathBuf,
}

/// The arguments of the command `convert`.
#[derive(Debug, Args)]
pub struct Convert {
    /// Network to read: a PyTorch checkpoint (.pth, .pt, .ckpt), an .onnx or .safetensors file, the folder of a training run, or
    /// zoo:NAME (`lapidary models` lists the names)
    #[arg(value_name = "IN")]
    pub file: PathBuf,
    /// File to write: NAME.safetensors or NAME.onnx
    pub out: PathBuf,
    /// Weights to take from a PyTorch training checkpoint that holds several state dicts: ema (averaged), model (trained), or the
    /// key of one in the file [default: ema if there is one, else model, else the only one]
    #[arg(help_heading = "Reading", long, value_name = "KEY")]
    pub weights: Option<String>,
    /// Mean that is subtracted from images in [0, 1], a number for each channel [default: the mean stored in IN; needed, or else
    /// --no-normalisation, if IN does not say how images are normalised]
    ///
    /// For example 0.4914,0.4822,0.4465. Needs --std as well.
    #[arg(
        help_heading = "Normalisation",
        long,
        value_delimiter = ',',
        requires = "std",
        allow_negative_numbers = true
    )]
    pub mean: Option<Vec<f32>>,
    /// Standard deviation that images are divided by once the mean (--mean) is subtracted, a number for each channel [default:
    /// that stored in IN]
    #[arg(help_heading = "Normalisation", long, value_delimiter = ',', requires = "mean")]
    pub std: Option<Vec<f32>>,
    /// State that the network takes images in [0, 1] without normalisation
    #[arg(help_heading = "Normalisation", long, conflicts_with = "mean")]
    pub no_normalisation: bool,
    /// Activation function after each normalisation layer [default: the one that IN states; needed for a wide or pre-activation
    /// ResNet if it states none]
    ///
    /// Other networks keep their own activation functions, whatever this option says.
    #[arg(help_heading = "Reading", long, value_enum)]
    pub activation: Option<ActivationName>,
    /// Rename tensors whose names begin with OLD: the beginning becomes NEW, which may be empty; may be given more than once
    ///
    /// The network's architecture is recognised by the new names.
    #[arg(help_heading = "Reading", long, value_name = "OLD=NEW", value_parser = rename)]
    pub rename: Vec<(String, String)>,
    /// Leave out tensors whose names begin with PREFIX; may be given more than once
    #[arg(help_heading = "Reading", long, value_name = "PREFIX")]
    pub drop: Vec<String>,
    /// Height and width of the network's images in pixels [default: the size that IN names, if it names one]
    ///
    /// If IN names none, commands that run the written file need --side, and an .onnx file that is written takes any size.
    #[arg(help_heading = "Reading", long, value_parser = clap::value_parser!(u32).range(8..=512))]
    pub side: Option<u32>,
    /// Names of the classes in the order of their labels, such as cat,dog [default: the names stored in IN]
    #[arg(help_heading = "Writing", long, value_name = "LIST", value_delimiter = ',')]
    pub class_names: Vec<String>,
    /// Write weights as 16-bit floats, which halves the file
    #[arg(help_heading = "Writing", long)]
    pub f16: bool,
    /// Leave out tensors that do not belong to the network, instead of refusing the file
    #[arg(help_heading = "Reading", long)]
    pub no_strict: bool,
}

/// `OLD=NEW`, of which NEW may be empty.
fn rename(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() => Ok((old.into(), new.into())),
        _ => {
            Err("expected OLD=NEW, the beginnings of tensor names before and after renaming".into())
        }
    }
}

/// The activation functions of networks ([`Activation`]), by their usual names.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ActivationName {
    Relu,
    #[value(alias = "swish")]
    Silu,
}

impl From<ActivationName> for Activation {
    fn from(name: ActivationName) -> Self {
        match name {
            ActivationName::Relu => Self::Relu,
            ActivationName::Silu => Self::Silu,
        }
    }
}
