//! Accuracies during training, of the averaged weights on images that are not trained on: what the best weights are
//! chosen by.

use super::{Config, Learner, Material};
use crate::Result;
use crate::eval::{Accuracies, UnderPgd, drawn};
use crate::model::BatchSize;

/// Programs and images, made once a stage.
#[derive(Debug)]
pub(super) struct Validator {
    under: UnderPgd,
    images: Vec<f32>,
    labels: Vec<u32>,
}

impl Validator {
    /// Of `[evaluate]`'s attack on at most as many images as that takes.
    pub async fn new(config: &Config, material: &Material, learner: &Learner) -> Result<Self> {
        let evaluate = &config.evaluate;
        let Learner { model, average, .. } = learner;
        let size = BatchSize { images: evaluate.batch, side: config.data.side };
        let all = &material.validation;
        let drawn = drawn(all.labels(), evaluate.images as usize);
        let images = drawn.iter().filter_map(|&at| all.image(at)).flatten().copied().collect();
        let labels = drawn.iter().filter_map(|&at| all.labels().get(at)).copied().collect();
        Ok(Self {
            under: UnderPgd::new(model, average, size, evaluate.attack()).await?,
            images,
            labels,
        })
    }

    /// Shares of images named rightly: clean, and attacked.
    pub async fn measure(&mut self) -> Result<Accuracies> {
        self.under.measure(&self.images, &self.labels, |_| Ok(())).await
    }
}
