//! The options of the commands that train, predict what training takes, or list runs: `demo`, `train`, `plan`, `runs` and
//! `paper-table`.

use std::path::PathBuf;

use clap::Args;

pub use crate::cli::paper_table::Comparison;

/// The arguments of the command `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Run folder to write; a run that is there already goes on [default: the first unused of runs/fashion-demo,
    /// runs/fashion-demo-2, ...]
    ///
    /// The run goes on where it was, if its configuration is the same.
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
    /// Print the kernel launches, arithmetic operations and memory of one iteration of each training stage, instead of training
    ///
    /// They follow from shapes: nothing is read and nothing is trained.
    #[arg(long)]
    pub show_plan: bool,
}

/// The arguments of the command `train`.
#[derive(Debug, Args)]
pub struct Train {
    /// Training configuration: a preset's name, such as fashion-demo, or a TOML file [default: that of the run in --out]
    #[arg(value_name = "CONFIG", required_unless_present_any = ["resume", "out"])]
    pub config: Option<String>,
    /// Run folder to write; a run that is there already goes on [default: the first unused of runs/NAME, runs/NAME-2, ..., named
    /// after CONFIG]
    ///
    /// The run goes on where it was, if its configuration is the same.
    #[arg(long, value_name = "DIR", required_if_eq("resume", "true"))]
    pub out: Option<PathBuf>,
    /// Change one value of the configuration, such as stage2.iterations=400
    ///
    /// May be given more than once. The value is written as in TOML, or as plain text.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// How many damaged pictures may be left out before training ends with an error: a share of all if below 1, or a number from 1
    /// on [default: data.max_bad of CONFIG, 0.1 in presets]
    #[arg(long, value_name = "N")]
    pub max_bad: Option<f64>,
    /// Resume the run in --out from its last checkpoint, and refuse a folder without a run, where otherwise a new one would begin
    #[arg(long)]
    pub resume: bool,
    /// Print the kernel launches, arithmetic operations and memory of one iteration of each training stage, instead of training
    ///
    /// They follow from shapes: pictures are counted but not decoded, and nothing is trained.
    #[arg(long)]
    pub show_plan: bool,
}

/// The arguments of the command `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// Configuration of the training whose memory is predicted, and with --time its duration: a preset's name, such as
    /// fashion-demo, or a TOML file
    #[arg(value_name = "CONFIG")]
    pub config: String,
    /// Change one value of the configuration, such as stage2.batch=32
    ///
    /// May be given more than once.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Also measure how long training takes: run three iterations of each of its stages on the adapter, and keep only their times
    ///
    /// Without it memory follows from shapes alone, and no data are read.
    #[arg(long)]
    pub time: bool,
    /// Number of classes that the images are assumed to have [default: the number of class folders in the data, or if there are
    /// none that of the data set that the preset is for, such as 10 for CIFAR-10]
    ///
    /// A network in model.weights has a number of its own, and another one is refused.
    #[arg(long, conflicts_with = "time", value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    pub classes: Option<u32>,
    /// Number of channels that the images are assumed to have [default: 3 for folders of pictures, else that of the data set
    /// that the preset is for, such as 1 for Fashion-MNIST]
    ///
    /// A network in model.weights has a number of its own, and another one is refused.
    #[arg(long, conflicts_with = "time", value_parser = clap::value_parser!(u32).range(1..=3))]
    pub channels: Option<u32>,
    /// Predict how long a training iteration takes with 1, 2, 4 and so on up to N processes (ranks), instead of its memory
    ///
    /// Each rank has its share of the batch. The prediction adds up the times of computing, of copies between device and host, and
    /// of messages between ranks.
    #[arg(help_heading = "Several ranks", long, value_name = "N", conflicts_with = "time", value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub ranks: Option<u32>,
    /// Speed of the network between processes, for the times that --ranks N predicts for up to N processes, such as 25GB/s or
    /// 100Gb/s [default: 10GB/s]
    #[arg(help_heading = "Several ranks", long, requires = "ranks", value_name = "RATE", value_parser = bandwidth)]
    pub bandwidth: Option<f64>,
    /// Speed of copies between device and host, for the times that --ranks N predicts for up to N processes, such as 12GB/s
    /// [default: measured on the adapter]
    #[arg(help_heading = "Several ranks", long, requires = "ranks", value_name = "RATE", value_parser = bandwidth)]
    pub copies: Option<f64>,
    /// Speed of one device at training this network, for the times that --ranks N predicts for up to N processes, in TFLOP/s
    /// [default: measured on the adapter, by a training step]
    #[arg(help_heading = "Several ranks", long, requires = "ranks", value_name = "TFLOP/s", value_parser = tflops)]
    pub tflops: Option<f64>,
}

/// The speed of the network between processes that is assumed where none is given, in bytes a second: a network card of 100 Gb/s,
/// less what protocols take.
pub const BANDWIDTH: f64 = 10e9;

fn bandwidth(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    // Bytes, or bits by a small b.
    let units = [("GB", 1e9), ("MB", 1e6), ("Gb", 1e9 / 8.0), ("Mb", 1e6 / 8.0)];
    let read = units.iter().find_map(|(unit, factor)| {
        Some(number.strip_suffix(unit)?.trim().parse::<f64>().ok()? * factor)
    });
    read.filter(|rate| (1e3..=1e15).contains(rate)).ok_or_else(|| {
        "expected a data rate with its unit, such as 25GB/s, 800MB/s or 100Gb/s".into()
    })
}

fn tflops(text: &str) -> Result<f64, String> {
    let read = text.parse().ok().filter(|rate: &f64| (1e-6..=1e6).contains(rate));
    read.ok_or_else(|| "expected a GPU's speed in TFLOP/s, a number above 0 such as 12.5".into())
}

/// The arguments of the command `runs`.
#[derive(Debug, Args)]
pub struct Runs {
    /// Folder whose training runs are listed, or the folders of runs to compare [default: runs]
    #[arg(value_name = "DIR")]
    pub folders: Vec<PathBuf>,
}

/// The arguments of the command `paper-table`.
#[derive(Debug, Args)]
pub struct PaperTable {
    /// Comparison to make: small (built-in Fashion-MNIST images, WRN-10-1), colour (CIFAR-10 or the like, WRN-16-2) or full
    /// (CIFAR-10, WRN-34-10 as in arXiv 2510.13872)
    #[arg(long, value_enum, default_value_t = Comparison::Small)]
    pub set: Comparison,
    /// Take a tenth of the iterations, 100 test images, 100 samples, one seed and no AutoAttack: a test that everything
    /// works, without meaningful numbers
    #[arg(long)]
    pub quick: bool,
    /// Folder for runs, table and figure; finished parts in it are not done again [default: runs/paper-table-SET]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Number of times that each training is run, with the seeds 0, 1, ...; a larger number later adds runs to the same folder
    /// [default: 3, or 1 with --quick]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub seeds: Option<u32>,
    /// Training methods (rows of the table) to run, such as at,jem,dat-t12 [default: all]
    ///
    /// There are standard (without attacks), at (adversarial training), trades (TRADES), ratio (RATIO), jem (JEM), and dual adversarial
    /// training with at most N contrastive steps, dat-tN: in the comparison small (--set) dat-t4, dat-t8 and dat-t12, in
    /// colour dat-t6, dat-t12 and dat-t20, in full dat-t30, dat-t40 and dat-t50.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub rows: Vec<String>,
    /// Training budget of each kind of training that is compared: passes of one batch forward and back through the network,
    /// those of attacks and samples included [default: 6000 for the comparison small (--set), 60000 for colour; full
    /// takes no --budget, but trains as long as its presets say]
    #[arg(long, value_name = "PASSES", value_parser = clap::value_parser!(u64).range(100..=1_000_000_000))]
    pub budget: Option<u64>,
    /// Labelled images to train and measure on [default: the built-in Fashion-MNIST images for the comparison small (--set);
    /// needed for colour and full]
    #[arg(long, value_name = "IMAGES")]
    pub data: Option<String>,
    /// Further out-of-distribution images, besides builtin:fractal and builtin:noise: a folder of pictures, or other images that
    /// `train` reads; may be given more than once, for more sets
    #[arg(long, value_name = "IMAGES")]
    pub ood: Vec<String>,
    /// Number of test images, drawn evenly by class [default: 100 with --quick, else 1000 for the comparison small (--set) and
    /// 10000 for the others]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(10..))]
    pub images: Option<u32>,
    /// Number of samples to draw from each trained network, by which their quality is measured [default: 100 with --quick, else
    /// 2000 for the comparison small (--set) and 10000 for the others]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(10..=100_000))]
    pub samples: Option<u32>,
    /// Number of test images that AutoAttack is run on, 0 for none [default: 0 with --quick, else 200 for the comparison small
    /// (--set) and 1000 for the others]
    #[arg(long, value_name = "COUNT")]
    pub attack_images: Option<u32>,
    /// File with the weights of EfficientNet-Lite0 or Inception-v3, in whose features samples are compared with real images, besides
    /// the logits of a classifier [default: in those logits alone]
    #[arg(long, value_name = "FILE")]
    pub extractor: Option<PathBuf>,
    /// Command that starts several processes, such as "mpirun -n 4": it is put before the commands that train, evaluate and
    /// attack, so that these processes share the work [default: none, so one process]
    #[arg(long, value_name = "WORDS")]
    pub launcher: Option<String>,
}
