//! Input normalisation with a model's constants, `torchvision.transforms.Normalize`.

use super::walk::{Widths, widths};
use crate::gpu::uniform;
use crate::graph::{Derivatives, Graph, Launch, Node, Op, Shape, Value, exactly};
use crate::{Error, Result};

uniform! {
    struct Params {
        images: u32,
        channels: u32,
        units: u32,
        mean_0: f32,
        mean_1: f32,
        mean_2: f32,
        mean_3: f32,
        std_0: f32,
        std_1: f32,
        std_2: f32,
        std_3: f32,
    }
}

/// The kernels of input normalisation, which compute y from x, and the derivative dx from dy.
pub static KERNEL: Widths = widths!("normalise", [], Params, [x, mut y]);

/// Normalises input images by a mean and a standard deviation for each channel. Input x \[N, C, H, W\]; output (x - mean) / std,
/// of the same shape.
#[derive(Clone, Debug)]
pub struct Normalise {
    /// The mean of each channel; 1 to 4 channels.
    pub mean: Vec<f32>,
    /// The standard deviation of each channel, above 0.
    pub std: Vec<f32>,
}

impl Op for Normalise {
    fn name(&self) -> &'static str {
        "normalise"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x] = exactly(self.name(), "inputs", inputs)?;
        let (means, stds) = (self.mean.len(), self.std.len());
        let channels = x.channels() as usize;
        if !(1..=4).contains(&channels) {
            return Err(Error::mismatch(self.name(), x, "1 to 4 channels"));
        }
        if means != channels || stds != channels {
            let given = format_args!("{means} means and {stds} deviations");
            return Err(Error::mismatch(self.name(), given, format_args!("{channels} of each")));
        }
        if self.mean.iter().any(|mean| !mean.is_finite()) {
            return Err(Error::mismatch(
                self.name(),
                format_args!("{:?}", self.mean),
                "finite means",
            ));
        }
        if self.std.iter().any(|&std| !(std > 0.0 && std.is_finite())) {
            let given = format_args!("{:?}", self.std);
            return Err(Error::mismatch(self.name(), given, "finite deviations above 0"));
        }
        Ok(vec![x])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x] = exactly(self.name(), "inputs", launch.inputs)?;
        let walk = KERNEL.over(x);
        let mean = |c| self.mean.get(c).copied().unwrap_or(0.0);
        let std = |c| self.std.get(c).copied().unwrap_or(1.0);
        let params = Params {
            images: walk.images,
            channels: walk.channels,
            units: walk.units,
            mean_0: mean(0),
            mean_1: mean(1),
            mean_2: mean(2),
            mean_3: mean(3),
            std_0: std(0),
            std_1: std(1),
            std_2: std(2),
            std_3: std(3),
        };
        walk.each(launch.to, &[], params, launch.buffers)
    }

    fn gradient(&self, graph: &mut Graph, _: &Node, dy: Value, _asked: &[bool]) -> Derivatives {
        let scale = Self { mean: vec![0.0; self.mean.len()], std: self.std.clone() };
        Ok(vec![Some(graph.push(scale, &[dy])?)])
    }
}
