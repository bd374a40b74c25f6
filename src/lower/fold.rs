//! Replaces batch normalisation with frozen statistics by a scale and a shift for each channel, which are computed once and not
//! at every run.

use crate::Result;
use crate::graph::{Graph, Node, Value, exactly};
use crate::ops::{Affine, ChannelScale, FoldBatchNorm, FrozenBatchNorm, FrozenBatchNormBackward};
use std::collections::HashMap;
use std::sync::Arc;

/// Replaces [`FrozenBatchNorm`] by a scale and a shift for each channel, and its derivative for x by the scale. A derivative
/// whose forward node is not in the graph stays as it is.
pub fn frozen_batch_norms(graph: &mut Graph) -> Result<()> {
    let mut nodes = Vec::new();
    let mut folded: HashMap<(Value, Value), Value> = HashMap::new();
    for node in graph.nodes().to_vec() {
        if let Some(&FrozenBatchNorm { eps }) = node.is() {
            let [x, gamma, beta, mean, variance] = exactly("fold", "inputs", &node.inputs)?;
            let fold =
                graph.node(Arc::new(FoldBatchNorm { eps }), &[gamma, beta, mean, variance])?;
            let [affine] = exactly("fold", "outputs", &fold.outputs)?;
            folded.insert((gamma, variance), affine);
            let op = Arc::new(Affine { relu: false });
            nodes.extend([fold, Node { op, inputs: vec![x, affine], outputs: node.outputs }]);
        } else if node.is::<FrozenBatchNormBackward>().is_some() {
            let [dy, gamma, variance] = exactly("fold", "inputs", &node.inputs)?;
            nodes.push(match folded.get(&(gamma, variance)) {
                Some(&affine) => Node {
                    op: Arc::new(ChannelScale),
                    inputs: vec![dy, affine],
                    outputs: node.outputs,
                },
                None => node,
            });
        } else {
            nodes.push(node);
        }
    }
    graph.set_nodes(nodes);
    Ok(())
}
