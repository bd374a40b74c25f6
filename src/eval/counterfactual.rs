//! Counterfactuals: what an image would have to look like for the network to see another class (Augustin et al. 2020, arXiv
//! 2003.09461). Gradient steps up the target's logit, within a ball around the image.

use super::Classifier;
use super::calibration::softmax;
use crate::attack::{Attack, Objective, Pgd, Statistics};
use crate::model::{DeviceWeights, Model};
use crate::ops::Norm;
use crate::{Error, Result};

/// One image on its way to a class.
#[derive(Clone, Debug, PartialEq)]
pub struct Counterfactual {
    /// The image after 0, 1, ... steps, CHW in \[0, 1\].
    pub path: Vec<Vec<f32>>,
    /// Class probabilities of each, K numbers.
    pub probabilities: Vec<Vec<f64>>,
}

/// An explainer of images of one size, in batches of one size.
#[derive(Debug)]
pub struct Counterfactuals {
    attack: Attack,
    classifier: Classifier,
    batch: usize,
    words: usize,
}

impl Counterfactuals {
    /// `steps` steps of L2 length `step_size` in the L2 ball of `eps` (infinite for none).
    pub async fn new(
        model: &dyn Model,
        weights: &DeviceWeights,
        [batch, side]: [u32; 2],
        eps: f32,
        (steps, step_size): (u32, f32),
    ) -> Result<Self> {
        let settings = Pgd {
            norm: Norm::L2,
            eps,
            step_size,
            steps,
            objective: Objective::Joint,
            statistics: Statistics::Frozen,
        };
        let attack = Attack::new(model, weights, [batch, side], settings, true).await?;
        let classifier = Classifier::new(model, weights, [batch, side]).await?;
        let words = (model.channels() * side * side) as usize;
        Ok(Self { attack, classifier, batch: batch as usize, words })
    }

    /// The ways of at most a batch of images to a class each.
    pub async fn paths(&self, images: &[f32], targets: &[u32]) -> Result<Vec<Counterfactual>> {
        self.start(images, targets).await?;
        let count = targets.len();
        let mut all = vec![Counterfactual { path: Vec::new(), probabilities: Vec::new() }; count];
        for step in 0..=self.attack.settings().steps {
            if step > 0 {
                self.attack.run(1, |_| Ok(())).await?;
            }
            let now = self.attack.images().await?;
            let now = now.get(..count * self.words).unwrap_or_default();
            let classes = self.classifier.classes();
            let chances = softmax(&self.classifier.logits(now).await?, classes);
            for ((way, image), chances) in
                all.iter_mut().zip(now.chunks(self.words)).zip(chances.chunks(classes))
            {
                way.path.push(image.to_vec());
                way.probabilities.push(chances.to_vec());
            }
        }
        Ok(all)
    }

    /// The ends alone, of any number of images, and the probability of each one's target there. `progress` is told how many
    /// are done.
    pub async fn ends(
        &self,
        images: &[f32],
        targets: &[u32],
        mut progress: impl FnMut(usize) -> Result<()>,
    ) -> Result<(Vec<f32>, Vec<f64>)> {
        let (mut ends, mut confidence) = (Vec::new(), Vec::new());
        for (part, part_targets) in
            images.chunks(self.batch * self.words).zip(targets.chunks(self.batch))
        {
            self.start(part, part_targets).await?;
            self.attack.run(self.attack.settings().steps, |_| Ok(())).await?;
            let mut made = self.attack.images().await?;
            made.truncate(part.len());
            let classes = self.classifier.classes();
            let chances = softmax(&self.classifier.logits(&made).await?, classes);
            let of = |(row, &target): (&[f64], &u32)| row.get(target as usize).copied();
            confidence.extend(chances.chunks(classes).zip(part_targets).filter_map(of));
            ends.extend(made);
            progress(confidence.len())?;
        }
        Ok((ends, confidence))
    }

    /// Err for more than a batch, other numbers of images than targets, and for a target that is no class.
    async fn start(&self, images: &[f32], targets: &[u32]) -> Result<()> {
        let classes = self.classifier.classes();
        let known = targets.iter().all(|&target| (target as usize) < classes);
        if targets.len() > self.batch || images.len() != targets.len() * self.words || !known {
            let given = format!("{} values for targets {targets:?}", images.len());
            let wanted = format!(
                "{} for each of at most {} targets, all below {classes}",
                self.words, self.batch
            );
            return Err(Error::mismatch("counterfactuals", given, wanted));
        }
        let (mut x, mut y) = (images.to_vec(), targets.to_vec());
        x.resize(self.batch * self.words, 0.0);
        y.resize(self.batch, 0);
        self.attack.start(&x, &y).await
    }
}
