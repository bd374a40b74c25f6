//! The steps of APGD, an attack by projected gradient steps that adapt their size (Croce and Hein 2020, arXiv 2003.01690,
//! algorithm 1): one op compares the loss at an iterate with the best so far, another takes the next step.

use super::Norm;
use super::steps::{check_radius, images};
use super::walk::{Widths, few_lanes, widths};
use crate::Result;
use crate::gpu::uniform;
use crate::graph::{Launch, Op, Shape, exactly};

uniform! {
    struct JudgeParams { images: u32, span: u32, period: u32, least: u32, less: u32, rho: f32, step_size: f32 }
}
uniform! {
    struct StepParams { images: u32, span: u32, linf: u32, eps: f32 }
}

/// The kernels of [`ApgdJudge`], which update the iterate x, the best and the misclassified iterate, and APGD's state in place.
pub static JUDGE: Widths = widths!(
    "apgd_judge",
    ["index", "apgd_state", "workgroup_sum"],
    JudgeParams,
    [mut x, g, loss, margin, mut best, mut wrong, mut best_g, mut state],
);

/// The kernels of [`ApgdStep`], which update the iterate x, the iterate before it and APGD's state in place.
pub static STEP: Widths = widths!(
    "apgd_step",
    ["index", "apgd_state", "workgroup_sum"],
    StepParams,
    [mut x, mut previous, g, best_g, x0, mut state],
);

/// Words of an image's state.
const STATE: u32 = 12;

/// Returns the shape of APGD's state, which is all zeros before the first iterate is judged.
pub fn apgd_state(images: u32) -> Result<Shape> {
    Shape::matrix(images, STATE)
}

/// APGD's state of one image, in this order: the best loss, the last, the step size, and whether an iterate was misclassified and
/// whether the gradient at the start was 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ApgdState {
    /// The highest loss of an iterate of the image so far.
    pub best_loss: f32,
    /// The loss of the image's iterate that was judged last.
    pub loss: f32,
    /// The length of the image's next step.
    pub step_size: f32,
    /// Whether an iterate of the image was misclassified.
    pub fooled: bool,
    /// Whether the gradient at the image's start was 0 everywhere.
    pub flat: bool,
}

impl ApgdState {
    /// Reads the states of all images from the words of the state's buffer.
    pub fn read(words: &[f32]) -> Vec<Self> {
        let (states, _) = words.as_chunks::<{ STATE as usize }>();
        let one = |&[best_loss, loss, step_size, _, _, _, _, _, _, fooled, _, flat]: &[f32; 12]| {
            Self { best_loss, loss, step_size, fooled: fooled > 0.0, flat: flat > 0.0 }
        };
        states.iter().map(one).collect()
    }
}

/// Compares APGD's iterate with the best one so far, and at checkpoints decides whether to halve the step. Inputs x \[N, C, H,
/// W\], its gradient g, loss \[N\], margin \[N\] ([`Margin`](super::Margin)), then, all written in place as is x, the best
/// iterate, the last misclassified one (the start where none is), the gradient at the best, and the state ([`apgd_state`]); no
/// output.
///
/// In an iterate's first call for a state of zeros everything is set from it. At checkpoints, the first after `period`
/// steps and each next one after `less` fewer, but at least `least`, the step is halved and x goes back to the best iterate
/// where at most `rho` of the steps since the last one raised the loss, or where the best loss is what it was there and the
/// step was not halved then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ApgdJudge {
    /// The number of steps to the first checkpoint.
    pub period: u32,
    /// The smallest number of steps between two checkpoints.
    pub least: u32,
    /// The number by which the steps from one checkpoint to the next become fewer.
    pub less: u32,
    /// The share, from 0 to 1, of the steps since the last checkpoint: unless more of them raised the loss, the step is halved.
    pub rho: f32,
    /// The length of the first steps of the attack.
    pub step_size: f32,
}

impl Op for ApgdJudge {
    fn name(&self) -> &'static str {
        "apgd_judge"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x, g, loss, margin, best, wrong, best_g, state] =
            exactly(self.name(), "inputs", inputs)?;
        [g, best, wrong, best_g].into_iter().try_for_each(|other| other.expect(self.name(), x))?;
        let per_image = Shape::per_image(x.images())?;
        [loss, margin].into_iter().try_for_each(|other| other.expect(self.name(), per_image))?;
        state.expect(self.name(), apgd_state(x.images())?)?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[0, 4, 5, 6, 7]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let x = images(self.name(), launch.inputs)?;
        let (kernel, span) = JUDGE.whole(x);
        let Self { period, least, less, rho, step_size } = *self;
        let params = JudgeParams { images: x.images(), span, period, least, less, rho, step_size };
        let lanes = few_lanes(launch.to, self.name(), span)?;
        launch.rows(kernel, &lanes, params, x.images())
    }
}

/// Takes APGD's next step from an iterate. Inputs x \[N, C, H, W\] and the iterate before it (both written in place), the
/// gradient g at x, the one at the best iterate, the ball's centre x0, and the state, which [`ApgdJudge`] has written and in
/// which it notes zero gradients; no output.
///
/// With p the projection into the ball and then the box, and a = 1 in the first step, 0.75 later: u = p(x + s g / |g|) in
/// L2, p(x + s sign(g)) in Linf; x becomes p(x + a (u - x) + (1 - a) (x - previous)).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ApgdStep {
    /// The norm in which the length of the step and the radius of the ball are measured.
    pub norm: Norm,
    /// The radius of the ball around the original image, at least 0 and finite.
    pub eps: f32,
}

impl Op for ApgdStep {
    fn name(&self) -> &'static str {
        "apgd_step"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x, previous, g, best_g, x0, state] = exactly(self.name(), "inputs", inputs)?;
        [previous, g, best_g, x0].into_iter().try_for_each(|other| other.expect(self.name(), x))?;
        state.expect(self.name(), apgd_state(x.images())?)?;
        check_radius(self.name(), self.eps)?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[0, 1, 5]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let x = images(self.name(), launch.inputs)?;
        let (kernel, span) = STEP.whole(x);
        let params = StepParams { images: x.images(), span, linf: self.norm.flag(), eps: self.eps };
        let lanes = few_lanes(launch.to, self.name(), 4 * span)?;
        launch.rows(kernel, &lanes, params, x.images())
    }
}
