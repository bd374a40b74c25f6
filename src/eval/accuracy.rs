//! Measures the share of images that are classified correctly, as they are and under attack, and computes logsumexp, a score
//! that tells real images from out-of-distribution images.

use super::{Classifier, argmax};
use crate::attack::{Attack, Pgd, PgdAttack};
use crate::model::{BatchSize, DeviceWeights, Model};
use crate::{Error, Result};

/// Computes the share of images whose largest logit is that of their label.
pub async fn accuracy(classifier: &mut Classifier, images: &[f32], labels: &[u32]) -> Result<f64> {
    let logits = classifier.logits(images).await?;
    Ok(share_right(&argmax(&logits, classifier.classes()), labels))
}

/// Measures accuracy on clean images and on the same images under a PGD attack. This is what robust accuracy means wherever the
/// library measures it: the share of images that are classified correctly before the attack and after it. An image that is
/// misclassified before the attack counts as wrong and is not attacked.
#[derive(Debug)]
pub struct UnderPgd {
    attack: PgdAttack,
    pub(super) classifier: Classifier,
    batch: usize,
    words: usize,
}

/// Accuracy on clean images and under attack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracies {
    /// The share of images that are classified correctly as they are.
    pub clean: f64,
    /// The share of images that are classified correctly as they are and after the attack.
    pub robust: f64,
}

impl UnderPgd {
    /// Prepares a PGD attack in batches of `size`, under which accuracy is measured. Err for an attack without steps, or with a
    /// step size or radius of 0.
    pub async fn new(
        model: &dyn Model,
        weights: &DeviceWeights,
        size: BatchSize,
        settings: Pgd,
    ) -> Result<Self> {
        if settings.steps == 0 || settings.eps == 0.0 {
            let given =
                format_args!("{} steps in a ball of radius {}", settings.steps, settings.eps);
            let wanted = "at least 1 step, and a ball of radius above 0";
            return Err(Error::mismatch("attack", given, wanted));
        }
        let attack = PgdAttack::new(model, weights, size, settings).await?;
        let classifier = Classifier::new(model, weights, size).await?;
        Ok(Self { attack, classifier, batch: size.images as usize, words: size.words(model)? })
    }

    /// Measures accuracy, clean and under attack, on images NCHW in \[0, 1\]. `progress` is told the number of images whose
    /// result is known.
    pub async fn measure(
        &mut self,
        images: &[f32],
        labels: &[u32],
        mut progress: impl FnMut(usize) -> Result<()>,
    ) -> Result<Accuracies> {
        let classes = self.classifier.classes();
        let named = argmax(&self.classifier.logits(images).await?, classes);
        let named = named.iter().zip(labels).enumerate();
        let right: Vec<usize> =
            named.filter(|(_, (named, label))| named == label).map(|(at, _)| at).collect();
        let (mut robust, mut known) = (0, labels.len() - right.len());
        for places in right.chunks(self.batch) {
            let image = |at: &usize| images.get(at * self.words..(at + 1) * self.words);
            let part = places.iter().filter_map(image).flatten().copied().collect::<Vec<_>>();
            let part_labels: Vec<_> =
                places.iter().filter_map(|&at| labels.get(at)).copied().collect();
            let attacked = self.attack.attack(&part, &part_labels).await?;
            let logits = self.classifier.logits(&attacked).await;
            let logits = logits.map_err(|error| error.among(places))?;
            let named = argmax(&logits, classes);
            robust +=
                named.iter().zip(&part_labels).filter(|(named, label)| named == label).count();
            known += places.len();
            progress(known)?;
        }
        let share = |count: usize| count as f64 / labels.len().max(1) as f64;
        Ok(Accuracies { clean: share(right.len()), robust: share(robust) })
    }
}

/// Computes the share of images that are classified correctly as they are and after a PGD attack: see [`UnderPgd`].
pub async fn pgd_accuracy(
    model: &dyn Model,
    weights: &DeviceWeights,
    (images, labels): (&[f32], &[u32]),
    size: BatchSize,
    settings: Pgd,
    progress: impl FnMut(usize) -> Result<()>,
) -> Result<f64> {
    let mut under = UnderPgd::new(model, weights, size, settings).await?;
    Ok(under.measure(images, labels, progress).await?.robust)
}

/// Computes log sum over classes of exp(logit) for each image, which is minus the image's energy.
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
