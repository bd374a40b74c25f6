//! Lowering: turns a graph into one that computes the same values with fewer and faster launches, for an adapter and a user's
//! preferences. It runs after derivatives were taken, on nodes; values keep their numbers, so what a caller holds
//! stays good.
//!
//! In order: rules of the caller's own, frozen batch norm becomes a scale and a shift a channel (`fold`), rectifiers and
//! their derivatives go into the normalisation in front (`fuse`, `rectify`), what else derives rectifiers reads a bit an
//! element (`masks`), convolutions take the rows that their table chooses, with weights packed for these (`pack`), what
//! follows a convolution moves into its store (`fuse`), and what makes a rectifier's result writes its bits along (`masks`).

mod edit;
mod fold;
mod fuse;
mod masks;
mod pack;
mod program;
mod rectify;

pub use pack::Asked;
pub use program::Program;

use crate::Result;
use crate::gpu::{Adapter, Choices, Preferences};
use crate::graph::{Graph, Value};

/// What a graph is lowered for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The hardware.
    pub adapter: &'a Adapter,
    /// What the user asks for.
    pub preferences: &'a Preferences,
    /// What was measured on the hardware; the static choice stands where nothing was.
    pub choices: &'a Choices,
    /// Rules of the caller's own, which come first, in this order.
    pub rules: &'a [&'a dyn Rule],
}

/// A change of a graph that keeps its values, as an op of one's own in the place of several.
pub trait Rule: std::fmt::Debug + Send + Sync {
    /// Replaces nodes ([`Graph::set_nodes`]). `wanted` values are still to be made, others may be left out.
    fn rewrite(&self, graph: &mut Graph, wanted: &[Value]) -> Result<()>;
}

/// A graph as it runs.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The nodes.
    pub graph: Graph,
    /// What had more than one answer.
    pub asked: Vec<Asked>,
}

/// The same graph for a target. `wanted` values are still computed, others may be left out.
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
    Ok(Lowered { graph, asked })
}
