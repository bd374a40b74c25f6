//! The steps of FAB, an attack that walks along the boundary between two classes towards the original image (Croce and Hein 2020,
//! arXiv 1907.02044, algorithm 1): one op takes the step, another keeps the nearest misclassified image.

use super::Norm;
use super::steps::images;
use super::walk::{Widths, few_lanes, widths};
use crate::Result;
use crate::gpu::uniform;
use crate::graph::{Launch, Op, Shape, exactly};

uniform! {
    struct StepParams { images: u32, span: u32, linf: u32, alpha_max: f32, eta: f32 }
}
uniform! {
    struct JudgeParams { images: u32, span: u32, linf: u32, beta: f32 }
}

uniform! {
    struct NearestParams { images: u32, span: u32, linf: u32, first: u32 }
}

/// Steps of Newton's method at most, as the shader has it.
const PIECES: u32 = 64;

/// The kernels of [`FabStep`], which move the iterate x of the attack FAB in place.
pub static STEP: Widths = widths!(
    "fab_step",
    ["index", "workgroup_sum_vec4", "workgroup_max_vec2"],
    StepParams,
    [mut x, x0, g, f],
);

/// The kernels of [`FabJudge`], which update the iterate x, the nearest misclassified image and its distance in place.
pub static JUDGE: Widths = widths!(
    "fab_judge",
    ["index", "workgroup_sum", "workgroup_max_vec2"],
    JudgeParams,
    [mut x, x0, margin, mut nearest, mut distance],
);

/// The kernels of [`FabNearest`], which update the gradient, logit difference and distance of the nearest class in place.
pub static NEAREST: Widths = widths!(
    "fab_nearest",
    ["index", "workgroup_sum"],
    NearestParams,
    [g, f, mut nearest_g, mut nearest_f, mut away],
);

/// Takes a step of the attack FAB towards a class boundary. Inputs x \[N, C, H, W\] (written in place), where it came from x0,
/// the gradient at x of f = target's logit minus label's, and f \[N\] itself; no output.
///
/// With d and d0 the shortest moves of x and of x0 inside \[0, 1\] to the plane on which f, taken for linear, is 0, and
/// a = min(|d| / (|d| + |d0|), `alpha_max`): x becomes clamp((1 - a) (x + eta d) + a (x0 + eta d0), 0, 1). Where the
/// plane cannot be reached, d goes as near as the box allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FabStep {
    /// The norm in which FAB's moves are measured.
    pub norm: Norm,
    /// The largest weight of the move from the original image x0, beside that from the iterate; AutoAttack takes 0.1.
    pub alpha_max: f32,
    /// The factor by which the step goes beyond the plane that stands for the class boundary; AutoAttack takes 1.05.
    pub eta: f32,
}

impl Op for FabStep {
    fn name(&self) -> &'static str {
        "fab_step"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x, x0, g, f] = exactly(self.name(), "inputs", inputs)?;
        [x0, g].into_iter().try_for_each(|other| other.expect(self.name(), x))?;
        f.expect(self.name(), Shape::per_image(x.images())?)?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[0]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let x = images(self.name(), launch.inputs)?;
        let (kernel, span) = STEP.whole(x);
        let Self { norm, alpha_max, eta } = *self;
        let params = StepParams { images: x.images(), span, linf: norm.flag(), alpha_max, eta };
        // Newton's method takes a pass a step, at most PIECES of them.
        let lanes = few_lanes(launch.to, self.name(), span.saturating_mul(3 + PIECES))?;
        launch.rows(kernel, &lanes, params, x.images())
    }
}

/// Keeps the class whose boundary is nearest, in the attack FAB's search over all classes. Inputs the gradient g \[N, C, H, W\]
/// of f = one class's logit minus the label's, and f \[N\] itself, then the gradient and f of the nearest class so far and how
/// far away it is \[N\], all three written in place; no output.
///
/// With d = |f| / (1e-12 + |g|), |.| being the dual norm (L2 for L2, L1 for Linf): where d is less than `away`, and for the
/// first class, g, f and d take the places of the nearest class's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FabNearest {
    /// The norm in which the distance to a class boundary is measured.
    pub norm: Norm,
    /// Whether this is the first class of the search, which overwrites whatever is there.
    pub first: bool,
}

impl Op for FabNearest {
    fn name(&self) -> &'static str {
        "fab_nearest"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [g, f, nearest_g, nearest_f, away] = exactly(self.name(), "inputs", inputs)?;
        nearest_g.expect(self.name(), g)?;
        let per_image = Shape::per_image(g.images())?;
        [f, nearest_f, away]
            .into_iter()
            .try_for_each(|other| other.expect(self.name(), per_image))?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[2, 3, 4]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let g = images(self.name(), launch.inputs)?;
        let (kernel, span) = NEAREST.whole(g);
        let (images, linf, first) = (g.images(), self.norm.flag(), self.first.into());
        let lanes = few_lanes(launch.to, self.name(), 2 * span)?;
        launch.rows(kernel, &lanes, NearestParams { images, span, linf, first }, images)
    }
}

/// Keeps the nearest misclassified image of the attack FAB, and moves the iterate back towards the original image. Inputs x \[N,
/// C, H, W\] (written in place), where it came from x0, margin \[N\] ([`Margin`](super::Margin)), then the nearest misclassified
/// image so far and its distance \[N\], both written in place; no output.
///
/// Where the margin is above 0: if x is nearer than `distance` it is kept; and x becomes x0 + beta (x - x0).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FabJudge {
    /// The norm in which the distance to the original image is measured.
    pub norm: Norm,
    /// The share of a misclassified iterate's way from the original image x0 that remains afterwards; AutoAttack takes 0.9.
    pub beta: f32,
}

impl Op for FabJudge {
    fn name(&self) -> &'static str {
        "fab_judge"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x, x0, margin, nearest, distance] = exactly(self.name(), "inputs", inputs)?;
        [x0, nearest].into_iter().try_for_each(|other| other.expect(self.name(), x))?;
        let per_image = Shape::per_image(x.images())?;
        [margin, distance]
            .into_iter()
            .try_for_each(|other| other.expect(self.name(), per_image))?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[0, 3, 4]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let x = images(self.name(), launch.inputs)?;
        let (kernel, span) = JUDGE.whole(x);
        let params =
            JudgeParams { images: x.images(), span, linf: self.norm.flag(), beta: self.beta };
        let lanes = few_lanes(launch.to, self.name(), 2 * span)?;
        launch.rows(kernel, &lanes, params, x.images())
    }
}
