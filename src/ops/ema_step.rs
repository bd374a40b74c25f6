//! One step of an exponential moving average of weights, `torch.optim.swa_utils.get_ema_avg_fn`.

use super::walk::kernel;
use crate::Result;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Launch, Op, Shape, exactly};

uniform! {
    struct Params { vectors: u32 }
}

/// average in place.
pub static KERNEL: Kernel = kernel!(
    "ema_step",
    ["index"],
    Params,
    &[("average", Write), ("live", Read), ("control", Read)]
);

/// Inputs average (written in place) and live, of one shape, and control \[1\]: the decay, 0 to copy
/// live. No output. average = decay average + (1 - decay) live.
#[derive(Clone, Copy, Debug)]
pub struct EmaStep;

impl Op for EmaStep {
    fn name(&self) -> &'static str {
        KERNEL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [average, live, control] = exactly(self.name(), "inputs", inputs)?;
        live.expect(self.name(), average)?;
        control.expect(self.name(), Shape::vector(1)?)?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[0]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [average, _live, _control] = exactly(self.name(), "inputs", launch.inputs)?;
        let vectors = average.elements().div_ceil(4);
        launch.each(&KERNEL, Params { vectors }, vectors)
    }
}
