//! Accuracies during training, of the averaged weights on images that are not trained on: what the best weights are
//! chosen by.

use super::{Config, Learner, Material};
use crate::attack::{Attack, PgdAttack};
use crate::data::Prepared;
use crate::eval::{Classifier, argmax};
use crate::model::BatchSize;
use crate::{Error, Result};
use std::sync::Arc;

/// Programs and images, made once a stage.
#[derive(Debug)]
pub(super) struct Validator {
    classifier: Classifier,
    attack: PgdAttack,
    images: Arc<Prepared>,
    count: usize,
    batch: usize,
}

impl Validator {
    /// Of `[evaluate]`'s attack on at most as many images as that takes.
    pub async fn new(config: &Config, material: &Material, learner: &Learner) -> Result<Self> {
        let evaluate = &config.evaluate;
        let Learner { model, average, .. } = learner;
        let size = BatchSize { images: evaluate.batch, side: config.data.side };
        let images = material.validation.clone();
        Ok(Self {
            classifier: Classifier::new(model, average, size).await?,
            attack: PgdAttack::new(model, average, size, evaluate.attack(), true).await?,
            count: images.len().min(evaluate.images as usize),
            images,
            batch: evaluate.batch as usize,
        })
    }

    /// Shares of images named rightly: clean, and attacked.
    pub async fn measure(&mut self) -> Result<[f64; 2]> {
        let mut right = [0_usize; 2];
        for first in (0..self.count).step_by(self.batch.max(1)) {
            let range = first..(first + self.batch).min(self.count);
            let none = || Error::mismatch("validation", "no image", "one of each number");
            let labels = self.images.labels().get(range.clone()).ok_or_else(none)?;
            let mut images = Vec::new();
            for index in range {
                images.extend_from_slice(self.images.image(index).ok_or_else(none)?);
            }
            let attacked = self.attack.attack(&images, labels).await?;
            for (right, images) in right.iter_mut().zip([&images, &attacked]) {
                let logits = self.classifier.logits(images).await?;
                let named = argmax(&logits, self.classifier.classes());
                *right += named.iter().zip(labels).filter(|(named, label)| named == label).count();
            }
        }
        Ok(right.map(|right| right as f64 / self.count.max(1) as f64))
    }
}
