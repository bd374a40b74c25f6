//! Joins batch norm's statistics over the images of all ranks: `stage1.sync_batch_norm`.

use crate::Result;
use crate::graph::{Graph, Node, Value};
use crate::ops::{
    BatchNorm, BatchNormStats, Joined, Synchronise, SynchronisedBatchNorm, UpdateRunningStats,
};
use crate::world::World;
use std::sync::Arc;

/// Rewrites each [`BatchNorm`], before gradients are added, to one whose statistics are joined over ranks.
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

/// Running variances are of as many images as all ranks have, where the graph has one's.
pub(super) fn count_all(graph: &mut Graph, ranks: u32) {
    let mut nodes = graph.nodes().to_vec();
    for node in &mut nodes {
        if let Some(&UpdateRunningStats { momentum, count }) = node.is() {
            let count = count.saturating_mul(ranks);
            node.op = Arc::new(UpdateRunningStats { momentum, count });
        }
    }
    graph.set_nodes(nodes);
}

/// The places at which a replay pauses for the other ranks, in the order of nodes, with the values that are joined there.
#[derive(Debug, Default)]
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

    /// Joins this rank's vectors at a pause with those of all ranks, by a message to all.
    pub fn join(&self, world: &World, at: usize, own: &[Vec<f32>; 2]) -> Result<[Vec<f32>; 2]> {
        let kind = self.0.get(at).map_or(Joined::Means, |(kind, _)| *kind);
        let all = world.gather(bytemuck::cast_slice(&own.concat()).to_vec())?;
        let halves = |bytes: &Vec<u8>| {
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(bytes);
            let (first, second) = values.split_at(values.len() / 2);
            [first.to_vec(), second.to_vec()]
        };
        kind.of(&all.iter().map(halves).collect::<Vec<_>>())
    }
}
