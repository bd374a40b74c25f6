//! The events that training reports to a caller: phases, iterations, checkpoints. The same records are the run's log.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Reduction;

use crate::Result;

/// The parts of a run, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Stage 1, adversarial training.
    Stage1,
    /// Stage 2, dual adversarial training.
    Stage2,
    /// Plain training of the net that names samples.
    Judge,
    /// Accuracies and AUROC on the test images; iterations are batches.
    Evaluate,
    /// Drawing samples; iterations are batches or steps.
    Sample,
}

impl Phase {
    /// The name in logs, in metrics and for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stage1 => "stage1",
            Self::Stage2 => "stage2",
            Self::Judge => "judge",
            Self::Evaluate => "evaluate",
            Self::Sample => "sample",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

/// The measurements of one finished iteration. Numbers that a phase does not measure are `None` and left out of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The part of the run that the iteration belongs to.
    pub phase: Phase,
    /// The number of finished iterations of the phase, from 1.
    pub iteration: u64,
    /// The number of iterations of the phase.
    pub total: u64,
    /// Binary cross-entropy of real against contrastive images, as averaged over both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_bce: Option<f32>,
    /// Cross-entropy of the labels, on attacked images in stages 1 and 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_ce: Option<f32>,
    /// Mean KL(clean ‖ attacked), of TRADES.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_kl: Option<f32>,
    /// Cross-entropy of the uniform distribution on out-of-distribution images, of RATIO.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_uniform: Option<f32>,
    /// With JEM, the mean energy of real images minus that of samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy_gap: Option<f32>,
    /// Gradient penalty, without its weight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r1: Option<f32>,
    /// Share of the iteration's images, as attacked, that were classified correctly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f32>,
    /// Accuracy of the averaged weights on clean validation images, in the iterations that measure it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clean_accuracy: Option<f32>,
    /// Accuracy of the averaged weights on attacked validation images, in the iterations that measure it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pgd_accuracy: Option<f32>,
    /// The AUC of this iteration: f(x)\[y\] of real against contrastive images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auc: Option<f32>,
    /// The number of contrastive steps in this iteration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub t: Option<u32>,
    /// The learning rate in this iteration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f32>,
    /// Images a second, lately.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images_per_second: Option<f32>,
    /// The seconds since the phase began, in stages 1 and 2 with the time before a resume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f32>,
    /// The share of these seconds in which the GPU waited for images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_share: Option<f32>,
    /// The bytes and time of summing gradients over ranks, in a world of several.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub reduction: Option<Reduction>,
}

impl Step {
    /// A step of which nothing is measured yet.
    pub fn new(phase: Phase, iteration: u64, total: u64) -> Self {
        Self {
            phase,
            iteration,
            total,
            loss_bce: None,
            loss_ce: None,
            loss_kl: None,
            loss_uniform: None,
            energy_gap: None,
            r1: None,
            accuracy: None,
            clean_accuracy: None,
            pgd_accuracy: None,
            auc: None,
            t: None,
            learning_rate: None,
            images_per_second: None,
            seconds: None,
            wait_share: None,
            reduction: None,
        }
    }
}

/// An event of a run, which is one line of its log: a flat object whose `event` names the variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A part of the run begins, or goes on after a resume.
    Phase {
        /// The part of the run.
        phase: Phase,
        /// Iterations that are over already: 0, or where a resumed run goes on.
        done: u64,
        /// The number of all iterations.
        total: u64,
    },
    /// An iteration is over.
    Step(Step),
    /// A note, such as that training rolled back or that T grew.
    Note {
        /// A sentence for the user.
        text: String,
    },
    /// A checkpoint is on disk.
    Saved {
        /// The iteration over all phases that it is numbered by.
        step: u64,
        /// The folder of the checkpoint.
        path: PathBuf,
    },
}

impl Event {
    /// Makes a note, one sentence for the log and the terminal.
    pub fn note(text: impl Into<String>) -> Self {
        Self::Note { text: text.into() }
    }
}

/// The observer's answer: whether training goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on with the next iteration.
    Continue,
    /// Save a checkpoint and return.
    Stop,
}

/// Called on the training thread after each event; an error ends the training with it.
pub type Observer<'a> = dyn FnMut(&Event) -> Result<Flow> + 'a;
