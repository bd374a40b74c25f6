//! The tables `[stage1]` and `[stage2]` of a training configuration.

use serde::{Deserialize, Serialize};

use super::tables::{OptimiserName, ScoreName};
use super::{Optimiser, schedule};
use crate::attack::Pgd;
use crate::ops::Norm;

/// The attack by which stage 1 makes its images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageAttack {
    /// Plain projected gradient ascent, the last iterate.
    Pgd,
    /// Gradient steps with momentum 0.9 on the L1-normalised gradient, of which the best iterate is kept, as in the
    /// authors' code.
    MomentumBest,
}

/// What both stages' tables say of iterations, batches and the optimiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The number of iterations, one batch each; a stage of 0 is left out.
    pub iterations: u32,
    /// The number of images of a kind in a batch. Stage 2 has three kinds: real, attacked and contrastive ones.
    pub batch: u32,
    /// The number of images that go through the device at once, a divisor of the batch; 0 for the whole batch, or less
    /// where memory is short.
    #[serde(default)]
    pub micro_batch: u32,
    /// The learning rate between warm-up and decay.
    pub learning_rate: f64,
    /// The number of iterations over which the learning rate rises linearly: iteration `it` has (it + 1)/warm_up of it.
    #[serde(default)]
    pub warm_up: u32,
    /// The share of the iterations after which the learning rate falls to 0 by a cosine; 0 over all, 1 for never.
    #[serde(default)]
    pub decay_from: f64,
    /// The weight decay of all parameters.
    pub weight_decay: f64,
    /// Nesterov's momentum, for SGD.
    pub momentum: f64,
    /// The optimiser: SGD, Adam or AdamW.
    #[serde(default)]
    pub optimiser: OptimiserName,
    /// Adam's decay of the mean of gradients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta1: Option<f64>,
    /// Adam's decay of the mean square of gradients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta2: Option<f64>,
}

impl Schedule {
    /// Returns the optimiser with its constants.
    pub fn optimiser(&self) -> Optimiser {
        let betas = [self.beta1, self.beta2];
        self.optimiser.build(betas, self.momentum, self.weight_decay)
    }

    /// Returns the learning rate at iteration `it`, after [`schedule`].
    pub fn rate(&self, it: u64) -> f64 {
        let total = u64::from(self.iterations);
        self.learning_rate * schedule(it, total, self.warm_up, self.decay_from)
    }
}

/// What both stages' tables say of the attack on images of the classifier's batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttackTable {
    /// The norm of the attack's step sizes and of its ball's radius.
    #[serde(with = "NormName")]
    pub norm: Norm,
    /// The radius of the ball around an image that the attack stays in.
    pub eps: f64,
    /// The number of steps of the attack; 0 trains on clean images.
    pub steps: u32,
    /// The length of one step of the attack.
    pub step_size: f64,
}

impl AttackTable {
    /// Returns projected gradient ascent with these settings.
    pub fn settings(&self) -> Pgd {
        let step_size = self.step_size as f32;
        Pgd { step_size, ..Pgd::attack(self.norm, self.eps as f32, self.steps) }
    }
}

/// `[stage1]`: adversarial training of the classifier.
///
/// Unknown keys are refused where a configuration is read ([`Config::parse`](super::Config::parse)), not here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage1 {
    /// Iterations, batches and the optimiser.
    #[serde(flatten)]
    pub schedule: Schedule,
    /// The kind of attack.
    pub attack: StageAttack,
    /// The attack's norm, radius and steps.
    #[serde(flatten)]
    pub pgd: AttackTable,
    /// Whether batch normalisation uses the statistics of the whole batch where that is divided into ranks' shares and
    /// pieces, at the cost of two messages for each layer. All pieces of a process then go side by side, which saves no
    /// memory. Otherwise each rank uses the statistics of its share, which is not divided further.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sync_batch_norm: bool,
}

/// `[stage2]`: training with both losses (docs/method.md, "Stage 2").
///
/// Unknown keys are refused where a configuration is read ([`Config::parse`](super::Config::parse)), not here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage2 {
    /// Iterations, batches and the optimiser.
    #[serde(flatten)]
    pub schedule: Schedule,
    /// The norm, radius and steps of the attack that the classifier is trained against.
    #[serde(flatten)]
    pub pgd: AttackTable,
    /// The score that tells real from contrastive images in the loss.
    #[serde(default)]
    pub score: ScoreName,
    /// The score that contrastive images climb; JEM's samples always climb `score`.
    #[serde(default = "class_logit")]
    pub climb: ScoreName,
    /// The weight of the binary cross-entropy between real and contrastive images.
    #[serde(default = "one")]
    pub bce_weight: f64,
    /// The weight of the cross-entropy.
    #[serde(default = "one")]
    pub ce_weight: f64,
    /// The weight of the penalty on the scores' slope at real images (R1).
    #[serde(default)]
    pub r1: f64,
    /// The L2 length of one contrastive step.
    pub alpha: f64,
    /// The number of contrastive steps at the start.
    #[serde(rename = "start_T")]
    pub start_t: u32,
    /// The largest number of contrastive steps.
    #[serde(rename = "max_T")]
    pub max_t: u32,
    /// The mean AUC of the window from which on the number of contrastive steps grows.
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
