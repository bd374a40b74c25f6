//! Accuracies during training, of the averaged weights on images that are not trained on: what the best weights are
//! chosen by.

use super::{Config, Learner, Material};
use crate::attack::{Attack, Objective, Pgd, Statistics};
use crate::data::Prepared;
use crate::eval::{Classifier, argmax};
use crate::{Error, Result};
use std::sync::Arc;

/// Programs and images, made once a stage.
#[derive(Debug)]
pub(super) struct Validator {
    classifier: Classifier,
    attack: Attack,
    images: Arc<Prepared>,
    count: usize,
    batch: usize,
}

impl Validator {
    /// Of `[evaluate]`'s attack on at most as many images as that takes.
    pub async fn new(config: &Config, material: &Material, learner: &Learner) -> Result<Self> {
        let evaluate = &config.evaluate;
        let settings = Pgd {
            norm: evaluate.norm,
            eps: evaluate.eps as f32,
            step_size: evaluate.step_size() as f32,
            steps: evaluate.steps,
            objective: Objective::CrossEntropy,
            statistics: Statistics::Frozen,
        };
        let (sizes, Learner { model, average, .. }) = ([evaluate.batch, config.data.side], learner);
        let images = material.validation.clone();
        Ok(Self {
            classifier: Classifier::new(model, average, sizes).await?,
            attack: Attack::new(model, average, sizes, settings, true).await?,
            count: images.len().min(evaluate.images as usize),
            images,
            batch: evaluate.batch as usize,
        })
    }

    /// Shares of images named rightly: clean, and attacked.
    pub async fn measure(&self) -> Result<[f64; 2]> {
        let mut right = [0_usize; 2];
        for first in (0..self.count).step_by(self.batch.max(1)) {
            let range = first..(first + self.batch).min(self.count);
            let none = || Error::mismatch("validation", "no image", "one of each number");
            let labels = self.images.labels().get(range.clone()).ok_or_else(none)?;
            let (mut images, mut filled) = (Vec::new(), labels.to_vec());
            for index in range {
                images.extend_from_slice(self.images.image(index).ok_or_else(none)?);
            }
            let len = images.len() / labels.len().max(1);
            images.resize(self.batch * len, 0.0);
            filled.resize(self.batch, 0);
            let attacked = self.attack.attack(&images, &filled).await?;
            for (right, images) in right.iter_mut().zip([&images, &attacked]) {
                let logits = self.classifier.logits(images).await?;
                let named = argmax(&logits, self.classifier.classes());
                *right += named.iter().zip(labels).filter(|(named, label)| named == label).count();
            }
        }
        Ok(right.map(|right| right as f64 / self.count.max(1) as f64))
    }
}
