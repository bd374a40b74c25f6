//! 2-D cross-correlation, `torch.nn.functional.conv2d` of one group, and its derivatives, the plain
//! way: one invocation an output. Right for any shape, and the oracle for `conv2d_tiled`, by which
//! rewrites replace all three where speed matters.

use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Graph, Launch, Node, Op, Shape, Value, exactly};
use crate::{Error, Result};

uniform! {
    pub(crate) struct Params {
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
    }
}

macro_rules! source {
    ($file:literal) => {
        &[
            include_str!(concat!("../../shaders/", $file)),
            include_str!("../../shaders/shared/conv2d_params.wgsl"),
            include_str!("../../shaders/shared/index.wgsl"),
        ]
    };
}

/// y of x and w.
pub static FORWARD: Kernel = Kernel {
    name: "conv2d",
    source: source!("conv2d.wgsl"),
    params: Params::LAYOUT,
    bindings: &[("x", Read), ("w", Read), ("y", Write)],
    subgroup: 0,
};

/// dx of dy and w.
pub static INPUT_GRADIENT: Kernel = Kernel {
    name: "conv2d_input_gradient",
    source: source!("conv2d_input_gradient.wgsl"),
    params: Params::LAYOUT,
    bindings: &[("dy", Read), ("w", Read), ("dx", Write)],
    subgroup: 0,
};

/// dw of dy and x.
pub static WEIGHT_GRADIENT: Kernel = Kernel {
    name: "conv2d_weight_gradient",
    source: source!("conv2d_weight_gradient.wgsl"),
    params: Params::LAYOUT,
    bindings: &[("dy", Read), ("x", Read), ("dw", Write)],
    subgroup: 0,
};

/// Inputs x \[N, I, H, W\] and w \[O, I, R, C\]; output y \[N, O, V, U\] with
/// V = (H + 2 padding − R) / stride + 1, rounded down, and U likewise. A bias is a
/// [`BroadcastAdd`](super::BroadcastAdd) behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// Rows and columns from one output to the next; at least 1.
    pub stride: [u32; 2],
    /// Zeros added above and below, left and right.
    pub padding: [u32; 2],
}

impl Conv2d {
    /// The same stride and padding both ways.
    pub fn square(stride: u32, padding: u32) -> Self {
        Self { stride: [stride; 2], padding: [padding; 2] }
    }

    /// Sizes for the kernels. Err if there is no output.
    pub(crate) fn params(&self, x: Shape, w: Shape) -> Result<Params> {
        let name = "conv2d";
        let [images, inputs, height, width] = x.sides();
        let [outputs, weight_inputs, kernel_height, kernel_width] = w.sides();
        if weight_inputs != inputs {
            let wanted = format_args!("{inputs} input channels, as x {x} has");
            return Err(Error::mismatch(name, format_args!("weights {w}"), wanted));
        }
        let ([stride_y, stride_x], [pad_y, pad_x]) = (self.stride, self.padding);
        let side = |side: u32, pad: u32, kernel: u32, stride: u32| {
            let padded = pad.checked_mul(2)?.checked_add(side)?;
            Some(padded.checked_sub(kernel)?.checked_div(stride)? + 1)
        };
        let no_output = || {
            let given = format_args!("{self:?} of x {x} and weights {w}");
            Error::mismatch(
                name,
                given,
                "a stride of 1 or more and a padded x not below the kernel",
            )
        };
        let out_height = side(height, pad_y, kernel_height, stride_y).ok_or_else(no_output)?;
        let out_width = side(width, pad_x, kernel_width, stride_x).ok_or_else(no_output)?;
        Ok(Params {
            images,
            inputs,
            height,
            width,
            outputs,
            out_height,
            out_width,
            kernel_height,
            kernel_width,
            stride_y,
            stride_x,
            pad_y,
            pad_x,
        })
    }

    /// Shape of y.
    pub(crate) fn output(&self, x: Shape, w: Shape) -> Result<Shape> {
        let p = self.params(x, w)?;
        Shape::new(p.images, p.outputs, p.out_height, p.out_width)
    }
}

impl Params {
    /// Multiplications and additions of the forward pass, and of either derivative.
    pub(crate) fn flops(&self) -> u64 {
        let window = self.inputs * self.kernel_height * self.kernel_width;
        let outputs = [self.images, self.outputs, self.out_height, self.out_width];
        outputs.iter().map(|&side| u64::from(side)).product::<u64>() * u64::from(window) * 2
    }
}

impl Op for Conv2d {
    fn name(&self) -> &'static str {
        FORWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x, w] = exactly(self.name(), "inputs", inputs)?;
        Ok(vec![self.output(x, w)?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x, w] = exactly(self.name(), "inputs", launch.inputs)?;
        let [y] = exactly(self.name(), "outputs", launch.outputs)?;
        launch.each(&FORWARD, self.params(x, w)?, y.elements())
    }

    fn flops(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        let params = exactly(self.name(), "inputs", inputs).and_then(|[x, w]| self.params(x, w));
        params.map_or(0, |params| params.flops())
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
            let op = Conv2dInputGradient { conv: *self, x: graph.shape(x)? };
            dx = Some(graph.push(op, &[dy, w])?);
        }
        if for_w {
            let op = Conv2dWeightGradient { conv: *self, w: graph.shape(w)? };
            dw = Some(graph.push(op, &[dy, x])?);
        }
        Ok(vec![dx, dw])
    }
}

/// Inputs dy and w; output dx of the shape given.
#[derive(Clone, Copy, Debug)]
pub struct Conv2dInputGradient {
    /// The convolution.
    pub conv: Conv2d,
    /// Shape of its x.
    pub x: Shape,
}

impl Op for Conv2dInputGradient {
    fn name(&self) -> &'static str {
        INPUT_GRADIENT.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, w] = exactly(self.name(), "inputs", inputs)?;
        dy.expect(self.name(), self.conv.output(self.x, w)?)?;
        Ok(vec![self.x])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [_dy, w] = exactly(self.name(), "inputs", launch.inputs)?;
        launch.each(&INPUT_GRADIENT, self.conv.params(self.x, w)?, self.x.elements())
    }

    fn flops(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        let params =
            exactly(self.name(), "inputs", inputs).and_then(|[_, w]| self.conv.params(self.x, w));
        params.map_or(0, |params| params.flops())
    }

    fn gradient(
        &self,
        graph: &mut Graph,
        node: &Node,
        dy: Value,
        asked: &[bool],
    ) -> Result<Vec<Option<Value>>> {
        let [first, w] = exactly(self.name(), "inputs", &node.inputs)?;
        let [for_first, for_w] = exactly(self.name(), "flags", asked)?;
        let (mut of_first, mut dw) = (None, None);
        if for_first {
            of_first = Some(graph.push(self.conv, &[dy, w])?);
        }
        if for_w {
            let op = Conv2dWeightGradient { conv: self.conv, w: graph.shape(w)? };
            dw = Some(graph.push(op, &[first, dy])?);
        }
        Ok(vec![of_first, dw])
    }
}

/// Inputs dy and x; output dw of the shape given.
#[derive(Clone, Copy, Debug)]
pub struct Conv2dWeightGradient {
    /// The convolution.
    pub conv: Conv2d,
    /// Shape of its weights.
    pub w: Shape,
}

impl Op for Conv2dWeightGradient {
    fn name(&self) -> &'static str {
        WEIGHT_GRADIENT.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, x] = exactly(self.name(), "inputs", inputs)?;
        dy.expect(self.name(), self.conv.output(x, self.w)?)?;
        Ok(vec![self.w])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [_dy, x] = exactly(self.name(), "inputs", launch.inputs)?;
        launch.each(&WEIGHT_GRADIENT, self.conv.params(x, self.w)?, self.w.elements())
    }

    fn flops(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        let params =
            exactly(self.name(), "inputs", inputs).and_then(|[_, x]| self.conv.params(x, self.w));
        params.map_or(0, |params| params.flops())
    }

    fn gradient(
        &self,
        graph: &mut Graph,
        node: &Node,
        dy: Value,
        asked: &[bool],
    ) -> Result<Vec<Option<Value>>> {
        let [first, x] = exactly(self.name(), "inputs", &node.inputs)?;
        let [for_first, for_x] = exactly(self.name(), "flags", asked)?;
        let (mut of_first, mut dx) = (None, None);
        if for_first {
            of_first = Some(graph.push(self.conv, &[x, dy])?);
        }
        if for_x {
            let op = Conv2dInputGradient { conv: self.conv, x: graph.shape(x)? };
            dx = Some(graph.push(op, &[first, dy])?);
        }
        Ok(vec![of_first, dx])
    }
}
