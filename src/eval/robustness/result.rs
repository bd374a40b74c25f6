//! The result of an evaluation by several attacks: accuracies, how many images each attack broke, warnings.

use super::{AttackName, Version};
use crate::ops::Norm;
use std::fmt;

/// Accuracy under the worst of several attacks, with the outcome for each image.
#[derive(Clone, Debug, PartialEq)]
pub struct RobustAccuracy {
    /// The version of AutoAttack that was run.
    pub version: Version,
    /// The norm in which the radius of the ball is measured.
    pub norm: Norm,
    /// The radius of the ball around each image that the attacks stayed in.
    pub eps: f32,
    /// The share of images that are classified correctly without an attack.
    pub clean_accuracy: f64,
    /// The share of images that are classified correctly and that no attack has broken.
    pub robust_accuracy: f64,
    /// The attacks that were run, in order. None is run once every image is broken.
    pub attacks: Vec<AttackResult>,
    /// The outcome of the evaluation for each image.
    pub points: Vec<Point>,
    /// For each image the attacked image that was misclassified, or the original where no attack broke it: NCHW in \[0, 1\].
    pub images: Vec<f32>,
    /// Reasons why the robust accuracy may be too high, such as masked gradients; empty where there is no sign of it.
    pub warnings: Vec<Warning>,
    /// The largest change by which an attack broke an image, in the norm of the ball; `None` where no image was broken.
    pub max_perturbation: Option<f64>,
    /// The number of NaN values in the resulting images.
    pub nan: usize,
    /// The smallest and the largest value in the resulting images.
    pub range: [f32; 2],
    /// The wall time in seconds, summed over all runs where the evaluation was interrupted.
    pub seconds: f64,
    /// The seconds in which the device had work, summed over all attacks on all batches: from an attack's first submission on a
    /// batch until its last has ended. The rest of `seconds` went into uploads, read-backs, compilation and the host.
    pub busy_seconds: f64,
}

/// The result of one attack of an evaluation: how many images it was run on, and how many it broke, that is, changed so that
/// they are misclassified.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttackResult {
    /// Which attack was run.
    pub attack: AttackName,
    /// The number of images on which the attack was run: those that were still classified correctly after all attacks before
    /// it.
    pub tried: usize,
    /// The number of images that the attack broke, that is, changed so that they are misclassified.
    pub broken: usize,
    /// The share of all images that are classified correctly and that neither this attack nor an earlier one has broken.
    pub robust_accuracy: f64,
    /// The wall time that the attack took, in seconds.
    pub seconds: f64,
}

/// The outcome of an evaluation for one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The image was misclassified without an attack, and not attacked.
    Wrong,
    /// This attack found a misclassified version of the image; later attacks were not run on it.
    Broken(AttackName),
    /// The image stayed correctly classified under all attacks.
    Robust,
}

/// A sign that a network is less robust than the evaluation says (Croce and others 2021, arXiv 2010.09670, and the checks in
/// AutoAttack's code).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Warning {
    /// For this share of the images that the attack started from, the gradient is 0 for every value of the image.
    ZeroGradient {
        /// The attack that lacked gradients.
        attack: AttackName,
        /// The share of images with a zero gradient; above 0.
        share: f64,
    },
    /// The attack Square, which uses no gradient, broke this share of all images after attacks with gradients had not broken
    /// them: gradients are masked.
    SquareBeatsGradients {
        /// The share of all images that Square broke; above 0.002, as smaller shares give no warning.
        share: f64,
    },
    /// Two forward passes over the same images differ, as the network is randomised: `difference` is the largest L2 distance of
    /// logits scaled to length 1.
    Randomised {
        /// The largest L2 distance between two passes' logits, scaled to length 1, of one image; above 1e-4, unless the passes
        /// differ in the number of correctly classified images.
        difference: f64,
    },
    /// The network's outputs are probabilities and not logits, so losses on logits mean little.
    Probabilities,
}

impl RobustAccuracy {
    /// Returns the number of images that were attacked: those that are classified correctly without an attack.
    pub fn attacked(&self) -> usize {
        self.points.iter().filter(|&&point| point != Point::Wrong).count()
    }

    /// Returns how many images the evaluation gets through in a second.
    pub fn images_per_second(&self) -> f64 {
        self.points.len() as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }
}

/// Writes AutoAttack's closing lines.
impl fmt::Display for RobustAccuracy {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [least, most] = self.range;
        let furthest = self.max_perturbation.map_or("none".into(), |most| format!("{most:.5}"));
        writeln!(
            f,
            "max {:?} perturbation: {furthest}, nan in tensor: {}, max: {most:.5}, min: {least:.5}",
            self.norm, self.nan
        )?;
        write!(f, "robust accuracy: {:.2}%", 100.0 * self.robust_accuracy)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::ZeroGradient { attack, share } => write!(
                f,
                "{attack}: the gradient is zero at {:.1} % of the images it started from, so gradient attacks may find nothing",
                100.0 * share
            ),
            Self::SquareBeatsGradients { share } => write!(
                f,
                "square broke {:.1} % of all images after attacks with gradients had failed: gradients may be masked, and an adaptive attack is needed",
                100.0 * share
            ),
            Self::Randomised { difference } => write!(
                f,
                "two passes over the same images differ by {difference:.1e}: the network seems to be randomised, and attacks would have to average over passes"
            ),
            Self::Probabilities => {
                f.write_str("the outputs look like probabilities, but attacks need logits")
            }
        }
    }
}
