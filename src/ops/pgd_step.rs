//! One step of projected gradient ascent (Madry et al. 2018, arXiv 1706.06083, section 2.1) in the L2 or
//! Linf norm, with the ball and the box behind it.

use super::per_image::{choose, lanes};
use super::walk::kernel;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Launch, Op, Shape, exactly};
use crate::{Error, Result};

uniform! {
    struct Params { span: u32, linf: u32, ball: u32, clamped: u32, step_size: f32, eps: f32 }
}

/// x in place, value by value.
pub static SCALAR: Kernel = kernel!(
    "pgd_step",
    ["elem_f32", "renorm", "workgroup_sum"],
    Params,
    &[("x", Write), ("g", Read), ("x0", Read)]
);

/// x in place, four values at a time.
pub static VEC4: Kernel = kernel!(
    "pgd_step_vec4",
    "pgd_step",
    ["elem_vec4", "renorm", "workgroup_sum"],
    Params,
    &[("x", Write), ("g", Read), ("x0", Read)]
);

/// What lengths of steps and radii of balls are measured in, for each image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// Root of the sum of squares over C, H and W.
    L2,
    /// Largest magnitude.
    Linf,
}

/// Inputs x \[N, C, H, W\] (written in place), the gradient g of what is climbed and, if `eps` is finite,
/// the ball's centre x0, all of one shape; no output. At most 65,535 images.
///
/// L2: x + s g / (|g| + 1e-10), then d = x - x0 is scaled by eps / (|d| + 1e-7) where |d| > eps. Linf:
/// x + s sign(g) with sign(0) = 0, then d is clamped to \[-eps, eps\]. The box is last.
///
/// A step size of 0 projects only (g may then be x0); an infinite `eps` without the box steps only.
#[derive(Clone, Copy, Debug)]
pub struct PgdStep {
    /// Of the step and the ball.
    pub norm: Norm,
    /// Length of the step, s; negative to descend.
    pub step_size: f32,
    /// Radius of the ball, at least 0; infinite for none.
    pub eps: f32,
    /// Whether x is clamped to \[0, 1\] in the end.
    pub clamp: bool,
}

impl Op for PgdStep {
    fn name(&self) -> &'static str {
        SCALAR.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let (op, Self { step_size, eps, .. }) = (self.name(), *self);
        if !(step_size.is_finite() && eps >= 0.0) {
            let given = format_args!("step size {step_size}, eps {eps}");
            return Err(Error::mismatch(op, given, "a finite step size, eps of 0 or more"));
        }
        if eps.is_finite() {
            let [x, g, x0] = exactly(op, "inputs", inputs)?;
            g.expect(op, x)?;
            x0.expect(op, x)?;
        } else {
            let [x, g] = exactly(op, "inputs", inputs)?;
            g.expect(op, x)?;
        }
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[0]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let missing = || Error::mismatch(self.name(), "no inputs", "x and g");
        let x = *launch.inputs.first().ok_or_else(missing)?;
        let (kernel, span) = choose([&SCALAR, &VEC4], x);
        let ball = self.eps.is_finite();
        let params = Params {
            span,
            linf: (self.norm == Norm::Linf).into(),
            ball: ball.into(),
            clamped: self.clamp.into(),
            step_size: self.step_size,
            // WGSL knows no infinities; without a ball the kernel does not look at it.
            eps: if ball { self.eps } else { 0.0 },
        };
        let mut buffers = launch.buffers.to_vec();
        if !ball {
            buffers.extend(launch.buffers.last()); // g again, in the place of x0
        }
        let lanes = lanes(launch.to.adapter());
        launch.to.dispatch(kernel, &[lanes], params, &buffers, [x.images(), 1, 1]).map(drop)
    }
}
