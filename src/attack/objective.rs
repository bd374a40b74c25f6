//! The objectives that gradient steps on images climb: cross-entropy, a class logit, margins and others.

use crate::Result;
use crate::graph::{Graph, Value};
use crate::ops::{CrossEntropy, Dlr, LogSumExp, Margin, PickLogit, Scale};

/// The number for each image that gradient steps climb. Whether the batch is summed or averaged (said with each) follows the
/// attack's published code; it matters only next to the 1e-10 in a step's normalisation, and for raw gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// f(x)\[y\], minus the joint energy; summed. Labels are the classes to go to.
    Joint,
    /// logsumexp f(x), minus the marginal energy; summed. Labels are not read.
    LogSumExp,
    /// Cross-entropy of the labels; mean. Climbing it leads away from them.
    CrossEntropy,
    /// Cross-entropy of the uniform distribution, its divergence KL(uniform ‖ softmax) up to a constant; mean. Climbing it
    /// leads to confidence in any class. Labels are not read, but for being below K.
    FromUniform,
    /// Minus the cross-entropy; mean. Climbing it leads to the labels.
    CrossEntropyTargeted,
    /// Difference of logits ratio ([`Dlr`]); summed. At least 3 classes.
    Dlr,
    /// Difference of logits ratio towards targets; summed. At least 4 classes.
    DlrTargeted,
    /// The largest other logit minus the label's ([`Margin`]), Carlini and Wagner's; summed.
    Margin,
    /// The target's logit minus the label's; summed.
    MarginTargeted,
}

impl Objective {
    /// Adds the nodes from logits \[N, K\], labels \[N\] and target classes \[N\] (both u32) to a number for each image \[N\].
    /// Only [`DlrTargeted`](Objective::DlrTargeted) and [`MarginTargeted`](Objective::MarginTargeted) read targets.
    ///
    /// An image whose label is K or more stays where it is, except under
    /// [`LogSumExp`](Objective::LogSumExp): that is how an incomplete batch is filled up.
    pub fn push(
        self,
        graph: &mut Graph,
        logits: Value,
        labels: Value,
        targets: Value,
    ) -> Result<Value> {
        let cross_entropy = CrossEntropy { label_smoothing: 0.0 };
        match self {
            Self::Joint => graph.push(PickLogit, &[logits, labels]),
            Self::LogSumExp => graph.push(LogSumExp, &[logits]),
            Self::CrossEntropy => graph.push(cross_entropy, &[logits, labels]),
            // All of the target is spread over the classes.
            Self::FromUniform => {
                graph.push(CrossEntropy { label_smoothing: 1.0 }, &[logits, labels])
            }
            Self::CrossEntropyTargeted => {
                let loss = graph.push(cross_entropy, &[logits, labels])?;
                graph.push(Scale { factor: -1.0 }, &[loss])
            }
            Self::Dlr => graph.push(Dlr { targeted: false }, &[logits, labels]),
            Self::DlrTargeted => graph.push(Dlr { targeted: true }, &[logits, labels, targets]),
            Self::Margin => graph.push(Margin { targeted: false }, &[logits, labels]),
            Self::MarginTargeted => {
                graph.push(Margin { targeted: true }, &[logits, labels, targets])
            }
        }
    }

    /// Whether the objective reads targets beside the labels.
    pub fn reads_targets(self) -> bool {
        matches!(self, Self::DlrTargeted | Self::MarginTargeted)
    }

    /// Returns the weight of each of `images` images in the objective: 1 for a sum, 1 / N for a mean. With it in
    /// each place, a vector is the seed of [`gradient`](crate::ops::gradient).
    pub fn weight(self, images: u32) -> f32 {
        match self {
            Self::CrossEntropy | Self::FromUniform | Self::CrossEntropyTargeted => {
                1.0 / images as f32
            }
            _ => 1.0,
        }
    }
}
