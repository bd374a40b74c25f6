//! The three numbers that evaluation comes to.

use super::{Classifier, accuracy, auroc, logsumexp, pgd_accuracy};
use crate::Result;
use crate::attack::Pgd;
use crate::model::{BatchSize, DeviceWeights, Model};

/// What a network is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Share of images named rightly.
    pub clean_accuracy: f64,
    /// The same under attack.
    pub pgd_accuracy: f64,
    /// Of logsumexp, these images against others; none where it is no number.
    pub ood_auroc: Option<f64>,
}

/// Measures on `images` with their labels, and on `others` that are of no class. The rest as
/// [`pgd_accuracy`].
pub async fn measure(
    model: &dyn Model,
    weights: &DeviceWeights,
    (images, labels): (&[f32], &[u32]),
    others: &[f32],
    size: BatchSize,
    settings: Pgd,
    progress: impl FnMut(usize) -> Result<()>,
) -> Result<Measured> {
    let mut classifier = Classifier::new(model, weights, size).await?;
    let clean_accuracy = accuracy(&mut classifier, images, labels).await?;
    let classes = classifier.classes();
    let real = logsumexp(&classifier.logits(images).await?, classes);
    let other = logsumexp(&classifier.logits(others).await?, classes);
    let ood_auroc = Some(auroc(&real, &other)).filter(|auroc| auroc.is_finite());
    let pgd_accuracy =
        pgd_accuracy(model, weights, (images, labels), size, settings, progress).await?;
    Ok(Measured { clean_accuracy, pgd_accuracy, ood_auroc })
}
