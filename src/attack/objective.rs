//! The objectives that gradient steps on images maximise: a class logit, logsumexp, cross-entropy in several forms, the
//! difference of logits ratio (DLR) and margins between logits.

use crate::Result;
use crate::graph::{Graph, Value};
use crate::ops::{CrossEntropy, Dlr, LogSumExp, Margin, PickLogit, Scale};

/// What gradient steps on an image maximise: a number computed from the logits of each image. Whether the batch is summed or
/// averaged (see each variant) follows the attack's published code. The choice changes raw gradients, but hardly a step that
/// divides the gradient by its norm + 1e-10.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// The class logit f(x)\[y\], which is minus the joint energy, summed over the batch; labels are the classes to go to.
    Joint,
    /// The logsumexp of the logits, which is minus the energy of the image, summed over the batch; labels are not read.
    LogSumExp,
    /// The cross-entropy of the labels, averaged over the batch; maximising it leads away from the labels.
    CrossEntropy,
    /// The cross-entropy of the uniform distribution, which is KL(uniform ‖ softmax) up to a constant, averaged over the batch;
    /// maximising it leads to confidence in any class. Labels do not count; they only have to be below the number of classes.
    FromUniform,
    /// Minus the cross-entropy of the labels, averaged over the batch; maximising it leads to the labels.
    CrossEntropyTargeted,
    /// The difference of logits ratio ([`Dlr`]) of the labels, summed over the batch; for at least 3 classes.
    Dlr,
    /// The difference of logits ratio towards target classes, summed over the batch; for at least 4 classes.
    DlrTargeted,
    /// Carlini and Wagner's margin ([`Margin`]), the largest other logit minus the label's, summed over the batch.
    Margin,
    /// The target class's logit minus the label's, summed over the batch.
    MarginTargeted,
}

impl Objective {
    /// Adds the nodes that compute the objective, a number for each image \[N\], from logits \[N, K\], labels \[N\] and target
    /// classes \[N\] (both u32). Only [`DlrTargeted`](Objective::DlrTargeted) and [`MarginTargeted`](Objective::MarginTargeted)
    /// read targets.
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

    /// Returns whether the objective reads target classes beside the labels.
    pub fn reads_targets(self) -> bool {
        matches!(self, Self::DlrTargeted | Self::MarginTargeted)
    }

    /// Returns the weight of each of `images` images in the objective: 1 for a sum, 1 / N for a mean. A vector of this number is
    /// the `seed` that [`gradient`](crate::ops::gradient) takes.
    pub fn weight(self, images: u32) -> f32 {
        match self {
            Self::CrossEntropy | Self::FromUniform | Self::CrossEntropyTargeted => {
                1.0 / images as f32
            }
            _ => 1.0,
        }
    }
}
