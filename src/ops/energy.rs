//! Computes the joint and the marginal energy from a classifier's logits (Grathwohl et al. 2020, arXiv 1912.03263, equations 4
//! and 5).

use super::{LogSumExp, PickLogit, Scale};
use crate::Result;
use crate::graph::{Graph, Value};

/// Adds the joint energy of images and labels, E(x, y) = -f(x)\[y\]: one number for each image \[N\], from logits \[N, K\] and
/// labels \[N\] (u32).
pub fn joint_energy(graph: &mut Graph, logits: Value, labels: Value) -> Result<Value> {
    let picked = graph.push(PickLogit, &[logits, labels])?;
    graph.push(Scale { factor: -1.0 }, &[picked])
}

/// Adds the energy of images, E(x) = -logsumexp f(x): one number for each image \[N\], from logits \[N, K\].
pub fn marginal_energy(graph: &mut Graph, logits: Value) -> Result<Value> {
    let sum = graph.push(LogSumExp, &[logits])?;
    graph.push(Scale { factor: -1.0 }, &[sum])
}
