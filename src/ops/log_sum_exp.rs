//! Logsumexp over the classes, `torch.logsumexp(logits, dim=1)`: minus the marginal energy
//! (Grathwohl et al. 2020, arXiv 1912.03263, equation 5), and its derivative, the softmax.

use super::softmax::SoftmaxBackward;
use super::walk::kernel;
use super::{BroadcastMul, ImageDot, Softmax};
use crate::Result;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Derivatives, Graph, Launch, Node, Op, Shape, Value, exactly};

uniform! {
    struct Params { classes: u32 }
}

/// y from the logits.
pub static FORWARD: Kernel = kernel!(
    "log_sum_exp",
    ["softmax_row", "workgroup_sum"],
    Params,
    &[("logits", Read), ("y", Write)]
);

/// dlogits from dy and the logits.
pub static BACKWARD: Kernel = kernel!(
    "log_sum_exp_backward",
    ["softmax_row", "workgroup_sum"],
    Params,
    &[("dy", Read), ("logits", Read), ("dlogits", Write)]
);

/// Input logits \[N, K\]; output log(sum over k of exp(logits)) \[N\], for logits of any size. At most
/// 65,535 images.
#[derive(Clone, Copy, Debug)]
pub struct LogSumExp;

impl Op for LogSumExp {
    fn name(&self) -> &'static str {
        FORWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [logits] = exactly(self.name(), "inputs", inputs)?;
        logits.expect(self.name(), Shape::matrix(logits.images(), logits.channels())?)?;
        Ok(vec![Shape::per_image(logits.images())?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [logits] = exactly(self.name(), "inputs", launch.inputs)?;
        let params = Params { classes: logits.channels() };
        launch.all(&FORWARD, params, [logits.images(), 1, 1])
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _asked: &[bool]) -> Derivatives {
        let [logits] = exactly(self.name(), "inputs", &node.inputs)?;
        Ok(vec![Some(graph.push(LogSumExpBackward, &[dy, logits])?)])
    }
}

/// Inputs dy and logits; output dlogits.
#[derive(Clone, Copy, Debug)]
struct LogSumExpBackward;

impl Op for LogSumExpBackward {
    fn name(&self) -> &'static str {
        BACKWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, logits] = exactly(self.name(), "inputs", inputs)?;
        dy.expect(self.name(), Shape::per_image(logits.images())?)?;
        Ok(vec![logits])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [_dy, logits] = exactly(self.name(), "inputs", launch.inputs)?;
        let params = Params { classes: logits.channels() };
        launch.all(&BACKWARD, params, [logits.images(), 1, 1])
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, asked: &[bool]) -> Derivatives {
        let [first, logits] = exactly(self.name(), "inputs", &node.inputs)?;
        let [for_first, for_logits] = exactly(self.name(), "flags", asked)?;
        // dlogits = softmax times a number an image.
        let softmax = graph.push(Softmax { log: false }, &[logits])?;
        let (mut of_first, mut dlogits) = (None, None);
        if for_first {
            of_first = Some(graph.push(ImageDot, &[dy, softmax])?);
        }
        if for_logits {
            let each = graph.push(SoftmaxBackward { log: false }, &[dy, softmax])?;
            dlogits = Some(graph.push(BroadcastMul, &[each, first])?);
        }
        Ok(vec![of_first, dlogits])
    }
}
