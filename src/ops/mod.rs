//! One file an op: shape rule, launches, derivative and the kernels' host side.

mod accumulate;
mod adam_step;
mod add;
mod advance;
mod affine;
mod affine_mask;
mod apgd;
mod avg_pool;
mod batch_norm;
mod bce_with_logits;
mod boundary_start;
mod broadcast_add;
mod broadcast_mul;
mod concat;
mod concat_channels;
pub mod conv;
mod copy;
mod cross_entropy;
mod dlr;
mod ema_step;
mod energy;
mod fab;
mod fill;
mod frozen_batch_norm;
mod group_norm;
mod images;
mod keep_best;
mod l2_norm;
mod langevin_step;
mod layer_norm;
mod linear;
mod local_mean;
mod log_sum_exp;
mod margin;
mod masked_scale;
mod max_pool;
mod momentum_step;
mod normalise;
mod pad;
mod peak;
mod per_image;
mod pgd_step;
mod pick_logit;
mod r1;
mod random;
mod random_start;
mod relu_mask;
mod reshape;
mod resize;
mod rgba8;
mod scale;
mod sgd_step;
mod softmax;
mod square;
mod sum;
mod unary;
mod walk;

pub use accumulate::Accumulate;
pub use adam_step::AdamStep;
pub use add::Add;
pub use advance::Advance;
pub use affine::{Affine, AffineBackward, ChannelScale, FoldBatchNorm};
pub use affine_mask::AffineMask;
pub use apgd::{ApgdJudge, ApgdState, ApgdStep, apgd_state};
pub use avg_pool::{AvgPool, GlobalAvgPool};
pub use batch_norm::{BatchNorm, UpdateRunningStats};
pub use bce_with_logits::BceWithLogits;
pub use boundary_start::BoundaryStart;
pub use broadcast_add::BroadcastAdd;
pub use broadcast_mul::{BroadcastMul, ChannelDot, ImageDot};
pub use concat::Concat;
pub use concat_channels::ConcatChannels;
pub use conv::{
    Conv2d, Epilogue, GroupedConv2d, PackWeights, PackedConv2d, PackedWeightGradient, Problem,
    Residual, Role, Winograd,
};
pub use copy::Copy;
pub use cross_entropy::CrossEntropy;
pub use dlr::Dlr;
pub use ema_step::EmaStep;
pub use energy::{joint_energy, marginal_energy};
pub use fab::{FabJudge, FabNearest, FabStep};
pub use fill::Fill;
pub use frozen_batch_norm::FrozenBatchNorm;
pub use group_norm::GroupNorm;
pub use images::Images;
pub use keep_best::KeepBest;
pub use l2_norm::L2Norm;
pub use langevin_step::LangevinStep;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use local_mean::LocalMean;
pub use log_sum_exp::LogSumExp;
pub use margin::Margin;
pub use masked_scale::MaskedScale;
pub use max_pool::MaxPool;
pub use momentum_step::MomentumStep;
pub use normalise::Normalise;
pub use pad::Pad;
pub use peak::{Peak, peak};
pub use pgd_step::{Norm, PgdStep};
pub use pick_logit::PickLogit;
pub use r1::r1;
pub use random::{Draw, Random};
pub use random_start::{Group, RandomStart};
pub use relu_mask::ReluMask;
pub use reshape::Reshape;
pub use resize::{Filter, Resize};
pub use rgba8::Rgba8;
pub use scale::Scale;
pub use sgd_step::SgdStep;
pub use softmax::Softmax;
pub use square::{SquareStart, SquareStep, square_state};
pub use sum::Sum;
pub use unary::Unary;
pub(crate) use {
    batch_norm::{BatchNormBackward, BatchNormStats, BatchNormWeights},
    frozen_batch_norm::FrozenBatchNormBackward,
    unary::UnaryBackward,
};

use crate::Result;
use crate::gpu::Kernel;
use crate::graph::{Graph, Op, Value};
use std::sync::Arc;

/// Every kernel, by name. tests/kernels.rs fails if one is missing here or differs from its shader.
pub static KERNELS: &[&Kernel] = &[
    &accumulate::KERNEL,
    &adam_step::KERNEL,
    &add::KERNEL,
    &advance::KERNEL,
    &affine::AFFINE.f32,
    &affine::AFFINE.vec4,
    &affine::BACKWARD.f32,
    &affine::BACKWARD.vec4,
    &affine::FOLD,
    &affine::SCALE.f32,
    &affine::SCALE.vec4,
    &affine_mask::KERNEL,
    &apgd::JUDGE_SCALAR,
    &apgd::JUDGE_VEC4,
    &apgd::STEP_SCALAR,
    &apgd::STEP_VEC4,
    &avg_pool::BACKWARD.f32,
    &avg_pool::BACKWARD.vec4,
    &avg_pool::FORWARD.f32,
    &avg_pool::FORWARD.vec4,
    &batch_norm::BACKWARD.f32,
    &batch_norm::BACKWARD.vec4,
    &batch_norm::FORWARD.f32,
    &batch_norm::FORWARD.vec4,
    &batch_norm::STATS.f32,
    &batch_norm::STATS.vec4,
    &batch_norm::UPDATE,
    &batch_norm::WEIGHTS.f32,
    &batch_norm::WEIGHTS.vec4,
    &bce_with_logits::BACKWARD,
    &bce_with_logits::FORWARD,
    &boundary_start::KERNEL,
    &broadcast_add::FORWARD.f32,
    &broadcast_add::FORWARD.vec4,
    &broadcast_add::SUM.f32,
    &broadcast_add::SUM.vec4,
    &broadcast_mul::DOT.f32,
    &broadcast_mul::DOT.vec4,
    &broadcast_mul::FORWARD.f32,
    &broadcast_mul::FORWARD.vec4,
    &concat::KERNEL,
    &concat_channels::KERNEL,
    &conv::plain::FORWARD,
    &conv::plain::INPUT_GRADIENT,
    &conv::plain::WEIGHT_GRADIENT,
    &copy::KERNEL,
    &cross_entropy::BACKWARD,
    &cross_entropy::FORWARD,
    &dlr::BACKWARD,
    &dlr::FORWARD,
    &ema_step::KERNEL,
    &fab::JUDGE_SCALAR,
    &fab::JUDGE_VEC4,
    &fab::NEAREST_SCALAR,
    &fab::NEAREST_VEC4,
    &fab::STEP_SCALAR,
    &fab::STEP_VEC4,
    &fill::KERNEL,
    &frozen_batch_norm::BACKWARD.f32,
    &frozen_batch_norm::BACKWARD.vec4,
    &group_norm::BACKWARD,
    &group_norm::FORWARD,
    &conv::plain::GROUPED,
    &conv::plain::GROUPED_INPUT_GRADIENT,
    &conv::plain::GROUPED_WEIGHT_GRADIENT,
    &images::BACKWARD,
    &images::FORWARD,
    &keep_best::KERNEL,
    &l2_norm::SCALAR,
    &l2_norm::VEC4,
    &langevin_step::KERNEL,
    &layer_norm::BACKWARD.f32,
    &layer_norm::BACKWARD.vec4,
    &layer_norm::FORWARD.f32,
    &layer_norm::FORWARD.vec4,
    &layer_norm::WEIGHTS.f32,
    &layer_norm::WEIGHTS.vec4,
    &linear::BACKWARD.f32,
    &linear::BACKWARD.vec4,
    &linear::FORWARD.f32,
    &linear::FORWARD.vec4,
    &local_mean::KERNEL,
    &log_sum_exp::BACKWARD,
    &log_sum_exp::FORWARD,
    &margin::BACKWARD,
    &margin::FORWARD,
    &masked_scale::KERNEL.f32,
    &masked_scale::KERNEL.vec4,
    &max_pool::BACKWARD,
    &max_pool::FORWARD,
    &momentum_step::SCALAR,
    &momentum_step::VEC4,
    &normalise::KERNEL.f32,
    &normalise::KERNEL.vec4,
    &conv::pack::PACK,
    &conv::pack::PACK_HALF,
    &conv::pack::PACK_WINOGRAD,
    &conv::pack::WINOGRAD_WEIGHTS,
    &conv::kernels::BLOCK,
    &conv::kernels::DOUBLE.storage,
    &conv::kernels::DOUBLE.half,
    &conv::kernels::DOUBLE.texels,
    &conv::kernels::GEMM,
    &conv::kernels::GEMM_WORDS,
    &conv::kernels::HALVE.storage,
    &conv::kernels::HALVE.half,
    &conv::kernels::HALVE.texels,
    &conv::kernels::POINT_BLOCK,
    &conv::kernels::POINT.storage,
    &conv::kernels::POINT.half,
    &conv::kernels::POINT.texels,
    &conv::kernels::QUADS.storage,
    &conv::kernels::QUADS.half,
    &conv::kernels::QUADS.texels,
    &conv::kernels::TALL,
    &conv::kernels::HALVE_TALL,
    &conv::kernels::DOUBLE_TALL,
    &conv::kernels::TAPS.storage,
    &conv::kernels::TAPS.half,
    &conv::kernels::TAPS.texels,
    &conv::kernels::WINOGRAD,
    &conv::kernels::WEIGHTS_BLOCK,
    &conv::kernels::WEIGHTS_GEMM,
    &conv::kernels::WEIGHTS_NINE,
    &conv::kernels::WEIGHTS_NINE_TEXELS,
    &conv::weights::SUM_PARTS,
    &conv::kernels::WEIGHTS_TAPS,
    &conv::kernels::WEIGHTS_TAPS_TEXELS,
    &pad::KERNEL,
    &peak::KERNEL,
    &pgd_step::SCALAR,
    &pgd_step::VEC4,
    &pick_logit::BACKWARD,
    &pick_logit::FORWARD,
    &random::KERNEL,
    &random_start::KERNEL,
    &relu_mask::KERNEL,
    &resize::BACKWARD,
    &resize::FORWARD,
    &rgba8::KERNEL,
    &scale::KERNEL,
    &sgd_step::KERNEL,
    &softmax::BACKWARD,
    &softmax::FORWARD,
    &square::L2,
    &square::LINF,
    &square::START,
    &sum::BACKWARD,
    &sum::FORWARD,
    &unary::BACKWARD,
    &unary::FORWARD,
    &unary::SECOND,
    &conv::winograd::INPUT_FOUR,
    &conv::winograd::INPUT_TWO,
    &conv::winograd::OUTPUT_FOUR,
    &conv::winograd::OUTPUT_TWO,
    &conv::winograd::PRODUCT,
];

/// Adds the nodes of the derivatives of sum(`of` * `seed`) for each value in `wanted`, and of nothing
/// else: the image alone while attacking or sampling, the weights while training.
///
/// `seed` has the shape of `of`. Err if there is no path, or no derivative of an op on one.
pub fn gradient(graph: &mut Graph, of: Value, seed: Value, wanted: &[Value]) -> Result<Vec<Value>> {
    let sum: Arc<dyn Op> = Arc::new(Add);
    graph.gradient_with(of, seed, wanted, &sum)
}
