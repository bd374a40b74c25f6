//! The steps that gradient attacks and samplers take on images, in place; a copy that keeps the best image so far; and L2 norms
//! of images.
//!
//! | op             | kernel                       | an image has                  |
//! |----------------|------------------------------|-------------------------------|
//! | `PgdStep`      | `pgd_step_{vec4,f32}`        | a workgroup                   |
//! | `MomentumStep` | `momentum_step_{vec4,f32}`   | a workgroup                   |
//! | `LangevinStep` | `langevin_step`              | an invocation for each value  |
//! | `KeepBest`     | `keep_best`                  | a workgroup                   |
//! | `L2Norm`       | `l2_norm_{vec4,f32}`         | a workgroup                   |
//!
//! Of two kernels, `vec4` takes images of a multiple of 4 values.

use super::walk::{Widths, kernel, lanes, widths};
use crate::gpu::{Kernel, Recording, uniform};
use crate::graph::{Launch, Op, Shape, exactly};
use crate::{Error, Result};

uniform! {
    struct PgdParams { images: u32, span: u32, linf: u32, ball: u32, clamped: u32, step_size: f32, eps: f32 }
}
uniform! {
    struct MomentumParams { images: u32, span: u32, linf: u32, step_size: f32, eps: f32, momentum: f32 }
}
uniform! {
    struct LangevinParams { count: u32, step_size: f32, noise_size: f32 }
}
uniform! {
    struct Params { images: u32, span: u32 }
}

/// The kernels of a step of projected gradient ascent, which update the images x in place.
pub static PGD: Widths =
    widths!("pgd_step", ["index", "renorm", "workgroup_sum"], PgdParams, [mut x, g, x0]);
/// The kernels of a step of gradient ascent with momentum, which update the images x and the momentum v in place.
pub static MOMENTUM: Widths = widths!(
    "momentum_step",
    ["index", "renorm", "workgroup_sum"],
    MomentumParams,
    [mut x, mut v, g, x0],
);
/// The kernel of a Langevin step, which updates the images x in place.
pub static LANGEVIN: Kernel =
    kernel!("langevin_step", ["index"], LangevinParams, [mut x, g, noise]);
/// The kernel that keeps, for each attacked image, the iterate of highest loss so far and that loss, in place.
pub static KEEP_BEST: Kernel =
    kernel!("keep_best", ["index"], Params, [x, loss, mut best_x, mut best_loss]);
/// The kernels that compute the L2 norm of each image.
pub static L2_NORM: Widths = widths!("l2_norm", ["index", "workgroup_sum"], Params, [x, mut y]);

/// The norm in which an image's changes are measured: step sizes, and radii of balls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// The L2 norm: the root of the sum of squares over channels and pixels.
    L2,
    /// The Linf norm: the largest magnitude of any channel of any pixel.
    Linf,
}

impl Norm {
    /// Returns the number that shaders read as `linf`.
    pub(super) fn flag(self) -> u32 {
        u32::from(self == Self::Linf)
    }
}

/// Err, in the name of `op`, unless the radius of a ball is a finite number of 0 or more.
pub(super) fn check_radius(op: &'static str, eps: f32) -> Result<()> {
    if eps >= 0.0 && eps.is_finite() {
        return Ok(());
    }
    Err(Error::mismatch(op, format_args!("eps {eps}"), "a finite number of 0 or more"))
}

/// Returns the shape of the images that a step moves: the first input's.
pub(super) fn images(op: &'static str, inputs: &[Shape]) -> Result<Shape> {
    inputs
        .first()
        .copied()
        .ok_or_else(|| Error::mismatch(op, "no inputs", "images as the first input"))
}

/// One step of projected gradient ascent (Madry et al. 2018, arXiv 1706.06083, section 2.1; docs/method.md, "Gradient steps on
/// images"), followed by the projections onto the ball and onto \[0, 1\].
///
/// Inputs: x \[N, C, H, W\] (written in place), the gradient g of what is climbed and, if `eps` is finite, the ball's
/// centre x0, all of one shape. There is no output.
///
/// L2: x + s g / (|g| + 1e-10), then d = x - x0 is scaled by eps / (|d| + 1e-7) where |d| > eps. Linf:
/// x + s sign(g) with sign(0) = 0, then d is clamped to \[-eps, eps\]. The box is last.
///
/// A step size of 0 projects only (g may then be x0); an infinite `eps` without the box steps only.
#[derive(Clone, Copy, Debug)]
pub struct PgdStep {
    /// The norm in which the length of the step and the radius of the ball are measured.
    pub norm: Norm,
    /// The length s of the step; a negative one descends.
    pub step_size: f32,
    /// The radius of the ball, at least 0; infinite for no ball.
    pub eps: f32,
    /// Whether x is clamped to \[0, 1\] after the step.
    pub clamp: bool,
}

impl Op for PgdStep {
    fn name(&self) -> &'static str {
        "pgd_step"
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
        let x = images(self.name(), launch.inputs)?;
        let (kernel, span) = PGD.whole(x);
        let ball = self.eps.is_finite();
        let params = PgdParams {
            images: x.images(),
            span,
            linf: self.norm.flag(),
            ball: ball.into(),
            clamped: self.clamp.into(),
            step_size: self.step_size,
            // WGSL knows no infinities; without a ball the kernel does not look at it.
            eps: if ball { self.eps } else { 0.0 },
        };
        let mut buffers = launch.bindings();
        if !ball {
            buffers.extend(buffers.last().copied()); // g again, in the place of x0
        }
        let lanes = lanes(launch.to, self.name(), 3 * span)?;
        let grid = Recording::grid(x.images(), 1);
        launch.to.dispatch(kernel, &lanes, params, &buffers, grid).map(drop)
    }
}

/// A step of projected gradient ascent with momentum on L1-normalised gradients (Dong et al. 2018, arXiv 1710.06081, algorithm
/// 1), for adversarial training. Inputs x \[N, C, H, W\] and momentum v (both written in place), the gradient g of the loss to
/// raise and the ball's centre x0, all of one shape; no output. v starts as zeros.
///
/// v becomes m v + g / (|g|_1 + 1e-10). L2: x + s v / max(|v|, 1e-12), then d = x - x0 is scaled by
/// eps / (|d| + 1e-7) where |d| > eps. Linf: x + s sign(v), then d is clamped to \[-eps, eps\]. x is
/// clamped to \[0, 1\] in the end.
#[derive(Clone, Copy, Debug)]
pub struct MomentumStep {
    /// The norm in which the length of the step and the radius of the ball are measured.
    pub norm: Norm,
    /// The length s of the step; a negative one descends.
    pub step_size: f32,
    /// The radius of the ball, at least 0 and finite.
    pub eps: f32,
    /// The momentum m, from 0 to below 1.
    pub momentum: f32,
}

impl Op for MomentumStep {
    fn name(&self) -> &'static str {
        "momentum_step"
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
        let x = images(self.name(), launch.inputs)?;
        let (kernel, span) = MOMENTUM.whole(x);
        let Self { norm, step_size, eps, momentum } = *self;
        let (images, linf) = (x.images(), norm.flag());
        let params = MomentumParams { images, span, linf, step_size, eps, momentum };
        let lanes = lanes(launch.to, self.name(), 4 * span)?;
        launch.rows(kernel, &lanes, params, images)
    }
}

/// One step of stochastic gradient Langevin dynamics (Welling and Teh 2011), as JEM samples (Grathwohl and others 2020,
/// arXiv 1912.03263, equation 7).
///
/// Inputs x (written in place), the gradient g of the log-density, which is minus the energy's, and standard normal noise,
/// all of one shape; no output. x becomes x + `step_size` g + `noise_size` noise: the gradient as it is, without a ball
/// or the box. JEM takes α/2 = 0.5 and 0.01, where the step of a proper sampler would be half the square of the noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LangevinStep {
    /// The factor that the gradient is multiplied by.
    pub step_size: f32,
    /// The standard deviation of the added noise.
    pub noise_size: f32,
}

impl Op for LangevinStep {
    fn name(&self) -> &'static str {
        LANGEVIN.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x, g, noise] = exactly(self.name(), "inputs", inputs)?;
        [g, noise].into_iter().try_for_each(|other| other.expect(self.name(), x))?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[0]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let count = images(self.name(), launch.inputs)?.elements();
        let Self { step_size, noise_size } = *self;
        launch.each(&LANGEVIN, LangevinParams { count, step_size, noise_size }, count)
    }
}

/// Keeps the image of highest loss so far. Inputs x \[N, C, H, W\], loss \[N\], best_x (shaped as x) and best_loss \[N\], the
/// last two written in place: where loss > best_loss, image and loss are copied. No output. Start best_loss at [`f32::MIN`]
/// ([`Fill`](super::Fill)).
#[derive(Clone, Copy, Debug)]
pub struct KeepBest;

impl Op for KeepBest {
    fn name(&self) -> &'static str {
        KEEP_BEST.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x, loss, best_x, best_loss] = exactly(self.name(), "inputs", inputs)?;
        loss.expect(self.name(), Shape::per_image(x.images())?)?;
        best_x.expect(self.name(), x)?;
        best_loss.expect(self.name(), loss)?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[2, 3]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let x = images(self.name(), launch.inputs)?;
        let params = Params { images: x.images(), span: x.elements() / x.images() };
        let lanes = lanes(launch.to, self.name(), params.span)?;
        launch.rows(&KEEP_BEST, &lanes, params, x.images())
    }
}

/// The L2 norm of each image. Input x \[N, C, H, W\]; output sqrt(sum of x^2 over C, H and W) \[N\]. No derivative is defined.
#[derive(Clone, Copy, Debug)]
pub struct L2Norm;

impl Op for L2Norm {
    fn name(&self) -> &'static str {
        "l2_norm"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x] = exactly(self.name(), "inputs", inputs)?;
        Ok(vec![Shape::per_image(x.images())?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let x = images(self.name(), launch.inputs)?;
        let (kernel, span) = L2_NORM.whole(x);
        let lanes = lanes(launch.to, self.name(), span)?;
        launch.rows(kernel, &lanes, Params { images: x.images(), span }, x.images())
    }
}
