//! Runs a PGD attack on any number of images and returns the attacked images themselves, not an accuracy.

use super::attackers::Attacker;
use super::run::{ranks, target};
use super::{AttackName, AutoAttack};
use crate::eval::{Classifier, argmax};
use crate::model::{BatchSize, DeviceWeights, Model};
use crate::{Error, Result};

impl AutoAttack {
    /// Attacks each image (NCHW in \[0, 1\], of `side` by `side` pixels) with the steps of [`AutoAttack::pgd`], misclassified
    /// ones too, and returns the resulting images. Where several starts or targets are tried, the first misclassified result is
    /// kept, or else the last one. `progress` is told the share that is done; an error from it stops the attack.
    ///
    /// # Errors
    /// The errors of [`AutoAttack::run`]; the attacks must hold [`AttackName::Pgd`] for its settings to be checked.
    pub async fn moved(
        &self,
        model: &dyn Model,
        weights: &DeviceWeights,
        (images, labels): (&[f32], &[u32]),
        side: u32,
        mut progress: impl FnMut(f64) -> Result<()>,
    ) -> Result<Vec<f32>> {
        let classes = model.classes() as usize;
        let size = BatchSize { images: self.batch, side }.at_most(labels.len());
        let words = size.words(model)?;
        self.check(model.classes(), words)?;
        if labels.is_empty() || images.len() != labels.len() * words {
            let given =
                format_args!("{} values of images for {} labels", images.len(), labels.len());
            return Err(Error::mismatch(
                "attack",
                given,
                format_args!("an image of {words} values for each label, at least one"),
            ));
        }
        let mut classifier = Classifier::new(model, weights, size).await?;
        let ranks = ranks(&classifier.logits(images).await?, classes);
        let mut attacker = Attacker::new(self, AttackName::Pgd, model, weights, size).await?;
        let rounds = self.rounds(AttackName::Pgd, model.classes());
        let mut moved = images.to_vec();
        let all: Vec<usize> = (0..labels.len()).collect();
        for part in all.chunks(size.images as usize) {
            let mut standing = part.to_vec();
            for round in 0..rounds {
                if standing.is_empty() {
                    break;
                }
                let rank = self.rank(AttackName::Pgd, round);
                let towards = target(images, labels, &ranks, &standing, rank);
                let before = part.first().copied().unwrap_or(0) as f64;
                let told = |share: f64| {
                    let through = (f64::from(round) + share) / f64::from(rounds);
                    progress((before + through * part.len() as f64) / labels.len() as f64)
                };
                let found = attacker.attack(self, round, &towards, told).await?;
                let logits = classifier.logits(&found.images).await;
                let named = argmax(&logits.map_err(|error| error.among(&standing))?, classes);
                let mut left = Vec::new();
                for ((&at, image), named) in
                    standing.iter().zip(found.images.chunks(words)).zip(named)
                {
                    if let Some(place) = moved.get_mut(at * words..(at + 1) * words) {
                        place.copy_from_slice(image);
                    }
                    if labels.get(at) == Some(&named) {
                        left.push(at);
                    }
                }
                standing = left;
            }
        }
        Ok(moved)
    }
}
