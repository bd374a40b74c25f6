//! 2-D cross-correlation, `torch.nn.functional.conv2d`, and its derivatives by plain kernels: one invocation for each
//! output, or for four outputs of a grouped one. They are right for any shape, and tests compare the fast kernels with them.
//! Lowering replaces them for ungrouped convolutions (`table.rs`), and for depthwise ones on GPUs (`depthwise.rs`).

use super::depthwise;
use super::problem::{ConvRole, Params, Problem};
use super::runs::{Lines, MOST_WORK, one_sum, times};
use crate::Result;
use crate::gpu::{Access::*, Kernel};
use crate::graph::{Derivatives, Graph, Halves, Launch, Node, Op, Shape, Value, exactly};
use crate::ops::walk::{check_turns, nested};

macro_rules! plain {
    ($stem:literal, $bindings:expr) => {
        crate::ops::walk::kernel!($stem, ["conv2d_params", "index"], Params, $bindings)
    };
}

/// The plain kernel of a convolution, which computes y from x and w.
pub static FORWARD: Kernel = plain!("conv2d", &[("x", Read), ("w", Read), ("y", Write)]);
/// The plain kernel of a convolution's derivative for x, which computes dx from dy and w.
pub static INPUT_GRADIENT: Kernel =
    plain!("conv2d_input_gradient", &[("dy", Read), ("w", Read), ("dx", Write)]);
/// The plain kernel of a convolution's derivative for the weights, which computes dw from dy and x.
pub static WEIGHT_GRADIENT: Kernel =
    plain!("conv2d_weight_gradient", &[("dy", Read), ("x", Read), ("dw", Write)]);
/// The plain kernel of a grouped convolution, which computes y from x and w.
pub static GROUPED: Kernel = plain!("grouped_conv2d", &[("x", Read), ("w", Read), ("y", Write)]);
/// The plain kernel of a grouped convolution's derivative for x, which computes dx from dy and w.
pub static GROUPED_INPUT_GRADIENT: Kernel =
    plain!("grouped_conv2d_input_gradient", &[("dy", Read), ("w", Read), ("dx", Write)]);
/// The plain kernel of a grouped convolution's derivative for the weights, which computes dw from dy and x.
pub static GROUPED_WEIGHT_GRADIENT: Kernel =
    plain!("grouped_conv2d_weight_gradient", &[("dy", Read), ("x", Read), ("dw", Write)]);

/// 2-D convolution. Inputs x \[N, I, H, W\] and w \[O, I, R, C\]; output y \[N, O, V, U\] with V = (H + 2 padding − R) / stride +
/// 1, rounded down, and U likewise. A bias is added by a [`Broadcast`](crate::ops::Broadcast) after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// The number of rows and of columns from one output to the next; at least 1.
    pub stride: [u32; 2],
    /// The number of rows of zeros added above and below, and of columns left and right.
    pub padding: [u32; 2],
}

/// Grouped 2-D convolution. Inputs x \[N, I, H, W\] and w \[O, I / groups, R, C\]; output y \[N, O, V, U\], of [`Conv2d`]'s
/// height and width. Input and output channels are divided into `groups` equal ranges; each range of outputs is computed from its
/// range of inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupedConv2d {
    /// The stride and padding of the convolution.
    pub conv: Conv2d,
    /// The number of groups, a divisor of I and of O; I for a depthwise convolution.
    pub groups: u32,
}

impl Conv2d {
    /// Makes a convolution with the same stride and padding for rows as for columns.
    pub fn square(stride: u32, padding: u32) -> Self {
        Self { stride: [stride; 2], padding: [padding; 2] }
    }
}

/// The problem of a node that reads x and w.
pub(crate) fn forward(conv: Conv2d, groups: u32, inputs: &[Shape]) -> Result<Problem> {
    let [x, w] = exactly(FORWARD.name, "inputs", inputs)?;
    Problem::new(conv, groups, x, w)
}

/// Declares a forward convolution, plain or grouped: the two differ only in names and groups.
macro_rules! forward {
    ($Op:ty, $kernel:ident, |$self:ident| $conv:expr, $groups:expr) => {
        impl Op for $Op {
            fn name(&self) -> &'static str {
                $kernel.name
            }

            fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
                let $self = self;
                Ok(vec![forward($conv, $groups, inputs)?.y])
            }

            fn halves(&self) -> Halves {
                Halves { inputs: &[0], outputs: &[0] }
            }

            fn record(&self, launch: &mut Launch) -> Result<()> {
                let $self = self;
                run(forward($conv, $groups, launch.inputs)?, ConvRole::Forward, launch)
            }

            fn flops(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
                let $self = self;
                forward($conv, $groups, inputs).map_or(0, |problem| problem.flops())
            }

            fn gradient(
                &self,
                graph: &mut Graph,
                node: &Node,
                dy: Value,
                asked: &[bool],
            ) -> Derivatives {
                let $self = self;
                let [x, w] = exactly(self.name(), "inputs", &node.inputs)?;
                let shapes = [graph.shape(x)?, graph.shape(w)?];
                let problem = forward($conv, $groups, &shapes)?;
                let wanted =
                    [(ConvRole::InputGradient, [dy, w]), (ConvRole::WeightGradient, [dy, x])];
                push(graph, problem, wanted, asked)
            }
        }
    };
}
forward!(Conv2d, FORWARD, |this| *this, 1);
forward!(GroupedConv2d, GROUPED, |this| this.conv, this.groups);

/// A derivative of a convolution: inputs dy and w, output dx; or inputs dy and x, output dw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conv2dGradient {
    pub problem: Problem,
    /// The derivative to compute: any role but the forward pass.
    pub role: ConvRole,
}

impl Op for Conv2dGradient {
    fn name(&self) -> &'static str {
        kernel(self.problem, self.role).name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, other] = exactly(self.name(), "inputs", inputs)?;
        let Problem { x, w, y, .. } = self.problem;
        let (read, made) = if self.role == ConvRole::InputGradient { (w, x) } else { (x, w) };
        dy.expect(self.name(), y)?;
        other.expect(self.name(), read)?;
        Ok(vec![made])
    }

    fn halves(&self) -> Halves {
        match self.role {
            ConvRole::WeightGradient => Halves { inputs: &[0, 1], outputs: &[] },
            _ => Halves { inputs: &[0], outputs: &[0] },
        }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        run(self.problem, self.role, launch)
    }

    fn flops(&self, _: &[Shape], _: &[Shape]) -> u64 {
        self.problem.flops()
    }

    /// Adds second derivatives. For dx, the one for dy is the convolution again; for dw, the one for x is the derivative
    /// for x; the other one of each is dw of the two.
    fn gradient(&self, graph: &mut Graph, node: &Node, d: Value, asked: &[bool]) -> Derivatives {
        let [dy, other] = exactly(self.name(), "inputs", &node.inputs)?;
        let wanted = match self.role {
            ConvRole::InputGradient => {
                [(ConvRole::Forward, [d, other]), (ConvRole::WeightGradient, [dy, d])]
            }
            _ => [(ConvRole::Forward, [other, d]), (ConvRole::InputGradient, [dy, d])],
        };
        push(graph, self.problem, wanted, asked)
    }
}

/// Adds the nodes that are asked for.
fn push(
    graph: &mut Graph,
    problem: Problem,
    wanted: [(ConvRole, [Value; 2]); 2],
    asked: &[bool],
) -> Derivatives {
    let mut made = Vec::new();
    for ((role, inputs), &asked) in wanted.into_iter().zip(asked) {
        let Problem { stride, padding, groups, .. } = problem;
        let conv = Conv2d { stride, padding };
        made.push(match (asked, role) {
            (false, _) => None,
            (_, ConvRole::Forward) if groups == 1 => Some(graph.push(conv, &inputs)?),
            (_, ConvRole::Forward) => Some(graph.push(GroupedConv2d { conv, groups }, &inputs)?),
            _ => Some(graph.push(Conv2dGradient { problem, role }, &inputs)?),
        });
    }
    Ok(made)
}

fn kernel(problem: Problem, role: ConvRole) -> &'static Kernel {
    match (role, problem.groups) {
        (ConvRole::Forward, 1) => &FORWARD,
        (ConvRole::InputGradient, 1) => &INPUT_GRADIENT,
        (ConvRole::WeightGradient, 1) => &WEIGHT_GRADIENT,
        (ConvRole::Forward, _) => &GROUPED,
        (ConvRole::InputGradient, _) => &GROUPED_INPUT_GRADIENT,
        (ConvRole::WeightGradient, _) => &GROUPED_WEIGHT_GRADIENT,
    }
}

fn run(problem: Problem, role: ConvRole, launch: &mut Launch) -> Result<()> {
    if depthwise::computes(&problem, role, launch.to.adapter()) {
        return depthwise::record(&problem, role, launch);
    }
    let Problem { x, w, y, groups, .. } = problem;
    let (kernel, params) = (kernel(problem, role), problem.params((x, y)));
    if role == ConvRole::WeightGradient {
        let (lines, work) =
            (Lines { count: y.height(), turns: nested(y.width()) }, problem.image_flops());
        check_turns(launch.to, kernel.name, lines.turns(lines.run(work, MOST_WORK)))?;
        let mut launches = one_sum(&params, lines, work).into_iter();
        return launches.try_for_each(|params| launch.each(kernel, params, w.elements()));
    }
    let written = if role == ConvRole::Forward { y } else { x };
    let window = 3 + u64::from(w.height()) * nested(w.width());
    let summed = if role == ConvRole::Forward { x } else { y }.channels() / groups;
    // Four values side by side, where there are groups, are stored by a loop.
    check_turns(launch.to, kernel.name, u64::from(summed) * window + 4)?;
    let across = if groups == 1 { written.width() } else { written.width().div_ceil(4) };
    let image = written.channels() * written.height() * across;
    let most = times(problem.image_flops(), MOST_WORK);
    (0..x.images()).step_by(most as usize).try_for_each(|first_image| {
        let images = most.min(x.images() - first_image);
        launch.each(kernel, Params { first_image, images, ..params }, images * image)
    })
}
