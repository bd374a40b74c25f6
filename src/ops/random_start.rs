//! A random point around each image to start an attack from.

use super::Norm;
use super::per_image::lanes;
use super::walk::kernel;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Launch, Op, Shape, exactly};
use crate::{Error, Result};

uniform! {
    struct Params { span: u32, run: u32, stride: u32, linf: u32, eps: f32 }
}

/// x in place.
pub static KERNEL: Kernel =
    kernel!("random_start", ["renorm", "workgroup_sum"], Params, &[("x", Write), ("u", Read)]);

/// What the L2 norm of a random start goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Each image: its start lies in the ball.
    Image,
    /// Each channel of the whole batch, as the reference's `torch.renorm(..., dim=1)` has it: where
    /// an image starts then depends on the others.
    Channel,
}

/// Inputs x \[N, C, H, W\] (written in place) and u of the same shape, uniform in \[0, 1); no output.
/// Nothing is clamped to \[0, 1\]. At most 65,535 images.
///
/// Linf: x + 2 (u - 0.5) eps. L2: x + d with d = u - 0.5, scaled by eps / (|d| + 1e-7) where |d| > eps.
#[derive(Clone, Copy, Debug)]
pub struct RandomStart {
    /// Of the ball.
    pub norm: Norm,
    /// Radius of the ball, at least 0 and finite.
    pub eps: f32,
    /// What the norm goes over; makes no difference to Linf.
    pub group: Group,
}

impl Op for RandomStart {
    fn name(&self) -> &'static str {
        KERNEL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x, u] = exactly(self.name(), "inputs", inputs)?;
        u.expect(self.name(), x)?;
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
        let [x, _u] = exactly(self.name(), "inputs", launch.inputs)?;
        let image = x.elements() / x.images();
        let (groups, run) = match self.group {
            Group::Image => (x.images(), image),
            Group::Channel => (x.channels(), x.pixels()),
        };
        let linf = (self.norm == Norm::Linf).into();
        let (span, eps) = (x.elements() / groups, self.eps);
        let params = Params { span, run, stride: image, linf, eps };
        let lanes = lanes(launch.to.adapter());
        launch.to.dispatch(&KERNEL, &[lanes], params, launch.buffers, [groups, 1, 1]).map(drop)
    }
}
