//! The events that training reports to a caller: phases, iterations, checkpoints. The same records are the run's log.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Reduction;

use crate::Result;

/// The phases of a training run, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Stage 1, adversarial training.
    Stage1,
    /// Stage 2, dual adversarial training.
    Stage2,
    /// Training of the judge, the classifier that says which classes samples show.
    Judge,
    /// Measuring accuracies and AUROC on the test images; its iterations are batches.
    Evaluate,
    /// Drawing samples; its iterations are batches or steps.
    Sample,
}

impl Phase {
    /// Returns the phase's name in logs, in metrics and for people.
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

/// The measurements of one finished iteration. What a phase does not measure is `None` and left out of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The phase of the run that the iteration belongs to.
    pub phase: Phase,
    /// The number of the iteration in its phase, from 1.
    pub iteration: u64,
    /// The number of iterations that the phase has in all.
    pub total: u64,
    /// The binary cross-entropy of real against contrastive images (which the network learns to tell from real ones), averaged over
    /// both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_bce: Option<f32>,
    /// The cross-entropy of the labels, on attacked images in stages 1 and 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_ce: Option<f32>,
    /// The mean KL(clean ‖ attacked) of the objective TRADES.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_kl: Option<f32>,
    /// The cross-entropy of the uniform distribution on out-of-distribution images, of the objective RATIO.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_uniform: Option<f32>,
    /// The mean energy of real images minus that of samples, of the objective JEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy_gap: Option<f32>,
    /// The gradient penalty R1, without its weight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r1: Option<f32>,
    /// The share of the iteration's images, after their attack, that were classified correctly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f32>,
    /// The accuracy of the averaged weights on clean validation images, in the iterations that measure it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clean_accuracy: Option<f32>,
    /// The accuracy of the averaged weights on attacked validation images, in the iterations that measure it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pgd_accuracy: Option<f32>,
    /// The AUC with which the class logit f(x)\[y\] tells real from contrastive images in this iteration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auc: Option<f32>,
    /// The number T of gradient steps by which contrastive images were made in this iteration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub t: Option<u32>,
    /// The learning rate in this iteration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f32>,
    /// The number of images trained on per second, measured over the last iterations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images_per_second: Option<f32>,
    /// The seconds since the phase began; in stages 1 and 2 the time before a resume counts too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f32>,
    /// The share of `seconds` in which the GPU waited for images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_share: Option<f32>,
    /// The bytes and time of summing gradients over processes; `None` in runs of one process.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub reduction: Option<Reduction>,
}

impl Step {
    /// Makes the record of an iteration of which nothing is measured yet.
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

/// An event of a training run, which is one line of its log: a flat object whose `event` names the variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A phase of the run begins, or goes on after a resume.
    Phase {
        /// The phase that begins or goes on.
        phase: Phase,
        /// The number of the phase's iterations that are done already; 0 unless the run is resumed.
        done: u64,
        /// The number of iterations that the phase has in all.
        total: u64,
    },
    /// A training iteration is finished, with these measurements.
    Step(Step),
    /// A note, such as that training went back to a checkpoint, or that contrastive images get one more gradient step from now on.
    Note {
        /// The note, one sentence for the user.
        text: String,
    },
    /// A checkpoint was written to disk.
    Saved {
        /// The checkpoint's number: its iteration, counted over all phases.
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

/// What an observer of training answers to an event: whether training goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Training goes on with the next iteration.
    Continue,
    /// Training saves a checkpoint and returns.
    Stop,
}

/// A function that is called on the training thread after each event of a run; an error that it returns ends the training.
pub type Observer<'a> = dyn FnMut(&Event) -> Result<Flow> + 'a;
