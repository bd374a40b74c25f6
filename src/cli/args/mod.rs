//! The command line of the program: the options of all commands, and the list of commands. Each other file has the options of
//! a group of commands.

mod adapters;
mod attack;
mod checkpoints;
mod evaluate;
mod images;
mod shared;
mod training;
mod values;

use clap::{Parser, Subcommand, ValueEnum};

pub use self::adapters::*;
pub use self::attack::*;
pub use self::checkpoints::*;
pub use self::evaluate::*;
pub use self::images::*;
pub use self::training::*;
use crate::gpu::{Filtering, Precision};

/// Heading of the options that say where and by which kernels something is computed.
pub const KERNELS: &str = "Adapter and kernels";

/// Trains, attacks, samples and explains joint energy-based models on any GPU
///
/// One network classifies, notices images of no class and draws images of each class. `lapidary demo` trains one in minutes.
/// `-h` prints a short help and `--help` a longer one, also after the name of a command.
#[derive(Debug, Parser)]
#[command(version, disable_help_subcommand = true)]
pub struct Arguments {
    /// Command to run
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Adapter to compute on: its number in `lapidary devices`, or a part of its name [default: the first there, where GPUs come
    /// before CPUs]
    ///
    /// Also its place on the PCI bus (0000:01:00.0) or its PCI numbers (10de:2684), as `lapidary devices --json` prints them. A
    /// name that is all digits is written name:1234; gl: in front of any of these chooses among OpenGL's adapters.
    /// $LAPIDARY_ADAPTER, or else $WGPU_ADAPTER_NAME, names another default.
    #[arg(help_heading = KERNELS, long, global = true, value_name = "NAME")]
    pub adapter: Option<String>,
    /// Neither read compiled kernels and results of tuning in the cache folder nor keep them there for the next start
    ///
    /// Otherwise compiled pipelines and measured kernels are kept in the user's cache folder, or in $LAPIDARY_CACHE unless
    /// that is "off".
    #[arg(hide_short_help = true, help_heading = KERNELS, long, global = true)]
    pub no_cache: bool,
    /// Whether to measure, when a network first runs on this adapter, which kernels are the fastest: `auto` on GPUs alone, `on` on
    /// CPUs too, `off` never
    ///
    /// The fastest kernels may round differently from the default ones. `off` gives the same bits at every start.
    #[arg(help_heading = KERNELS, long, global = true, value_enum, default_value_t = Tuning::Auto)]
    pub tune: Tuning,
    /// Most memory for weights that are transformed for Winograd convolutions, in MiB; layers whose weights do not fit in it are
    /// convolved directly [default: no limit]
    ///
    /// Weights that are transformed for these faster convolutions take up to eight times their memory. Each kind of step that is
    /// compiled, such as one of an attack or one of training, has this limit to itself.
    #[arg(hide_short_help = true, help_heading = KERNELS, long, global = true, value_name = "MIB")]
    pub transformed_weights: Option<u32>,
    /// Precision that networks compute in [default: single, or for training the one that the configuration sets]
    ///
    /// Mixed precision needs about half of the memory, and an adapter with half precision (f16, see `lapidary devices`); training
    /// scales its loss then, to keep small derivatives (docs/precision.md). A training run keeps the precision that it was begun in.
    #[arg(help_heading = KERNELS, long, global = true, value_enum)]
    pub precision: Option<Exactness>,
    /// Whether Winograd's fast algorithm computes 3x3 convolutions of 32 channels and more, and with which tiles
    ///
    /// Winograd filters take fewer multiplications, and round differently from direct kernels.
    #[arg(hide_short_help = true, help_heading = KERNELS, long, global = true, value_enum, default_value_t = Winograd::Auto)]
    pub winograd: Winograd,
    /// List the adapters and end, as `lapidary devices` does
    #[arg(hide_short_help = true, help_heading = KERNELS, long, global = true)]
    pub list: bool,
    /// Print no progress and no notes on stderr; errors are printed all the same
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
            (
                "--precision",
                self.precision.and_then(|precision| named(precision.to_possible_value())),
            ),
        ];
        for (name, value) in options {
            words.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
        }
        words.extend(self.no_cache.then(|| "--no-cache".to_owned()));
        words
    }
}

/// How exactly networks compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Exactness {
    /// Everything in single precision (32 bits)
    Single,
    /// Half precision (16 bits) for the copies of weights that convolutions read, on GPUs; all else in single precision
    HalfWeights,
    /// Half precision for convolutions' weights, activations and their derivatives; sums, losses, weights under training and images in single precision
    Mixed,
}

impl From<Exactness> for Precision {
    fn from(exactness: Exactness) -> Self {
        match exactness {
            Exactness::Single => Self::Single,
            Exactness::HalfWeights => Self::HalfWeights,
            Exactness::Mixed => Self::Mixed,
        }
    }
}

/// The choice of whether kernels are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tuning {
    /// Measure kernels on GPUs, but not on drivers that compute on the CPU
    Auto,
    /// Measure kernels on any adapter when a network first runs there, and store in the cache folder which are the fastest
    On,
    /// Measure nothing and take the default kernels, which compute the same bits at every start
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

/// The choice of Winograd filters that may compute 3x3 convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Winograd {
    /// Winograd's filter F(4x4, 3x3) on Mesa's lavapipe, which computes on the CPU; on GPUs none, unless --tune finds one faster
    Auto,
    /// No Winograd filter: all convolutions are computed directly
    Off,
    /// Winograd's filter F(2x2, 3x3): tiles of 2x2 results, with the smallest rounding errors
    #[value(name = "2")]
    Two,
    /// Winograd's filter F(4x4, 3x3): tiles of 4x4 results, with the fewest multiplications
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
    /// Train, evaluate and sample a small network on built-in Fashion-MNIST images, in minutes, and write a report
    Demo(Demo),
    /// Train, evaluate and sample a network as a preset or a configuration file says, and write a report
    Train(Train),
    /// Say how much memory training takes and whether it fits the adapter's limits, and with --time how long it takes
    Plan(Plan),
    /// Time a training, attack or sampling step of a network, and compare it with the adapter's peak speed
    Bench(Bench),
    /// List training runs, or compare the settings of several
    Runs(Runs),
    /// Train several kinds of joint energy-based models under the same conditions, and compare them in one table and one figure, as
    /// the paper arXiv 2510.13872 does
    PaperTable(PaperTable),
    /// Draw images of one class or of all classes from a network, by gradient steps
    Sample(Sample),
    /// Name the likeliest classes of pictures
    Classify(Classify),
    /// Measure accuracy, accuracy under attack and AUROC against out-of-distribution images
    Eval(Eval),
    /// Show what a picture would have to look like for the network to see another class in it
    Explain(Explain),
    /// Measure robust accuracy under AutoAttack or a list of attacks, or attack single pictures
    Attack(Attack),
    /// List the trained networks that come with the program, or describe one of them
    Models(Models),
    /// List the GPUs and other adapters of this machine
    Devices(Devices),
    /// Check that the adapter computes correctly, by comparing its results with stored results of PyTorch
    Doctor(Doctor),
    /// Measure which kernels are the fastest on the adapter; import such measurements from a file, or export them to one
    Tune(Tune),
    /// Describe the network in a file: its architecture, metadata and tensors
    Inspect(Inspect),
    /// Convert a PyTorch or ONNX network to safetensors, or a network to ONNX
    Convert(Convert),
}
