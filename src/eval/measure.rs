//! The three numbers that evaluation comes to.

use super::{Accuracies, UnderPgd, auroc, logsumexp};
use crate::Result;
use crate::attack::Pgd;
use crate::model::{BatchSize, DeviceWeights, Model};

/// What a network is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Share of images named rightly.
    pub clean_accuracy: f64,
    /// Share of images named rightly as they are and under attack.
    pub pgd_accuracy: f64,
    /// Of logsumexp, these images against others; none where it is no number.
    pub ood_auroc: Option<f64>,
}

/// Measures on `images` with their labels, and on `others` that are of no class. The rest as [`UnderPgd`].
pub async fn measure(
    model: &dyn Model,
    weights: &DeviceWeights,
    (images, labels): (&[f32], &[u32]),
    others: &[f32],
    size: BatchSize,
    settings: Pgd,
    progress: impl FnMut(usize) -> Result<()>,
) -> Result<Measured> {
    let mut under = UnderPgd::new(model, weights, size, settings).await?;
    let Accuracies { clean, robust } = under.measure(images, labels, progress).await?;
    let classes = under.classifier.classes();
    let real = logsumexp(&under.classifier.logits(images).await?, classes);
    let other = logsumexp(&under.classifier.logits(others).await?, classes);
    let ood_auroc = Some(auroc(&real, &other)).filter(|auroc| auroc.is_finite());
    Ok(Measured { clean_accuracy: clean, pgd_accuracy: robust, ood_auroc })
}
