//! One step of projected gradient ascent with momentum on L1-normalised gradients (Dong et al. 2018,
//! arXiv 1710.06081, algorithm 1): the attack of stage 1.

use super::Norm;
use super::per_image::{choose, lanes};
use super::walk::kernel;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Launch, Op, Shape, exactly};
use crate::{Error, Result};

uniform! {
    struct Params { span: u32, linf: u32, step_size: f32, eps: f32, momentum: f32 }
}

/// x and v in place, value by value.
pub static SCALAR: Kernel = kernel!(
    "momentum_step",
    ["elem_f32", "renorm", "workgroup_sum"],
    Params,
    &[("x", Write), ("v", Write), ("g", Read), ("x0", Read)]
);

/// x and v in place, four values at a time.
pub static VEC4: Kernel = kernel!(
    "momentum_step_vec4",
    "momentum_step",
    ["elem_vec4", "renorm", "workgroup_sum"],
    Params,
    &[("x", Write), ("v", Write), ("g", Read), ("x0", Read)]
);

/// Inputs x \[N, C, H, W\] and momentum v (both written in place), the gradient g of what is climbed and
/// the ball's centre x0, all of one shape; no output. v starts as zeros. At most 65,535 images.
///
/// v becomes m v + g / (|g|_1 + 1e-10). L2: x + s v / max(|v|, 1e-12), then d = x - x0 is scaled by
/// eps / (|d| + 1e-7) where |d| > eps. Linf: x + s sign(v), then d is clamped to \[-eps, eps\]. x is
/// clamped to \[0, 1\] in the end.
#[derive(Clone, Copy, Debug)]
pub struct MomentumStep {
    /// Of the step and the ball.
    pub norm: Norm,
    /// Length of the step, s; negative to descend.
    pub step_size: f32,
    /// Radius of the ball, at least 0 and finite.
    pub eps: f32,
    /// m, from 0 to below 1.
    pub momentum: f32,
}

impl Op for MomentumStep {
    fn name(&self) -> &'static str {
        SCALAR.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let (op, Self { step_size, eps, momentum, .. }) = (self.name(), *self);
        let allowed = step_size.is_finite() && eps >= 0.0 && eps.is_finite();
        if !(allowed && (0.0..1.0).contains(&momentum)) {
            let given = format_args!("step size {step_size}, eps {eps}, momentum {momentum}");
            let wanted = "a finite step size, finite eps of 0 or more, momentum of 0 to below 1";
            return Err(Error::mismatch(op, given, wanted));
        }
        let [x, v, g, x0] = exactly(op, "inputs", inputs)?;
        [v, g, x0].into_iter().try_for_each(|other| other.expect(op, x))?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[0, 1]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x, _v, _g, _x0] = exactly(self.name(), "inputs", launch.inputs)?;
        let (kernel, span) = choose([&SCALAR, &VEC4], x);
        let linf = (self.norm == Norm::Linf).into();
        let Self { step_size, eps, momentum, .. } = *self;
        let params = Params { span, linf, step_size, eps, momentum };
        let lanes = lanes(launch.to.adapter());
        launch.to.dispatch(kernel, &[lanes], params, launch.buffers, [x.images(), 1, 1]).map(drop)
    }
}
