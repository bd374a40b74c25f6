//! Convolutions and their derivatives on the packed kernels. Weights are packed once before the replays
//! where they stand still.

use crate::Result;
use crate::gpu::{Adapter, Preferences};
use crate::graph::{Graph, Node, Value, exactly};
use crate::ops::{
    Conv2d, Conv2dInputGradient, Conv2dWeightGradient, Epilogue, PackWeights, PackedConv2d,
    PackedWeightGradient, Winograd,
};
use std::collections::HashMap;
use std::sync::Arc;

/// Replaces [`Conv2d`] and both derivatives.
pub fn convolutions(graph: &mut Graph, adapter: &Adapter, preferences: &Preferences) -> Result<()> {
    let mut nodes = Vec::new();
    let mut packs: HashMap<(PackWeights, Value), Value> = HashMap::new();
    let mut left = preferences.most_transformed;
    for node in graph.nodes().to_vec() {
        let (conv, x, [from, w], transposed) = if let Some(&conv) = node.is::<Conv2d>() {
            let [x, w] = exactly("pack", "inputs", &node.inputs)?;
            (conv, graph.shape(x)?, [x, w], false)
        } else if let Some(&Conv2dInputGradient { conv, x }) = node.is() {
            (conv, x, exactly("pack", "inputs", &node.inputs)?, true)
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
        let (of_w, epilogue) = (graph.shape(w)?, Epilogue::default());
        let half = PackedConv2d::is_halved(adapter, preferences);
        let mut op = PackedConv2d { conv, x, w: of_w, transposed, winograd: None, half, epilogue };
        if let Some(filter) = Winograd::of(conv, x, of_w, adapter, preferences) {
            let filtered = PackedConv2d { winograd: Some(filter), half: false, ..op };
            let words = filtered.packing().words(of_w)?;
            let needed = match packs.contains_key(&(filtered.packing(), w)) {
                true => 0,
                false => 4 * u64::from(words),
            };
            if let Some(rest) = left.checked_sub(needed) {
                (op, left) = (filtered, rest);
            }
        }
        let packed = match packs.get(&(op.packing(), w)) {
            Some(&packed) => packed,
            None => {
                let pack = graph.node(Arc::new(op.packing()), &[w])?;
                let [packed] = exactly("pack", "outputs", &pack.outputs)?;
                nodes.push(pack);
                packs.insert((op.packing(), w), packed);
                packed
            }
        };
        nodes.push(Node { op: Arc::new(op), inputs: vec![from, packed], outputs: node.outputs });
    }
    graph.set_nodes(nodes);
    Ok(())
}
