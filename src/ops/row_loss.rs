//! Losses computed from the logits of each image, one number for each image. All take logits and labels, and some take target
//! classes:
//!
//! | op             | kernels                                                    | a row has   |
//! |----------------|------------------------------------------------------------|-------------|
//! | `CrossEntropy` | `cross_entropy`, `cross_entropy_backward`                  | a workgroup |
//! | `Dlr`          | `row_loss_dlr`, `row_loss_backward_dlr`                    | an invocation |
//! | `Margin`       | `row_loss_margin`, `row_loss_backward_margin`              | an invocation |
//! | `PickLogit`    | `row_loss_pick`, `row_loss_backward_pick`                  | an invocation |

use super::walk::{check_turns, kernel, nested};
use crate::gpu::{Kernel, Recording, uniform};
use crate::graph::{Derivatives, Graph, Launch, Node, Op, Shape, Value, exactly};
use crate::{Error, Result};

uniform! {
    struct SmoothParams { images: u32, classes: u32, smoothing: f32 }
}
uniform! {
    struct Params { images: u32, classes: u32 }
}

/// Declares the kernels of a loss that one invocation computes, and of its derivative.
macro_rules! row_loss {
    ($forward:literal, $backward:literal, $row:literal) => {
        [
            kernel!(
                $forward,
                "row_loss",
                [$row, "index"],
                Params,
                [logits, labels, targets, mut y],
            ),
            kernel!(
                $backward,
                "row_loss_backward",
                [$row, "index"],
                Params,
                [dy, logits, labels, targets, mut dlogits],
            ),
        ]
    };
}

/// The kernels of [`CrossEntropy`] and its derivative, which compute y and dlogits.
pub static CROSS_ENTROPY: [Kernel; 2] = [
    kernel!(
        "cross_entropy",
        ["index", "softmax_row", "workgroup_sum"],
        SmoothParams,
        [logits, labels, mut y],
    ),
    kernel!(
        "cross_entropy_backward",
        ["index", "softmax_row", "workgroup_sum"],
        SmoothParams,
        [dy, logits, labels, mut dlogits],
    ),
];
/// The kernels of [`Dlr`] (difference of logits ratio) and its derivative, which compute y and dlogits.
pub static DLR: [Kernel; 2] = row_loss!("row_loss_dlr", "row_loss_backward_dlr", "dlr_row");
/// The kernels of [`Margin`] and its derivative, which compute y and dlogits.
pub static MARGIN: [Kernel; 2] =
    row_loss!("row_loss_margin", "row_loss_backward_margin", "margin_row");
/// The kernels of [`PickLogit`] and its derivative, which compute y and dlogits.
pub static PICK: [Kernel; 2] = row_loss!("row_loss_pick", "row_loss_backward_pick", "pick_row");

/// Cross-entropy of integer labels, `torch.nn.functional.cross_entropy(..., reduction="none")`.
///
/// Inputs logits \[N, K\] and labels \[N\] (u32); output the loss of each image \[N\], for logits of any
/// size. An image whose label is K or more is left out: loss 0, derivative 0.
///
/// With p = log softmax and s the smoothing: -(1 - s) p\[label\] - s mean(p).
/// [`Sum`](super::Sum) with scale 1 / N makes the mean of it.
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy {
    /// The label smoothing s, from 0 to 1: the part of the target that is spread over all classes.
    pub label_smoothing: f32,
}

/// The difference of logits ratio (Croce and Hein 2020, arXiv 2003.01690, equations 6 and 7), a loss whose gradient does not
/// vanish where the cross-entropy's does.
///
/// Inputs logits \[N, K\], labels \[N\] (u32) and, if `targeted`, target classes \[N\] (u32); output \[N\], with
/// an image's logits sorted downwards as z_1, z_2, ...:
///
/// -(z_label - largest other) / (z_1 - z_3 + 1e-12), or -(z_label - z_target) / (z_1 - (z_3 + z_4) / 2 + 1e-12)
///
/// It needs 3 classes, or 4. A label or target of K or more gives 0, and derivative 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dlr {
    /// Whether the op has a third input, the target classes of a targeted attack.
    pub targeted: bool,
}

/// The margin by which an image is misclassified (Carlini and Wagner 2017, arXiv 1608.04644, section V-A, f_6 without its
/// bound).
///
/// Inputs logits \[N, K\], labels \[N\] (u32) and, if `targeted`, target classes \[N\] (u32); output \[N\]: the largest
/// logit of another class, or the target's, minus the label's. Above 0 the image is misclassified.
///
/// A label or target of K or more gives 0, and derivative 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Margin {
    /// Whether the op has a third input, the target classes of a targeted attack.
    pub targeted: bool,
}

/// The logit of each image's label, f(x)\[y\]: minus the joint energy (Grathwohl et al. 2020, arXiv 1912.03263,
/// equation 4).
///
/// Inputs logits \[N, K\] and labels \[N\] (u32); output the label's logit of each image \[N\]. A label
/// of K or more picks nothing: 0, and derivative 0.
#[derive(Clone, Copy, Debug)]
pub struct PickLogit;

/// The losses of this file; the code that they share matches on this enum.
#[derive(Clone, Copy, Debug)]
enum RowLoss {
    CrossEntropy { smoothing: f32 },
    Dlr { targeted: bool },
    Margin { targeted: bool },
    PickLogit,
}

impl RowLoss {
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::CrossEntropy { .. } => ["cross_entropy", "cross_entropy_backward"],
            Self::Dlr { .. } => ["dlr", "dlr_backward"],
            Self::Margin { .. } => ["margin", "margin_backward"],
            Self::PickLogit => ["pick_logit", "pick_logit_backward"],
        }
    }

    fn targeted(self) -> bool {
        matches!(self, Self::Dlr { targeted: true } | Self::Margin { targeted: true })
    }

    fn least_classes(self) -> u32 {
        match self {
            Self::Dlr { targeted } => 3 + u32::from(targeted),
            _ => 1,
        }
    }

    /// The shape of the logits. Err, in the name of `op`, if these are not logits, labels and what else is wanted.
    fn check(self, op: &'static str, inputs: &[Shape]) -> Result<Shape> {
        let wanted = 2 + usize::from(self.targeted());
        let (Some((&logits, labels)), true) = (inputs.split_first(), inputs.len() == wanted) else {
            return Err(Error::mismatch(
                op,
                format_args!("{} inputs", inputs.len()),
                format_args!("{wanted} inputs"),
            ));
        };
        logits.expect(op, Shape::matrix(logits.images(), logits.channels())?)?;
        let per_image = Shape::per_image(logits.images())?;
        labels.iter().try_for_each(|labels| labels.expect(op, per_image))?;
        if logits.channels() < self.least_classes() {
            let wanted = format_args!("at least {} classes", self.least_classes());
            return Err(Error::mismatch(op, logits, wanted));
        }
        match self {
            Self::CrossEntropy { smoothing } if !(0.0..=1.0).contains(&smoothing) => {
                let given = format_args!("label smoothing {smoothing}");
                Err(Error::mismatch(op, given, "0 to 1"))
            }
            _ => Ok(logits),
        }
    }

    /// Launches the kernel of the loss, or that of its derivative.
    fn record(self, logits: Shape, backward: bool, launch: &mut Launch) -> Result<()> {
        let (images, classes) = (logits.images(), logits.channels());
        let kernels = match self {
            Self::CrossEntropy { .. } => &CROSS_ENTROPY,
            Self::Dlr { .. } => &DLR,
            Self::Margin { .. } => &MARGIN,
            Self::PickLogit => &PICK,
        };
        let [forward, derivative] = kernels;
        let kernel = if backward { derivative } else { forward };
        if let Self::CrossEntropy { smoothing } = self {
            check_turns(launch.to, kernel.name, 4 * u64::from(classes) / 64)?;
            return launch.rows(kernel, &[], SmoothParams { images, classes, smoothing }, images);
        }
        // To find the four largest takes a loop in the loop over the classes; derivatives take one more over these.
        let turns = if let Self::Dlr { .. } = self { nested(4) + 1 } else { 2 };
        check_turns(launch.to, kernel.name, turns * u64::from(classes))?;
        let mut buffers = launch.bindings();
        if !self.targeted() {
            // Nothing reads targets: the labels stand in for them.
            let labels = 1 + usize::from(backward);
            let label = buffers.get(labels).copied();
            buffers.splice(labels..labels, label);
        }
        let constants = [("TARGETED", f64::from(self.targeted()))];
        let (params, grid) = (Params { images, classes }, Recording::grid(images, 64));
        launch.to.dispatch(kernel, &constants, params, &buffers, grid).map(drop)
    }
}

/// The op of each loss.
macro_rules! op {
    ($Loss:ident, $self:ident, $loss:expr) => {
        impl $Loss {
            fn loss(&$self) -> RowLoss {
                $loss
            }
        }

        impl Op for $Loss {
            fn name(&self) -> &'static str {
                let [name, _] = self.loss().names();
                name
            }

            fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
                let logits = self.loss().check(self.name(), inputs)?;
                Ok(vec![Shape::per_image(logits.images())?])
            }

            fn flat(&self) -> &[usize] {
                &[1, 2]
            }

            fn record(&self, launch: &mut Launch) -> Result<()> {
                let logits = self.loss().check(self.name(), launch.inputs)?;
                self.loss().record(logits, false, launch)
            }

            fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _: &[bool]) -> Derivatives {
                let inputs = [&[dy], &node.inputs[..]].concat();
                let mut derivatives = vec![Some(graph.push(Backward(self.loss()), &inputs)?)];
                derivatives.resize(node.inputs.len(), None);
                Ok(derivatives)
            }
        }
    };
}

op!(CrossEntropy, self, RowLoss::CrossEntropy { smoothing: self.label_smoothing });
op!(Dlr, self, RowLoss::Dlr { targeted: self.targeted });
op!(Margin, self, RowLoss::Margin { targeted: self.targeted });
op!(PickLogit, self, RowLoss::PickLogit);

/// The derivative of a loss: inputs dy and those of the loss; output dlogits.
#[derive(Clone, Copy, Debug)]
struct Backward(RowLoss);

impl Op for Backward {
    fn name(&self) -> &'static str {
        let [_, name] = self.0.names();
        name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let (dy, rest) = inputs.split_first().unwrap_or((&Shape::SCALAR, &[]));
        let logits = self.0.check(self.name(), rest)?;
        dy.expect(self.name(), Shape::per_image(logits.images())?)?;
        Ok(vec![logits])
    }

    /// Returns the inputs without influence on the derivative: which logit is picked does not depend on the logits.
    fn flat(&self) -> &[usize] {
        if let RowLoss::PickLogit = self.0 { &[1, 2] } else { &[2, 3] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [logits] = exactly(self.name(), "outputs", launch.outputs)?;
        self.0.record(logits, true, launch)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _: &[bool]) -> Derivatives {
        let RowLoss::PickLogit = self.0 else {
            return Err(Error::NoDerivative { op: self.name(), why: "this op defines none" });
        };
        let [_dy, _logits, labels] = exactly(self.name(), "inputs", &node.inputs)?;
        Ok(vec![Some(graph.push(PickLogit, &[dy, labels])?), None, None])
    }
}
