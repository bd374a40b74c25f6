//! Measures accuracies during training, of the averaged weights on images that are not trained on. The weights of the iteration
//! with the highest accuracy under attack are kept as the best.

use super::{Config, Learner, Material};
use crate::eval::{Accuracies, UnderPgd};
use crate::model::BatchSize;
use crate::world::World;
use crate::{Error, Result};

/// Programs and images, made once a stage.
#[derive(Debug)]
pub(super) struct Validator {
    under: UnderPgd,
    images: Vec<f32>,
    labels: Vec<u32>,
    /// The place of this rank's first image among all.
    first: usize,
    world: World,
}

impl Validator {
    /// Prepares `[evaluate]`'s attack on the images of [`Material::validated`], of which each rank has its share.
    pub async fn new(
        config: &Config,
        material: &Material,
        learner: &Learner,
        world: &World,
    ) -> Result<Self> {
        let evaluate = &config.evaluate;
        let Learner { model, average, .. } = learner;
        let size = BatchSize { images: evaluate.batch, side: config.data.side };
        let all = &material.validation;
        let drawn = material.validated(evaluate.images as usize);
        let share = world.share(drawn.len());
        let first = share.start;
        let drawn = drawn.get(share).unwrap_or_default();
        let images = drawn.iter().filter_map(|&at| all.image(at)).flatten().copied().collect();
        let labels = drawn.iter().filter_map(|&at| all.labels().get(at)).copied().collect();
        Ok(Self {
            under: UnderPgd::new(model, average, size, evaluate.attack()).await?,
            images,
            labels,
            first,
            world: world.clone(),
        })
    }

    /// Measures accuracy, clean and under attack, on the validation images of all ranks. Every rank returns the same numbers, or
    /// the same error about an image.
    pub async fn measure(&mut self) -> Result<Accuracies> {
        if !self.world.is_shared() {
            return self.under.measure(&self.images, &self.labels, |_| Ok(())).await;
        }
        let count = self.labels.len();
        let measured = match count {
            0 => Ok(Accuracies { clean: 0.0, robust: 0.0 }),
            _ => self.under.measure(&self.images, &self.labels, |_| Ok(())).await,
        };
        let right = |share: f64| (share * count as f64).round() as u64;
        let numbers = match measured {
            Ok(Accuracies { clean, robust }) => [count as u64, right(clean), right(robust), 0, 0],
            Err(Error::NonFinite { image, value }) => {
                [count as u64, 0, 0, 1 + (self.first + image) as u64, u64::from(value.to_bits())]
            }
            Err(other) => return Err(other),
        };
        let message = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let mut sums = [0; 3];
        for part in self.world.gather(message)? {
            let (numbers, _) = part.as_chunks();
            let number = |at: usize| numbers.get(at).map_or(0, |bytes| u64::from_le_bytes(*bytes));
            if let Some(image) = number(3).checked_sub(1) {
                let value = f32::from_bits(number(4) as u32);
                return Err(Error::NonFinite { image: image as usize, value });
            }
            for (at, sum) in sums.iter_mut().enumerate() {
                *sum += number(at);
            }
        }
        let [count, clean, robust] = sums.map(|sum| sum as f64);
        Ok(Accuracies { clean: clean / count.max(1.0), robust: robust / count.max(1.0) })
    }
}
