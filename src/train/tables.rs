//! The tables of a training configuration other than `[stage1]` and `[stage2]`: settings of each objective, of early stopping and
//! of validation.

use serde::{Deserialize, Serialize};

use super::limits::{COUNT, LENGTH, SHARE, STEPS, holds, within};
use super::{Contrast, Optimiser, Score};
use crate::Result;
use crate::data::Kept;

/// The training objective, as a configuration names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectiveName {
    /// `dat`: stage 1 by standard adversarial training, then stage 2 by dual adversarial training.
    #[default]
    Dat,
    /// `at`: adversarial training alone (stage 1), with the cross-entropy of attacked images.
    At,
    /// `trades`: stage 1 alone, with the cross-entropy of clean images and the divergence of attacked images from them (TRADES).
    Trades,
    /// `jem`: stage 1, then stage 2 as a joint energy model (JEM): maximum likelihood by Langevin samples, and cross-entropy of
    /// clean images.
    Jem,
    /// `ratio`: stage 1 alone, with the cross-entropy of attacked images, and a loss against confidence in attacked
    /// out-of-distribution images (RATIO).
    Ratio,
}

impl ObjectiveName {
    /// Returns whether the objective has a second stage.
    pub fn has_stage2(self) -> bool {
        matches!(self, Self::Dat | Self::Jem)
    }

    /// Returns the objective's name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dat => "dat",
            Self::At => "at",
            Self::Trades => "trades",
            Self::Jem => "jem",
            Self::Ratio => "ratio",
        }
    }
}

/// The optimisers that a configuration may name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimiserName {
    /// Stochastic gradient descent with Nesterov's momentum.
    #[default]
    Sgd,
    /// Adam, with betas 0 and 0.99 where they are not given.
    Adam,
    /// Adam with decoupled weight decay, with betas 0.9 and 0.95 where they are not given.
    AdamW,
}

impl OptimiserName {
    /// Returns the optimiser with a stage's constants.
    pub(super) fn build(
        self,
        betas: [Option<f64>; 2],
        momentum: f64,
        weight_decay: f64,
    ) -> Optimiser {
        let weight_decay = weight_decay as f32;
        let (defaults, decoupled) = match self {
            Self::Sgd => return Optimiser::Sgd { momentum: momentum as f32, weight_decay },
            Self::Adam => ([0.0, 0.99], false),
            Self::AdamW => ([0.9, 0.95], true),
        };
        let [mean, square] = [(betas[0], defaults[0]), (betas[1], defaults[1])];
        let betas = [mean.0.unwrap_or(mean.1), square.0.unwrap_or(square.1)];
        Optimiser::Adam { betas, weight_decay, decoupled }
    }
}

/// The score by which real images are told from contrastive ones (made by gradient steps from out-of-distribution images), as a
/// configuration names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScoreName {
    /// The logsumexp of the logits, which is minus the energy of the image.
    #[default]
    Logsumexp,
    /// The logit of the class, which is minus the joint energy of image and class.
    ClassLogit,
}

impl From<ScoreName> for Score {
    fn from(name: ScoreName) -> Self {
        match name {
            ScoreName::Logsumexp => Self::LogSumExp,
            ScoreName::ClassLogit => Self::ClassLogit,
        }
    }
}

impl ScoreName {
    /// Returns the objective that contrastive images maximise.
    pub(super) fn climbed(self) -> crate::attack::Objective {
        match self {
            Self::Logsumexp => crate::attack::Objective::LogSumExp,
            Self::ClassLogit => crate::attack::Objective::Joint,
        }
    }
}

/// The table `[trades]`: settings of the objective TRADES in stage 1
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trades {
    /// The weight of the divergence between clean and attacked images, beside the cross-entropy.
    pub beta: f64,
}

impl Default for Trades {
    fn default() -> Self {
        Self { beta: 6.0 }
    }
}

/// The table `[ratio]`: settings of the objective RATIO in stage 1, whose out-of-distribution images are attacked in stage 1's
/// norm
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ratio {
    /// The weight of the out-of-distribution images' cross-entropy from the uniform distribution.
    pub weight: f64,
    /// The radius of the ball within which out-of-distribution images are attacked.
    pub eps: f64,
    /// The number of steps by which out-of-distribution images are attacked.
    pub steps: u32,
    /// The length of one step by which out-of-distribution images are attacked.
    pub step_size: f64,
}

impl Default for Ratio {
    fn default() -> Self {
        Self { weight: 1.0, eps: 1.0, steps: 20, step_size: 0.1 }
    }
}

/// The table `[jem]`: settings of the objective JEM in stage 2, whose samples x become x - `alpha`/2 ∂E/∂x + `noise` times
/// a normal number, from a buffer of earlier samples
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Jem {
    /// The number of steps that a chain of samples takes in one iteration.
    pub steps: u32,
    /// The step size of the chains: samples move by half of it times the energy's gradient.
    pub alpha: f64,
    /// The standard deviation of the Gaussian noise that each step of a chain adds to the samples.
    pub noise: f64,
    /// The number of samples in the replay buffer, which checkpoints hold too.
    pub buffer: u32,
    /// The share of chains that begin anew from uniform noise.
    pub reinit: f64,
    /// The difference of the mean energies of real images and samples above which training counts as diverged.
    pub max_gap: f64,
}

impl Default for Jem {
    fn default() -> Self {
        Self { steps: 20, alpha: 1.0, noise: 0.01, buffer: 10_000, reinit: 0.05, max_gap: 1e4 }
    }
}

impl Jem {
    /// The loss between real images and samples that JEM uses in stage 2.
    pub(super) const CONTRAST: Contrast = Contrast::EnergyGap;
}

/// The table `[stop]`: conditions under which training ends before all of its iterations are done; 0 for never. The condition
/// that ended training is printed and logged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stop {
    /// The number of drawn training images after which training ends. An image drawn twice counts twice; an iteration of stage 1
    /// (classifier alone) draws one batch, one of stage 2 (energy and classifier) two. Out-of-distribution and contrastive
    /// images and the attacked copies of TRADES do not count.
    pub images: u32,
    /// The number of epochs after which training ends: drawn training images divided by the size of the training set.
    pub epochs: f64,
    /// The minutes after which training ends, time before a resume included.
    pub minutes: f64,
    /// The number of validations in a row without a better attacked accuracy that end a stage, so that stage 2 follows stage 1.
    pub plateau: u32,
}

/// The table `[validate]`: clean and attacked accuracy of the averaged weights during training, under `[evaluate]`'s attack; the
/// weights of the best attacked accuracy are kept
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Validate {
    /// The number of iterations from one validation to the next; 0 for no validation, and no images held back for it.
    pub every: u32,
    /// How many training images are kept back for validation, all of which are measured: a share of all if below 1, a number from
    /// 1 on; with 0 at most `evaluate.images` test images are used, as in the code of arXiv 2510.13872.
    pub images: f64,
}

impl Default for Validate {
    fn default() -> Self {
        Self { every: 500, images: 0.05 }
    }
}

impl Validate {
    /// Returns the images to be kept back.
    pub(super) fn kept(&self) -> Kept {
        match self.images {
            _ if self.every == 0 => Kept::Images(0),
            number => Kept::from_number(number),
        }
    }
}

/// Whether the values are within their ranges.
pub(super) fn check(
    (trades, ratio, jem): (&Trades, &Ratio, &Jem),
    (stop, validate): (&Stop, &Validate),
) -> Result<()> {
    within("trades.beta", trades.beta, 0.0..=1e6)?;
    within("ratio.weight", ratio.weight, 0.0..=1e6)?;
    within("ratio.eps", ratio.eps, LENGTH)?;
    within("ratio.steps", ratio.steps, STEPS)?;
    within("ratio.step_size", ratio.step_size, LENGTH)?;
    within("jem.steps", jem.steps, STEPS)?;
    within("jem.alpha", jem.alpha, LENGTH)?;
    let moves = jem.steps == 0 || jem.alpha as f32 > 0.0;
    holds("jem.alpha", jem.alpha, moves, "above 0 as f32 where steps are taken")?;
    within("jem.noise", jem.noise, LENGTH)?;
    within("jem.buffer", jem.buffer, 1..=1_000_000)?;
    within("jem.reinit", jem.reinit, SHARE)?;
    within("jem.max_gap", jem.max_gap, 0.0..=1e30)?;
    within("stop.epochs", stop.epochs, 0.0..=1e9)?;
    within("stop.minutes", stop.minutes, 0.0..=1e9)?;
    within("stop.plateau", stop.plateau, COUNT)?;
    let measured = stop.plateau == 0 || validate.every > 0;
    holds(
        "stop.plateau",
        stop.plateau,
        measured,
        "0 where validate.every is 0: it counts validations",
    )?;
    within("validate.every", validate.every, COUNT)?;
    within("validate.images", validate.images, 0.0..=1e8)
}
