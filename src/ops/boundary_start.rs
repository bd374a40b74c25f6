//! A random point on the surface of the ball around each image: where APGD starts.

use super::Norm;
use super::per_image::few_lanes;
use super::walk::kernel;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Launch, Op, Shape, exactly};
use crate::{Error, Result};

uniform! {
    struct Params { span: u32, linf: u32, eps: f32 }
}

/// x from x0 and random numbers.
pub static KERNEL: Kernel = kernel!(
    "boundary_start",
    ["philox", "random_values", "workgroup_sum_vec2", "workgroup_max_vec2"],
    Params,
    &[("x", Write), ("x0", Read), ("ids", Read), ("control", Read)]
);

/// Inputs x \[N, C, H, W\] (written in place), the ball's centre x0, ids \[N\] (u32) and control \[4\] of u32 words: seed
/// low, seed high, stream, and one that is not read; no output. At most 65,535 images.
///
/// x becomes clamp(x0 + eps t / |t|, 0, 1), with t normal in L2 and uniform in \[-1, 1) in Linf. t depends on seed, stream
/// and the image's id, not on its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoundaryStart {
    /// Of the ball.
    pub norm: Norm,
    /// Radius of the ball, at least 0 and finite.
    pub eps: f32,
}

impl Op for BoundaryStart {
    fn name(&self) -> &'static str {
        KERNEL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x, x0, ids, control] = exactly(self.name(), "inputs", inputs)?;
        x0.expect(self.name(), x)?;
        ids.expect(self.name(), Shape::per_image(x.images())?)?;
        control.expect(self.name(), Shape::vector(4)?)?;
        if !(self.eps >= 0.0 && self.eps.is_finite()) {
            let given = format_args!("eps {}", self.eps);
            return Err(Error::mismatch(self.name(), given, "a finite number of 0 or more"));
        }
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[0]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x, _x0, _ids, _control] = exactly(self.name(), "inputs", launch.inputs)?;
        let (span, linf) = (x.elements() / x.images(), (self.norm == Norm::Linf).into());
        let params = Params { span, linf, eps: self.eps };
        let lanes = few_lanes(launch.to.adapter());
        launch.to.dispatch(&KERNEL, &[lanes], params, launch.buffers, [x.images(), 1, 1]).map(drop)
    }
}
