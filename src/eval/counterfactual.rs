//! Computes counterfactuals: changed images in which the network sees another class (Augustin et al. 2020, arXiv
//! 2003.09461), by gradient steps up that class's logit within a ball around the image.

use super::Classifier;
use super::calibration::softmax;
use crate::attack::{Attack, Pgd, PgdAttack, Start};
use crate::model::{BatchSize, DeviceWeights, Model};
use crate::{Error, Result};

/// The path of one image to another class by gradient steps, with the network's class probabilities after each step.
#[derive(Clone, Debug, PartialEq)]
pub struct Counterfactual {
    /// The image after 0, 1, ... steps, CHW in \[0, 1\].
    pub path: Vec<Vec<f32>>,
    /// The class probabilities of each image on the path, K numbers each.
    pub probabilities: Vec<Vec<f64>>,
}

/// Computes counterfactuals, images changed so that the network sees another class, in batches of one size.
#[derive(Debug)]
pub struct Counterfactuals {
    attack: PgdAttack,
    classifier: Classifier,
    batch: usize,
    words: usize,
}

impl Counterfactuals {
    /// Prepares counterfactuals by `steps` gradient steps of L2 length `step_size`, within L2 distance `eps` of the image
    /// (infinite for no bound).
    pub async fn new(
        model: &dyn Model,
        weights: &DeviceWeights,
        size: BatchSize,
        eps: f32,
        (steps, step_size): (u32, f32),
    ) -> Result<Self> {
        if eps.is_nan() || eps <= 0.0 {
            let given = format_args!("a ball of radius {eps}");
            return Err(Error::mismatch("counterfactuals", given, "a radius above 0"));
        }
        let settings = Pgd { eps, ..Pgd::sample(steps, step_size) };
        let attack = PgdAttack::new(model, weights, size, settings).await?;
        let classifier = Classifier::new(model, weights, size).await?;
        Ok(Self { attack, classifier, batch: size.images as usize, words: size.words(model)? })
    }

    /// Takes gradient steps from at most a batch of images, each towards its target class, and returns the image after every
    /// step.
    pub async fn paths(&mut self, images: &[f32], targets: &[u32]) -> Result<Vec<Counterfactual>> {
        self.attack.start(&Start::new(images, targets)).await?;
        let count = targets.len();
        let mut all = vec![Counterfactual { path: Vec::new(), probabilities: Vec::new() }; count];
        for step in 0..=self.attack.steps() {
            if step > 0 {
                self.attack.run(1, |_| Ok(())).await?;
            }
            let now = self.attack.images().await?;
            let classes = self.classifier.classes();
            let chances = softmax(&self.classifier.logits(&now).await?, classes);
            for ((way, image), chances) in
                all.iter_mut().zip(now.chunks(self.words)).zip(chances.chunks(classes))
            {
                way.path.push(image.to_vec());
                way.probabilities.push(chances.to_vec());
            }
        }
        Ok(all)
    }

    /// Returns only the final images, for any number of images, and the network's probability of the target class in each.
    /// `progress` is told how many images are done.
    pub async fn ends(
        &mut self,
        images: &[f32],
        targets: &[u32],
        mut progress: impl FnMut(usize) -> Result<()>,
    ) -> Result<(Vec<f32>, Vec<f64>)> {
        let (mut ends, mut confidence) = (Vec::new(), Vec::new());
        for (part, part_targets) in
            images.chunks(self.batch * self.words).zip(targets.chunks(self.batch))
        {
            let made = self.attack.attack(part, part_targets).await?;
            let classes = self.classifier.classes();
            let chances = softmax(&self.classifier.logits(&made).await?, classes);
            let of = |(row, &target): (&[f64], &u32)| row.get(target as usize).copied();
            confidence.extend(chances.chunks(classes).zip(part_targets).filter_map(of));
            ends.extend(made);
            progress(confidence.len())?;
        }
        Ok((ends, confidence))
    }
}
