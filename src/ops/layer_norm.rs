//! Layer normalisation over the channels of each pixel (Ba and others 2016, arXiv 1607.06450), as ConvNeXt has it:
//! `torch.nn.functional.layer_norm` over the channels of an NCHW map, and its derivatives. A matrix \[N, C\] counts as
//! a map of one pixel: the op is then the usual layer norm over the last dimension.

use super::batch_norm::{check_eps, check_vectors};
use super::walk::{EpsParams, WalkParams, Widths, check_turns, widths};
use crate::Result;
use crate::gpu::Recording;
use crate::graph::{Derivatives, Graph, Halves, Launch, Node, Op, Shape, Value, exactly};

/// The kernels of layer normalisation, which compute y and each pixel's mean and inverse standard deviation.
pub static FORWARD: Widths = widths!(
    "layer_norm",
    ["index", "overflow"],
    EpsParams,
    [x, gamma, beta, mut y, mut mean, mut inverse]
);

/// The kernels of layer normalisation's derivative for x.
pub static BACKWARD: Widths =
    widths!("layer_norm_backward", ["index"], WalkParams, [dy, x, gamma, mean, inverse, mut dx],);

/// The kernel of layer normalisation's derivatives with respect to gamma and beta.
pub static WEIGHTS: Widths = widths!(
    "layer_norm_weights",
    ["index", "workgroup_sum_vec2"],
    WalkParams,
    [dy, x, mean, inverse, mut dgamma, mut dbeta],
);

/// Layer normalisation over the channels of each pixel. Inputs x \[N, C, H, W\], gamma \[C\] and beta \[C\]; outputs y of the
/// shape of x, and mean and inverse standard deviation of each pixel, \[N, 1, H, W\]. The variance divides by C:
///
/// y = (x - mean) / sqrt(variance + eps) * gamma + beta
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm {
    /// The number added to the variance before its root is taken; finite and above 0. ConvNeXt's is 1e-6.
    pub eps: f32,
}

impl LayerNorm {
    /// Adds a node of layer normalisation to the graph and returns its output y.
    pub fn push(self, graph: &mut Graph, inputs: [Value; 3]) -> Result<Value> {
        let [y, _mean, _inverse] =
            exactly(self.name(), "outputs", &graph.push_all(self, &inputs)?)?;
        Ok(y)
    }
}

/// Returns the shape of one number for each pixel.
fn pixels(x: Shape) -> Result<Shape> {
    Shape::new(x.images(), 1, x.height(), x.width())
}

impl Op for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x, vectors @ ..] = exactly::<_, 3>(self.name(), "inputs", inputs)?;
        check_eps(self.name(), self.eps)?;
        check_vectors(self.name(), x, &vectors)?;
        Ok(vec![x, pixels(x)?, pixels(x)?])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x, ..] = exactly::<_, 3>(self.name(), "inputs", launch.inputs)?;
        let (kernel, units) = FORWARD.fit(x.pixels());
        check_turns(launch.to, self.name(), 3 * u64::from(x.channels()))?;
        let (images, channels) = (x.images(), x.channels());
        let params = EpsParams { images, channels, units, eps: self.eps };
        launch.all(kernel, params, Recording::grid(images * units, 64))
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, asked: &[bool]) -> Derivatives {
        let [x, gamma, _beta] = exactly(self.name(), "inputs", &node.inputs)?;
        let [_y, mean, inverse] = exactly(self.name(), "outputs", &node.outputs)?;
        let [for_x, for_gamma, for_beta] = exactly(self.name(), "flags", asked)?;
        let (mut dx, mut dgamma, mut dbeta) = (None, None, None);
        if for_x {
            dx = Some(graph.push(LayerNormBackward, &[dy, x, gamma, mean, inverse])?);
        }
        if for_gamma || for_beta {
            let sums = graph.push_all(LayerNormWeights, &[dy, x, mean, inverse])?;
            let [of_gamma, of_beta] = exactly(self.name(), "sums", &sums)?;
            (dgamma, dbeta) = (for_gamma.then_some(of_gamma), for_beta.then_some(of_beta));
        }
        Ok(vec![dx, dgamma, dbeta])
    }
}

/// Inputs dy, x, gamma, mean, inverse; output dx.
#[derive(Clone, Copy, Debug)]
struct LayerNormBackward;

impl Op for LayerNormBackward {
    fn name(&self) -> &'static str {
        "layer_norm_backward"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, x, gamma, statistics @ ..] = exactly::<_, 5>(self.name(), "inputs", inputs)?;
        dy.expect(self.name(), x)?;
        check_vectors(self.name(), x, &[gamma])?;
        statistics.iter().try_for_each(|each| each.expect(self.name(), pixels(x)?))?;
        Ok(vec![x])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0, 1], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [_dy, x, ..] = exactly::<_, 5>(self.name(), "inputs", launch.inputs)?;
        let (kernel, units) = BACKWARD.fit(x.pixels());
        check_turns(launch.to, self.name(), 3 * u64::from(x.channels()))?;
        let (images, channels) = (x.images(), x.channels());
        let params = WalkParams { images, channels, units };
        launch.all(kernel, params, Recording::grid(images * units, 64))
    }
}

/// Inputs dy, x, mean, inverse; outputs dgamma and dbeta.
#[derive(Clone, Copy, Debug)]
struct LayerNormWeights;

impl Op for LayerNormWeights {
    fn name(&self) -> &'static str {
        "layer_norm_weights"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, x, statistics @ ..] = exactly::<_, 4>(self.name(), "inputs", inputs)?;
        dy.expect(self.name(), x)?;
        statistics.iter().try_for_each(|each| each.expect(self.name(), pixels(x)?))?;
        Ok(vec![Shape::vector(x.channels())?; 2])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0, 1], outputs: &[] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [_dy, x, ..] = exactly::<_, 4>(self.name(), "inputs", launch.inputs)?;
        let walk = WEIGHTS.over(x);
        walk.sums(launch.to, 1, &[], walk.params(), launch.buffers)
    }
}
