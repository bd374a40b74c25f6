//! Computes batch norm's statistics over a whole batch that is divided into parts or among processes, which the setting
//! `stage1.sync_batch_norm` turns on.

use crate::Result;
use crate::graph::{Graph, Node, Value};
use crate::ops::{
    BatchNorm, BatchNormStats, Joined, Synchronise, SynchronisedBatchNorm, UpdateRunningStats,
};
use crate::world::World;
use std::sync::Arc;

/// The part of a loss's images among those whose statistics of batch norm are joined.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joining {
    /// The number of equal pieces of a batch, each with a loss of its own, that are joined; 1 for images that stand alone.
    pub pieces: u32,
    /// Whether batch norm's running statistics are updated by this loss: of all that one process makes, the first alone. The
    /// others come to the same statistics, which would count again.
    pub leads: bool,
}

impl Joining {
    /// The setting for a loss whose batch norm statistics are of its own images alone.
    pub const NONE: Self = Self { pieces: 1, leads: true };
}

/// Rewrites each [`BatchNorm`], before gradients are added, to one whose statistics are joined over pieces.
pub(super) fn join_statistics(graph: &mut Graph) -> Result<()> {
    let mut nodes = Vec::new();
    for node in graph.nodes().to_vec() {
        let (Some(&BatchNorm { eps }), &[x, gamma, beta], &[y, mean, variance]) =
            (node.is(), &node.inputs[..], &node.outputs[..])
        else {
            nodes.push(node);
            continue;
        };
        let own = graph.node(Arc::new(BatchNormStats), &[x])?;
        let joined = Node {
            op: Arc::new(Synchronise(Joined::Statistics)),
            inputs: own.outputs.clone(),
            outputs: vec![mean, variance],
        };
        let normalise = Node {
            op: Arc::new(SynchronisedBatchNorm { eps }),
            inputs: vec![x, gamma, beta, mean, variance],
            outputs: vec![y],
        };
        nodes.extend([own, joined, normalise]);
    }
    graph.set_nodes(nodes);
    Ok(())
}

/// Running variances are of as many images as all pieces have, where the graph has one's.
pub(super) fn count_all(graph: &mut Graph, pieces: u32) {
    let mut nodes = graph.nodes().to_vec();
    for node in &mut nodes {
        if let Some(&UpdateRunningStats { momentum, count }) = node.is() {
            let count = count.saturating_mul(pieces);
            node.op = Arc::new(UpdateRunningStats { momentum, count });
        }
    }
    graph.set_nodes(nodes);
}

/// The places at which a replay pauses for other pieces, in the order of nodes, with the values that are joined there.
#[derive(Clone, Debug, Default)]
pub(super) struct Pauses(Vec<(Joined, [Value; 2])>);

impl Pauses {
    pub fn of(graph: &Graph) -> Self {
        let pause = |node: &Node| match (node.is(), &node.outputs[..]) {
            (Some(&Synchronise(joined)), &[first, second]) => Some((joined, [first, second])),
            _ => None,
        };
        Self(graph.nodes().iter().filter_map(pause).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn values(&self) -> Vec<[Value; 2]> {
        self.0.iter().map(|(_, values)| *values).collect()
    }

    /// Joins the vectors of this process's pieces at a pause, such as statistics of batch norm, with those of all processes, in
    /// the order of the batch, by a message to all.
    pub fn join(&self, world: &World, at: usize, own: &[[Vec<f32>; 2]]) -> Result<[Vec<f32>; 2]> {
        let kind = self.0.get(at).map_or(Joined::Means, |(kind, _)| *kind);
        if !world.is_shared() {
            return kind.of(own);
        }
        let all = world.joined(own.concat().concat())?;
        let vectors = world.size() * own.len() * 2;
        let vectors = all.chunks(all.len().div_ceil(vectors).max(1)).map(<[f32]>::to_vec);
        kind.of(vectors.collect::<Vec<_>>().as_chunks::<2>().0)
    }
}
