//! Group normalisation (Wu and He 2018, arXiv 1803.08494), `torch.nn.functional.group_norm`: brings each group of an image's
//! channels to mean 0 and variance 1. The factor and the offset of each channel are ops of their own.

use super::Broadcast;
use super::batch_norm::check_eps;
use super::walk::{kernel, lanes};
use crate::gpu::{Kernel, uniform};
use crate::graph::{Derivatives, Graph, Halves, Launch, Node, Op, Shape, Value, exactly};
use crate::{Error, Result};

uniform! {
    struct Params { rows: u32, length: u32, eps: f32 }
}
uniform! {
    struct BackwardParams { rows: u32, length: u32 }
}

/// The kernel of group normalisation, which computes y and each group's inverse standard deviation from x.
pub static FORWARD: Kernel = kernel!(
    "group_norm",
    ["index", "workgroup_sum_vec2", "overflow", "elem_f32"],
    Params,
    [x, mut y, mut inverse]
);

/// The kernel of group normalisation's derivative, which computes dx from dy and the forward pass's results.
pub static BACKWARD: Kernel = kernel!(
    "group_norm_backward",
    ["index", "workgroup_sum_vec2"],
    BackwardParams,
    [dy, y, inverse, mut dx],
);

/// Group normalisation without weights. Input x \[N, C, H, W\]; outputs (x - mean) / sqrt(variance + eps) of the shape of x, with
/// mean and variance of each of the `groups` groups of consecutive channels of an image, and 1 / sqrt(variance + eps) of each
/// group, \[N, groups\].
#[derive(Clone, Copy, Debug)]
pub struct GroupNorm {
    /// The number of groups of channels, a divisor of C.
    pub groups: u32,
    /// The number added to the variance before its root is taken; finite and above 0. PyTorch's default is 1e-5.
    pub eps: f32,
}

impl GroupNorm {
    /// Adds the nodes of group normalisation with weights and returns its output: x normalised, times gamma, plus beta; gamma and
    /// beta are \[C\].
    pub fn push(self, graph: &mut Graph, [x, gamma, beta]: [Value; 3]) -> Result<Value> {
        let [normed, _inverse] = exactly(self.name(), "outputs", &graph.push_all(self, &[x])?)?;
        let scaled = graph.push(Broadcast::Mul, &[normed, gamma])?;
        graph.push(Broadcast::Add, &[scaled, beta])
    }
}

impl Op for GroupNorm {
    fn name(&self) -> &'static str {
        FORWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x] = exactly(self.name(), "inputs", inputs)?;
        check_eps(self.name(), self.eps)?;
        if x.channels().checked_rem(self.groups) != Some(0) {
            let given = format_args!("{} groups of {x}", self.groups);
            return Err(Error::mismatch(self.name(), given, "groups that divide the channels"));
        }
        Ok(vec![x, Shape::matrix(x.images(), self.groups)?])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x, inverse] = exactly(self.name(), "outputs", launch.outputs)?;
        let rows = inverse.elements();
        let params = Params { rows, length: x.elements() / rows, eps: self.eps };
        let lanes = lanes(launch.to, self.name(), 3 * params.length)?;
        launch.rows(&FORWARD, &lanes, params, rows)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _asked: &[bool]) -> Derivatives {
        let [y, inverse] = exactly(self.name(), "outputs", &node.outputs)?;
        Ok(vec![Some(graph.push(GroupNormBackward, &[dy, y, inverse])?)])
    }
}

/// Inputs dy, y, inverse; output dx.
#[derive(Clone, Copy, Debug)]
struct GroupNormBackward;

impl Op for GroupNormBackward {
    fn name(&self) -> &'static str {
        BACKWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, y, _inverse] = exactly(self.name(), "inputs", inputs)?;
        dy.expect(self.name(), y)?;
        Ok(vec![y])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0, 1], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [dy, _y, inverse] = exactly(self.name(), "inputs", launch.inputs)?;
        let rows = inverse.elements();
        let params = BackwardParams { rows, length: dy.elements() / rows };
        let lanes = lanes(launch.to, self.name(), 2 * params.length)?;
        launch.rows(&BACKWARD, &lanes, params, rows)
    }
}
