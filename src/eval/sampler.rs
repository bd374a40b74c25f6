//! Draws samples by projected gradient steps up one class logit, starting from images that show no class, such as noise or random
//! fields.

use crate::Result;
use crate::attack::{Attack, Pgd, PgdAttack, Start};
use crate::model::{BatchSize, DeviceWeights, Model};

/// Sampled images, with the images on the way to the first few of them.
#[derive(Clone, Debug)]
pub struct Samples {
    /// The samples, NCHW in \[0, 1\], one for each label.
    pub images: Vec<f32>,
    /// The images on the way to the first samples, as many of these as the call asked to trace: entry i has them after i steps.
    pub trajectory: Vec<Vec<f32>>,
}

/// Draws any number of samples, in batches of one size.
#[derive(Debug)]
pub struct BatchSampler {
    attack: PgdAttack,
}

impl BatchSampler {
    /// Prepares a sampler for a network and batches of one size, with `steps` gradient steps of L2 length `step_size`.
    pub async fn new(
        model: &dyn Model,
        weights: &DeviceWeights,
        size: BatchSize,
        (steps, step_size): (u32, f32),
    ) -> Result<Self> {
        let settings = Pgd::sample(steps, step_size);
        Ok(Self { attack: PgdAttack::new(model, weights, size, settings).await? })
    }

    /// Samples from these starts, at most a batch, towards their labels; `each` is given the images after 0, 1, ...
    /// steps.
    async fn draw_traced(
        &mut self,
        starts: &[f32],
        labels: &[u32],
        mut each: impl FnMut(&[f32]),
    ) -> Result<Vec<f32>> {
        self.attack.start(&Start::new(starts, labels)).await?;
        each(starts);
        for _ in 0..self.attack.steps() {
            self.attack.run(1, |_| Ok(())).await?;
            each(&self.attack.images().await?);
        }
        self.attack.images().await
    }

    /// Draws one sample for each label, from the start images given, without keeping intermediate steps.
    pub async fn draw(&mut self, starts: &[f32], labels: &[u32]) -> Result<Vec<f32>> {
        self.attack.attack(starts, labels).await
    }
}

/// Draws samples: from each start, takes gradient steps towards its label, in batches of `size`. `settings` are the number of
/// steps and their L2 length. The intermediate images of the first `traced` samples (at most a batch) are kept. `progress` is
/// told how many samples are done.
pub async fn sample(
    model: &dyn Model,
    weights: &DeviceWeights,
    (starts, labels): (&[f32], &[u32]),
    size: BatchSize,
    settings: (u32, f32),
    traced: usize,
    mut progress: impl FnMut(usize) -> Result<()>,
) -> Result<Samples> {
    let mut sampling = BatchSampler::new(model, weights, size, settings).await?;
    let (batch, words) = (size.images as usize, size.words(model)?);
    let mut made = Samples { images: Vec::new(), trajectory: Vec::new() };
    for (part, part_labels) in starts.chunks(batch * words).zip(labels.chunks(batch)) {
        let images = if made.images.is_empty() && traced > 0 {
            let trajectory = &mut made.trajectory;
            let keep = |images: &[f32]| {
                trajectory.push(images.iter().copied().take(traced * words).collect())
            };
            sampling.draw_traced(part, part_labels, keep).await?
        } else {
            sampling.draw(part, part_labels).await?
        };
        made.images.extend(images);
        progress(made.images.len() / words)?;
    }
    Ok(made)
}
