//! The inception score (Salimans et al. 2016, arXiv 1606.03498): whether a classifier is sure of each sample and sees
//! many classes in all.

use super::calibration::softmax;

/// The inception score of samples, computed in several parts (splits).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InceptionScore {
    /// The mean of the splits' scores.
    pub mean: f64,
    /// The standard deviation of the splits' scores, with division by their number − 1; None for one split.
    pub std: Option<f64>,
    /// The score of each split: exp of the mean of KL(p(y|x) ‖ p(y)) over its samples.
    pub per_split: Vec<f64>,
}

/// Computes the inception score from logits, K for each sample, in at most `splits` parts of equal length (rounded up), in the
/// order given.
pub fn inception_score(logits: &[f32], classes: usize, splits: usize) -> InceptionScore {
    let classes = classes.max(1);
    let chances = softmax(logits, classes);
    let samples = chances.len() / classes;
    let run = samples.div_ceil(splits.max(1)).max(1);
    let per_split: Vec<f64> =
        chances.chunks(run * classes).map(|part| score(part, classes)).collect();
    let count = per_split.len() as f64;
    let mean = per_split.iter().sum::<f64>() / count;
    let spread = per_split.iter().map(|score| (score - mean).powi(2)).sum::<f64>();
    let std = (per_split.len() > 1).then(|| (spread / (count - 1.0)).sqrt());
    InceptionScore { mean, std, per_split }
}

fn score(chances: &[f64], classes: usize) -> f64 {
    let samples = (chances.len() / classes) as f64;
    let mut marginal = vec![0.0; classes];
    for row in chances.chunks(classes) {
        for (sum, chance) in marginal.iter_mut().zip(row) {
            *sum += chance / samples;
        }
    }
    let divergence = |row: &[f64]| -> f64 {
        let pairs = row.iter().zip(&marginal).filter(|(chance, _)| **chance > 0.0);
        pairs.map(|(chance, all)| chance * (chance.ln() - all.ln())).sum()
    };
    (chances.chunks(classes).map(divergence).sum::<f64>() / samples).exp()
}
