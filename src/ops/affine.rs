//! A scale and a shift for each channel, perhaps followed by a ReLU: what lowering makes of batch normalisation with frozen
//! statistics.

use super::batch_norm::{check_eps, check_vectors};
use super::broadcast;
use super::walk::{EpsParams, WalkParams, Widths, kernel, widths};
use crate::Result;
use crate::gpu::{Kernel, uniform};
use crate::graph::{Halves, Launch, Op, Shape, exactly};

uniform! {
    struct FoldParams { channels: u32, eps: f32 }
}
/// The kernel that folds batch norm's weights and frozen statistics into a scale and a shift for each channel.
pub static FOLD: Kernel =
    kernel!("fold_batch_norm", ["index"], FoldParams, [gamma, beta, mean, variance, mut affine]);

/// The kernels of a scale and a shift for each channel, which compute y from x; the constant RELU adds a rectifier.
pub static AFFINE: Widths = widths!("affine", ["overflow"], WalkParams, [x, affine, mut y]);

/// The kernels that compute dx, dgamma and dbeta of a frozen normalisation with its rectifier.
pub static BACKWARD: Widths = widths!(
    "affine_backward",
    ["index", "workgroup_sum_vec2"],
    EpsParams,
    [dy, x, affine, mean, variance, mut dx, mut dgamma, mut dbeta],
);

/// Folds frozen batch normalisation into a scale and a shift for each channel. Inputs gamma, beta, mean and variance, each \[C\];
/// output \[2, C\]: the scales gamma / sqrt(variance + eps), then the shifts beta - mean * scale.
///
/// The shift cancels digits where the mean is large beside the deviation; [`FrozenBatchNorm`] does not.
///
/// [`FrozenBatchNorm`]: super::FrozenBatchNorm
#[derive(Clone, Copy, Debug)]
pub struct FoldBatchNorm {
    /// The number added to the variance; finite and above 0.
    pub eps: f32,
}

impl Op for FoldBatchNorm {
    fn name(&self) -> &'static str {
        FOLD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let vectors = exactly::<_, 4>(self.name(), "inputs", inputs)?;
        let [gamma, ..] = vectors;
        check_eps(self.name(), self.eps)?;
        check_vectors(self.name(), gamma, &vectors)?;
        Ok(vec![Shape::matrix(2, gamma.channels())?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [gamma, ..] = exactly::<_, 4>(self.name(), "inputs", launch.inputs)?;
        let channels = gamma.channels();
        launch.each(&FOLD, FoldParams { channels, eps: self.eps }, channels)
    }
}

/// Scales and shifts each channel, and applies a rectifier if `relu` is set: inputs x \[N, C, H, W\] and affine \[2, C\],
/// scales then shifts; output y = x * scale + shift, or max(y, 0). Rewrites make it after derivatives were taken: it has
/// none.
#[derive(Clone, Copy, Debug)]
pub struct Affine {
    /// Whether a rectifier follows the scale and shift.
    pub relu: bool,
}

impl Op for Affine {
    fn name(&self) -> &'static str {
        "affine"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x, affine] = exactly(self.name(), "inputs", inputs)?;
        affine.expect(self.name(), Shape::matrix(2, x.channels())?)?;
        Ok(vec![x])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x, _affine] = exactly(self.name(), "inputs", launch.inputs)?;
        let walk = AFFINE.over(x);
        let relu = [("RELU", f64::from(u8::from(self.relu)))];
        walk.each(launch.to, &relu, walk.params(), launch.buffers)
    }
}

/// The derivative for x of [`Affine`] without its rectifier. Inputs dy \[N, C, H, W\] and affine \[2, C\]; output dx = dy *
/// scale. With a rectifier it is [`MaskedScale`](super::MaskedScale).
#[derive(Clone, Copy, Debug)]
pub struct ChannelScale;

impl Op for ChannelScale {
    fn name(&self) -> &'static str {
        "channel_scale"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, affine] = exactly(self.name(), "inputs", inputs)?;
        affine.expect(self.name(), Shape::matrix(2, dy.channels())?)?;
        Ok(vec![dy])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        // The scales come first, so they are as good as a vector.
        let [dx] = exactly(self.name(), "outputs", launch.outputs)?;
        broadcast::record(true, dx, true, launch)
    }
}

/// The derivatives of frozen batch normalisation with its rectifier, for x, gamma and beta. Inputs dy and x \[N, C, H, W\],
/// affine \[2, C\], mean and variance, each \[C\]; outputs dx, dgamma and dbeta.
#[derive(Clone, Copy, Debug)]
pub struct AffineBackward {
    /// The number added to the variance; finite and above 0.
    pub eps: f32,
}

impl Op for AffineBackward {
    fn name(&self) -> &'static str {
        "affine_backward"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, x, affine, stats @ ..] = exactly::<_, 5>(self.name(), "inputs", inputs)?;
        dy.expect(self.name(), x)?;
        affine.expect(self.name(), Shape::matrix(2, x.channels())?)?;
        check_eps(self.name(), self.eps)?;
        let vector = check_vectors(self.name(), x, &stats)?;
        Ok(vec![x, vector, vector])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0, 1], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [_dy, x, ..] = exactly::<_, 5>(self.name(), "inputs", launch.inputs)?;
        let walk = BACKWARD.over(x);
        walk.sums(launch.to, 1, &[], walk.with_eps(self.eps), launch.buffers)
    }
}
