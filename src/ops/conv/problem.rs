//! A convolution problem: the shapes that it reads and writes, its stride and its padding. All convolution kernels, plain or
//! fast, get it in the same uniform struct.

use super::plain::Conv2d;
use crate::gpu::uniform;
use crate::graph::Shape;
use crate::{Error, Result};

/// The part of a convolution that an op computes: result, or derivative for x or for the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConvRole {
    /// The convolution itself: y, computed from x and the weights w.
    Forward,
    /// The convolution's derivative for x: dx, computed from dy and the weights w.
    InputGradient,
    /// The convolution's derivative for the weights w: dw, computed from dy and x.
    WeightGradient,
}

/// A 2-D cross-correlation of x \[N, I, H, W\] with weights \[O, I / groups, R, C\] to y \[N, O, V, U\].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The shape of the convolution's input x.
    pub x: Shape,
    /// The shape of the convolution's weights.
    pub w: Shape,
    /// The shape of the convolution's output y.
    pub y: Shape,
    /// The stride, as the rows and the columns of x from one output to the next; at least 1.
    pub stride: [u32; 2],
    /// The padding, as the rows of zeros added above and below, and the columns left and right.
    pub padding: [u32; 2],
    /// The number of groups: equal runs of output channels, each of which is computed from its run of the input channels.
    pub groups: u32,
}

// A problem as shaders/shared/conv2d_params.wgsl has it, and the slice of it that one launch computes.
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
        group_inputs: u32,
        group_outputs: u32,
        first_image: u32,
        first_block: u32,
        x_skip: u32,
        w_skip: u32,
        y_skip: u32,
        first_part: u32,
        part_images: u32,
        epilogue: u32,
        first_line: u32,
        lines: u32,
        part_lines: u32,
        slice_inputs: u32,
        slice_words: u32,
    }
}

impl Problem {
    /// Makes the problem of a convolution of x by weights w. Err if the weights do not fit x or the groups, and if there is no
    /// output.
    pub fn new(conv: Conv2d, groups: u32, x: Shape, w: Shape) -> Result<Self> {
        let ([images, inputs, ..], [outputs, group_inputs, ..]) = (x.sides(), w.sides());
        let divides = |channels: u32| channels.checked_rem(groups) == Some(0);
        if groups == 1 && group_inputs != inputs {
            let wanted = format_args!("{inputs} input channels, as x {x} has");
            return Err(Error::mismatch("conv2d", format_args!("weights {w}"), wanted));
        }
        if !divides(inputs) || !divides(outputs) || inputs / groups != group_inputs {
            let given = format_args!("{groups} groups, x {x} and weights {w}");
            let wanted = "groups that divide input and output channels, and weights with a group's input channels";
            return Err(Error::mismatch("grouped_conv2d", given, wanted));
        }
        let Conv2d { stride, padding } = conv;
        let side = |side: u32, kernel: u32, padding: u32, stride: u32| {
            let padded = padding.checked_mul(2)?.checked_add(side)?;
            Some(padded.checked_sub(kernel)?.checked_div(stride)? + 1)
        };
        let height = side(x.height(), w.height(), padding[0], stride[0]);
        let (Some(height), Some(width)) =
            (height, side(x.width(), w.width(), padding[1], stride[1]))
        else {
            let given =
                format_args!("stride {stride:?} and padding {padding:?} of x {x} and weights {w}");
            let wanted = "a stride of 1 or more and a padded x no smaller than the kernel";
            return Err(Error::mismatch("conv2d", given, wanted));
        };
        let y = Shape::new(images, outputs, height, width)?;
        Ok(Self { x, w, y, stride, padding, groups })
    }

    /// Returns the number of multiplications and additions of the convolution, which is the same for its derivatives.
    pub fn flops(&self) -> u64 {
        let window = self.w.elements() / self.w.images();
        2 * u64::from(self.y.elements()) * u64::from(window)
    }

    /// Returns the number of floating-point operations of the convolution for one image.
    pub fn image_flops(&self) -> u64 {
        self.flops() / u64::from(self.x.images())
    }

    /// Returns the rows and columns of the convolution's filter.
    pub fn kernel(&self) -> [u32; 2] {
        [self.w.height(), self.w.width()]
    }

    /// Returns whether the filter has this side, and stride and padding are these for rows and for columns.
    pub fn is(&self, side: u32, stride: u32, padding: u32) -> bool {
        (self.kernel(), self.stride, self.padding) == ([side; 2], [stride; 2], [padding; 2])
    }

    /// Returns the shapes that a role reads (beside weights) and writes: x and y, or dy and dx. Of weight gradients x and
    /// dy.
    pub fn ends(&self, role: ConvRole) -> (Shape, Shape) {
        if role == ConvRole::InputGradient { (self.y, self.x) } else { (self.x, self.y) }
    }

    /// The same of a 1x1 kernel of stride 1 in fewer rows that are whole quads, where two or four rows together are: pixels are
    /// alike there.
    pub(super) fn in_longer_rows(&self) -> Self {
        let [images, inputs, height, width] = self.x.sides();
        let outputs = self.y.channels();
        let fits = |&rows: &u32| height.is_multiple_of(rows) && (width * rows).is_multiple_of(4);
        let Some(rows) = [1, 2, 4].into_iter().find(fits).filter(|_| self.is(1, 1, 0)) else {
            return *self;
        };
        let of = |channels| Shape::new(images, channels, height / rows, width * rows);
        match (of(inputs), of(outputs)) {
            (Ok(x), Ok(y)) => Self { x, y, ..*self },
            _ => *self,
        }
    }

    /// Returns the uniform for the kernels. The fast kernels see the derivative for x as a convolution of dy: `ends` says
    /// what.
    pub(crate) fn params(&self, (read, written): (Shape, Shape)) -> Params {
        let ([kernel_height, kernel_width], groups) = (self.kernel(), self.groups);
        let ([stride_y, stride_x], [pad_y, pad_x]) = (self.stride, self.padding);
        let [images, inputs, height, width] = read.sides();
        let [_, outputs, out_height, out_width] = written.sides();
        Params {
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
            group_inputs: inputs / groups,
            group_outputs: outputs / groups,
            slice_inputs: inputs,
            ..bytemuck::Zeroable::zeroed()
        }
    }
}
