//! The result of an evaluation by several attacks: accuracies, what each attack broke, warnings.

use super::{AttackName, Version};
use crate::ops::Norm;
use std::fmt;

/// Accuracy under the worst of several attacks, point by point.
#[derive(Clone, Debug, PartialEq)]
pub struct RobustAccuracy {
    /// The version of AutoAttack that was run.
    pub version: Version,
    /// The norm in which the radius of the ball is measured.
    pub norm: Norm,
    /// The radius of the ball.
    pub eps: f32,
    /// Share of points classified correctly as they are.
    pub clean_accuracy: f64,
    /// Share of points that are classified correctly and that no attack has broken.
    pub robust_accuracy: f64,
    /// The attacks in the order they ran. None runs once no point stands.
    pub attacks: Vec<AttackResult>,
    /// The outcome of each point.
    pub points: Vec<Point>,
    /// The images that broke the points, and the others as they were: NCHW in \[0, 1\], in the order of the points.
    pub images: Vec<f32>,
    /// Why the number may flatter the network; empty where nothing speaks against it.
    pub warnings: Vec<Warning>,
    /// The largest distance of an image that broke a point from where it came from, in the norm of the ball; none where no
    /// point was broken.
    pub max_perturbation: Option<f64>,
    /// The number of values of the images that are NaN.
    pub nan: usize,
    /// The least and the largest value of the images.
    pub range: [f32; 2],
    /// Wall time, of all runs where it was interrupted.
    pub seconds: f64,
    /// The part of this time in which the device had our work: from the first submission of an attack on a batch until
    /// its last has ended. The rest went into uploads, read-backs, compilation and the host.
    pub busy_seconds: f64,
}

/// The result of one attack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttackResult {
    /// The attack's name.
    pub attack: AttackName,
    /// The number of points that still stood before the attack.
    pub tried: usize,
    /// The number of these points that the attack broke.
    pub broken: usize,
    /// The share of all points that are classified correctly and that neither this attack nor an earlier one has broken.
    pub robust_accuracy: f64,
    /// The wall time in seconds.
    pub seconds: f64,
}

/// The outcome of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The image was misclassified without an attack, and not attacked.
    Wrong,
    /// This attack broke the image; later attacks did not try.
    Broken(AttackName),
    /// The image stayed correctly classified under all attacks.
    Robust,
}

/// Signs that an evaluation is less than it seems (Croce and others 2021, arXiv 2010.09670, and the checks in AutoAttack's
/// code).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Warning {
    /// Gradients of this share of the images that the attack started from are 0 in every place.
    ZeroGradient {
        /// The attack that lacked gradients.
        attack: AttackName,
        /// The share of images with a zero gradient; above 0.
        share: f64,
    },
    /// Square, which uses no gradient, broke this share of all points that attacks with gradients had not broken: gradients
    /// are masked.
    SquareBeatsGradients {
        /// The share of images; above 0.002.
        share: f64,
    },
    /// Passes over the same images differ: `difference` is the largest L2 distance of logits scaled to length 1.
    Randomised {
        /// The difference of the logits, above 1e-4, or the number of images classified differently.
        difference: f64,
    },
    /// The outputs are probabilities: losses on logits mean little.
    Probabilities,
}

impl RobustAccuracy {
    /// The number of points that were attacked: those that are classified correctly without an attack.
    pub fn attacked(&self) -> usize {
        self.points.iter().filter(|&&point| point != Point::Wrong).count()
    }

    /// Points an evaluation gets through a second.
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
                "{attack}: the gradient is zero at {:.1} % of the images it started from, so attacks that follow it may find nothing",
                100.0 * share
            ),
            Self::SquareBeatsGradients { share } => write!(
                f,
                "square broke {:.1} % of all points that attacks with gradients had left standing: gradients may be masked, and an adaptive attack is needed",
                100.0 * share
            ),
            Self::Randomised { difference } => write!(
                f,
                "two passes over the same images differ by {difference:.1e}: the network seems to be randomised, and attacks would have to average over passes"
            ),
            Self::Probabilities => {
                f.write_str("the outputs look like probabilities, where logits are wanted")
            }
        }
    }
}
