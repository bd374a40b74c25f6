//! The configuration of a training run: TOML that names a preset and what differs from it, every value checked.

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::presets;
use super::stage_tables::{NormName, Stage1, Stage2};
use super::tables::{Jem, ObjectiveName, Ratio, Stop, Trades, Validate};
use crate::attack::Pgd;
use crate::data::{Augment, ClassMap, Fit, Ood, OodImages, Pictures};
use crate::gpu::{Gpu, Precision, Preferences};
use crate::ops::Norm;
use crate::{Error, Result};

/// The configuration of a training run: all settings that determine it, apart from the adapter. [`Config::parse`] and
/// [`Config::with`] check every value; code that changes fields calls [`Config::check`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The preset whose values apply to all keys that the configuration does not set.
    pub preset: String,
    /// The seed of all random numbers, below 2^63.
    pub seed: u64,
    /// The training objective: `dat`, `at`, `trades`, `ratio` or `jem`.
    #[serde(default)]
    pub objective: ObjectiveName,
    /// The precision that training computes in: `single`, `half-weights` or `mixed`. Measurements after training
    /// use the precision that the caller's device prefers.
    #[serde(default, with = "PrecisionName")]
    pub precision: Precision,
    /// The images, and how they are read and augmented.
    pub data: Data,
    /// The network's architecture, or the checkpoint to begin with.
    pub model: ModelTable,
    /// The settings of stage 1, adversarial training.
    pub stage1: Stage1,
    /// The settings of stage 2, dual adversarial training.
    pub stage2: Stage2,
    /// The settings of TRADES, for the objective `trades`.
    #[serde(default)]
    pub trades: Trades,
    /// The settings of RATIO, for the objective `ratio`.
    #[serde(default)]
    pub ratio: Ratio,
    /// The settings of JEM, for the objective `jem`.
    #[serde(default)]
    pub jem: Jem,
    /// The conditions under which training ends early: a number of images, epochs or minutes, or no progress.
    #[serde(default)]
    pub stop: Stop,
    /// How the network is validated during training, by which the best weights are chosen.
    #[serde(default)]
    pub validate: Validate,
    /// How many samples are drawn after training, and by which steps.
    pub sample: Sample,
    /// The judge: a second classifier, trained without attacks, that says which class a sample shows.
    pub judge: Judge,
    /// How accuracy is measured after training.
    pub evaluate: Evaluate,
    /// How often checkpoints are written, and how many are kept.
    pub checkpoint: CheckpointTable,
}

/// The table `[data]`: the images of a run, and how they are read and augmented.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// The labelled images to train on: `builtin:fashion`, the path of a folder or file, or another name that
    /// [`Source::parse`](crate::data::Source::parse) reads.
    pub train: String,
    /// The out-of-distribution images: `builtin:fractal`, `builtin:noise`, the path of a folder or file, or another name or
    /// mixture that [`Ood::parse`] reads.
    pub ood: String,
    /// The height and width of the network's images, a multiple of 4 from 8 to 512.
    pub side: u32,
    /// How many training images are kept from training, for tests or validation: below 1 a share of all, else a count.
    pub held_out: f64,
    /// How images are fitted to `side`: one of [`Fit`]'s names, or empty to crop pictures and pad arrays with zeros.
    /// Out-of-distribution images are then fitted as the trained network's file will say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fit: String,
    /// The augmentation of the images that are classified: one of [`Augment`]'s names.
    #[serde(default = "crop_flip")]
    pub classify: String,
    /// The augmentation of the real images that the network learns to tell from contrastive ones in stage 2: one of
    /// [`Augment`]'s names.
    #[serde(default = "crop_flip")]
    pub real: String,
    /// The augmentation of out-of-distribution images from files, at which contrastive images start: one of [`Augment`]'s names.
    #[serde(default = "crop_flip")]
    pub starts: String,
    /// How many damaged pictures may be left out before training ends with an error: below 1 a share of all pictures, else a count.
    #[serde(default = "max_bad")]
    pub max_bad: f64,
    /// The number of threads that read images ahead of training; 0 for one for each core. The batches are the same with any
    /// number.
    #[serde(default)]
    pub threads: u32,
}

impl Data {
    /// Opens the out-of-distribution images, with this number of channels.
    ///
    /// # Errors
    /// The errors of [`Ood::open`].
    pub fn open_ood(&self, channels: u32) -> Result<OodImages> {
        self.open(&self.ood, channels)
    }

    /// Opens the out-of-distribution images that `ood` names, instead of the table's own, with the table's augmentation and
    /// limits.
    ///
    /// # Errors
    /// The errors of [`Ood::parse`] and [`Ood::open`].
    pub fn open(&self, ood: &str, channels: u32) -> Result<OodImages> {
        let augment = Augment::parse(&self.starts)?;
        Ood::parse(ood)?.open([channels, self.side], self.fit()?, augment, self.max_bad)
    }

    /// Returns how images are fitted to the network's size, or `None` where `fit` is empty.
    ///
    /// # Errors
    /// The errors of [`Fit::parse`].
    pub fn fit(&self) -> Result<Option<Fit>> {
        Some(self.fit.as_str()).filter(|name| !name.is_empty()).map(Fit::parse).transpose()
    }
}

fn crop_flip() -> String {
    Augment::CropFlip.to_string()
}

fn max_bad() -> f64 {
    Pictures::MAX_BAD
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Precision", rename_all = "kebab-case")]
enum PrecisionName {
    Single,
    HalfWeights,
    Mixed,
}

/// The value of `model.architecture` for a WideResNet of any depth and width.
pub(super) const WRN: &str = "wrn";

/// The table `[model]`: the architecture of the network, or the checkpoint to begin with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelTable {
    /// The architecture: `wrn` with depth and width, or one of [`Network::names`](crate::model::Network::names).
    #[serde(default = "wrn")]
    pub architecture: String,
    /// The number of layers of a WideResNet, 6n + 4.
    pub depth: u32,
    /// The factor by which the 16, 32 and 64 channels of a WideResNet are multiplied.
    pub width: u32,
    /// The activation function after each batch norm of a WideResNet.
    pub activation: ActivationName,
    /// A checkpoint to begin with, whose architecture and normalisation then override the other keys; empty to begin with
    /// random weights.
    #[serde(default)]
    pub weights: String,
    /// How the checkpoint's classes are matched with those of the images: `by-name`, `as-given` (by number), or the path of a
    /// file with lines `IMAGES-CLASS = NETWORK-CLASS` ([`ClassMap::read`]).
    #[serde(default = "by_name")]
    pub classes: String,
}

impl ModelTable {
    /// Reads how a checkpoint's classes are matched with those of the images (`model.classes`). Err for a list that cannot be
    /// read.
    pub fn class_map(&self) -> Result<ClassMap> {
        match self.classes.as_str() {
            BY_NAME => Ok(ClassMap::ByName),
            "as-given" => Ok(ClassMap::AsGiven),
            path => ClassMap::read(path.as_ref()),
        }
    }
}

const BY_NAME: &str = "by-name";

fn by_name() -> String {
    BY_NAME.into()
}

fn wrn() -> String {
    WRN.into()
}

/// The activation function after a batch norm, as a configuration names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActivationName {
    /// ReLU: max(x, 0).
    Relu,
    /// SiLU: x sigmoid(x).
    Silu,
}

/// The table `[sample]`: the samples that are drawn after training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The number of gradient steps that raise the class logit.
    pub steps: u32,
    /// The L2 length of one sampling step.
    pub step_size: f64,
    /// The number of samples to draw; sample i is of class i mod K.
    pub count: u32,
    /// The number of samples of each class in the report's picture.
    pub per_class: u32,
}

/// The table `[judge]`: training of a classifier that says which classes samples show, with stage 1's weight decay and momentum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judge {
    /// The number of training iterations, one batch each; 0 for no judge.
    pub iterations: u32,
    /// The number of images in a training batch of the judge, a classifier that samples are judged by.
    pub batch: u32,
    /// The learning rate at the start of the judge's training; it falls to 0 by a cosine.
    pub learning_rate: f64,
}

/// The table `[evaluate]`: the attack and the images with which accuracy is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluate {
    /// The norm of the attack's step sizes and of its ball's radius.
    #[serde(with = "NormName")]
    pub norm: Norm,
    /// The radius of the ball around an image that the attack stays in.
    pub eps: f64,
    /// The number of gradient steps of the PGD attack under which accuracy is measured.
    pub steps: u32,
    /// The length of one step of the attack; eps/8 where it is not given ([`Evaluate::step_size`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_size: Option<f64>,
    /// The number of images that go through the network at once.
    pub batch: u32,
    /// The largest number of test images to evaluate on, which are drawn evenly by class.
    pub images: u32,
}

impl Evaluate {
    /// Returns the length of one step of the attack.
    pub fn step_size(&self) -> f64 {
        self.step_size.unwrap_or(self.eps / 8.0)
    }

    /// Returns the attack under which accuracy is measured.
    pub fn attack(&self) -> Pgd {
        let step_size = self.step_size() as f32;
        Pgd { step_size, ..Pgd::attack(self.norm, self.eps as f32, self.steps) }
    }
}

/// The table `[checkpoint]`: how often checkpoints are written, and how many are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointTable {
    /// The number of iterations from one checkpoint to the next.
    pub every: u32,
    /// The number of latest checkpoints that are kept.
    pub keep: u32,
    /// How often training that diverges may go back to the last checkpoint, each time with half the learning rate.
    #[serde(default)]
    pub roll_backs: u32,
}

impl Config {
    /// Returns the device as training computes on it: in the configuration's precision.
    pub(super) fn device(&self, gpu: &Gpu) -> Gpu {
        let preferences = gpu.preferences().as_ref().clone();
        gpu.clone().preferring(Preferences { precision: self.precision, ..preferences })
    }

    /// Returns a built-in configuration by the name of its preset, such as `fashion-demo`.
    ///
    /// # Errors
    /// `BadConfig` for another name.
    pub fn preset(name: &str) -> Result<Self> {
        Self::from_table(presets::table(name)?, presets::schema()?)
    }

    /// Reads a configuration: `preset = "..."` and what differs from it. `origin` is the file's name in messages.
    /// Numbers may be written as fractions in quotes: `eps = "8/255"`.
    ///
    /// # Errors
    /// `BadFile` where the text is no TOML; `BadConfig` for an unknown preset or key, and for values of the wrong type or out
    /// of range.
    pub fn parse(text: &str, origin: impl AsRef<Path>) -> Result<Self> {
        let given: Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().and_then(|span| text.get(..span.start));
            let line = line.map_or(1, |before| before.matches('\n').count() + 1);
            Error::bad_file(origin, format!("line {line}: {}", error.message()))
        })?;
        let preset = match given.get("preset") {
            Some(Value::String(name)) => name,
            Some(other) => return Err(bad("preset", other, &presets::names())),
            None => return Err(bad("preset", "missing", &presets::names())),
        };
        let schema = presets::schema()?;
        let mut all = presets::table(preset)?;
        for (key, value) in flatten(&given) {
            presets::set(&mut all, &schema, &key, value)?;
        }
        Self::from_table(all, schema)
    }

    /// Returns the configuration with changed values, each given as `KEY=VALUE`, such as `stage1.iterations=10`; the value as in
    /// TOML or plain text.
    ///
    /// # Errors
    /// `BadConfig` as for [`Config::parse`], and without an equals sign.
    pub fn with(&self, changes: &[impl AsRef<str>]) -> Result<Self> {
        let schema = presets::schema()?;
        let mut all = self.to_table()?;
        for change in changes.iter().map(AsRef::as_ref) {
            let (key, text) = change
                .split_once('=')
                .ok_or_else(|| bad("--set", change, "KEY=VALUE, such as stage1.iterations=10"))?;
            let (key, text) = (key.trim(), text.trim());
            if key == "preset" {
                return Err(bad(
                    key,
                    text,
                    "given as the argument CONFIG, for example `lapidary train fashion-demo`: --set cannot change it",
                ));
            }
            let value = format!("value = {text}").parse::<Table>().ok();
            let value = value.filter(|table| table.len() == 1);
            let value = value.and_then(|mut table| table.remove("value"));
            presets::set(&mut all, &schema, key, value.unwrap_or_else(|| text.into()))?;
        }
        Self::from_table(all, schema)
    }

    /// Returns the number of iterations of stage 2 (dual adversarial training): 0 where the objective has only stage 1.
    pub fn stage2_iterations(&self) -> u32 {
        if self.objective.has_stage2() { self.stage2.schedule.iterations } else { 0 }
    }

    /// Returns all values as TOML, which [`Config::parse`] reads back.
    ///
    /// # Errors
    /// None for a configuration that was checked.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self)
            .map_err(|error| bad("a value", format!("refused ({error})"), "one that TOML can hold"))
    }

    /// Returns the keys whose values differ between two configurations, each as (key, value here, value in `other`), leaving
    /// out keys that do not change what is trained: a resumed run must have none.
    ///
    /// # Errors
    /// None for configurations that were checked.
    pub fn differences(&self, other: &Self) -> Result<Vec<(String, String, String)>> {
        let (ours, theirs) = (flatten(&self.to_table()?), flatten(&other.to_table()?));
        let mut keys: Vec<_> = ours.iter().chain(&theirs).map(|(key, _)| key.clone()).collect();
        keys.sort();
        keys.dedup();
        let value = |all: &[(String, Value)], key: &str| {
            let found = all.iter().find(|(name, _)| name == key);
            found.map_or("nothing".to_owned(), |(_, value)| value.to_string())
        };
        let both = keys.into_iter().map(|key| (value(&ours, &key), value(&theirs, &key), key));
        // What may differ without a batch being another.
        const FREE: [&str; 6] = [
            "data.threads",
            "data.max_bad",
            "stop.",
            "checkpoint.every",
            "checkpoint.keep",
            "sample.",
        ];
        let matters = |key: &str| !FREE.iter().any(|free| key.starts_with(free));
        let both = both.filter(|(a, b, key)| a != b && matters(key));
        Ok(both.map(|(a, b, key)| (key, a, b)).collect())
    }

    pub(super) fn to_table(&self) -> Result<Table> {
        Table::try_from(self)
            .map_err(|error| bad("a value", format!("refused ({error})"), "one that TOML can hold"))
    }

    /// Reads a whole table, key by key, so that a value that serde refuses is named.
    fn from_table(all: Table, schema: Table) -> Result<Self> {
        let config: Self = match all.clone().try_into() {
            Ok(config) => config,
            Err(whole) => return Err(presets::culprit(&all, &schema, &whole)),
        };
        config.check()?;
        Ok(config)
    }
}

/// The values of a table and of the tables in it, under dotted keys.
pub(super) fn flatten(table: &Table) -> Vec<(String, Value)> {
    let mut flat = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) if !inner.is_empty() => {
                flat.extend(flatten(inner).into_iter().map(|(k, v)| (format!("{key}.{k}"), v)));
            }
            _ => flat.push((key.clone(), value.clone())),
        }
    }
    flat
}

pub(super) fn bad(key: &str, value: impl ToString, allowed: &str) -> Error {
    Error::BadConfig { key: key.into(), value: value.to_string(), allowed: allowed.into() }
}
