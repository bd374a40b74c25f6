//! Shares of images named rightly, as they are and under attack, and the scores that tell real images
//! from others.

use super::{Classifier, argmax};
use crate::Result;
use crate::attack::{Attack, Pgd, PgdAttack};
use crate::model::{BatchSize, DeviceWeights, Model};

/// The share of images whose largest logit is their label's.
pub async fn accuracy(classifier: &mut Classifier, images: &[f32], labels: &[u32]) -> Result<f64> {
    let logits = classifier.logits(images).await?;
    Ok(share_right(&argmax(&logits, classifier.classes()), labels))
}

/// The same after `settings` have attacked each image, in batches of `size`. `progress` is told how many
/// images are done.
pub async fn pgd_accuracy(
    model: &dyn Model,
    weights: &DeviceWeights,
    (images, labels): (&[f32], &[u32]),
    size: BatchSize,
    settings: Pgd,
    mut progress: impl FnMut(usize) -> Result<()>,
) -> Result<f64> {
    let words = size.words(model)?;
    let mut attack = PgdAttack::new(model, weights, size, settings, true).await?;
    let mut classifier = Classifier::new(model, weights, size).await?;
    let (mut named, batch) = (Vec::new(), size.images as usize);
    for (part, part_labels) in images.chunks(batch * words).zip(labels.chunks(batch)) {
        let attacked = attack.attack(part, part_labels).await?;
        named.extend(argmax(&classifier.logits(&attacked).await?, classifier.classes()));
        progress(named.len())?;
    }
    Ok(share_right(&named, labels))
}

/// log sum over classes of exp(logit), image by image: minus the marginal energy.
pub fn logsumexp(logits: &[f32], classes: usize) -> Vec<f32> {
    let row = |row: &[f32]| {
        let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = row.iter().map(|&logit| f64::from(logit - most).exp()).sum();
        (f64::from(most) + sum.ln()) as f32
    };
    logits.chunks(classes.max(1)).map(row).collect()
}

fn share_right(named: &[u32], labels: &[u32]) -> f64 {
    let right = named.iter().zip(labels).filter(|(named, label)| named == label).count();
    right as f64 / labels.len().max(1) as f64
}
