//! One step of Adam (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1), `torch.optim.Adam`, or of AdamW (Loshchilov and
//! Hutter 2019, arXiv 1711.05101, algorithm 2), `torch.optim.AdamW`.

use super::walk::kernel;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Launch, Op, Shape, exactly};
use crate::{Error, Result};

uniform! {
    struct Params { vectors: u32, decoupled: u32, beta1: f32, beta2: f32, rest1: f32, rest2: f32, eps: f32, weight_decay: f32 }
}

/// w, m and v in place.
pub static KERNEL: Kernel = kernel!(
    "adam_step",
    ["index"],
    Params,
    &[("w", Write), ("m", Write), ("v", Write), ("grad", Read), ("control", Read)]
);

/// Inputs weights w and the moments m and v (all written in place), grad, all of one shape, and control \[3\]:
/// [`AdamStep::control`]'s. No output. m and v start as zeros.
///
/// d = grad + `weight_decay` w, or grad where it is decoupled, and then w first loses lr `weight_decay` w;
/// m = b1 m + (1 - b1) d; v = b2 v + (1 - b2) d²; w = w - lr / (1 - b1^t) m / (√v / √(1 - b2^t) + `eps`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// b1 and b2, from 0 to below 1.
    pub betas: [f64; 2],
    /// Keeps the quotient finite.
    pub eps: f32,
    /// Times w.
    pub weight_decay: f32,
    /// `AdamW`: decay goes to the weights, past the moments.
    pub decoupled: bool,
}

impl AdamStep {
    /// The control of step `t`, from 1: the rate, 1 - b1^t and √(1 - b2^t).
    pub fn control(&self, learning_rate: f64, t: u64) -> [f32; 3] {
        let [mean, square] = self.betas.map(|beta| 1.0 - beta.powf(t as f64));
        [learning_rate as f32, mean as f32, square.sqrt() as f32]
    }
}

impl Op for AdamStep {
    fn name(&self) -> &'static str {
        KERNEL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let op = self.name();
        if !self.betas.iter().all(|beta| (0.0..1.0).contains(beta)) {
            return Err(Error::mismatch(
                op,
                format_args!("betas {:?}", self.betas),
                "0 to below 1",
            ));
        }
        let [w, m, v, grad, control] = exactly(op, "inputs", inputs)?;
        [m, v, grad].into_iter().try_for_each(|other| other.expect(op, w))?;
        control.expect(op, Shape::vector(3)?)?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[0, 1, 2]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [w, ..] = exactly::<_, 5>(self.name(), "inputs", launch.inputs)?;
        let Self { betas: [beta1, beta2], eps, weight_decay, decoupled } = *self;
        let vectors = w.elements().div_ceil(4);
        let params = Params {
            vectors,
            decoupled: decoupled.into(),
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            rest1: (1.0 - beta1) as f32,
            rest2: (1.0 - beta2) as f32,
            eps,
            weight_decay,
        };
        launch.each(&KERNEL, params, vectors)
    }
}
