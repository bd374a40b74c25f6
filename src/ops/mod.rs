//! Defines all ops, one file for each family: shape rules, launches, derivatives and the kernels' host side.
//!
//! The kernels that ops other than convolutions launch:
//!
//! | family | files | kernels |
//! |---|---|---|
//! | functions of one value | `unary` | one for all functions, one for their derivatives, one for their second ones |
//! | element by element | `elementwise`, `bce_with_logits`, `optimiser` | one for each op, over whole vec4s, as buffers are padded to these |
//! | moves | `concat`, `ranges`, `pad`, `rgba8` | one for each op, an invocation for each word |
//! | maps by channel | `broadcast`, `affine`, `batch_norm`, `frozen_batch_norm`, `normalise` | `_vec4` where a plane is whole vec4s, else `_f32`; grids by `walk::Walk` |
//! | bits of rectifiers | `masks` | a table there |
//! | rows of channels | `layer_norm`, `group_norm` | `layer_norm`: an invocation for each pixel, or for a vec4 of them where a plane is whole vec4s; `group_norm`: a workgroup for each row |
//! | rows of logits | `softmax`, `row_loss` | a workgroup for each row, or an invocation; a table in `row_loss` |
//! | pools and sizes | `avg_pool`, `max_pool`, `local_mean`, `resize` | one for each op; `avg_pool` as `_vec4` where a window's rows are whole vec4s |
//! | matrices | `linear` | `_vec4` where the summed side (for derivatives, the result's columns) is whole vec4s, else `_f32` |
//! | steps of attacks | `steps`, `starts`, `apgd`, `fab`, `square` | a workgroup for each image, `_vec4` where an image is whole vec4s; a table in `steps` |
//! | random numbers | `random`, `advance` | one for each op |

mod advance;
mod affine;
mod apgd;
mod avg_pool;
mod batch_norm;
mod bce_with_logits;
mod broadcast;
mod concat;
pub mod conv;
mod elementwise;
mod energy;
mod fab;
mod frozen_batch_norm;
mod group_norm;
mod layer_norm;
mod level;
mod linear;
mod local_mean;
mod masks;
mod max_pool;
mod normalise;
mod optimiser;
mod pad;
mod peak;
mod r1;
mod random;
mod ranges;
mod resize;
mod rgba8;
mod row_loss;
mod softmax;
mod square;
mod starts;
mod steps;
mod sum;
mod synchronised;
mod unary;
mod walk;

pub use avg_pool::{AvgPool, GlobalAvgPool};
pub use batch_norm::{BatchNorm, UpdateRunningStats};
pub use bce_with_logits::BceWithLogits;
pub use broadcast::{Broadcast, Reduce};
pub use concat::{Concat, ConcatChannels};
pub use conv::{Conv2d, GroupedConv2d};
pub use elementwise::{Add, Copy, Fill, Mul, Reshape, Scale};
pub use energy::{joint_energy, marginal_energy};
pub use frozen_batch_norm::FrozenBatchNorm;
pub use group_norm::GroupNorm;
pub use layer_norm::LayerNorm;
pub(crate) use level::{Level, image_gradient};
pub use linear::Linear;
pub use local_mean::LocalMean;
pub use max_pool::MaxPool;
pub use normalise::Normalise;
pub use optimiser::{AdamStep, EmaStep, SgdStep};
pub use pad::Pad;
pub use r1::r1;
pub use random::{Draw, RandomFill};
pub use ranges::{ChannelRange, ImageRange};
pub use resize::{Filter, Resize};
pub use rgba8::Rgba8;
pub use row_loss::{CrossEntropy, Dlr, Margin, PickLogit};
pub use softmax::{LogSumExp, Softmax};
pub use starts::{Group, RandomStart};
pub use steps::{KeepBest, L2Norm, LangevinStep, MomentumStep, Norm, PgdStep};
pub use sum::Sum;
pub use unary::Unary;
// Ops that lowering, attacks and training put into graphs by themselves: public for tests and tools, but no part of the API.
#[doc(hidden)]
pub use {
    advance::Advance,
    affine::{Affine, AffineBackward, ChannelScale, FoldBatchNorm},
    apgd::{ApgdJudge, ApgdState, ApgdStep, apgd_state},
    conv::{
        ConvRole, Epilogue, PackWeights, PackedConv2d, PackedWeightGradient, Problem, Residual,
        Winograd,
    },
    fab::{FabJudge, FabNearest, FabStep},
    masks::{AffineMask, MaskedScale, ReluMask},
    optimiser::Accumulate,
    peak::{Peak, peak},
    square::{SquareStart, SquareStep, square_state},
    starts::BoundaryStart,
    synchronised::{Joined, Synchronise, SynchronisedBatchNorm},
};
pub(crate) use {
    batch_norm::{BatchNormBackward, BatchNormStats, BatchNormWeights},
    frozen_batch_norm::FrozenBatchNormBackward,
    unary::UnaryBackward,
};

use crate::Result;
use crate::gpu::Kernel;
use crate::graph::{Graph, Op, Value};
use std::sync::Arc;

/// Lists kernels module by module: single ones, those in two widths, and losses with their derivatives.
macro_rules! kernels {
    ($($module:ident: [$($one:ident),*] $(widths [$($pair:ident),*])? $(both [$($loss:ident),*])?;)* $(& $other:expr;)*) => {
        &[
            $($(&$module::$one,)* $($(&$module::$pair.vec4, &$module::$pair.f32,)*)?
            $($(&$module::$loss[0], &$module::$loss[1],)*)?)*
            $(&$other,)*
        ]
    };
}

/// All kernels of the library. tests/kernels.rs fails if one is missing here or differs from its shader.
#[doc(hidden)]
pub static KERNELS: &[&Kernel] = kernels! {
    advance: [KERNEL];
    affine: [FOLD] widths [AFFINE, BACKWARD];
    apgd: [] widths [JUDGE, STEP];
    avg_pool: [] widths [BACKWARD, FORWARD];
    batch_norm: [UPDATE] widths [BACKWARD, FORWARD, STATS, WEIGHTS];
    bce_with_logits: [BACKWARD, FORWARD];
    broadcast: [] widths [BROADCAST, REDUCE];
    concat: [KERNEL];
    elementwise: [ADD, COPY, FILL, MUL, SCALE];
    fab: [] widths [JUDGE, NEAREST, STEP];
    frozen_batch_norm: [] widths [BACKWARD];
    group_norm: [BACKWARD, FORWARD];
    layer_norm: [] widths [BACKWARD, FORWARD, WEIGHTS];
    linear: [] widths [BACKWARD, FORWARD];
    level: [KERNEL];
    local_mean: [KERNEL];
    masks: [AFFINE, MASK] widths [SCALE];
    max_pool: [BACKWARD, FORWARD];
    normalise: [] widths [KERNEL];
    optimiser: [ACCUMULATE, ADAM, EMA, SGD];
    pad: [KERNEL];
    peak: [KERNEL];
    random: [KERNEL];
    ranges: [BACKWARD, FORWARD];
    resize: [BACKWARD, FORWARD];
    rgba8: [KERNEL];
    row_loss: [] both [CROSS_ENTROPY, DLR, MARGIN, PICK];
    softmax: [BACKWARD, FORWARD, LOG_SUM_EXP, LOG_SUM_EXP_BACKWARD];
    square: [L2, LINF, START];
    starts: [BOUNDARY, RANDOM];
    steps: [KEEP_BEST, LANGEVIN] widths [L2_NORM, MOMENTUM, PGD];
    sum: [BACKWARD, FORWARD];
    unary: [BACKWARD, FORWARD, SECOND];
    &conv::plain::FORWARD;
    &conv::plain::INPUT_GRADIENT;
    &conv::plain::WEIGHT_GRADIENT;
    &conv::plain::GROUPED;
    &conv::plain::GROUPED_INPUT_GRADIENT;
    &conv::plain::GROUPED_WEIGHT_GRADIENT;
    &conv::pack::PACK;
    &conv::pack::PACK_WINOGRAD;
    &conv::pack::WINOGRAD_WEIGHTS;
    &conv::depthwise::DEPTHWISE;
    &conv::kernels::BLOCK;
    &conv::kernels::POINT_BLOCK;
    &conv::kernels::WEIGHTS_BLOCK;
    &conv::kernels::COOPERATIVE_16;
    &conv::kernels::COOPERATIVE_8;
    &conv::kernels::DOUBLE.storage;
    &conv::kernels::DOUBLE.texels;
    &conv::kernels::DOUBLE_TALL;
    &conv::kernels::GEMM;
    &conv::kernels::GEMM_WORDS;
    &conv::kernels::HALVE.storage;
    &conv::kernels::HALVE.texels;
    &conv::kernels::HALVE_TALL;
    &conv::kernels::POINT.storage;
    &conv::kernels::POINT.texels;
    &conv::kernels::QUADS.storage;
    &conv::kernels::QUADS.texels;
    &conv::kernels::TALL;
    &conv::kernels::TAPS.storage;
    &conv::kernels::TAPS.texels;
    &conv::kernels::WINOGRAD;
    &conv::kernels::WEIGHTS_COOPERATIVE_16;
    &conv::kernels::WEIGHTS_COOPERATIVE_8;
    &conv::kernels::WEIGHTS_GEMM;
    &conv::kernels::WEIGHTS_GEMM_POINTS;
    &conv::kernels::WEIGHTS_GEMM_WORDS;
    &conv::kernels::WEIGHTS_NINE;
    &conv::kernels::WEIGHTS_NINE_TEXELS;
    &conv::weights::SUM_PARTS;
    &conv::kernels::SUM_SLICES;
    &conv::kernels::SUM_SLICES_WORDS;
    &conv::kernels::WEIGHTS_TAPS;
    &conv::kernels::WEIGHTS_TAPS_TEXELS;
    &conv::winograd::INPUT_FOUR;
    &conv::winograd::INPUT_TWO;
    &conv::winograd::OUTPUT_FOUR;
    &conv::winograd::OUTPUT_TWO;
    &conv::winograd::PRODUCT;
};

/// Adds the nodes of the derivatives of sum(`of` * `seed`) with respect to each value in `wanted`, and of nothing else: with
/// respect to the images alone while attacking or sampling, to the weights while training.
///
/// `seed` has the shape of `of`. Err if there is no path, or no derivative of an op on one.
pub fn gradient(graph: &mut Graph, of: Value, seed: Value, wanted: &[Value]) -> Result<Vec<Value>> {
    let sum: Arc<dyn Op> = Arc::new(Add);
    graph.gradient_with(of, seed, wanted, &sum)
}
