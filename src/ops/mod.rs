//! One file an op: shape rule, launches, derivative and the kernels' host side.

mod add;
mod conv2d;
mod conv2d_tiled;
mod relu;

pub use add::Add;
pub use conv2d::{Conv2d, Conv2dInputGradient, Conv2dWeightGradient};
pub use conv2d_tiled::{Epilogue, PackWeights, Residual, TiledConv2d};
pub use relu::Relu;
pub(crate) use relu::ReluBackward;

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
