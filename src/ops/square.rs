//! The steps of the attack Square, a random search that needs only logits (Andriushchenko, Croce, Flammarion and Hein 2020, arXiv
//! 1912.00049): one op makes the first candidate, another compares a candidate with the best and makes the
//! next.

use super::Norm;
use super::steps::check_radius;
use super::walk::{few_lanes, kernel};
use crate::gpu::{Kernel, uniform};
use crate::graph::{Launch, Op, Shape, exactly};
use crate::{Error, Result};

uniform! {
    struct StartParams { images: u32, channels: u32, side: u32, linf: u32, eps: f32 }
}

uniform! {
    struct Params { images: u32, channels: u32, side: u32, queries: u32, eps: f32 }
}

/// The kernel of the attack Square's first candidate, made from the image x0 and random numbers.
pub static START: Kernel = kernel!(
    "square_start",
    ["index", "square_bump", "philox", "workgroup_sum_vec4"],
    StartParams,
    [mut candidate, x0, ids, control],
);

/// The kernel of a step of the attack Square in the Linf norm, which updates each image's candidate, best candidate and
/// state in place.
pub static LINF: Kernel = kernel!(
    "square_linf",
    ["index", "square", "philox", "random_values"],
    Params,
    [mut candidate, mut best, x0, margin, ids, control, mut state],
);

/// The kernel of a step of the attack Square in the L2 norm: updates each image's candidate, best candidate and state (its
/// largest margin and the number of candidates judged) in place.
pub static L2: Kernel = kernel!(
    "square_l2",
    ["index", "square", "square_bump", "philox", "random_values", "workgroup_sum_vec4"],
    Params,
    [mut candidate, mut best, x0, margin, ids, control, mut state],
);

/// Returns the shape of Square's state, two words for each image: the largest margin so far, and the number of candidates
/// judged. Zeros before the first.
pub fn square_state(images: u32) -> Result<Shape> {
    Shape::matrix(images, 2)
}

/// Makes Square's first candidate: inputs candidate \[N, C, S, S\] (written in place), the images x0, ids \[N\] (u32) and
/// control \[4\] of u32 words: seed low, seed high, stream, and one that is not read; no output.
///
/// Linf: vertical stripes of ±eps. L2: five by five bumps up and down, of length eps together. Cut to \[0, 1\].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SquareStart {
    /// The norm in which the radius of the ball is measured.
    pub norm: Norm,
    /// The radius of the ball around the original image, at least 0 and finite.
    pub eps: f32,
}

impl Op for SquareStart {
    fn name(&self) -> &'static str {
        START.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [candidate, x0, ids, control] = exactly(self.name(), "inputs", inputs)?;
        x0.expect(self.name(), candidate)?;
        check(self.name(), candidate, self.eps)?;
        ids.expect(self.name(), Shape::per_image(x0.images())?)?;
        control.expect(self.name(), Shape::vector(4)?)?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[0]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x, _x0, _ids, _control] = exactly(self.name(), "inputs", launch.inputs)?;
        let linf = self.norm.flag();
        let params = StartParams {
            images: x.images(),
            channels: x.channels(),
            side: x.width(),
            linf,
            eps: self.eps,
        };
        let lanes = few_lanes(launch.to, self.name(), 3 * (x.elements() / x.images()))?;
        launch.rows(&START, &lanes, params, x.images())
    }
}

/// Judges a candidate of the attack Square and makes the next one. Inputs candidate \[N, C, S, S\] and the best one so far (both
/// written in place), the images x0, the candidate's margin \[N\] ([`Margin`](super::Margin)), ids \[N\] and control \[4\] as in
/// [`SquareStart`], and the state ([`square_state`], written in place); no output.
///
/// Where the margin is the largest so far, or 0 or more, the candidate becomes the best; the next one differs from that in
/// a square at a random place, whose area shrinks with the number of candidates. Images whose best margin is 0 or more,
/// and those of which 1 + `queries` candidates were judged, stay as they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SquareStep {
    /// The norm in which the radius of the ball is measured.
    pub norm: Norm,
    /// The radius of the ball around the original image, at least 0 and finite.
    pub eps: f32,
    /// The largest number of candidates that are judged after the first one.
    pub queries: u32,
}

impl Op for SquareStep {
    fn name(&self) -> &'static str {
        if self.norm == Norm::L2 { L2.name } else { LINF.name }
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [candidate, best, x0, margin, ids, control, state] =
            exactly(self.name(), "inputs", inputs)?;
        [best, x0].into_iter().try_for_each(|other| other.expect(self.name(), candidate))?;
        check(self.name(), candidate, self.eps)?;
        let per_image = Shape::per_image(x0.images())?;
        [margin, ids].into_iter().try_for_each(|other| other.expect(self.name(), per_image))?;
        control.expect(self.name(), Shape::vector(4)?)?;
        state.expect(self.name(), square_state(x0.images())?)?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[0, 1, 6]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x, ..]: [Shape; 7] = exactly(self.name(), "inputs", launch.inputs)?;
        let kernel = if self.norm == Norm::L2 { &L2 } else { &LINF };
        let (channels, side) = (x.channels(), x.width());
        let params =
            Params { images: x.images(), channels, side, queries: self.queries, eps: self.eps };
        let lanes = few_lanes(launch.to, self.name(), 5 * (x.elements() / x.images()))?;
        launch.rows(kernel, &lanes, params, x.images())
    }
}

/// Square images of up to 4 channels and 512 rows, a radius that is a number.
fn check(op: &'static str, images: Shape, eps: f32) -> Result<()> {
    let fits = images.height() == images.width() && images.width() <= 512 && images.channels() <= 4;
    if !fits {
        return Err(Error::mismatch(op, images, "square images of up to 512 rows and 4 channels"));
    }
    check_radius(op, eps)
}
