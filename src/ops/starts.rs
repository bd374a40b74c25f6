//! Makes the random start images of attacks: points in the ball around each image, or on its surface.

use super::Norm;
use super::steps::{check_radius, images};
use super::walk::{few_lanes, kernel, lanes};
use crate::Result;
use crate::gpu::{Kernel, uniform};
use crate::graph::{Launch, Op, Shape, exactly};

uniform! {
    struct RandomParams { groups: u32, span: u32, run: u32, stride: u32, linf: u32, eps: f32 }
}
uniform! {
    struct BoundaryParams { images: u32, span: u32, linf: u32, eps: f32 }
}

/// The kernel of [`RandomStart`], which updates x in place, by a workgroup for each group that the norm goes over.
pub static RANDOM: Kernel =
    kernel!("random_start", ["index", "renorm", "workgroup_sum"], RandomParams, [mut x, u]);

/// The kernel of [`BoundaryStart`], which computes x from x0 and random numbers, by a workgroup for each image.
pub static BOUNDARY: Kernel = kernel!(
    "boundary_start",
    ["index", "philox", "random_values", "workgroup_sum_vec2", "workgroup_max_vec2"],
    BoundaryParams,
    [mut x, x0, ids, control],
);

/// The values that are scaled together to lie in the L2 ball when an attack's random start is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The values of each image together: the start of each image lies in the ball around it.
    Image,
    /// The values of each channel over the whole batch together, as in the PyTorch code that the golden test cases were made
    /// with, which calls `torch.renorm(..., dim=1)`: where an image starts then depends on the others.
    Channel,
}

/// Moves images to random points in the ball around them. Inputs x \[N, C, H, W\] (written in place) and u of the same shape,
/// uniform in \[0, 1); no output. Nothing is clamped to \[0, 1\].
///
/// Linf: x + 2 (u - 0.5) eps. L2: x + d with d = u - 0.5, scaled by eps / (|d| + 1e-7) where |d| > eps.
#[derive(Clone, Copy, Debug)]
pub struct RandomStart {
    /// The norm in which the radius of the ball is measured.
    pub norm: Norm,
    /// The radius of the ball, at least 0 and finite.
    pub eps: f32,
    /// The values that are scaled together to lie in the L2 ball; without effect in the Linf norm.
    pub group: Group,
}

impl Op for RandomStart {
    fn name(&self) -> &'static str {
        RANDOM.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x, u] = exactly(self.name(), "inputs", inputs)?;
        u.expect(self.name(), x)?;
        check_radius(self.name(), self.eps)?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[0]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let x = images(self.name(), launch.inputs)?;
        let image = x.elements() / x.images();
        let (groups, run) = match self.group {
            Group::Image => (x.images(), image),
            Group::Channel => (x.channels(), x.pixels()),
        };
        let (span, linf, eps) = (x.elements() / groups, self.norm.flag(), self.eps);
        let params = RandomParams { groups, span, run, stride: image, linf, eps };
        let lanes = lanes(launch.to, self.name(), 2 * span)?;
        launch.rows(&RANDOM, &lanes, params, groups)
    }
}

/// Moves images to random points on the ball's boundary, where APGD starts: inputs x \[N, C, H, W\] (written in place),
/// the ball's centre x0, ids \[N\] (u32) and control \[4\] of u32 words: seed low, seed high, stream, and one that is not
/// read; no output. It is where APGD starts.
///
/// x becomes clamp(x0 + eps t / |t|, 0, 1), with t normal in L2 and uniform in \[-1, 1) in Linf. t depends on seed, stream
/// and the image's id, not on its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoundaryStart {
    /// The norm in which the radius of the ball is measured.
    pub norm: Norm,
    /// The radius of the ball around the original image, at least 0 and finite.
    pub eps: f32,
}

impl Op for BoundaryStart {
    fn name(&self) -> &'static str {
        BOUNDARY.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x, x0, ids, control] = exactly(self.name(), "inputs", inputs)?;
        x0.expect(self.name(), x)?;
        ids.expect(self.name(), Shape::per_image(x.images())?)?;
        control.expect(self.name(), Shape::vector(4)?)?;
        check_radius(self.name(), self.eps)?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[0]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let x = images(self.name(), launch.inputs)?;
        let (images, span) = (x.images(), x.elements() / x.images());
        let params = BoundaryParams { images, span, linf: self.norm.flag(), eps: self.eps };
        // Two passes over blocks of four values, with a loop over these in each block. The rounds of the random numbers are as
        // many everywhere, so drivers unroll them.
        let turns = span.div_ceil(4).saturating_mul(2 * 6);
        let lanes = few_lanes(launch.to, self.name(), turns)?;
        launch.rows(&BOUNDARY, &lanes, params, images)
    }
}
