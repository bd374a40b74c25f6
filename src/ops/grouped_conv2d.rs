//! 2-D cross-correlation in groups of channels, `torch.nn.functional.conv2d(groups=)`, and its derivatives: one
//! invocation four outputs. Depthwise convolutions are all that networks here use it for.

use super::conv2d::Conv2d;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Graph, Launch, Node, Op, Shape, Value, exactly};
use crate::{Error, Result};

uniform! {
    struct Params {
        images: u32,
        inputs: u32,
        height: u32,
        width: u32,
        outputs: u32,
        out_height: u32,
        out_width: u32,
        kernel_height: u32,
        kernel_width: u32,
        stride_y: u32,
        stride_x: u32,
        pad_y: u32,
        pad_x: u32,
        group_inputs: u32,
        group_outputs: u32,
    }
}

macro_rules! kernel {
    ($name:literal, $bindings:expr) => {
        Kernel {
            name: $name,
            source: &[
                include_str!(concat!("../../shaders/", $name, ".wgsl")),
                include_str!("../../shaders/shared/grouped_conv2d_params.wgsl"),
                include_str!("../../shaders/shared/index.wgsl"),
            ],
            params: Params::LAYOUT,
            bindings: $bindings,
            subgroup: 0,
        }
    };
}

/// y of x and w.
pub static FORWARD: Kernel = kernel!("grouped_conv2d", &[("x", Read), ("w", Read), ("y", Write)]);

/// dx of dy and w.
pub static INPUT_GRADIENT: Kernel =
    kernel!("grouped_conv2d_input_gradient", &[("dy", Read), ("w", Read), ("dx", Write)]);

/// dw of dy and x.
pub static WEIGHT_GRADIENT: Kernel =
    kernel!("grouped_conv2d_weight_gradient", &[("dy", Read), ("x", Read), ("dw", Write)]);

/// Inputs x \[N, I, H, W\] and w \[O, I / groups, R, C\]; output y as [`Conv2d`]'s. Output channels come in `groups`
/// equal runs, each of which sees its run of the input channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupedConv2d {
    /// Stride and padding.
    pub conv: Conv2d,
    /// A divisor of I and of O; I for a depthwise convolution.
    pub groups: u32,
}

impl GroupedConv2d {
    /// Sizes for the kernels, and the shape of y. Err if groups do not fit, or there is no output.
    fn sizes(&self, x: Shape, w: Shape) -> Result<(Params, Shape)> {
        let name = FORWARD.name;
        let groups = self.groups;
        let ([outputs, group_inputs, rows, columns], inputs) = (w.sides(), x.channels());
        let fits = inputs.checked_rem(groups) == Some(0) && outputs.checked_rem(groups) == Some(0);
        if !fits || inputs / groups != group_inputs {
            let given = format_args!("{groups} groups, x {x} and weights {w}");
            let wanted =
                "groups that divide both channels, and weights of a group's input channels";
            return Err(Error::mismatch(name, given, wanted));
        }
        // Without groups all is the same but for the weights' input channels.
        let dense = Shape::new(outputs, inputs, rows, columns)?;
        let (p, y) = (self.conv.params(x, dense)?, self.conv.output(x, dense)?);
        let params = Params {
            images: p.images,
            inputs: p.inputs,
            height: p.height,
            width: p.width,
            outputs: p.outputs,
            out_height: p.out_height,
            out_width: p.out_width,
            kernel_height: p.kernel_height,
            kernel_width: p.kernel_width,
            stride_y: p.stride_y,
            stride_x: p.stride_x,
            pad_y: p.pad_y,
            pad_x: p.pad_x,
            group_inputs,
            group_outputs: outputs / groups,
        };
        Ok((params, y))
    }

    /// Of the forward pass, and of either derivative.
    fn flops(&self, x: Shape, w: Shape) -> u64 {
        let window = w.elements() / w.images();
        self.sizes(x, w).map_or(0, |(_, y)| 2 * u64::from(y.elements()) * u64::from(window))
    }
}

/// Invocations of four values side by side.
fn fours(shape: Shape) -> u32 {
    shape.elements() / shape.width() * shape.width().div_ceil(4)
}

impl Op for GroupedConv2d {
    fn name(&self) -> &'static str {
        FORWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x, w] = exactly(self.name(), "inputs", inputs)?;
        Ok(vec![self.sizes(x, w)?.1])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x, w] = exactly(self.name(), "inputs", launch.inputs)?;
        let (params, y) = self.sizes(x, w)?;
        launch.each(&FORWARD, params, fours(y))
    }

    fn flops(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        exactly(self.name(), "inputs", inputs).map_or(0, |[x, w]| Self::flops(self, x, w))
    }

    fn gradient(
        &self,
        graph: &mut Graph,
        node: &Node,
        dy: Value,
        asked: &[bool],
    ) -> Result<Vec<Option<Value>>> {
        let [x, w] = exactly(self.name(), "inputs", &node.inputs)?;
        let [for_x, for_w] = exactly(self.name(), "flags", asked)?;
        let (mut dx, mut dw) = (None, None);
        if for_x {
            let op = GroupedConv2dInputGradient { conv: *self, x: graph.shape(x)? };
            dx = Some(graph.push(op, &[dy, w])?);
        }
        if for_w {
            let op = GroupedConv2dWeightGradient { conv: *self, w: graph.shape(w)? };
            dw = Some(graph.push(op, &[dy, x])?);
        }
        Ok(vec![dx, dw])
    }
}

/// Inputs dy and w; output dx of the shape given.
#[derive(Clone, Copy, Debug)]
struct GroupedConv2dInputGradient {
    conv: GroupedConv2d,
    x: Shape,
}

impl Op for GroupedConv2dInputGradient {
    fn name(&self) -> &'static str {
        INPUT_GRADIENT.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, w] = exactly(self.name(), "inputs", inputs)?;
        dy.expect(self.name(), self.conv.sizes(self.x, w)?.1)?;
        Ok(vec![self.x])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [_dy, w] = exactly(self.name(), "inputs", launch.inputs)?;
        launch.each(&INPUT_GRADIENT, self.conv.sizes(self.x, w)?.0, fours(self.x))
    }

    fn flops(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        exactly(self.name(), "inputs", inputs).map_or(0, |[_, w]| self.conv.flops(self.x, w))
    }
}

/// Inputs dy and x; output dw of the shape given.
#[derive(Clone, Copy, Debug)]
struct GroupedConv2dWeightGradient {
    conv: GroupedConv2d,
    w: Shape,
}

impl Op for GroupedConv2dWeightGradient {
    fn name(&self) -> &'static str {
        WEIGHT_GRADIENT.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, x] = exactly(self.name(), "inputs", inputs)?;
        dy.expect(self.name(), self.conv.sizes(x, self.w)?.1)?;
        Ok(vec![self.w])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [_dy, x] = exactly(self.name(), "inputs", launch.inputs)?;
        launch.each(&WEIGHT_GRADIENT, self.conv.sizes(x, self.w)?.0, self.w.elements())
    }

    fn flops(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        exactly(self.name(), "inputs", inputs).map_or(0, |[_, x]| self.conv.flops(x, self.w))
    }
}
