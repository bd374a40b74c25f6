//! One file an op: shape rule, launches, derivative and the kernels' host side.

mod add;
mod conv2d;
mod conv2d_tiled;
mod bce_with_logits;
mod concat;
mod copy;
mod cross_entropy;
mod ema_step;
mod energy;
mod fill;
mod images;
mod keep_best;
mod l2_norm;
mod log_sum_exp;
mod momentum_step;
mod per_image;
mod pgd_step;
mod pick_logit;
mod random;
mod random_start;
mod relu;
mod scale;
mod sgd_step;
mod sum;

pub use add::Add;
pub use conv2d::{Conv2d, Conv2dInputGradient, Conv2dWeightGradient};
pub use conv2d_tiled::{Epilogue, PackWeights, Residual, TiledConv2d};
pub use bce_with_logits::BceWithLogits;
pub use concat::Concat;
pub use copy::Copy;
pub use cross_entropy::CrossEntropy;
pub use ema_step::EmaStep;
pub use energy::{joint_energy, marginal_energy};
pub use fill::Fill;
pub use images::Images;
pub use keep_best::KeepBest;
pub use l2_norm::L2Norm;
pub use log_sum_exp::LogSumExp;
pub use momentum_step::MomentumStep;
pub use pgd_step::{Norm, PgdStep};
pub use pick_logit::PickLogit;
pub use random::{Draw, Random};
pub use random_start::{Group, RandomStart};
pub use relu::Relu;
pub(crate) use relu::ReluBackward;
pub use scale::Scale;
pub use sgd_step::SgdStep;
pub use sum::Sum;

use crate::Result;
use crate::gpu::Kernel;
use crate::graph::{Graph, Op, Value};
use std::sync::Arc;

/// Every kernel, by name. tests/kernels.rs fails if one is missing here or differs from its shader.
pub static KERNELS: &[&Kernel] = &[
    &add::KERNEL,
    &conv2d::FORWARD,
    &conv2d::INPUT_GRADIENT,
    &conv2d::WEIGHT_GRADIENT,
    &relu::FORWARD,
    &relu::BACKWARD,
    &bce_with_logits::FORWARD,
    &bce_with_logits::BACKWARD,
    &concat::KERNEL,
    &copy::KERNEL,
    &cross_entropy::FORWARD,
    &cross_entropy::BACKWARD,
    &ema_step::KERNEL,
    &fill::KERNEL,
    &images::FORWARD,
    &images::BACKWARD,
    &keep_best::KERNEL,
    &l2_norm::SCALAR,
    &l2_norm::VEC4,
    &log_sum_exp::FORWARD,
    &log_sum_exp::BACKWARD,
    &momentum_step::SCALAR,
    &momentum_step::VEC4,
    &pgd_step::SCALAR,
    &pgd_step::VEC4,
    &pick_logit::FORWARD,
    &pick_logit::BACKWARD,
    &random::KERNEL,
    &random_start::KERNEL,
    &scale::KERNEL,
    &sgd_step::KERNEL,
    &sum::FORWARD,
    &sum::BACKWARD,
];

/// Adds the nodes of the derivatives of sum(`of` * `seed`) for each value in `wanted`, and of nothing
/// else: the image alone while attacking or sampling, the weights while training.
///
/// `seed` has the shape of `of`. Err if there is no path, or no derivative of an op on one.
pub fn gradient(
    graph: &mut Graph,
    of: Value,
    seed: Value,
    wanted: &[Value],
) -> Result<Vec<Value>> {
    let sum: Arc<dyn Op> = Arc::new(Add);
    graph.gradient_with(of, seed, wanted, &sum)
}
