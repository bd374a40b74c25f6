//! FAB, which walks along the boundary between two classes towards the image it came from (Croce and Hein 2020, arXiv
//! 1907.02044, algorithm 1): the step, and what is made of where it led.

use super::Norm;
use super::per_image::{choose, few_lanes};
use crate::Result;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Launch, Op, Shape, exactly};

uniform! {
    struct StepParams { span: u32, linf: u32, alpha_max: f32, eta: f32 }
}

uniform! {
    struct JudgeParams { span: u32, linf: u32, beta: f32 }
}

uniform! {
    struct NearestParams { span: u32, linf: u32, first: u32 }
}

macro_rules! step {
    ($name:literal, $elem:literal) => {
        Kernel {
            name: $name,
            source: &[
                include_str!("../../shaders/fab_step.wgsl"),
                include_str!(concat!("../../shaders/shared/", $elem, ".wgsl")),
                include_str!("../../shaders/shared/workgroup_sum_vec4.wgsl"),
                include_str!("../../shaders/shared/workgroup_max_vec2.wgsl"),
            ],
            params: StepParams::LAYOUT,
            bindings: &[("x", Write), ("x0", Read), ("g", Read), ("f", Read)],
            subgroup: 0,
        }
    };
}

macro_rules! judge {
    ($name:literal, $elem:literal) => {
        Kernel {
            name: $name,
            source: &[
                include_str!("../../shaders/fab_judge.wgsl"),
                include_str!(concat!("../../shaders/shared/", $elem, ".wgsl")),
                include_str!("../../shaders/shared/workgroup_sum.wgsl"),
                include_str!("../../shaders/shared/workgroup_max_vec2.wgsl"),
            ],
            params: JudgeParams::LAYOUT,
            bindings: &[
                ("x", Write),
                ("x0", Read),
                ("margin", Read),
                ("nearest", Write),
                ("distance", Write),
            ],
            subgroup: 0,
        }
    };
}

macro_rules! nearest {
    ($name:literal, $elem:literal) => {
        Kernel {
            name: $name,
            source: &[
                include_str!("../../shaders/fab_nearest.wgsl"),
                include_str!(concat!("../../shaders/shared/", $elem, ".wgsl")),
                include_str!("../../shaders/shared/workgroup_sum.wgsl"),
            ],
            params: NearestParams::LAYOUT,
            bindings: &[
                ("g", Read),
                ("f", Read),
                ("nearest_g", Write),
                ("nearest_f", Write),
                ("away", Write),
            ],
            subgroup: 0,
        }
    };
}

/// nearest_g, nearest_f and away in place, value by value.
pub static NEAREST_SCALAR: Kernel = nearest!("fab_nearest", "elem_f32");
/// nearest_g, nearest_f and away in place, four values at a time.
pub static NEAREST_VEC4: Kernel = nearest!("fab_nearest_vec4", "elem_vec4");
/// x in place, value by value.
pub static STEP_SCALAR: Kernel = step!("fab_step", "elem_f32");
/// x in place, four values at a time.
pub static STEP_VEC4: Kernel = step!("fab_step_vec4", "elem_vec4");
/// x, nearest and distance in place, value by value.
pub static JUDGE_SCALAR: Kernel = judge!("fab_judge", "elem_f32");
/// x, nearest and distance in place, four values at a time.
pub static JUDGE_VEC4: Kernel = judge!("fab_judge_vec4", "elem_vec4");

/// Inputs x \[N, C, H, W\] (written in place), where it came from x0, the gradient at x of f = target's logit minus label's,
/// and f \[N\] itself; no output. At most 65,535 images.
///
/// With d and d0 the shortest moves of x and of x0 inside \[0, 1\] to the plane on which f, taken for linear, is 0, and
/// a = min(|d| / (|d| + |d0|), `alpha_max`): x becomes clamp((1 - a) (x + eta d) + a (x0 + eta d0), 0, 1). Where the
/// plane cannot be reached, d goes as near as the box allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FabStep {
    /// Of the moves.
    pub norm: Norm,
    /// Greatest part that is taken of the move from x0; the reference's is 0.1.
    pub alpha_max: f32,
    /// How far beyond the plane; the reference's is 1.05.
    pub eta: f32,
}

impl Op for FabStep {
    fn name(&self) -> &'static str {
        STEP_SCALAR.name
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
        let [x, _x0, _g, _f] = exactly(self.name(), "inputs", launch.inputs)?;
        let (kernel, span) = choose([&STEP_SCALAR, &STEP_VEC4], x);
        let Self { norm, alpha_max, eta } = *self;
        let params = StepParams { span, linf: (norm == Norm::Linf).into(), alpha_max, eta };
        let lanes = few_lanes(launch.to.adapter());
        launch.to.dispatch(kernel, &[lanes], params, launch.buffers, [x.images(), 1, 1]).map(drop)
    }
}

/// Inputs the gradient g \[N, C, H, W\] of f = one class's logit minus the label's, and f \[N\] itself, then the gradient and f
/// of the nearest class so far and how far away it is \[N\], all three written in place; no output. At most 65,535 images.
///
/// With d = |f| / (1e-12 + |g|), |.| being the dual norm (L2 for L2, L1 for Linf): where d is less than `away`, and for the
/// first class, g, f and d take the places of the nearest class's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FabNearest {
    /// Of the distance.
    pub norm: Norm,
    /// Whether this is the first class that is looked at: whatever is there before does not count.
    pub first: bool,
}

impl Op for FabNearest {
    fn name(&self) -> &'static str {
        NEAREST_SCALAR.name
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
        let [g, ..]: [Shape; 5] = exactly(self.name(), "inputs", launch.inputs)?;
        let (kernel, span) = choose([&NEAREST_SCALAR, &NEAREST_VEC4], g);
        let params = NearestParams {
            span,
            linf: (self.norm == Norm::Linf).into(),
            first: self.first.into(),
        };
        let lanes = few_lanes(launch.to.adapter());
        launch.to.dispatch(kernel, &[lanes], params, launch.buffers, [g.images(), 1, 1]).map(drop)
    }
}

/// Inputs x \[N, C, H, W\] (written in place), where it came from x0, margin \[N\] ([`Margin`](super::Margin)), then the
/// nearest misnamed image so far and its distance \[N\], both written in place; no output. At most 65,535 images.
///
/// Where the margin is above 0: if x is nearer than `distance` it is kept; and x becomes x0 + beta (x - x0).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FabJudge {
    /// Of the distance.
    pub norm: Norm,
    /// How much of the way stays; the reference's is 0.9.
    pub beta: f32,
}

impl Op for FabJudge {
    fn name(&self) -> &'static str {
        JUDGE_SCALAR.name
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
        let [x, ..]: [Shape; 5] = exactly(self.name(), "inputs", launch.inputs)?;
        let (kernel, span) = choose([&JUDGE_SCALAR, &JUDGE_VEC4], x);
        let params = JudgeParams { span, linf: (self.norm == Norm::Linf).into(), beta: self.beta };
        let lanes = few_lanes(launch.to.adapter());
        launch.to.dispatch(kernel, &[lanes], params, launch.buffers, [x.images(), 1, 1]).map(drop)
    }
}
