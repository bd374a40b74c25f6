//! Softmax over the classes, its logarithm, and logsumexp: `torch.softmax`, `torch.log_softmax` and `torch.logsumexp` with dim=1,
//! and their derivatives. Each workgroup computes one row of logits.

use super::walk::{check_turns, kernel};
use super::{Broadcast, Reduce};
use crate::Result;
use crate::gpu::{Kernel, uniform};
use crate::graph::{Derivatives, Graph, Launch, Node, Op, Shape, Value, exactly};

uniform! {
    struct Params { images: u32, classes: u32 }
}

/// The kernel of softmax, which computes y from the logits; the constant LOG takes the logarithm.
pub static FORWARD: Kernel =
    kernel!("softmax", ["index", "softmax_row", "workgroup_sum"], Params, [logits, mut y]);

/// The kernel of softmax's derivative, which computes dlogits from dy and y.
pub static BACKWARD: Kernel =
    kernel!("softmax_backward", ["index", "workgroup_sum"], Params, [dy, y, mut dx]);

/// The kernel of logsumexp over the classes of each image's logits.
pub static LOG_SUM_EXP: Kernel =
    kernel!("log_sum_exp", ["index", "softmax_row", "workgroup_sum"], Params, [logits, mut y]);

/// The kernel of logsumexp's derivative, which computes dlogits from dy and the logits.
pub static LOG_SUM_EXP_BACKWARD: Kernel = kernel!(
    "log_sum_exp_backward",
    ["index", "softmax_row", "workgroup_sum"],
    Params,
    [dy, logits, mut dlogits],
);

/// The one input, which has to be a matrix.
fn matrix(op: &'static str, inputs: &[Shape]) -> Result<Shape> {
    let [logits] = exactly(op, "inputs", inputs)?;
    logits.expect(op, Shape::matrix(logits.images(), logits.channels())?)?;
    Ok(logits)
}

/// Launches one workgroup for each row of `logits`.
fn record(
    kernel: &'static Kernel,
    log: Option<bool>,
    logits: Shape,
    to: &mut Launch,
) -> Result<()> {
    let params = Params { images: logits.images(), classes: logits.channels() };
    check_turns(to.to, kernel.name, 4 * u64::from(logits.channels()) / 64)?;
    let log = log.map(|log| ("LOG", f64::from(log)));
    to.rows(kernel, log.as_slice(), params, logits.images())
}

/// Softmax over the classes, or its logarithm. Input logits \[N, K\], however large; output exp(logits) divided by its sum over
/// the classes, or the logarithm of that, \[N, K\].
#[derive(Clone, Copy, Debug)]
pub struct Softmax {
    /// Whether the output is the logarithm of the softmax, which keeps digits that a logarithm of the quotient loses.
    pub log: bool,
}

impl Op for Softmax {
    fn name(&self) -> &'static str {
        if self.log { "log_softmax" } else { FORWARD.name }
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        Ok(vec![matrix(self.name(), inputs)?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        record(&FORWARD, Some(self.log), matrix(self.name(), launch.inputs)?, launch)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _: &[bool]) -> Derivatives {
        let [y] = exactly(self.name(), "outputs", &node.outputs)?;
        Ok(vec![Some(graph.push(SoftmaxBackward { log: self.log }, &[dy, y])?)])
    }
}

/// Inputs dy and y; output dlogits.
#[derive(Clone, Copy, Debug)]
struct SoftmaxBackward {
    log: bool,
}

impl Op for SoftmaxBackward {
    fn name(&self) -> &'static str {
        BACKWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, y] = exactly(self.name(), "inputs", inputs)?;
        dy.expect(self.name(), y)?;
        Ok(vec![y])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [y] = exactly(self.name(), "outputs", launch.outputs)?;
        record(&BACKWARD, Some(self.log), y, launch)
    }
}

/// Logsumexp over the classes, which is minus the energy of an image (Grathwohl et al. 2020, arXiv 1912.03263, equation 5). Input
/// logits \[N, K\]; output log(sum over k of exp(logits)) \[N\], for logits of any size.
#[derive(Clone, Copy, Debug)]
pub struct LogSumExp;

impl Op for LogSumExp {
    fn name(&self) -> &'static str {
        LOG_SUM_EXP.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        Ok(vec![Shape::per_image(matrix(self.name(), inputs)?.images())?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        record(&LOG_SUM_EXP, None, matrix(self.name(), launch.inputs)?, launch)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _: &[bool]) -> Derivatives {
        let [logits] = exactly(self.name(), "inputs", &node.inputs)?;
        Ok(vec![Some(graph.push(LogSumExpBackward, &[dy, logits])?)])
    }
}

/// Inputs dy and logits; output dlogits, the softmax times a number for each image.
#[derive(Clone, Copy, Debug)]
struct LogSumExpBackward;

impl Op for LogSumExpBackward {
    fn name(&self) -> &'static str {
        LOG_SUM_EXP_BACKWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, logits] = exactly(self.name(), "inputs", inputs)?;
        dy.expect(self.name(), Shape::per_image(logits.images())?)?;
        Ok(vec![logits])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [logits] = exactly(self.name(), "outputs", launch.outputs)?;
        record(&LOG_SUM_EXP_BACKWARD, None, logits, launch)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, asked: &[bool]) -> Derivatives {
        let [first, logits] = exactly(self.name(), "inputs", &node.inputs)?;
        let [for_first, for_logits] = exactly(self.name(), "flags", asked)?;
        let softmax = graph.push(Softmax { log: false }, &[logits])?;
        let (mut of_first, mut dlogits) = (None, None);
        if for_first {
            of_first = Some(graph.push(Reduce::PerImage, &[dy, softmax])?);
        }
        if for_logits {
            let each = graph.push(SoftmaxBackward { log: false }, &[dy, softmax])?;
            dlogits = Some(graph.push(Broadcast::Mul, &[each, first])?);
        }
        Ok(vec![of_first, dlogits])
    }
}
