//! Measures a network by one call: accuracy, accuracy under a PGD attack, and the AUROC with which logsumexp tells the images
//! from out-of-distribution images.

use super::{Accuracies, UnderPgd, auroc, logsumexp};
use crate::Result;
use crate::attack::Pgd;
use crate::data::Measured;
use crate::model::{BatchSize, DeviceWeights, Model};

/// Accuracy, accuracy under attack and AUROC of one network, as [`measure`] computes them.
#[derive(Clone, Debug, PartialEq)]
pub struct Worth {
    /// The share of images that are classified correctly.
    pub clean_accuracy: f64,
    /// The share of images that are classified correctly as they are and under attack.
    pub pgd_accuracy: f64,
    /// The AUROC with which the score logsumexp tells the images from each of the other sets; `None` where it cannot be computed,
    /// as for an empty set.
    pub ood_aurocs: Vec<Option<f64>>,
}

/// Measures accuracy and accuracy under attack on `images` with their labels, and how well logsumexp tells them from the
/// images of other sets (`others`), which show no class and are read batch by batch. The attack has these `settings` and batches
/// of `size`; `progress` is told the number of images whose result is known.
pub async fn measure(
    model: &dyn Model,
    weights: &DeviceWeights,
    (images, labels): (&[f32], &[u32]),
    others: Vec<Measured>,
    size: BatchSize,
    settings: Pgd,
    progress: impl FnMut(usize) -> Result<()>,
) -> Result<Worth> {
    let mut under = UnderPgd::new(model, weights, size, settings).await?;
    let Accuracies { clean, robust } = under.measure(images, labels, progress).await?;
    let classes = under.classifier.classes();
    let real = logsumexp(&under.classifier.logits(images).await?, classes);
    let mut ood_aurocs = Vec::new();
    for mut set in others {
        let mut other = Vec::new();
        while let Some(batch) = set.next_batch()? {
            other.extend(logsumexp(&under.classifier.logits(&batch).await?, classes));
        }
        ood_aurocs.push(Some(auroc(&real, &other)).filter(|auroc| auroc.is_finite()));
    }
    Ok(Worth { clean_accuracy: clean, pgd_accuracy: robust, ood_aurocs })
}
