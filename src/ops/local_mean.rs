//! Average pooling of stride 1, the mean around each pixel: `torch.nn.functional.avg_pool2d(stride=1, count_include_pad=False)`
//! with as much padding as keeps height and width, and the derivative.

use super::walk::{check_turns, kernel, nested};
use crate::gpu::{Kernel, Recording, uniform};
use crate::graph::{Derivatives, Graph, Launch, Node, Op, Shape, Value, exactly};
use crate::{Error, Result};

uniform! {
    struct Params {
        planes: u32,
        height: u32,
        width: u32,
        reach: u32,
    }
}

/// The kernel of the mean around each pixel, which computes y from x; with the constant BACKWARD its derivative dx from dy.
pub static KERNEL: Kernel = kernel!("local_mean", ["index"], Params, [x, mut y]);

/// Average pooling of stride 1 that keeps height and width. Input x \[N, C, H, W\]; output of the shape of x: the mean of the
/// pixels, at most `reach` rows and columns away, that lie in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalMean {
    /// Half of the side of the window that is averaged, rounded down: 1 for 3×3; at most 16384.
    pub reach: u32,
}

impl LocalMean {
    fn check(&self, inputs: &[Shape]) -> Result<Shape> {
        let [x] = exactly(KERNEL.name, "inputs", inputs)?;
        if self.reach > 1 << 14 {
            let given = format_args!("reach {}, the window's pixels to each side", self.reach);
            return Err(Error::mismatch(KERNEL.name, given, "at most 16384"));
        }
        Ok(x)
    }

    fn record(&self, launch: &mut Launch, backward: bool) -> Result<()> {
        let [x] = exactly(KERNEL.name, "inputs", launch.inputs)?;
        let most = |length: u32| length.min(2 * self.reach + 1);
        let turns = u64::from(most(x.height())) * nested(most(x.width()));
        check_turns(launch.to, KERNEL.name, turns)?;
        let params = Params {
            planes: x.images() * x.channels(),
            height: x.height(),
            width: x.width(),
            reach: self.reach,
        };
        let constants = [("BACKWARD", f64::from(u8::from(backward)))];
        let grid = Recording::grid(x.elements(), 64);
        launch.to.dispatch(&KERNEL, &constants, params, launch.buffers, grid).map(drop)
    }
}

impl Op for LocalMean {
    fn name(&self) -> &'static str {
        KERNEL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        Ok(vec![self.check(inputs)?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        Self::record(self, launch, false)
    }

    fn gradient(&self, graph: &mut Graph, _node: &Node, dy: Value, _asked: &[bool]) -> Derivatives {
        Ok(vec![Some(graph.push(LocalMeanBackward(*self), &[dy])?)])
    }
}

/// Input dy; output dx.
#[derive(Clone, Copy, Debug)]
struct LocalMeanBackward(LocalMean);

impl Op for LocalMeanBackward {
    fn name(&self) -> &'static str {
        "local_mean_backward"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        Ok(vec![self.0.check(inputs)?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        self.0.record(launch, true)
    }
}
