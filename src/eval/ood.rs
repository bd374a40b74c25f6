//! Measures out-of-distribution detection: how well a network's scores tell images of its classes from other images, also when
//! the others are attacked to look like a class.

use super::{Classifier, auroc, confidences, false_positives_at_95, logsumexp};
use crate::Result;
use crate::attack::{Attack, Objective, Pgd, PgdAttack};
use crate::model::{BatchSize, DeviceWeights, Model};
use crate::ops::Norm;

/// How well one score tells real images from others: AUROC and FPR95.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// The area under the ROC curve; NaN where a set is empty.
    pub auroc: f64,
    /// The share of the other images whose score passes a threshold that 95 % of the real images pass.
    pub fpr95: f64,
}

/// Measures how well a score tells real from other images, from the scores of both; real images should score higher.
pub fn detection<S: Copy + Into<f64>>(real: &[S], other: &[S]) -> Detection {
    Detection { auroc: auroc(real, other), fpr95: false_positives_at_95(real, other) }
}

/// Two scores of each image by which images of the classes are told from others: the largest class probability, and logsumexp.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// The probability of the likeliest class, for each image.
    pub confidence: Vec<f64>,
    /// Logsumexp, the log of the sum over classes of exp(logit), for each image.
    pub logsumexp: Vec<f32>,
}

impl Scores {
    /// Computes the largest class probability and logsumexp of each image from its `classes` logits.
    pub fn of(logits: &[f32], classes: usize) -> Self {
        Self { confidence: confidences(logits, classes), logsumexp: logsumexp(logits, classes) }
    }
}

/// An attack that makes a network take images of no class for one of its classes: PGD that increases the divergence of the
/// softmax from the uniform distribution, in an L2 ball.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hiding {
    /// The L2 radius of the ball around each image that the attack stays in.
    pub eps: f32,
    /// The number of steps, which begin at the images themselves.
    pub steps: u32,
    /// The L2 length of one step of the attack.
    pub step_size: f32,
}

impl Hiding {
    /// Returns the settings with which arXiv 2510.13872 attacks out-of-distribution images within an L2 ball: up to a side of 64
    /// those for 32 pixels (eps 1, 20 steps of 0.1), above it those for 224 (eps 3, 10 steps of 1).
    pub fn usual(side: u32) -> Self {
        if side <= 64 {
            Self { eps: 1.0, steps: 20, step_size: 0.1 }
        } else {
            Self { eps: 3.0, steps: 10, step_size: 1.0 }
        }
    }

    /// Attacks the images and returns the results, in batches of `size`. `progress` is told how many images are done.
    pub async fn run(
        self,
        model: &dyn Model,
        weights: &DeviceWeights,
        images: &[f32],
        size: BatchSize,
        mut progress: impl FnMut(usize) -> Result<()>,
    ) -> Result<Vec<f32>> {
        let Self { eps, steps, step_size } = self;
        let objective = Objective::FromUniform;
        let settings = Pgd { step_size, objective, ..Pgd::attack(Norm::L2, eps, steps) };
        let mut attack = PgdAttack::new(model, weights, size, settings).await?;
        let words = size.words(model)?;
        let mut hidden = Vec::with_capacity(images.len());
        for part in images.chunks(size.images as usize * words) {
            let labels = vec![0; size.count(model, part)?];
            hidden.extend(attack.attack(part, &labels).await?);
            progress(hidden.len() / words)?;
        }
        Ok(hidden)
    }
}

impl Classifier {
    /// Computes two scores of each image, by which images of the classes are told from others: the largest class probability, and
    /// logsumexp.
    pub async fn scores(&mut self, images: &[f32]) -> Result<Scores> {
        Ok(Scores::of(&self.logits(images).await?, self.classes()))
    }
}

#[cfg(test)]
#[test]
fn confidences_near_1_keep_their_order() {
    let [real, other] = [[25.0, 0.0], [20.0, 0.0]].map(|logits| Scores::of(&logits, 2).confidence);
    assert_eq!(detection(&real, &other), Detection { auroc: 1.0, fpr95: 0.0 });
}
