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

/// Takes `steps` steps of L2 length `step_size` from each start towards its label, in batches of `batch`.
/// The path of the first `traced` images (at most a batch) is kept. `progress` is told how many images
/// are done.
pub async fn sample(
    model: &dyn Model,
    weights: &DeviceWeights,
    (starts, labels): (&[f32], &[u32]),
    [batch, side]: [u32; 2],
    (steps, step_size): (u32, f32),
    traced: usize,
    mut progress: impl FnMut(usize) -> Result<()>,
) -> Result<Samples> {
    let words = (model.channels() * side * side) as usize;
    let settings = Pgd {
        norm: Norm::L2,
        eps: f32::INFINITY,
        step_size,
        steps,
        objective: Objective::Joint,
        statistics: Statistics::Frozen,
    };
    let attack = Attack::new(model, weights, [batch, side], settings, true).await?;
    let batch = batch as usize;
    let mut made = Samples { images: Vec::new(), trajectory: Vec::new() };
    for (part, part_labels) in starts.chunks(batch * words).zip(labels.chunks(batch)) {
        let mut x = part.to_vec();
        let mut y = part_labels.to_vec();
        x.resize(batch * words, 0.0);
        y.resize(batch, 0);
        attack.start(&x, &y).await?;
        if made.images.is_empty() && traced > 0 {
            made.trajectory.push(part.iter().copied().take(traced * words).collect());
            for _ in 0..steps {
                attack.run(1, |_| Ok(())).await?;
                let mut images = attack.images().await?;
                images.truncate(traced.min(part_labels.len()) * words);
                made.trajectory.push(images);
            }
        } else {
            attack.run(steps, |_| Ok(())).await?;
        }
        let mut images = attack.images().await?;
        images.truncate(part.len());
        made.images.extend(images);
        progress(made.images.len() / words)?;
    }
    Ok(made)
}
