//! Lowers computation graphs: turns a graph into one that computes the same values with fewer and faster launches, for an adapter
//! and a user's preferences. Lowering comes after differentiation and replaces nodes only: a caller's handles of values stay valid.
//!
//! In this order: the caller's own rules; frozen batch norm becomes a scale and a shift for each channel (`fold`);
//! rectifiers and their derivatives join the normalisation before them (`fuse`, `rectify`); other derivatives of
//! rectifiers read one bit for each element (`masks`); convolutions get the kernels that their table chooses, with
//! weights packed for these (`pack`); ops that follow a convolution are done where it stores its result (`fuse`); ops
//! that compute a rectifier's result write its bits as well (`masks`); and where half precision is asked for, values get
//! it (`half`).

mod edit;
mod fold;
mod fuse;
mod half;
mod masks;
mod pack;
mod program;
mod rectify;

#[doc(hidden)]
pub use pack::Asked;
pub use program::Program;

use crate::Result;
use crate::gpu::{Adapter, Choices, Preferences};
use crate::graph::{Graph, Plan, Value};
use std::sync::Arc;

/// The adapter, preferences and results of tuning for which a computation graph is lowered.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The adapter's description, which says what the hardware can do.
    pub adapter: &'a Adapter,
    /// The user's preferences, such as half precision.
    pub preferences: &'a Preferences,
    /// The kernels that tuning measured to be the fastest; shapes that were not measured get the default kernel.
    pub choices: &'a Choices,
    /// The caller's own rewrite rules, which are applied before the library's, in this order.
    pub rules: &'a [&'a dyn Rule],
}

/// A rewrite rule of the user's, which turns a graph into another that computes the same values, for example by an op of the
/// user's in the place of several.
pub trait Rule: std::fmt::Debug + Send + Sync {
    /// Replaces nodes of the graph ([`Graph::set_nodes`]). The `wanted` values must still be computed; other nodes may be left
    /// out.
    fn rewrite(&self, graph: &mut Graph, wanted: &[Value]) -> Result<()>;
}

/// A computation graph as it runs on the device: rewritten by lowering into fewer and faster kernel launches.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The graph after all rewrites, as it runs.
    pub graph: Graph,
    /// The shapes for which more than one kernel could have been taken, with the choices made.
    pub asked: Vec<Asked>,
}

/// Rewrites a graph into one that computes the same with fewer and faster kernel launches on a given adapter. `wanted` values are
/// still computed, others may be left out.
pub fn lower(graph: &Graph, wanted: &[Value], target: &Target) -> Result<Lowered> {
    let mut graph = graph.clone();
    for rule in target.rules {
        rule.rewrite(&mut graph, wanted)?;
    }
    fold::frozen_batch_norms(&mut graph)?;
    rectify::batch_norms(&mut graph, wanted)?;
    fuse::rectifiers(&mut graph, wanted)?;
    rectify::derivatives(&mut graph, wanted)?;
    masks::derivatives(&mut graph, wanted)?;
    let asked = pack::convolutions(&mut graph, target)?;
    fuse::epilogues(&mut graph, wanted)?;
    masks::makers(&mut graph);
    half::values(&mut graph, wanted, target)?;
    Ok(Lowered { graph, asked })
}

/// Plans the launches of a graph on an adapter, with the static choices and without a device: see [`Plan::new`] for `wanted` and
/// `changing`.
#[doc(hidden)]
pub fn plan(
    graph: &Graph,
    wanted: &[Value],
    changing: &[Value],
    adapter: &Arc<Adapter>,
    preferences: &Preferences,
) -> Result<Plan> {
    let choices = Choices::default();
    let target = Target { adapter, preferences, choices: &choices, rules: &[] };
    Plan::new(&lower(graph, wanted, &target)?.graph, wanted, changing, adapter)
}
