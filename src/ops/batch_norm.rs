//! Batch normalisation with the batch's statistics (Ioffe and Szegedy 2015, arXiv 1502.03167, algorithm 1),
//! `torch.nn.functional.batch_norm(training=True)`, its derivatives, and the update of running statistics.

use super::walk::{EpsParams, Widths, kernel, widths};
use crate::gpu::{BufferId, Kernel, Recording, uniform};
use crate::graph::{Derivatives, Graph, Halves, Launch, Node, Op, Shape, Value, exactly};
use crate::{Error, Result};

uniform! {
    struct StatsParams { images: u32, channels: u32, units: u32, inv_count: f32 }
}
uniform! {
    struct BackwardParams { images: u32, channels: u32, units: u32, eps: f32, inv_count: f32 }
}
uniform! {
    struct UpdateParams { channels: u32, momentum: f32, unbiased: f32 }
}

/// The kernels of batch normalisation's statistics, which compute mean and biased variance of each channel.
pub static STATS: Widths = widths!(
    "batch_norm_stats",
    ["index", "workgroup_sum_vec2"],
    StatsParams,
    [x, mut mean, mut variance],
);

/// The kernels of batch normalisation, which compute y from x and statistics, the batch's or frozen ones.
pub static FORWARD: Widths =
    widths!("batch_norm", ["overflow"], EpsParams, [x, gamma, beta, mean, variance, mut y]);

/// The kernels of batch normalisation's derivative for x, through the statistics too; the constant MASK applies a rectifier's
/// derivative first.
pub static BACKWARD: Widths = widths!(
    "batch_norm_backward",
    [],
    BackwardParams,
    [dy, x, gamma, mean, variance, dgamma, dbeta, mut dx],
);

/// The kernel of batch normalisation's derivatives with respect to gamma and beta, which reads the mean and the variance; if its
/// constant MASK is set, it applies a ReLU's derivative first.
pub static WEIGHTS: Widths = widths!(
    "batch_norm_weights",
    ["index", "workgroup_sum_vec2"],
    EpsParams,
    [dy, x, mean, variance, affine, mut dgamma, mut dbeta],
);

/// The kernel that updates batch normalisation's running statistics in place.
pub static UPDATE: Kernel = kernel!(
    "update_running_stats",
    ["index"],
    UpdateParams,
    [mean, variance, mut running_mean, mut running_variance],
);

/// Batch normalisation by the statistics of the batch. Inputs x \[N, C, H, W\], gamma \[C\] and beta \[C\]; outputs y \[N, C, H,
/// W\] and the batch's mean \[C\] and variance \[C\], which divides by n = NHW:
///
/// y = (x - mean) / sqrt(variance + eps) * gamma + beta
///
/// Err for n = 1, as PyTorch: a variance needs two numbers. The running statistics are not touched; that
/// is [`UpdateRunningStats`]. Derivatives of the mean and variance outputs are not followed.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm {
    /// The number added to the variance before its root is taken; finite and above 0. PyTorch's default is 1e-5.
    pub eps: f32,
}

impl BatchNorm {
    /// Adds a node of batch normalisation to the graph and returns its y, mean and variance.
    pub fn push(self, graph: &mut Graph, inputs: [Value; 3]) -> Result<[Value; 3]> {
        exactly(self.name(), "outputs", &graph.push_all(self, &inputs)?)
    }
}

impl Op for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x, weights @ ..] = exactly::<_, 3>(self.name(), "inputs", inputs)?;
        check_eps(self.name(), self.eps)?;
        let vector = check_vectors(self.name(), x, &weights)?;
        count(self.name(), x)?;
        Ok(vec![x, vector, vector])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x, ..] = exactly::<_, 3>(self.name(), "inputs", launch.inputs)?;
        let [of_x, gamma, beta, y, mean, variance] =
            exactly(self.name(), "buffers", launch.buffers)?;
        record_stats(launch.to, x, [of_x, mean, variance])?;
        let apply = FORWARD.over(x);
        let buffers = [of_x, gamma, beta, mean, variance, y];
        apply.each(launch.to, &[], apply.with_eps(self.eps), &buffers)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, asked: &[bool]) -> Derivatives {
        let [x, gamma, _beta] = exactly(self.name(), "inputs", &node.inputs)?;
        let [_y, mean, variance] = exactly(self.name(), "outputs", &node.outputs)?;
        let [for_x, for_gamma, for_beta] = exactly(self.name(), "flags", asked)?;
        let eps = self.eps;
        // The derivative for x needs both sums, so they are at hand whatever is asked for.
        let sums =
            graph.push_all(BatchNormWeights { eps, mask: false }, &[dy, x, mean, variance])?;
        let [dgamma, dbeta] = exactly(self.name(), "sums", &sums)?;
        let mut dx = None;
        if for_x {
            let inputs = [dy, x, gamma, mean, variance, dgamma, dbeta];
            dx = Some(graph.push(BatchNormBackward { eps, mask: false }, &inputs)?);
        }
        Ok(vec![dx, for_gamma.then_some(dgamma), for_beta.then_some(dbeta)])
    }
}

/// Input x \[N, C, H, W\]; outputs its mean \[C\] and variance \[C\] as of [`BatchNorm`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchNormStats;

impl Op for BatchNormStats {
    fn name(&self) -> &'static str {
        "batch_norm_stats"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x] = exactly(self.name(), "inputs", inputs)?;
        count(self.name(), x)?;
        Ok(vec![Shape::vector(x.channels())?; 2])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0], outputs: &[] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x] = exactly(self.name(), "inputs", launch.inputs)?;
        record_stats(launch.to, x, exactly(self.name(), "buffers", launch.buffers)?)
    }
}

fn record_stats(to: &mut Recording, x: Shape, buffers: [BufferId; 3]) -> Result<()> {
    let walk = STATS.over(x);
    let params = StatsParams {
        images: walk.images,
        channels: walk.channels,
        units: walk.units,
        inv_count: inv_count(x),
    };
    walk.sums(to, 2, &[], params, &buffers)
}

/// Inputs dy, x, gamma, mean, variance, dgamma, dbeta; output dx. With `mask` a rectifier followed the
/// normalisation, dy is of its output, and the folded normalisation \[2, C\] is given in the place of gamma.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchNormBackward {
    pub(crate) eps: f32,
    pub(crate) mask: bool,
}

impl Op for BatchNormBackward {
    fn name(&self) -> &'static str {
        "batch_norm_backward"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, x, gamma, vectors @ ..] = exactly::<_, 7>(self.name(), "inputs", inputs)?;
        dy.expect(self.name(), x)?;
        let vector = check_vectors(self.name(), x, &vectors)?;
        gamma.expect(
            self.name(),
            if self.mask { Shape::matrix(2, x.channels())? } else { vector },
        )?;
        Ok(vec![x])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0, 1], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [_dy, x, ..] = exactly::<_, 7>(self.name(), "inputs", launch.inputs)?;
        let walk = BACKWARD.over(x);
        let params = BackwardParams {
            images: walk.images,
            channels: walk.channels,
            units: walk.units,
            eps: self.eps,
            inv_count: inv_count(x),
        };
        walk.each(launch.to, &[("MASK", f64::from(self.mask))], params, launch.buffers)
    }
}

/// Inputs dy, x, mean, variance; outputs dgamma and dbeta, also where the statistics are frozen. With `mask`
/// a rectifier followed, dy is of its output, and the folded normalisation \[2, C\] is the fifth input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchNormWeights {
    pub(crate) eps: f32,
    pub(crate) mask: bool,
}

impl Op for BatchNormWeights {
    fn name(&self) -> &'static str {
        "batch_norm_weights"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let (dy, x, stats) = if self.mask {
            let [dy, x, stats @ .., affine] = exactly::<_, 5>(self.name(), "inputs", inputs)?;
            affine.expect(self.name(), Shape::matrix(2, x.channels())?)?;
            (dy, x, stats)
        } else {
            let [dy, x, stats @ ..] = exactly::<_, 4>(self.name(), "inputs", inputs)?;
            (dy, x, stats)
        };
        dy.expect(self.name(), x)?;
        let vector = check_vectors(self.name(), x, &stats)?;
        Ok(vec![vector, vector])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0, 1], outputs: &[] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let wanted = "inputs dy, x, mean and variance";
        let few = || Error::mismatch("batch_norm_weights", "too few inputs", wanted);
        let (&[_dy, x, ..], &[dy, of_x, mean, variance, .., dgamma, dbeta]) =
            (launch.inputs, launch.buffers)
        else {
            return Err(few());
        };
        // Without a mask nothing reads the folded normalisation.
        let affine = if self.mask { *launch.buffers.get(4).ok_or_else(few)? } else { mean };
        let walk = WEIGHTS.over(x);
        let mask = [("MASK", f64::from(self.mask))];
        let buffers = [dy, of_x, mean, variance, affine, dgamma, dbeta];
        walk.sums(launch.to, 1, &mask, walk.with_eps(self.eps), &buffers)
    }
}

/// Updates the running statistics of batch normalisation in place. Inputs mean, variance, running_mean, running_variance, each
/// \[C\]; no outputs:
///
/// running = (1 - momentum) * running + momentum * batch, with the variance times n / (n - 1)
///
/// As it writes, it runs in every plan of its graph: leave it out of graphs that only evaluate or attack.
#[derive(Clone, Copy, Debug)]
pub struct UpdateRunningStats {
    /// The weight of the batch's statistics in the running ones, 0 to 1. PyTorch's default is 0.1.
    pub momentum: f32,
    /// The number of values that each channel's statistics were computed from, n = NHW; at least 2.
    pub count: u32,
}

impl UpdateRunningStats {
    /// Makes the op for the statistics of a batch x of this shape. Err if x has only one number for each channel.
    pub fn of(x: Shape, momentum: f32) -> Result<Self> {
        Ok(Self { momentum, count: count("update_running_stats", x)? })
    }
}

impl Op for UpdateRunningStats {
    fn name(&self) -> &'static str {
        UPDATE.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [mean, rest @ ..] = exactly::<_, 4>(self.name(), "inputs", inputs)?;
        check_vectors(self.name(), mean, &[mean])?;
        check_vectors(self.name(), mean, &rest)?;
        if self.count < 2 {
            return Err(Error::mismatch(
                self.name(),
                format_args!("a count of {} values a channel", self.count),
                "at least 2",
            ));
        }
        if !(0.0..=1.0).contains(&self.momentum) {
            return Err(Error::mismatch(
                self.name(),
                format_args!("a momentum of {}", self.momentum),
                "0 to 1",
            ));
        }
        Ok(Vec::new())
    }

    fn writes(&self) -> &[usize] {
        &[2, 3]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [mean, ..] = exactly::<_, 4>(self.name(), "inputs", launch.inputs)?;
        let count = f64::from(self.count);
        let params = UpdateParams {
            channels: mean.channels(),
            momentum: self.momentum,
            unbiased: (count / (count - 1.0)) as f32,
        };
        launch.each(&UPDATE, params, mean.channels())
    }
}

/// Err, in the name of `op`, unless eps is finite and above 0.
pub(super) fn check_eps(op: &'static str, eps: f32) -> Result<()> {
    if eps > 0.0 && eps.is_finite() {
        return Ok(());
    }
    Err(Error::mismatch(op, format_args!("eps {eps}"), "a finite number above 0"))
}

/// Err, in the name of `op`, unless all are vectors of x's channels, whose shape is returned.
pub(super) fn check_vectors(op: &'static str, x: Shape, vectors: &[Shape]) -> Result<Shape> {
    let wanted = Shape::vector(x.channels())?;
    vectors.iter().try_for_each(|vector| vector.expect(op, wanted))?;
    Ok(wanted)
}

/// Returns the count of numbers for each channel. Err, naming `op`, if it is 1.
fn count(op: &'static str, x: Shape) -> Result<u32> {
    match x.images() * x.pixels() {
        1 => Err(Error::mismatch(op, x, "more than one value in each channel")),
        count => Ok(count),
    }
}

fn inv_count(x: Shape) -> f32 {
    1.0 / (x.images() * x.pixels()) as f32
}
