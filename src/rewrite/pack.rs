//! Convolutions and their derivatives on the packed kernels. Weights are packed once before the replays
//! where they stand still.

use crate::Result;
use crate::gpu::Adapter;
use crate::graph::{Graph, Node, Value, exactly};
use crate::ops::{
    Conv2d, Conv2dInputGradient, Conv2dWeightGradient, Epilogue, PackWeights, PackedConv2d,
    PackedWeightGradient,
};
use std::collections::HashMap;
use std::sync::Arc;

/// Replaces [`Conv2d`] and both derivatives.
pub fn convolutions(graph: &mut Graph, adapter: &Adapter) -> Result<()> {
    let mut nodes = Vec::new();
    let mut packs: Vec<(PackWeights, HashMap<Value, Value>)> = Vec::new();
    for node in graph.nodes().to_vec() {
        let epilogue = Epilogue::default();
        let (op, from, w) = if let Some(&conv) = node.is::<Conv2d>() {
            let [x, w] = exactly("pack", "inputs", &node.inputs)?;
            let (of_x, of_w) = (graph.shape(x)?, graph.shape(w)?);
            let winograd = PackedConv2d::is_filtered(conv, of_x, of_w, adapter);
            (PackedConv2d { conv, x: of_x, w: of_w, transposed: false, winograd, epilogue }, x, w)
        } else if let Some(&Conv2dInputGradient { conv, x }) = node.is() {
            let [dy, w] = exactly("pack", "inputs", &node.inputs)?;
            let w_shape = graph.shape(w)?;
            let winograd = PackedConv2d::is_filtered(conv, x, w_shape, adapter);
            (PackedConv2d { conv, x, w: w_shape, transposed: true, winograd, epilogue }, dy, w)
        } else if let Some(&Conv2dWeightGradient { conv, w }) = node.is() {
            let [_dy, x] = exactly("pack", "inputs", &node.inputs)?;
            nodes.push(match PackedWeightGradient::new(conv, graph.shape(x)?, w, adapter) {
                Some(op) => {
                    // The parts are scratch of its own; dw keeps its value.
                    let mut made = graph.node(Arc::new(op), &node.inputs)?;
                    made.outputs.splice(..1, node.outputs);
                    made
                }
                None => node,
            });
            continue;
        } else {
            nodes.push(node);
            continue;
        };
        let packing = op.packing();
        if !packs.iter().any(|(other, _)| *other == packing) {
            packs.push((packing, HashMap::new()));
        }
        let known = packs.iter_mut().find(|(other, _)| *other == packing).map(|(_, known)| known);
        let packed = match known.as_ref().and_then(|known| known.get(&w)) {
            Some(&packed) => packed,
            None => {
                let pack = graph.node(Arc::new(packing), &[w])?;
                let [packed] = exactly("pack", "outputs", &pack.outputs)?;
                nodes.push(pack);
                if let Some(known) = known {
                    known.insert(w, packed);
                }
                packed
            }
        };
        nodes.push(Node { op: Arc::new(op), inputs: vec![from, packed], outputs: node.outputs });
    }
    graph.set_nodes(nodes);
    Ok(())
}
