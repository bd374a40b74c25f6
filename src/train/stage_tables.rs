//! The settings of training's two stages: the tables `[stage1]` (adversarial training of the classifier) and `[stage2]` (dual
//! adversarial training, of classifier and energy at once) of a training configuration.

use serde::{Deserialize, Serialize};

use super::tables::{OptimiserName, ScoreName};
use super::{Optimiser, schedule};
use crate::attack::Pgd;
use crate::ops::Norm;

/// The attack that stage 1 (adversarial training of the classifier) trains against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageAttack {
    /// Projected gradient ascent (PGD), whose result is the last iterate.
    Pgd,
    /// Gradient steps with momentum 0.9 on the L1-normalised gradient, whose result is the iterate of highest loss, as in the
    /// code of arXiv 2510.13872.
    MomentumBest,
}

/// The settings that the tables of both stages have in common: iterations, batches and the optimiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The number of training iterations of the stage, of one batch each; 0 leaves the stage out.
    pub iterations: u32,
    /// The number of images in a batch; in stage 2 the number of real, of attacked and of contrastive images (which the network
    /// learns to tell from real ones) each.
    pub batch: u32,
    /// The number of images that go through the device at once, a divisor of the batch; 0 for the whole batch, or less
    /// where memory is short.
    #[serde(default)]
    pub micro_batch: u32,
    /// The full learning rate, which holds between warm-up and decay.
    pub learning_rate: f64,
    /// The number of iterations over which the learning rate rises linearly: in iteration `it` it is (it + 1)/warm_up of the full
    /// rate.
    #[serde(default)]
    pub warm_up: u32,
    /// The share of the iterations after which the learning rate begins to fall to 0 by a cosine: 0 from the start, 1 for never.
    #[serde(default)]
    pub decay_from: f64,
    /// The weight decay, for all parameters of the network.
    pub weight_decay: f64,
    /// The momentum (Nesterov's), if the optimiser is SGD.
    pub momentum: f64,
    /// The optimiser: SGD, Adam or AdamW.
    #[serde(default)]
    pub optimiser: OptimiserName,
    /// Adam's decay rate of the mean gradient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta1: Option<f64>,
    /// Adam's decay rate of the mean squared gradient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta2: Option<f64>,
}

impl Schedule {
    /// Returns the optimiser with its constants.
    pub fn optimiser(&self) -> Optimiser {
        let betas = [self.beta1, self.beta2];
        self.optimiser.build(betas, self.momentum, self.weight_decay)
    }

    /// Returns the learning rate at iteration `it`: `learning_rate` times the factor of [`schedule`].
    pub fn rate(&self, it: u64) -> f64 {
        let total = u64::from(self.iterations);
        self.learning_rate * schedule(it, total, self.warm_up, self.decay_from)
    }
}

/// The settings of the attack that a stage trains its classifier against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttackTable {
    /// The norm of the attack's step sizes and of its ball's radius.
    #[serde(with = "NormName")]
    pub norm: Norm,
    /// The radius of the ball around an image that the attack stays in.
    pub eps: f64,
    /// The number of steps of the attack; 0 trains on clean images.
    pub steps: u32,
    /// The length of one step of the attack, measured in its norm.
    pub step_size: f64,
}

impl AttackTable {
    /// Returns the attack, projected gradient ascent, with these settings.
    pub fn settings(&self) -> Pgd {
        let step_size = self.step_size as f32;
        Pgd { step_size, ..Pgd::attack(self.norm, self.eps as f32, self.steps) }
    }
}

/// The table `[stage1]`: adversarial training of the classifier.
///
/// Unknown keys are refused where a configuration is read ([`Config::parse`](super::Config::parse)), not here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage1 {
    /// The iterations, batches and optimiser of stage 1 (adversarial training).
    #[serde(flatten)]
    pub schedule: Schedule,
    /// The attack that stage 1 (adversarial training of the classifier) trains against.
    pub attack: StageAttack,
    /// The norm, radius and steps of the attack of stage 1 (adversarial training).
    #[serde(flatten)]
    pub pgd: AttackTable,
    /// Whether batch normalisation uses the statistics of the whole batch where it is divided among processes (ranks) and into
    /// micro-batches, at the cost of two messages for each layer. All micro-batches of a process then go side by side, which
    /// saves no memory. Otherwise each process uses the statistics of its share, which is not divided further.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sync_batch_norm: bool,
}

/// The table `[stage2]`: dual adversarial training, of classifier and energy at once (docs/method.md, "Stage 2").
///
/// Unknown keys are refused where a configuration is read ([`Config::parse`](super::Config::parse)), not here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage2 {
    /// The iterations, batches and optimiser of stage 2 (dual adversarial training).
    #[serde(flatten)]
    pub schedule: Schedule,
    /// The norm, radius and steps of the attack that the classifier is trained against.
    #[serde(flatten)]
    pub pgd: AttackTable,
    /// The score by which the loss tells real from contrastive images.
    #[serde(default)]
    pub score: ScoreName,
    /// The score that contrastive images are moved to increase; JEM's samples always increase `score`.
    #[serde(default = "class_logit")]
    pub climb: ScoreName,
    /// The weight of the binary cross-entropy between real and contrastive images.
    #[serde(default = "one")]
    pub bce_weight: f64,
    /// The weight of the cross-entropy of the labels.
    #[serde(default = "one")]
    pub ce_weight: f64,
    /// The weight of the gradient penalty R1, on the slope of the scores at real images.
    #[serde(default)]
    pub r1: f64,
    /// The L2 length of one of the gradient steps by which contrastive images are made.
    pub alpha: f64,
    /// The number T of gradient steps by which contrastive images are made, at the start of stage 2 (dual adversarial training).
    #[serde(rename = "start_T")]
    pub start_t: u32,
    /// The largest number T of gradient steps by which contrastive images are made.
    #[serde(rename = "max_T")]
    pub max_t: u32,
    /// The mean AUC of real against contrastive images from which on T, the number of gradient steps by which contrastive images
    /// are made, grows.
    pub auc_threshold: f64,
    /// The number of images over which the AUC is averaged, rounded up to whole batches.
    pub auc_window: u32,
}

fn class_logit() -> ScoreName {
    ScoreName::ClassLogit
}

fn one() -> f64 {
    1.0
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Norm", rename_all = "lowercase")]
pub(super) enum NormName {
    L2,
    Linf,
}
