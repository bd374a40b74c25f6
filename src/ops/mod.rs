//! One file an op: shape rule, launches, derivative and the kernels' host side.

mod add;
mod affine;
mod avg_pool;
mod batch_norm;
mod broadcast_add;
mod frozen_batch_norm;
mod linear;
mod normalise;
mod relu;
mod silu;
mod walk;

pub use add::Add;
pub use affine::{Affine, ChannelScale, FoldBatchNorm};
pub use avg_pool::{AvgPool, GlobalAvgPool};
pub use batch_norm::{BatchNorm, UpdateRunningStats};
pub use broadcast_add::BroadcastAdd;
pub use frozen_batch_norm::FrozenBatchNorm;
pub use linear::Linear;
pub use normalise::Normalise;
pub use relu::Relu;
pub use silu::Silu;
#[expect(unused_imports, reason = "for rewrites to match, which are not there yet")]
pub(crate) use {
    avg_pool::AvgPoolBackward,
    batch_norm::{BatchNormBackward, BatchNormWeights},
    broadcast_add::{ChannelSum, ImageSum},
    frozen_batch_norm::FrozenBatchNormBackward,
    linear::Product,
    relu::ReluBackward,
    silu::SiluBackward,
};

use crate::Result;
use crate::gpu::Kernel;
use crate::graph::{Graph, Op, Value};
use std::sync::Arc;

/// Every kernel, by name. tests/kernels.rs fails if one is missing here or differs from its shader.
#[rustfmt::skip] // one line an op
pub static KERNELS: &[&Kernel] = &[
    &add::KERNEL,
    &affine::FOLD, &affine::AFFINE.vec4, &affine::AFFINE.f32, &affine::SCALE.vec4, &affine::SCALE.f32,
    &avg_pool::FORWARD.vec4, &avg_pool::FORWARD.f32, &avg_pool::BACKWARD.vec4, &avg_pool::BACKWARD.f32,
    &batch_norm::STATS.vec4, &batch_norm::STATS.f32, &batch_norm::FORWARD.vec4, &batch_norm::FORWARD.f32,
    &batch_norm::BACKWARD.vec4, &batch_norm::BACKWARD.f32, &batch_norm::WEIGHTS.vec4, &batch_norm::WEIGHTS.f32,
    &batch_norm::UPDATE,
    &broadcast_add::FORWARD.vec4, &broadcast_add::FORWARD.f32, &broadcast_add::SUM.vec4, &broadcast_add::SUM.f32,
    &frozen_batch_norm::BACKWARD.vec4, &frozen_batch_norm::BACKWARD.f32,
    &linear::FORWARD.vec4, &linear::FORWARD.f32, &linear::BACKWARD.vec4, &linear::BACKWARD.f32,
    &normalise::KERNEL.vec4, &normalise::KERNEL.f32,
    &relu::FORWARD, &relu::BACKWARD,
    &silu::FORWARD, &silu::BACKWARD,
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
