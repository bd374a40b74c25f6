//! Measures how near generated samples are to real images: FID, kernel distance, precision, recall and the inception
//! score, from the features of both sets.

use serde_json::json;

use super::eyes::{Eyes, SeenSet};
use crate::Result;
use crate::eval::{
    Coverage, Gaussian, InceptionScore, Spread, coverage, inception_score, kernel_distance,
};

/// Splits of the inception score.
pub(super) const SPLITS: usize = 10;
/// Neighbours of precision and recall.
pub(super) const NEIGHBOURS: usize = 3;
/// Subsets of the kernel distance and their size.
pub(super) const SUBSETS: (usize, usize) = (100, 1000);
/// Images below which a covariance of features has no full rank.
const ENOUGH: usize = 2048;
/// The seed by which those subsets are drawn.
const SEED: u64 = 0;

/// The reference that samples are compared with.
pub enum Reference {
    /// The features of reference images, from which all metrics can be computed.
    Images(Box<SeenSet>),
    /// The mean and covariance of reference features alone, from which only the Fréchet distance can be computed.
    Statistics(Gaussian),
}

/// How near samples are to a reference: distances between their features, precision and recall, and the samples' inception score.
#[derive(Clone, Debug)]
pub struct Nearness {
    /// The Fréchet distance between the features of the samples and of the reference.
    pub distance: f64,
    /// The kernel distance KID over random subsets of the images; `None` where the reference is only a mean and a covariance.
    pub kernel: Option<Spread>,
    /// The inception score of the samples, which needs no real images.
    pub score: InceptionScore,
    /// Precision and recall of the samples; `None` where the reference is only a mean and a covariance.
    pub coverage: Option<Coverage>,
}

impl Reference {
    /// Computes all metrics of `samples` that this reference allows.
    pub fn nearness(&self, samples: &SeenSet) -> Result<Nearness> {
        let classes = samples.logits.len() / samples.features.len().max(1);
        let score = inception_score(&samples.logits, classes, SPLITS);
        Ok(match self {
            Self::Images(real) => Nearness {
                distance: real.gaussian.distance(&samples.gaussian)?,
                kernel: Some(kernel_distance(&real.features, &samples.features, SUBSETS, SEED)?),
                score,
                coverage: Some(coverage(&real.features, &samples.features, NEIGHBOURS)?),
            },
            Self::Statistics(gaussian) => Nearness {
                distance: gaussian.distance(&samples.gaussian)?,
                kernel: None,
                score,
                coverage: None,
            },
        })
    }
}

impl Nearness {
    /// Returns the distances as a flat JSON object.
    pub fn json(&self, eyes: &Eyes) -> serde_json::Value {
        let Eyes { extractor, protocol, .. } = eyes;
        json!({
            "extractor": extractor.to_string(),
            "distance_name": extractor.distance_name(),
            "distance": self.distance,
            "kernel_distance": self.kernel.map(|kernel| kernel.mean),
            "kernel_distance_std": self.kernel.map(|kernel| kernel.std),
            "inception_score": self.score.mean,
            "inception_score_std": self.score.std,
            "precision": self.coverage.as_ref().map(|coverage| coverage.precision),
            "recall": self.coverage.as_ref().map(|coverage| coverage.recall),
            "protocol": protocol.name(),
            "protocol_text": protocol.text(),
            "resize": protocol.resize(),
        })
    }
}

/// Returns remarks about a distance that is computed from few images.
pub(super) fn few(eyes: &Eyes, real: &Reference, seen: &SeenSet) -> Vec<String> {
    let real = match real {
        Reference::Images(real) => real.features.len(),
        Reference::Statistics(_) => usize::MAX,
    };
    let count = real.min(seen.features.len());
    if count >= ENOUGH {
        return Vec::new();
    }
    let name = eyes.extractor.distance_name();
    vec![format!(
        "{name} of {count} images: with fewer than {ENOUGH} images the distance depends mostly on their number; compare it only with distances of as many images"
    )]
}
