//! The command line of the program: every command with its options and their help.

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

/// Heading of the options that say where and by which kernels something is computed.
pub const KERNELS: &str = "Adapter and kernels";

/// Trains, attacks, samples and explains joint energy-based models on any GPU
///
/// One network classifies, notices images of no class and draws images of each class. `lapidary demo` trains one in minutes.
/// `-h` is short, `--help` has paragraphs, also behind each command.
#[derive(Debug, Parser)]
#[command(version, disable_help_subcommand = true)]
pub struct Arguments {
    /// Command to run
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Adapter to compute on: its number in `lapidary devices`, or a part of its name
    ///
    /// Also its place on the PCI bus (0000:01:00.0) or its PCI numbers (10de:2684), as `devices --json` has them. A name that is
    /// all digits is written name:1234; gl: in front of any of these takes OpenGL's adapters. [default: $LAPIDARY_ADAPTER, then
    /// $WGPU_ADAPTER_NAME, then the fastest adapter]
    #[arg(help_heading = KERNELS, long, global = true, value_name = "NAME")]
    pub adapter: Option<String>,
    /// Keep nothing about the adapter for the next start
    ///
    /// Otherwise compiled pipelines and measured kernels are kept in the user's cache folder, or in $LAPIDARY_CACHE unless
    /// that is "off".
    #[arg(hide_short_help = true, help_heading = KERNELS, long, global = true)]
    pub no_cache: bool,
    /// Whether to measure which kernels are the fastest on this adapter
    ///
    /// Kernels that win may round differently from the static choices. `off` gives the same bits at every start.
    #[arg(help_heading = KERNELS, long, global = true, value_enum, default_value_t = Tuning::Auto)]
    pub tune: Tuning,
    /// Limit of the memory for transformed weights, in MiB [default: no limit]
    ///
    /// Weights that are transformed for faster convolutions take up to eight times their memory. Layers beyond the limit are
    /// convolved directly.
    #[arg(hide_short_help = true, help_heading = KERNELS, long, global = true, value_name = "MIB")]
    pub transformed_weights: Option<u32>,
    /// Let convolutions read a copy of their weights in half precision, on GPUs
    ///
    /// It halves that copy. Logits differ by some 5e-4 of their size; gradients through rectifiers by some 5 %.
    #[arg(hide_short_help = true, help_heading = KERNELS, long, global = true)]
    pub half_weights: bool,
    /// Winograd filter for 3x3 convolutions of 32 channels and more
    ///
    /// They take fewer multiplications, and round differently from direct kernels.
    #[arg(hide_short_help = true, help_heading = KERNELS, long, global = true, value_enum, default_value_t = Winograd::Auto)]
    pub winograd: Winograd,
    /// List the adapters and end, as `lapidary devices`
    #[arg(hide_short_help = true, help_heading = KERNELS, long, global = true)]
    pub list: bool,
    /// Print no progress on stderr
    #[arg(help_heading = "Output", long, short, global = true)]
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

/// The filters of Winograd that programs may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Winograd {
    /// The filter that was measured to be faster on this kind of adapter
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

/// The commands of the program.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train, evaluate and sample on the embedded images, in minutes, and write a report
    Demo(Demo),
    /// Train a network as a configuration says, through both stages to the report
    Train(Train),
    /// Say whether a configuration fits the adapter, and with --time how long it takes
    Plan(Plan),
    /// Measure a step of a network, and which share of the adapter's peak it reaches
    Bench(Bench),
    /// List the runs of a folder, or compare several runs
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
    /// Measure robust accuracy under AutoAttack or a list of attacks
    Attack(Attack),
    /// List the networks that come with the program, or describe one of them
    Models(Models),
    /// List the adapters
    Devices(Devices),
    /// Compare the adapter's results with PyTorch's, and say which differ
    Doctor(Doctor),
    /// Measure which kernels are the fastest on the adapter, or move measured tables
    Tune(Tune),
    /// Describe the contents of a checkpoint
    Inspect(Inspect),
    /// Write a PyTorch checkpoint as safetensors, or a network as ONNX
    Convert(Convert),
}

/// The arguments of `tune`.
#[derive(Debug, Args)]
pub struct Tune {
    /// A checkpoint, or a network as `bench --model` names it; without it nothing is measured
    pub model: Option<String>,
    /// Number of images at once: kernels are chosen for shapes
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: u32,
    /// Height and width of the images [default: the checkpoint's, or the network's usual one]
    #[arg(long)]
    pub side: Option<u32>,
    /// Time that measuring may take, in seconds
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    pub seconds: u32,
    /// Read a table first that --export wrote, for the same adapter, driver and version
    #[arg(long, value_name = "FILE")]
    pub import: Option<PathBuf>,
    /// Write all that is known of this adapter as a table
    #[arg(long, value_name = "FILE")]
    pub export: Option<PathBuf>,
}

/// The arguments of `models`.
#[derive(Debug, Args)]
pub struct Models {
    /// Network to describe, such as fashion-demo, with its measurements and the commands that made them
    pub name: Option<String>,
}

/// The arguments of `devices`.
#[derive(Debug, Default, Args)]
pub struct Devices {
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Write the findings as JSON, for a bug report
    ///
    /// The file has the adapter, the driver, limits and every case, and no paths of this machine.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// The arguments of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Run folder to write [default: the first unused of runs/fashion-demo, runs/fashion-demo-2, ...]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Change one value of the preset fashion-demo, such as stage2.iterations=400
    ///
    /// May be given more than once.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Seed of all random numbers [default: the preset's]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Print what one iteration of each stage runs and needs, and end
    ///
    /// Memory, operations and launches follow from shapes: nothing is read and nothing is trained.
    #[arg(long)]
    pub show_plan: bool,
}

/// The arguments of `train`.
#[derive(Debug, Args)]
pub struct Train {
    /// A preset's name or a TOML file [default: the configuration of the run in --out]
    #[arg(value_name = "CONFIG", required_unless_present_any = ["resume", "out"])]
    pub config: Option<String>,
    /// Run folder to write [default: the first unused of runs/NAME, runs/NAME-2, ...]
    ///
    /// A run that is there already goes on where it was, if its configuration is the same.
    #[arg(long, value_name = "DIR", required_if_eq("resume", "true"))]
    pub out: Option<PathBuf>,
    /// Change one value of the configuration, such as stage2.iterations=400
    ///
    /// May be given more than once. The value is written as in TOML, or as plain text.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Limit of damaged pictures to leave out: a share below 1, or a number from 1 on
    #[arg(long, value_name = "N")]
    pub max_bad: Option<f64>,
    /// Go on from the last checkpoint in --out, and refuse a folder without a run
    #[arg(long)]
    pub resume: bool,
    /// Print what one iteration of each stage runs and needs, and end
    ///
    /// Memory, operations and launches follow from shapes: nothing is read and nothing is trained.
    #[arg(long)]
    pub show_plan: bool,
}

/// The arguments of `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// A preset's name or a TOML file
    #[arg(value_name = "CONFIG")]
    pub config: String,
    /// Change one value of the configuration, such as stage2.batch=32
    ///
    /// May be given more than once.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Measure the time as well: train three iterations of each stage and throw them away
    ///
    /// Without it memory follows from shapes alone, and no data are read.
    #[arg(long)]
    pub time: bool,
    /// Number of classes, where data are not read [default: as the data's folders or the preset say]
    #[arg(long, conflicts_with = "time", value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    pub classes: Option<u32>,
    /// Number of channels of the images, where data are not read [default: as for --classes]
    #[arg(long, conflicts_with = "time", value_parser = clap::value_parser!(u32).range(1..=3))]
    pub channels: Option<u32>,
    /// Predict the time of an iteration with 1, 2, 4 and up to N ranks
    ///
    /// Each rank has its share of the batch. The prediction adds up computing, copies and the network between ranks.
    #[arg(help_heading = "Several ranks", long, value_name = "N", conflicts_with = "time", value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub ranks: Option<u32>,
    /// Rate of the network between ranks, such as 25GB/s or 100Gb/s [default: 10GB/s]
    #[arg(help_heading = "Several ranks", long, requires = "ranks", value_name = "RATE", value_parser = bandwidth)]
    pub bandwidth: Option<f64>,
    /// Rate of copies between device and host, such as 12GB/s [default: measured on the adapter]
    #[arg(help_heading = "Several ranks", long, requires = "ranks", value_name = "RATE", value_parser = bandwidth)]
    pub copies: Option<f64>,
    /// Speed of a device on these networks [default: measured on the adapter, by a training step]
    #[arg(help_heading = "Several ranks", long, requires = "ranks", value_name = "TFLOP/s", value_parser = tflops)]
    pub tflops: Option<f64>,
}

/// The bytes a second between ranks unless told otherwise: a network card of 100 Gb/s, less what protocols take.
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

/// The arguments of `bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// Network to measure: wrn-DEPTH-WIDTH, resnet50, wide-resnet50-4, convnext-base and the like
    #[arg(long, default_value = "wrn-16-2")]
    pub model: String,
    /// Number of images at once
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=65_535), alias = "batch-size")]
    pub batch: u32,
    /// Rows and columns of the images [default: 32 for wrn, 224 for others]
    #[arg(long, value_parser = clap::value_parser!(u32).range(8..=512))]
    pub side: Option<u32>,
    /// Step to measure
    #[arg(long, value_enum, default_value_t = Step::Pgd)]
    pub what: Step,
    /// Number of measurements, of which the median is printed
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub runs: u32,
    /// Print what a step runs and needs, and end
    ///
    /// Its buffers are made, but no step is taken.
    #[arg(long, conflicts_with_all = ["compare", "profile", "json"])]
    pub show_plan: bool,
    /// Estimate the step on a chip that is not here instead: h100, rtx4090, rx7900xtx, rx9070, adreno740, m1
    ///
    /// From what the chip's compiler makes of the kernels and the chip's public figures, beside the floor of multiply-adds and
    /// memory; the layers that lose most come first. No GPU is needed.
    #[arg(long, value_name = "CHIP", conflicts_with_all = ["compare", "profile", "show_plan", "runs"])]
    pub predict: Option<String>,
    /// Print a table of layers instead of one of kernels
    ///
    /// With --compare also single 3x3 convolutions.
    #[arg(help_heading = "Output", long)]
    pub layers: bool,
    /// Write each launch of a step: FILE.csv is a table, FILE.json a trace for chrome://tracing
    #[arg(help_heading = "Output", long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(help_heading = "Output", long)]
    pub json: bool,
    /// Measure other libraries at the same step, in turn with ours
    #[arg(
        help_heading = "Other libraries",
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "PEERS",
        conflicts_with = "profile"
    )]
    pub compare: Vec<Peer>,
    /// Python that has PyTorch, for --compare torch
    ///
    /// [default: $LAPIDARY_PEERS, then target/peers/bin/python, then python3]
    #[arg(help_heading = "Other libraries", long, value_name = "PATH", requires = "compare")]
    pub python: Option<PathBuf>,
    /// Program built of benches/peers/burn, for --compare burn
    ///
    /// [default: $LAPIDARY_BURN, then where cargo leaves it]
    #[arg(help_heading = "Other libraries", long, value_name = "PATH", requires = "compare")]
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

/// The steps that `bench` can measure.
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

/// The arguments of `runs`.
#[derive(Debug, Args)]
pub struct Runs {
    /// A folder of runs, or several runs to compare [default: runs]
    #[arg(value_name = "DIR")]
    pub folders: Vec<PathBuf>,
}

/// The arguments of `paper-table`.
#[derive(Debug, Args)]
pub struct PaperTable {
    /// Comparison to make
    #[arg(long, value_enum, default_value_t = Comparison::Small)]
    pub set: Comparison,
    /// Take a tenth of the iterations, 100 test images, 100 samples, one seed and no AutoAttack: a test that everything
    /// works, without meaningful numbers
    #[arg(long)]
    pub quick: bool,
    /// Folder for runs, table and figure; finished parts in it are not done again [default: runs/paper-table-SET]
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
    /// Command that starts several processes, such as "mpirun -n 4", for commands that can share their work
    #[arg(long, value_name = "WORDS")]
    pub launcher: Option<String>,
}

/// The arguments of `sample`.
#[derive(Debug, Args)]
pub struct Sample {
    /// The network: a run folder, a checkpoint's folder, a .safetensors file, or zoo:NAME
    ///
    /// Without it the network that comes with the program is taken, which knows the ten classes of Fashion-MNIST. `lapidary models`
    /// lists the networks of the zoo.
    pub checkpoint: Option<PathBuf>,
    /// Class to draw, by name or number [default: each in turn]
    #[arg(help_heading = "Sampling", long)]
    pub class: Option<String>,
    /// Number of images to draw
    #[arg(help_heading = "Sampling", long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub count: u32,
    /// Seed of the images that sampling starts from
    #[arg(help_heading = "Sampling", long, default_value_t = 0)]
    pub seed: u64,
    /// Images that sampling starts from: builtin:fractal, noise, or a folder of PNG or idx files
    #[arg(
        help_heading = "Sampling",
        long,
        value_name = "IMAGES",
        default_value = "builtin:fractal"
    )]
    pub start: Start,
    /// Number of gradient steps up the class's logit [default: the checkpoint's]
    #[arg(help_heading = "Sampling", long, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub steps: Option<u32>,
    /// Length of one step in the L2 norm, such as 0.8 or 8/255 [default: the checkpoint's]
    #[arg(help_heading = "Sampling", long, value_parser = length)]
    pub step_size: Option<f64>,
    /// Rows and columns of the images [default: the checkpoint's]
    #[arg(help_heading = "Sampling", long, value_parser = clap::value_parser!(u32).range(8..=512))]
    pub side: Option<u32>,
    /// File or folder to write: NAME.png, NAME.npz, NAME.tar or a folder
    ///
    /// NAME.png is a grid, and NAME-trajectory.png beside it shows what led to it. NAME.npz and NAME.tar hold single images, a
    /// folder holds them as PNG files; what is there already is not drawn again.
    #[arg(help_heading = "Output", long, value_name = "OUT", default_value = "samples.png")]
    pub out: PathBuf,
}

/// The arguments of `classify`.
#[derive(Debug, Args)]
pub struct Classify {
    /// Pictures to classify: PNG, JPEG, WebP, GIF, BMP or TIFF files
    #[arg(required_unless_present = "show_plan")]
    pub images: Vec<PathBuf>,
    /// The network: a run folder, a checkpoint's folder, a .safetensors file, or zoo:NAME
    ///
    /// Without it the network that comes with the program is taken, which knows the ten classes of Fashion-MNIST. `lapidary models`
    /// lists the networks of the zoo.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Number of classes to print for each picture
    #[arg(help_heading = "Output", long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub top: u32,
    /// Print JSON instead of a table
    #[arg(help_heading = "Output", long)]
    pub json: bool,
    /// Rows and columns that pictures are brought to [default: the checkpoint's]
    #[arg(help_heading = "Images", long, value_parser = clap::value_parser!(u32).range(8..=1024))]
    pub side: Option<u32>,
    /// Way to fit pictures of other sizes to the network: crop, letterbox or stretch [default: as in training]
    ///
    /// `crop` takes the square in the middle, `letterbox` keeps all of the picture with black around, `stretch` keeps all without.
    #[arg(help_heading = "Images", long, value_parser = fit)]
    pub fit: Option<Fit>,
    /// Print what one batch runs and needs, and end
    #[arg(help_heading = "Output", long)]
    pub show_plan: bool,
}

/// The arguments of `eval` without a subcommand.
#[derive(Debug, Args)]
pub struct Quick {
    /// The network: a run folder, a checkpoint's folder, a .safetensors file, or zoo:NAME
    ///
    /// Without it the network that comes with the program is taken, which knows the ten classes of Fashion-MNIST. `lapidary models`
    /// lists the networks of the zoo.
    pub checkpoint: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(help_heading = "Output", long)]
    pub json: bool,
    /// Radius of the ball within which the attack may change an image, such as 0.5 or 8/255
    ///
    /// It is measured in --norm, for pixels in [0, 1].
    #[arg(help_heading = "Attack", long, default_value = "0.5", value_parser = radius)]
    pub eps: f64,
    /// Norm that measures the size of an attack's changes
    ///
    /// `l2` is the Euclidean length of the change over all pixels, `linf` the largest change of one pixel.
    #[arg(help_heading = "Attack", long, value_enum, ignore_case = true, default_value_t = NormName::L2)]
    pub norm: NormName,
    /// Number of steps of the attack
    #[arg(help_heading = "Attack", long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub steps: u32,
    /// Length of one step of the attack [default: eps/8]
    #[arg(help_heading = "Attack", long, value_parser = radius)]
    pub step_size: Option<f64>,
    /// Number of images to evaluate on [default: all]
    ///
    /// They are drawn evenly by class, the same ones each time.
    #[arg(help_heading = "Images", long, value_parser = clap::value_parser!(u32).range(1..))]
    pub count: Option<u32>,
    /// Number of images that go through the network at once
    ///
    /// A larger batch is faster up to a point and takes more memory. It does not change results beyond rounding.
    #[arg(help_heading = "Images", long, visible_alias = "batch-size", default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub batch: u32,
    /// Images with labels to evaluate on [default: the run's own]
    ///
    /// `builtin:fashion`, or any form that can be trained on: a folder for each class, idx files, CIFAR's files, archives. The
    /// test part is taken, or all images where there is none.
    #[arg(help_heading = "Images", long, value_name = "IMAGES")]
    pub data: Option<String>,
    /// Out-of-distribution images, which the scores should tell from test images [default: the run's own]
    ///
    /// May be given more than once, for more sets.
    #[arg(help_heading = "Images", long, value_name = "IMAGES")]
    pub ood: Vec<String>,
    /// Rows and columns of the images [default: the checkpoint's]
    ///
    /// Images of another size are brought to this one, as --fit says where there is such an option.
    #[arg(help_heading = "Images", long, value_parser = clap::value_parser!(u32).range(8..=512))]
    pub side: Option<u32>,
    /// Way to fit pictures of other sizes to the network: crop, letterbox or stretch [default: as in training]
    ///
    /// `crop` takes the square in the middle, `letterbox` keeps all of the picture with black around, `stretch` keeps all without.
    #[arg(help_heading = "Images", long, value_parser = fit)]
    pub fit: Option<Fit>,
    #[command(flatten)]
    pub labels: Labels,
}

/// Steps of `attack`'s PGD where none are given.
pub const PGD_STEPS: u32 = 50;
/// Starts of `attack`'s PGD where none are given.
pub const PGD_RESTARTS: u32 = 1;

/// The arguments of `attack`.
#[derive(Debug, Args)]
pub struct Attack {
    /// The network: a run folder, a checkpoint's folder, a .safetensors file, or zoo:NAME
    ///
    /// Without it the network that comes with the program is taken, which knows the ten classes of Fashion-MNIST. `lapidary models`
    /// lists the networks of the zoo.
    pub checkpoint: Option<PathBuf>,
    /// Radius of the ball within which the attack may change an image, such as 0.5 or 8/255
    ///
    /// It is measured in --norm, for pixels in [0, 1].
    #[arg(help_heading = "Attack", long, default_value = "0.5", value_parser = radius)]
    pub eps: f64,
    /// Norm that measures the size of an attack's changes
    ///
    /// `l2` is the Euclidean length of the change over all pixels, `linf` the largest change of one pixel.
    #[arg(help_heading = "Attack", long, value_enum, ignore_case = true, default_value_t = NormName::L2)]
    pub norm: NormName,
    /// Set of attacks that are run one after the other [default: standard]
    ///
    /// Each attack is run on the images that none before has broken:
    /// standard (apgd-ce, apgd-t, fab-t, square), AutoAttack's, for 4 classes and more;
    /// plus (apgd-ce, apgd-dlr, fab, square, apgd-t, fab-t), AutoAttack's longest;
    /// few-classes (apgd-ce, fab-t, square), the default for networks of 2 or 3 classes;
    /// rand (apgd-ce, apgd-dlr), AutoAttack's for randomised networks;
    /// custom, what --attacks lists.
    #[arg(help_heading = "Attack", long, value_enum)]
    pub version: Option<VersionName>,
    /// Attacks of --version custom, in this order: apgd-ce, apgd-dlr, apgd-t, fab, fab-t, square, pgd
    #[arg(help_heading = "Attack", long, value_name = "LIST", value_delimiter = ',', value_parser = attack_name,
        required_if_eq("version", "custom"))]
    pub attacks: Vec<AttackName>,
    /// Number of images to attack [default: all]
    ///
    /// They are drawn evenly by class, the same ones each time.
    #[arg(help_heading = "Images", long, value_parser = clap::value_parser!(u32).range(1..))]
    pub count: Option<u32>,
    /// Number of images that go through the network at once
    ///
    /// A larger batch is faster up to a point and takes more memory. It does not change results beyond rounding.
    #[arg(help_heading = "Images", long, visible_alias = "batch-size", default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub batch: u32,
    /// Seed of all random numbers
    #[arg(help_heading = "Attack", long, default_value_t = 0)]
    pub seed: u64,
    /// File that keeps the state after each batch
    ///
    /// Where it is there already, the evaluation goes on from it.
    #[arg(help_heading = "Output", long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Write the attacked images as safetensors: where an attack succeeded its image, else the original
    #[arg(help_heading = "Output", long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print one JSON object instead of lines
    #[arg(help_heading = "Output", long)]
    pub json: bool,
    /// Number of steps from each start
    #[arg(help_heading = "Attack pgd", long, value_name = "N", default_value_t = PGD_STEPS, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub pgd_steps: u32,
    /// Length of one step [default: eps/8]
    #[arg(help_heading = "Attack pgd", long, value_name = "LENGTH", value_parser = radius)]
    pub pgd_step_size: Option<f64>,
    /// Number of starts
    ///
    /// The first start is the image itself, the others are drawn at random from the ball.
    #[arg(help_heading = "Attack pgd", long, value_name = "N", default_value_t = PGD_RESTARTS, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub pgd_restarts: u32,
    /// Momentum: the part of the last direction that is kept, below 1
    #[arg(help_heading = "Attack pgd", long, value_name = "PART", default_value = "0", value_parser = part)]
    pub pgd_momentum: f64,
    /// Loss that the steps climb
    #[arg(help_heading = "Attack pgd", long, value_enum, default_value_t = LossName::Ce)]
    pub pgd_loss: LossName,
    /// Attack towards each of the nine likeliest other classes in turn, instead of away from the label
    #[arg(help_heading = "Attack pgd", long)]
    pub pgd_targeted: bool,
    /// Images with labels to evaluate on [default: the run's own]
    ///
    /// `builtin:fashion`, or any form that can be trained on: a folder for each class, idx files, CIFAR's files, archives. The
    /// test part is taken, or all images where there is none.
    #[arg(help_heading = "Images", long, value_name = "IMAGES")]
    pub data: Option<String>,
    /// Rows and columns of the images [default: the checkpoint's]
    ///
    /// Images of another size are brought to this one, as --fit says where there is such an option.
    #[arg(help_heading = "Images", long, value_parser = clap::value_parser!(u32).range(8..=512))]
    pub side: Option<u32>,
    #[command(flatten)]
    pub labels: Labels,
}

/// The names of [`Version`] on the command line.
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

/// The arguments of `inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// A run folder, a checkpoint's folder, a safetensors file, a PyTorch checkpoint or zoo:NAME of `models`
    pub file: PathBuf,
}

/// The arguments of `convert`.
#[derive(Debug, Args)]
pub struct Convert {
    /// File to read: a PyTorch checkpoint (.pth, .pt, .ckpt), a safetensors file, or a run's folder
    #[arg(value_name = "IN")]
    pub file: PathBuf,
    /// File to write: NAME.safetensors or NAME.onnx
    pub out: PathBuf,
    /// Weights of a training state to take: ema, model, or a key [default: ema if there is one]
    #[arg(help_heading = "Reading", long, value_name = "KEY")]
    pub weights: Option<String>,
    /// Mean that is subtracted from images in [0, 1], a number for each channel [default: the file's]
    ///
    /// For example 0.4914,0.4822,0.4465. Wants --std as well.
    #[arg(
        help_heading = "Normalisation",
        long,
        value_delimiter = ',',
        requires = "std",
        allow_negative_numbers = true
    )]
    pub mean: Option<Vec<f32>>,
    /// Standard deviation that images are divided by after --mean, a number for each channel
    #[arg(help_heading = "Normalisation", long, value_delimiter = ',', requires = "mean")]
    pub std: Option<Vec<f32>>,
    /// Say that the network takes images in [0, 1] as they are
    #[arg(help_heading = "Normalisation", long, conflicts_with = "mean")]
    pub no_normalisation: bool,
    /// Activation behind each normalisation layer [default: the file's]
    #[arg(help_heading = "Reading", long, value_enum)]
    pub activation: Option<ActivationName>,
    /// Rename tensors whose names begin with OLD: the beginning becomes NEW
    ///
    /// May be given more than once. It is done before the network is recognised.
    #[arg(help_heading = "Reading", long, value_name = "OLD=NEW", value_parser = rename)]
    pub rename: Vec<(String, String)>,
    /// Leave out tensors whose names begin with PREFIX; may be given more than once
    #[arg(help_heading = "Reading", long, value_name = "PREFIX")]
    pub drop: Vec<String>,
    /// Rows and columns of the images [default: the file's; ONNX files without it take any]
    #[arg(help_heading = "Reading", long, value_parser = clap::value_parser!(u32).range(8..=512))]
    pub side: Option<u32>,
    /// Names of the classes in the order of their labels, such as cat,dog [default: the file's]
    #[arg(help_heading = "Writing", long, value_name = "LIST", value_delimiter = ',')]
    pub class_names: Vec<String>,
    /// Write 16-bit numbers, which halves the file
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
        _ => Err("OLD=NEW wanted".into()),
    }
}

/// The images that sampling starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Images of independent uniform values.
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

/// Parses the name of a way to fit pictures to a network.
pub fn fit(text: &str) -> Result<Fit, String> {
    Fit::parse(text).map_err(|_| "crop, letterbox or stretch is wanted".into())
}

pub fn length(text: &str) -> Result<f64, String> {
    fraction(text)
        .filter(|number| (0.0..=1e6).contains(number))
        .ok_or_else(|| "a number from 0 to 1000000 is wanted, as 0.5 or 8/255".into())
}

/// Parses a radius above 0.
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
