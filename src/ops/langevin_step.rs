//! One step of stochastic gradient Langevin dynamics (Welling and Teh 2011), as JEM samples (Grathwohl and others 2020,
//! arXiv 1912.03263, equation 7).

use super::walk::kernel;
use crate::Result;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Launch, Op, Shape, exactly};

uniform! {
    struct Params { count: u32, step_size: f32, noise_size: f32 }
}

/// x in place.
pub static KERNEL: Kernel =
    kernel!("langevin_step", ["index"], Params, &[("x", Write), ("g", Read), ("noise", Read)]);

/// Inputs x (written in place), the gradient g of the log-density, which is minus the energy's, and standard normal noise,
/// all of one shape; no output. x becomes x + `step_size` g + `noise_size` noise: the gradient as it is, without a ball
/// or the box. JEM takes α/2 = 0.5 and 0.01, where the step of a proper sampler would be half the square of the noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LangevinStep {
    /// Of the gradient.
    pub step_size: f32,
    /// Standard deviation of what is added.
    pub noise_size: f32,
}

impl Op for LangevinStep {
    fn name(&self) -> &'static str {
        KERNEL.name
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
        let [x, _g, _noise] = exactly(self.name(), "inputs", launch.inputs)?;
        let Self { step_size, noise_size } = *self;
        launch.each(&KERNEL, Params { count: x.elements(), step_size, noise_size }, x.elements())
    }
}
