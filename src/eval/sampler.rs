//! Samples: projected gradient steps up one class logit, from images that are of no class.

use crate::Result;
use crate::attack::{Attack, Objective, Pgd, Statistics};
use crate::model::{DeviceWeights, Model};
use crate::ops::Norm;

/// Sampled images, and how the first of them came about.
#[derive(Clone, Debug)]
pub struct Samples {
    /// NCHW in \[0, 1\], one for each label.
    pub images: Vec<f32>,
    /// The first images after 0, 1, ... steps, step by step; `traced` images each.
    pub trajectory: Vec<Vec<f32>>,
}

/// A sampler of batches of one size, made once for any number of them.
#[derive(Debug)]
pub struct Sampling {
    attack: Attack,
    batch: usize,
    words: usize,
}

impl Sampling {
    /// For batches of `batch` images of `side` by `side` pixels, `steps` steps of L2 length `step_size` each.
    pub async fn new(
        model: &dyn Model,
        weights: &DeviceWeights,
        [batch, side]: [u32; 2],
        (steps, step_size): (u32, f32),
    ) -> Result<Self> {
        let settings = Pgd {
            norm: Norm::L2,
            eps: f32::INFINITY,
            step_size,
            steps,
            objective: Objective::Joint,
            statistics: Statistics::Frozen,
        };
        let attack = Attack::new(model, weights, [batch, side], settings, true).await?;
        let words = (model.channels() * side * side) as usize;
        Ok(Self { attack, batch: batch as usize, words })
    }

    /// What comes of these starts, at most a batch of them, when they go towards their labels; `each` sees the images
    /// after 0, 1, ... steps.
    async fn draw_traced(
        &self,
        starts: &[f32],
        labels: &[u32],
        mut each: impl FnMut(&[f32]),
    ) -> Result<Vec<f32>> {
        self.start(starts, labels).await?;
        each(starts);
        for _ in 0..self.attack.settings().steps {
            self.attack.run(1, |_| Ok(())).await?;
            each(&self.images(labels.len()).await?);
        }
        self.images(labels.len()).await
    }

    /// The same without a trace: one submission after the other, and one read-back.
    pub async fn draw(&self, starts: &[f32], labels: &[u32]) -> Result<Vec<f32>> {
        self.start(starts, labels).await?;
        self.attack.run(self.attack.settings().steps, |_| Ok(())).await?;
        self.images(labels.len()).await
    }

    /// Err for more than a batch, and for other numbers of images than labels.
    async fn start(&self, starts: &[f32], labels: &[u32]) -> Result<()> {
        if labels.len() > self.batch || starts.len() != labels.len() * self.words {
            let given = format!("{} values for {} labels", starts.len(), labels.len());
            let wanted = format!("{} for each, at most {} labels", self.words, self.batch);
            return Err(crate::Error::mismatch("sampling", given, wanted));
        }
        let (mut x, mut y) = (starts.to_vec(), labels.to_vec());
        x.resize(self.batch * self.words, 0.0);
        y.resize(self.batch, 0);
        self.attack.start(&x, &y).await
    }

    async fn images(&self, count: usize) -> Result<Vec<f32>> {
        let mut images = self.attack.images().await?;
        images.truncate(count * self.words);
        Ok(images)
    }
}

/// Takes `steps` steps of L2 length `step_size` from each start towards its label, in batches of `batch`.
/// The path of the first `traced` images (at most a batch) is kept. `progress` is told how many images
/// are done.
pub async fn sample(
    model: &dyn Model,
    weights: &DeviceWeights,
    (starts, labels): (&[f32], &[u32]),
    [batch, side]: [u32; 2],
    settings: (u32, f32),
    traced: usize,
    mut progress: impl FnMut(usize) -> Result<()>,
) -> Result<Samples> {
    let sampling = Sampling::new(model, weights, [batch, side], settings).await?;
    let (batch, words) = (batch as usize, sampling.words);
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
