//! What can be written on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use super::args_evaluate::*;
use super::labels::Labels;
pub use super::paper_table::Comparison;
use crate::data::Fit;
use crate::eval::{AttackName, Loss, Version};
use crate::gpu::Filtering;
use crate::model::Activation;
use crate::ops::Norm;
use crate::train::fraction;

/// Trains, attacks, samples and explains joint energy models on any GPU.
#[derive(Debug, Parser)]
#[command(version, disable_help_subcommand = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// An adapter's number in `devices`, or a text: its place on the PCI bus, its PCI numbers or a part of its name; gl: before
    /// it for OpenGL [default: $LAPIDARY_ADAPTER, $WGPU_ADAPTER_NAME, or the fastest]
    #[arg(long, global = true, value_name = "NAME")]
    pub adapter: Option<String>,
    /// Keep nothing of the adapter's for the next start [default: in the user's cache folder, or in $LAPIDARY_CACHE
    /// unless that is "off"]
    #[arg(long, global = true)]
    pub no_cache: bool,
    /// Measure the kernels that there are for a shape, and take the fastest; others may differ in the last bits
    #[arg(long, global = true, value_enum, default_value_t = Tuning::Auto)]
    pub tune: Tuning,
    /// MiB that weights transformed for faster convolutions may take; layers beyond that are convolved directly [default:
    /// no bound]
    #[arg(long, global = true, value_name = "MIB")]
    pub transformed_weights: Option<u32>,
    /// On GPUs: convolutions read their weights in half precision, and by tensor cores images and derivatives too, which halves that copy; logits differ by some 5e-4
    #[arg(long, global = true)]
    pub half_weights: bool,
    /// Compute 3x3 convolutions of 32 channels and more by Winograd's filtering; the rounding differs from the direct kernels'
    #[arg(long, global = true, value_enum, default_value_t = Winograd::Auto)]
    pub winograd: Winograd,
    /// List the adapters and end
    #[arg(long, global = true)]
    pub list: bool,
    /// No progress on stderr
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

impl Arguments {
    /// The options of all commands as they were given, for another process of this program, which says nothing on stderr
    /// but what goes wrong.
    pub fn for_others(&self) -> Vec<String> {
        let mut words = vec!["--quiet".to_owned()];
        let named = |value: Option<clap::builder::PossibleValue>| {
            value.map(|value| value.get_name().to_owned())
        };
        let options = [
            ("--adapter", self.adapter.clone()),
            ("--tune", named(self.tune.to_possible_value())),
            ("--transformed-weights", self.transformed_weights.map(|mib| mib.to_string())),
            ("--winograd", named(self.winograd.to_possible_value())),
        ];
        for (name, value) in options {
            words.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
        }
        let flags = [("--no-cache", self.no_cache), ("--half-weights", self.half_weights)];
        words.extend(flags.into_iter().filter(|flag| flag.1).map(|flag| flag.0.to_owned()));
        words
    }
}

/// Whether kernels are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tuning {
    /// On GPUs, and not on CPU rasterisers
    Auto,
    /// The fastest on this adapter, measured at first use and kept
    On,
    /// The static choices: the same bits at every start
    Off,
}

impl From<Tuning> for crate::gpu::Tune {
    fn from(named: Tuning) -> Self {
        match named {
            Tuning::Auto => Self::Auto,
            Tuning::On => Self::On,
            Tuning::Off => Self::Off,
        }
    }
}

/// Which of Winograd's filterings there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Winograd {
    /// What was measured to pay on this sort of adapter
    Auto,
    /// None, direct convolutions alone
    Off,
    /// F(2x2, 3x3), whose rounding is the smallest
    #[value(name = "2")]
    Two,
    /// F(4x4, 3x3), which takes the fewest products
    #[value(name = "4")]
    Four,
}

impl From<Winograd> for Filtering {
    fn from(named: Winograd) -> Self {
        match named {
            Winograd::Auto => Self::Auto,
            Winograd::Off => Self::Off,
            Winograd::Two => Self::Two,
            Winograd::Four => Self::Four,
        }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train, evaluate and sample on the embedded images, in minutes, and write a report
    Demo(Demo),
    /// Train stage 1 and stage 2 as a configuration says
    Train(Train),
    /// Say whether a configuration fits the adapter, with which memory, and with --time about how long it takes
    Plan(Plan),
    /// Measure a step of a network, and what share of the adapter's peak it reaches
    Bench(Bench),
    /// List the runs in a folder, or compare several
    Runs(Runs),
    /// Train and measure hybrid models side by side, all alike, and write one table and one figure
    PaperTable(PaperTable),
    /// Draw images of a class
    Sample(Sample),
    /// Name the likeliest classes of pictures
    Classify(Classify),
    /// Measure accuracy, accuracy under attack and AUROC against out-of-distribution images
    Eval(Eval),
    /// Show what a picture would have to look like to be of another class
    Explain(Explain),
    /// Measure accuracy under AutoAttack or a list of attacks
    Attack(Attack),
    /// List the networks that come with the program, or say all of one
    Models(Models),
    /// List the adapters
    Devices(Devices),
    /// Run embedded cases on the adapter and say what fails
    Doctor(Doctor),
    /// Measure which kernels are the fastest on the adapter, or take and give what was measured
    Tune(Tune),
    /// Say what is in a checkpoint
    Inspect(Inspect),
    /// Write a PyTorch checkpoint as safetensors, or a network as ONNX
    Convert(Convert),
}

/// `tune`
#[derive(Debug, Args)]
pub struct Tune {
    /// A checkpoint, or a network as `bench --model` names it; without it nothing is measured
    pub model: Option<String>,
    /// Images that go through at once: kernels are chosen for shapes
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: u32,
    /// Height and width of the images [default: the checkpoint's, or as the network is mostly used]
    #[arg(long)]
    pub side: Option<u32>,
    /// Seconds that measuring may take
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    pub seconds: u32,
    /// Take a table first that --export wrote for this adapter, driver and version
    #[arg(long, value_name = "FILE")]
    pub import: Option<PathBuf>,
    /// Write all that is known of this adapter as a table
    #[arg(long, value_name = "FILE")]
    pub export: Option<PathBuf>,
}

/// `models`
#[derive(Debug, Args)]
pub struct Models {
    /// One of them, as fashion-demo: what it is, what was measured, and by which command
    pub name: Option<String>,
}

/// `devices`
#[derive(Debug, Default, Args)]
pub struct Devices {
    /// JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// `doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// Write what was found as JSON, for a bug report
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// `demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// Run folder [default: the first unused of runs/fashion-demo, runs/fashion-demo-2, ...]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Change a value of the preset fashion-demo, as stage2.iterations=400
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Seed of all random numbers [default: the preset's]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Print what one iteration of each stage runs and needs, and end
    #[arg(long)]
    pub show_plan: bool,
}

/// `train`
#[derive(Debug, Args)]
pub struct Train {
    /// A preset's name or a TOML file [default: that of the run in --out]
    #[arg(value_name = "CONFIG", required_unless_present_any = ["resume", "out"])]
    pub config: Option<String>,
    /// Run folder; a run that is there goes on, if it is of the same configuration [default: the first unused of runs/NAME,
    /// runs/NAME-2, ...]
    #[arg(long, value_name = "DIR", required_if_eq("resume", "true"))]
    pub out: Option<PathBuf>,
    /// Change a value of the configuration, as stage2.iterations=400
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Damaged pictures that may be left out: a share below 1, a number from 1 on
    #[arg(long, value_name = "N")]
    pub max_bad: Option<f64>,
    /// Go on from the last checkpoint in --out, and refuse a folder without a run
    #[arg(long)]
    pub resume: bool,
    /// Print what one iteration of each stage runs and needs, and end
    #[arg(long)]
    pub show_plan: bool,
}

/// `plan`
#[derive(Debug, Args)]
pub struct Plan {
    /// A preset's name or a TOML file
    #[arg(value_name = "CONFIG")]
    pub config: String,
    /// Change a value of the configuration, as stage2.batch=32
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Read the data, train a few iterations of each stage on the adapter, throw them away and say what they took
    #[arg(long)]
    pub time: bool,
    /// Without --time, which reads them: classes of the data [default: as its folders or the preset have them]
    #[arg(long, conflicts_with = "time", value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    pub classes: Option<u32>,
    /// Likewise channels of its images
    #[arg(long, conflicts_with = "time", value_parser = clap::value_parser!(u32).range(1..=3))]
    pub channels: Option<u32>,
    /// Predict an iteration by 1, 2, 4 and up to so many ranks, each with its share of the batch
    #[arg(long, value_name = "N", conflicts_with = "time", value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub ranks: Option<u32>,
    /// What the network carries from one rank to the others, as 25GB/s or 100Gb/s [default: 10GB/s]
    #[arg(long, requires = "ranks", value_name = "RATE", value_parser = bandwidth)]
    pub bandwidth: Option<f64>,
    /// What a device gives to the host and takes, as 12GB/s [default: measured on the adapter]
    #[arg(long, requires = "ranks", value_name = "RATE", value_parser = bandwidth)]
    pub copies: Option<f64>,
    /// What a device computes of these networks [default: measured on the adapter, by a training step]
    #[arg(long, requires = "ranks", value_name = "TFLOP/s", value_parser = tflops)]
    pub tflops: Option<f64>,
}

/// Bytes a second between ranks where nothing is said: a network card of 100 Gb/s, less what protocols take.
pub const BANDWIDTH: f64 = 10e9;

fn bandwidth(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    // Bytes, or bits by a small b.
    let units = [("GB", 1e9), ("MB", 1e6), ("Gb", 1e9 / 8.0), ("Mb", 1e6 / 8.0)];
    let read = units.iter().find_map(|(unit, factor)| {
        Some(number.strip_suffix(unit)?.trim().parse::<f64>().ok()? * factor)
    });
    read.filter(|rate| (1e3..=1e15).contains(rate))
        .ok_or_else(|| "a rate is wanted, as 25GB/s, 800MB/s or 100Gb/s".into())
}

fn tflops(text: &str) -> Result<f64, String> {
    let read = text.parse().ok().filter(|rate: &f64| (1e-6..=1e6).contains(rate));
    read.ok_or_else(|| "a number above 0 is wanted, of TFLOP/s, as 12.5".into())
}

/// `bench`
#[derive(Debug, Args)]
pub struct Bench {
    /// wrn-DEPTH-WIDTH, or resnet50, wide-resnet50-4, convnext-base and the like
    #[arg(long, default_value = "wrn-16-2")]
    pub model: String,
    /// Images at once
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=65_535), alias = "batch-size")]
    pub batch: u32,
    /// Rows and columns [default: 32 for wrn, 224 for others]
    #[arg(long, value_parser = clap::value_parser!(u32).range(8..=512))]
    pub side: Option<u32>,
    /// Which step
    #[arg(long, value_enum, default_value_t = Step::Pgd)]
    pub what: Step,
    /// Measurements, of which the median is told
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub runs: u32,
    /// Print what a step runs and needs, with its buffers made but no step taken, and end
    #[arg(long, conflicts_with_all = ["compare", "profile", "json"])]
    pub show_plan: bool,
    /// A table of layers instead of one of kernels; with --compare, single 3x3 convolutions as well
    #[arg(long)]
    pub layers: bool,
    /// Write each launch of a step as a table, FILE.csv, and as a trace for chrome://tracing, FILE.json
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// One JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// Measure other libraries at the same step in turn with ours
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "PEERS",
        conflicts_with = "profile"
    )]
    pub compare: Vec<Peer>,
    /// A Python that has PyTorch, for --compare torch [default: $LAPIDARY_PEERS, target/peers/bin/python or python3]
    #[arg(long, value_name = "PATH", requires = "compare")]
    pub python: Option<PathBuf>,
    /// The program built of benches/peers/burn, for --compare burn [default: $LAPIDARY_BURN, or where cargo leaves it]
    #[arg(long, value_name = "PATH", requires = "compare")]
    pub burn: Option<PathBuf>,
}

/// Libraries that `bench` compares with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// PyTorch, on the CPU or a CUDA device
    Torch,
    /// burn with its wgpu backend
    Burn,
}

/// What `bench` measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Step {
    /// Forward, the image's gradient, a step in the ball
    #[value(name = "pgd-step")]
    Pgd,
    /// The same up a class's logit, without a ball
    #[value(name = "sample-step")]
    Sample,
    /// Forward with batch statistics, all gradients, optimiser, averages
    #[value(name = "train-step")]
    Train,
}

impl Step {
    /// The name on the command line.
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

/// `runs`
#[derive(Debug, Args)]
pub struct Runs {
    /// A folder of runs [default: runs], or runs to compare
    #[arg(value_name = "DIR")]
    pub folders: Vec<PathBuf>,
}

/// `paper-table`
#[derive(Debug, Args)]
pub struct PaperTable {
    /// Which comparison
    #[arg(long, value_enum, default_value_t = Comparison::Small)]
    pub set: Comparison,
    /// A tenth of the iterations, 100 test images, 100 samples, one seed, no AutoAttack: whether all of it works, not what it
    /// comes to
    #[arg(long)]
    pub quick: bool,
    /// Folder for runs, table and figure; what is finished there is not done again [default: runs/paper-table-SET]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Seeds 0, 1, ... of each row; more of them later go on in the same folder [default: 3, or 1 with --quick]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub seeds: Option<u32>,
    /// Rows by their names, as at,jem,dat-t8 [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub rows: Vec<String>,
    /// Passes of a batch forward and back that a row may spend in training [default: 6000, or 60000 for colour]
    #[arg(long, value_name = "PASSES", value_parser = clap::value_parser!(u64).range(100..=1_000_000_000))]
    pub budget: Option<u64>,
    /// Labelled images to train and measure on [default: the embedded ones; colour and full have none]
    #[arg(long, value_name = "IMAGES")]
    pub data: Option<String>,
    /// Further images of no class, beside random fields and noise; more than once for more sets
    #[arg(long, value_name = "IMAGES")]
    pub ood: Vec<String>,
    /// Test images, drawn evenly by class [default: 1000, or 10000 for colour and full]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(10..))]
    pub images: Option<u32>,
    /// Samples of each run [default: 2000, or 10000 for colour and full]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(10..=100_000))]
    pub samples: Option<u32>,
    /// Test images for AutoAttack, 0 for none [default: 200, or 1000 for colour and full]
    #[arg(long, value_name = "COUNT")]
    pub attack_images: Option<u32>,
    /// Weights of EfficientNet-Lite0 or Inception-v3, for distances of the samples in their features
    #[arg(long, value_name = "FILE")]
    pub extractor: Option<PathBuf>,
    /// What starts commands that share their work among processes, as "mpirun -n 4"
    #[arg(long, value_name = "WORDS")]
    pub launcher: Option<String>,
}

/// `sample`
#[derive(Debug, Args)]
pub struct Sample {
    /// A run folder, a checkpoint's folder, a safetensors file or zoo:NAME of `models` [default: the built-in Fashion model]
    pub checkpoint: Option<PathBuf>,
    /// A class's name or number [default: each in turn]
    #[arg(long)]
    pub class: Option<String>,
    /// Images
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub count: u32,
    /// Seed of the images that sampling starts from
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// What sampling starts from: builtin:fractal, noise, or a folder of PNG or idx files
    #[arg(long, value_name = "IMAGES", default_value = "builtin:fractal")]
    pub start: Start,
    /// Steps up the class logit [default: the checkpoint's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub steps: Option<u32>,
    /// L2 length of a step, as 0.8 or 8/255 [default: the checkpoint's]
    #[arg(long, value_parser = length)]
    pub step_size: Option<f64>,
    /// Rows and columns of the images [default: the checkpoint's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(8..=512))]
    pub side: Option<u32>,
    /// NAME.png for a grid, with what led to it beside it as NAME-trajectory.png; single images into NAME.npz, NAME.tar or,
    /// as PNG files, into a folder
    #[arg(long, value_name = "OUT", default_value = "samples.png")]
    pub out: PathBuf,
}

/// `classify`
#[derive(Debug, Args)]
pub struct Classify {
    /// PNG, JPEG, WebP, GIF, BMP or TIFF files
    #[arg(required_unless_present = "show_plan")]
    pub images: Vec<PathBuf>,
    /// A run folder, a checkpoint's folder, a safetensors file or zoo:NAME of `models` [default: the built-in Fashion model]
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Classes of each image
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub top: u32,
    /// JSON instead of a table
    #[arg(long)]
    pub json: bool,
    /// Rows and columns that images are brought to [default: the checkpoint's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(8..=1024))]
    pub side: Option<u32>,
    /// How pictures of other sizes come to that side: crop, letterbox or stretch [default: as in training]
    #[arg(long, value_parser = fit)]
    pub fit: Option<Fit>,
    /// Print what one batch runs and needs, and end
    #[arg(long)]
    pub show_plan: bool,
}

/// `eval` without more
#[derive(Debug, Args)]
pub struct Quick {
    /// A run folder, a checkpoint's folder, a safetensors file or zoo:NAME of `models` [default: the built-in Fashion model]
    pub checkpoint: Option<PathBuf>,
    /// One JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// Radius of the attack's ball, as 0.5 or 8/255
    #[arg(long, default_value = "0.5", value_parser = radius)]
    pub eps: f64,
    /// What the ball is measured in
    #[arg(long, value_enum, ignore_case = true, default_value_t = NormName::L2)]
    pub norm: NormName,
    /// Number of steps of the attack
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub steps: u32,
    /// Length of one step of the attack [default: eps/8]
    #[arg(long, value_parser = radius)]
    pub step_size: Option<f64>,
    /// Images, drawn evenly by class and the same each time [default: all]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub count: Option<u32>,
    /// Images at once
    #[arg(long, visible_alias = "batch-size", default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub batch: u32,
    /// Images with labels in any form that can be trained on: their test part, or all where there is none [default: the run's own]
    #[arg(long, value_name = "IMAGES")]
    pub data: Option<String>,
    /// Images of no class, which scores are to tell from those; more than once for more sets [default: the run's own]
    #[arg(long, value_name = "IMAGES")]
    pub ood: Vec<String>,
    /// Rows and columns of the images [default: the checkpoint's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(8..=512))]
    pub side: Option<u32>,
    /// How images of other sizes come to that side: crop, letterbox or stretch [default: as in training]
    #[arg(long, value_parser = fit)]
    pub fit: Option<Fit>,
    #[command(flatten)]
    pub labels: Labels,
}

/// `attack`
#[derive(Debug, Args)]
pub struct Attack {
    /// A run folder, a checkpoint's folder, a safetensors file or zoo:NAME of `models` [default: the built-in Fashion model]
    pub checkpoint: Option<PathBuf>,
    /// Radius of the ball, as 0.5 or 8/255
    #[arg(long, default_value = "0.5", value_parser = radius)]
    pub eps: f64,
    /// What the ball is measured in
    #[arg(long, value_enum, ignore_case = true, default_value_t = NormName::L2)]
    pub norm: NormName,
    /// standard: apgd-ce, apgd-t, fab-t, square; plus: apgd-ce, apgd-dlr, fab, square, apgd-t, fab-t; few-classes: apgd-ce,
    /// fab-t, square; rand: apgd-ce, apgd-dlr; custom: what --attacks says [default: standard, or few-classes where the network has 2 or 3]
    #[arg(long, value_enum)]
    pub version: Option<VersionName>,
    /// Attacks of --version custom, in this order: apgd-ce, apgd-dlr, apgd-t, fab, fab-t, square, pgd
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = attack_name,
        required_if_eq("version", "custom"))]
    pub attacks: Vec<AttackName>,
    /// Images, drawn evenly by class and the same each time [default: all]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub count: Option<u32>,
    /// Images at once
    #[arg(long, visible_alias = "batch-size", default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub batch: u32,
    /// Seed of all random numbers
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Kept after each batch; where it is there already, the evaluation goes on from it
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Write the images that broke points, and the others as they were, as safetensors
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// One JSON object instead of lines
    #[arg(long)]
    pub json: bool,
    /// pgd: number of steps from each start
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub pgd_steps: u32,
    /// pgd: length of one step [default: eps/8]
    #[arg(long, value_name = "LENGTH", value_parser = radius)]
    pub pgd_step_size: Option<f64>,
    /// pgd: number of starts; the first is the image itself, the others are drawn at random from the ball
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub pgd_restarts: u32,
    /// pgd: momentum, the part of the last direction that is kept; below 1
    #[arg(long, value_name = "PART", default_value = "0", value_parser = part)]
    pub pgd_momentum: f64,
    /// pgd: the loss that steps climb
    #[arg(long, value_enum, default_value_t = LossName::Ce)]
    pub pgd_loss: LossName,
    /// pgd: attack towards each of the nine likeliest other classes in turn, instead of away from the label
    #[arg(long)]
    pub pgd_targeted: bool,
    /// builtin:fashion or a folder of idx files [default: the run's own]
    #[arg(long, value_name = "IMAGES")]
    pub data: Option<String>,
    /// Rows and columns of the images [default: the checkpoint's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(8..=512))]
    pub side: Option<u32>,
    #[command(flatten)]
    pub labels: Labels,
}

/// [`Version`] as it is written.
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

/// [`Loss`] by the usual names.
#[derive(Clone, Copy, Debug, ValueEnum)]
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

/// `inspect`
#[derive(Debug, Args)]
pub struct Inspect {
    /// A run folder, a checkpoint's folder, a safetensors file, a PyTorch checkpoint or zoo:NAME of `models`
    pub file: PathBuf,
}

/// `convert`
#[derive(Debug, Args)]
pub struct Convert {
    /// A PyTorch checkpoint (.pth, .pt, .ckpt), a safetensors file, or a run's folder
    #[arg(value_name = "IN")]
    pub file: PathBuf,
    /// NAME.safetensors or NAME.onnx
    pub out: PathBuf,
    /// Which weights of a training state to take: ema, model, or a key [default: ema if there is one]
    #[arg(long, value_name = "KEY")]
    pub weights: Option<String>,
    /// Subtracted from images in [0, 1], a number a channel, as 0.4914,0.4822,0.4465 [default: the file's]
    #[arg(long, value_delimiter = ',', requires = "std", allow_negative_numbers = true)]
    pub mean: Option<Vec<f32>>,
    /// What they are divided by then
    #[arg(long, value_delimiter = ',', requires = "mean")]
    pub std: Option<Vec<f32>>,
    /// The network takes images in [0, 1] as they are
    #[arg(long, conflicts_with = "mean")]
    pub no_normalisation: bool,
    /// What follows each normalisation layer [default: the file's]
    #[arg(long, value_enum)]
    pub activation: Option<ActivationName>,
    /// Tensors whose names begin with OLD begin with NEW, before anything else is made of them; repeatable
    #[arg(long, value_name = "OLD=NEW", value_parser = rename)]
    pub rename: Vec<(String, String)>,
    /// Leave out tensors whose names begin so; repeatable
    #[arg(long, value_name = "PREFIX")]
    pub drop: Vec<String>,
    /// Rows and columns of the images [default: the file's; ONNX files without it take any]
    #[arg(long, value_parser = clap::value_parser!(u32).range(8..=512))]
    pub side: Option<u32>,
    /// What the classes are called, by label, as cat,dog [default: the file's]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub class_names: Vec<String>,
    /// Half the size: 16-bit numbers
    #[arg(long)]
    pub f16: bool,
    /// Leave out tensors that are not the network's
    #[arg(long)]
    pub no_strict: bool,
}

/// `OLD=NEW`, of which NEW may be empty.
fn rename(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() => Ok((old.into(), new.into())),
        _ => Err("OLD=NEW wanted".into()),
    }
}

/// What sampling starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Independent uniform values.
    Noise,
    /// `builtin:fractal`, `builtin:fashion` or a folder's path, for [`crate::data::Ood::parse`].
    Images(String),
}

impl std::str::FromStr for Start {
    type Err = crate::Error;

    fn from_str(text: &str) -> crate::Result<Self> {
        if text == "noise" {
            return Ok(Self::Noise);
        }
        crate::data::Ood::parse(text).map(|_| Self::Images(text.into()))
    }
}

/// [`Norm`] by its usual names, which say enough in the help.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum NormName {
    L2,
    Linf,
}

impl From<NormName> for Norm {
    fn from(name: NormName) -> Self {
        match name {
            NormName::L2 => Self::L2,
            NormName::Linf => Self::Linf,
        }
    }
}

/// [`Activation`] by its usual names.
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

/// How pictures come to a network's side.
pub fn fit(text: &str) -> Result<Fit, String> {
    Fit::parse(text).map_err(|_| "crop, letterbox or stretch is wanted".into())
}

pub fn length(text: &str) -> Result<f64, String> {
    fraction(text)
        .filter(|number| (0.0..=1e6).contains(number))
        .ok_or_else(|| "a number from 0 to 1000000 is wanted, as 0.5 or 8/255".into())
}

/// More than none.
pub fn radius(text: &str) -> Result<f64, String> {
    length(text)
        .and_then(|eps| if eps > 0.0 { Ok(eps) } else { Err("more than 0 is wanted".into()) })
}

fn part(text: &str) -> Result<f64, String> {
    fraction(text)
        .filter(|number| (0.0..1.0).contains(number))
        .ok_or_else(|| "a number from 0 to below 1 is wanted".into())
}

fn attack_name(text: &str) -> Result<AttackName, String> {
    text.parse().map_err(|error: crate::Error| error.to_string())
}
