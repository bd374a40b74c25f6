//! Rewrites that know ops: the same values computed with fewer and faster launches. They run after
//! derivatives were taken, on nodes; values keep their numbers, so what a caller holds stays good.
//!
//! In order: frozen batch norm becomes a scale and a shift a channel (`fold`), rectifiers and their
//! derivatives go into the normalisation in front (`fuse`, `rectify`), what else derives rectifiers reads a bit an
//! element (`masks`), convolutions take packed weights (`pack`), what follows a convolution moves into its store
//! (`fuse`), and what makes a rectifier's result writes its bits along (`masks`).

mod edit;
mod fold;
mod fuse;
mod masks;
mod pack;
mod rectify;

use crate::Result;
use crate::gpu::{Adapter, Preferences};
use crate::graph::{Graph, Value};

/// The same graph for this adapter, as the user prefers. `wanted` values are still computed, others may be left out.
pub fn optimise(
    graph: &Graph,
    wanted: &[Value],
    adapter: &Adapter,
    preferences: &Preferences,
) -> Result<Graph> {
    let mut graph = graph.clone();
    fold::frozen_batch_norms(&mut graph)?;
    rectify::batch_norms(&mut graph, wanted)?;
    fuse::rectifiers(&mut graph, wanted)?;
    rectify::derivatives(&mut graph, wanted)?;
    masks::derivatives(&mut graph, wanted)?;
    pack::convolutions(&mut graph, adapter, preferences)?;
    fuse::epilogues(&mut graph, wanted)?;
    masks::makers(&mut graph);
    Ok(graph)
}
