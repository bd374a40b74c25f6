//! The options of the commands about adapters and kernels: `devices`, `doctor`, `tune` and `bench`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// The arguments of the command `tune`.
#[derive(Debug, Args)]
pub struct Tune {
    /// Network whose kernels to measure, as far as they are not known yet: a checkpoint file, zoo:NAME, or the name of an
    /// architecture, such as wrn-16-2 or resnet50 (`bench --help` lists them); without it, the fastest kernels that are known for
    /// this adapter are only listed
    pub model: Option<String>,
    /// Number of images that go through the network at once; kernels are measured at the shapes of this batch
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: u32,
    /// Height and width of the images [default: the size stored in the checkpoint, else 32; for an architecture 32 if it is a
    /// wrn, else 224]
    #[arg(long)]
    pub side: Option<u32>,
    /// Time that measuring the kernels may take, in seconds; kernels that are not measured by then stay the default ones
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    pub seconds: u32,
    /// Before measuring, read the fastest kernels from a file that --export wrote; a file from another adapter, driver or version
    /// of lapidary is ignored
    #[arg(long, value_name = "FILE")]
    pub import: Option<PathBuf>,
    /// Write the fastest kernels that are known for this adapter to FILE, which --import reads
    #[arg(long, value_name = "FILE")]
    pub export: Option<PathBuf>,
}

/// The arguments of the command `devices`.
#[derive(Debug, Default, Args)]
pub struct Devices {
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// The arguments of the command `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Write the result of each check to FILE as JSON, for a bug report
    ///
    /// The file also describes the adapter, its driver and its limits, and has no paths of this machine.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// The arguments of the command `bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// Network to measure: wrn-DEPTH-WIDTH, resnet50, resnet101, wide-resnet50-2, wide-resnet50-4, or convnext-SIZE with the size
    /// tiny, small, base or large
    ///
    /// convnext-SIZE-convstem has a stem of several convolutions, instead of one over patches.
    #[arg(long, default_value = "wrn-16-2")]
    pub model: String,
    /// Number of images that go through the network at once
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=65_535), alias = "batch-size")]
    pub batch: u32,
    /// Rows and columns of the images [default: 32 for wrn, 224 for others]
    #[arg(long, value_parser = clap::value_parser!(u32).range(8..=512))]
    pub side: Option<u32>,
    /// Kind of step to measure: of an attack, of sampling or of training
    #[arg(long, value_enum, default_value_t = Step::Pgd)]
    pub what: Step,
    /// Number of times that the step of an attack, of sampling or of training (--what) is measured; the median is printed
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub runs: u32,
    /// Print the kernel launches and the memory of the step of an attack, of sampling or of training (--what), instead of measuring
    ///
    /// The step's buffers are allocated, but no step is run.
    #[arg(long, conflicts_with_all = ["compare", "profile", "json"])]
    pub show_plan: bool,
    /// Estimate how long the step of an attack, of sampling or of training (--what) takes on a chip that this machine does not
    /// have, instead of measuring: h100, rtx4090, rx7900xtx, rx9070, adreno740, m1
    ///
    /// The estimate is made from what the chip's compiler says of the kernels and from the chip's published figures. Beside it
    /// stands the least time that multiply-adds and memory traffic allow. The layers whose estimate is furthest above
    /// that time come first.
    #[arg(long, value_name = "CHIP", conflicts_with_all = ["compare", "profile", "show_plan", "runs"])]
    pub predict: Option<String>,
    /// Print the time of each layer of the network, instead of each kernel
    ///
    /// With --compare, single 3x3 convolutions are timed as well, in lapidary and in the other libraries.
    #[arg(help_heading = "Output", long)]
    pub layers: bool,
    /// Write the time of each kernel launch of the measured step (--what) as two files: FILE.csv, a table, and FILE.json, a trace
    /// for chrome://tracing
    #[arg(help_heading = "Output", long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(help_heading = "Output", long)]
    pub json: bool,
    /// Also time other libraries at the same step, in turn with lapidary; only for --what pgd-step and --model wrn-DEPTH-WIDTH
    ///
    /// Several are separated by commas.
    #[arg(
        help_heading = "Other libraries",
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "PEERS",
        conflicts_with = "profile"
    )]
    pub compare: Vec<Peer>,
    /// Python interpreter that has PyTorch, for --compare torch [default: the one that $LAPIDARY_PEERS names, else
    /// target/peers/bin/python, else python3]
    #[arg(help_heading = "Other libraries", long, value_name = "PATH", requires = "compare")]
    pub python: Option<PathBuf>,
    /// Program built from benches/peers/burn, for --compare burn [default: the one that $LAPIDARY_BURN names, else
    /// benches/peers/burn/target/release/lapidary-peer-burn]
    #[arg(help_heading = "Other libraries", long, value_name = "PATH", requires = "compare")]
    pub burn: Option<PathBuf>,
}

/// Libraries that `bench` compares with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// PyTorch, on the CPU or a CUDA device
    Torch,
    /// The Rust framework burn, with its wgpu backend
    Burn,
}

/// The steps that `bench` can measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Step {
    /// One step of a PGD attack: forward pass, gradient of the loss with respect to the image, change of the image, and projection
    /// onto the ball of allowed changes
    #[value(name = "pgd-step")]
    Pgd,
    /// One step of sampling: forward pass, gradient of a class's logit with respect to the image, and change of the image, without a
    /// limit on the change
    #[value(name = "sample-step")]
    Sample,
    /// One step of training: forward pass with batch statistics, gradients of all weights, optimiser and moving averages
    #[value(name = "train-step")]
    Train,
}

impl Step {
    /// Returns the step's name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pgd => "pgd-step",
            Self::Sample => "sample-step",
            Self::Train => "train-step",
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.name())
    }
}
