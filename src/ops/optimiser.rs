//! Updates weights in place by gradient descent with momentum or by Adam, and computes the running average of weights and the
//! sum of the gradients of a batch's parts. There is one kernel for each, with an invocation per vec4.

use super::walk::kernel;
use crate::gpu::{Kernel, uniform};
use crate::graph::{Launch, Op, Shape, exactly};
use crate::{Error, Result};

uniform! {
    struct Params { vectors: u32 }
}
uniform! {
    struct SgdParams { vectors: u32, nesterov: u32, momentum: f32, weight_decay: f32 }
}
uniform! {
    struct AdamParams { vectors: u32, decoupled: u32, beta1: f32, beta2: f32, rest1: f32, rest2: f32, eps: f32, weight_decay: f32 }
}

/// The kernel of an SGD step, which updates weights w and their momentum in place.
pub static SGD: Kernel = kernel!("sgd_step", ["index"], SgdParams, [mut w, mut buf, grad, control]);
/// The kernel of an Adam step, which updates weights w and their moments m and v in place.
pub static ADAM: Kernel =
    kernel!("adam_step", ["index"], AdamParams, [mut w, mut m, mut v, grad, control]);
/// The kernel that updates the moving average of weights in place.
pub static EMA: Kernel = kernel!("ema_step", ["index"], Params, [mut average, live, control]);
/// The kernel that adds the gradients of a batch's part to their sum, in place.
pub static ACCUMULATE: Kernel = kernel!("accumulate", ["index"], Params, [mut sum, x, control]);

/// Checks that the inputs are N values of one shape and a control of `words`, and returns the number of vec4s in each.
/// Err, naming `op`, otherwise.
fn check<const N: usize>(op: &'static str, inputs: &[Shape], words: u32) -> Result<u32> {
    let (control, values) = inputs.split_last().unwrap_or((&Shape::SCALAR, &[]));
    let values = exactly::<_, N>(op, "inputs before `control`", values)?;
    control.expect(op, Shape::vector(words)?)?;
    let first = values.first().copied().unwrap_or(Shape::SCALAR);
    values.iter().try_for_each(|value| value.expect(op, first))?;
    Ok(first.elements().div_ceil(4))
}

/// One step of stochastic gradient descent with momentum, `torch.optim.SGD` with dampening 0.
///
/// Inputs weights w and momentum buf (both written in place), grad, all of one shape, and control \[2\]:
/// the learning rate, and 1 at the first step or else 0. No output.
///
/// d = grad + `weight_decay` w; buf = d at the first step, else `momentum` buf + d;
/// w = w - lr (d + `momentum` buf) with Nesterov, else w - lr buf.
#[derive(Clone, Copy, Debug)]
pub struct SgdStep {
    /// The momentum, from 0 to below 1.
    pub momentum: f32,
    /// The weight decay: this times the weights is added to the gradient.
    pub weight_decay: f32,
    /// Whether the momentum is Nesterov's, in the form of Sutskever et al. 2013.
    pub nesterov: bool,
}

impl Op for SgdStep {
    fn name(&self) -> &'static str {
        SGD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        check::<3>(self.name(), inputs, 2)?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[0, 1]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let vectors = check::<3>(self.name(), launch.inputs, 2)?;
        let Self { momentum, weight_decay, nesterov } = *self;
        let params = SgdParams { vectors, nesterov: nesterov.into(), momentum, weight_decay };
        launch.each(&SGD, params, vectors)
    }
}

/// One step of Adam (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1), `torch.optim.Adam`, or of AdamW (Loshchilov and
/// Hutter 2019, arXiv 1711.05101, algorithm 2), `torch.optim.AdamW`.
///
/// Inputs weights w and the moments m and v (all written in place), grad, all of one shape, and control \[3\]:
/// [`AdamStep::control`]'s. No output. m and v start as zeros.
///
/// d = grad + `weight_decay` w, or grad where it is decoupled, and then w first loses lr `weight_decay` w;
/// m = b1 m + (1 - b1) d; v = b2 v + (1 - b2) d²; w = w - lr / (1 - b1^t) m / (√v / √(1 - b2^t) + `eps`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// The decay rates of Adam's two moments, b1 and b2, from 0 to below 1.
    pub betas: [f64; 2],
    /// A small number that is added to the denominator, so that the quotient stays finite.
    pub eps: f32,
    /// The weight decay, a factor of the weights that acts through the gradient (Adam) or, if `decoupled`, on the weights
    /// directly (AdamW).
    pub weight_decay: f32,
    /// Whether weight decay acts on the weights directly, not through the moments: AdamW.
    pub decoupled: bool,
}

impl AdamStep {
    /// Returns the numbers of step `t` (from 1) that the op's control input takes: the learning rate, 1 - b1^t and √(1 - b2^t).
    pub fn control(&self, learning_rate: f64, t: u64) -> [f32; 3] {
        let [mean, square] = self.betas.map(|beta| 1.0 - beta.powf(t as f64));
        [learning_rate as f32, mean as f32, square.sqrt() as f32]
    }
}

impl Op for AdamStep {
    fn name(&self) -> &'static str {
        ADAM.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        if !self.betas.iter().all(|beta| (0.0..1.0).contains(beta)) {
            let given = format_args!("betas {:?}", self.betas);
            return Err(Error::mismatch(self.name(), given, "betas from 0 to below 1"));
        }
        check::<4>(self.name(), inputs, 3)?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[0, 1, 2]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let vectors = check::<4>(self.name(), launch.inputs, 3)?;
        let Self { betas: [beta1, beta2], eps, weight_decay, decoupled } = *self;
        let params = AdamParams {
            vectors,
            decoupled: decoupled.into(),
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            rest1: (1.0 - beta1) as f32,
            rest2: (1.0 - beta2) as f32,
            eps,
            weight_decay,
        };
        launch.each(&ADAM, params, vectors)
    }
}

/// One step of an exponential moving average of weights, `torch.optim.swa_utils.get_ema_avg_fn`.
///
/// Inputs average (written in place) and live, of one shape, and control \[1\]: the decay, 0 to copy
/// live. No output. average = decay average + (1 - decay) live.
#[derive(Clone, Copy, Debug)]
pub struct EmaStep;

impl Op for EmaStep {
    fn name(&self) -> &'static str {
        EMA.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        check::<2>(self.name(), inputs, 1)?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[0]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let vectors = check::<2>(self.name(), launch.inputs, 1)?;
        launch.each(&EMA, Params { vectors }, vectors)
    }
}

/// The sum of the parts of a batch that goes through in pieces: gradients of micro-batches.
///
/// Inputs sum (written in place) and x, of one shape, and control \[2\]: keep, and the factor of x. No output.
/// sum = keep sum + factor x; where keep is 0 the sum begins anew, whatever it held.
#[derive(Clone, Copy, Debug)]
pub struct Accumulate;

impl Op for Accumulate {
    fn name(&self) -> &'static str {
        ACCUMULATE.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        check::<2>(self.name(), inputs, 2)?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[0]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let vectors = check::<2>(self.name(), launch.inputs, 2)?;
        launch.each(&ACCUMULATE, Params { vectors }, vectors)
    }
}
