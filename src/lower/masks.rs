//! Keeps one bit for each element of an activation instead of the activation itself: the derivative of a rectifier needs only
//! where its input was above 0, so no activation stays in memory from the forward pass to the backward one.

use super::edit::{maker, may_wait, merge, only_reader};
use crate::Result;
use crate::graph::{Graph, Node, Value, exactly};
use crate::ops::{
    Affine, AffineMask, ChannelScale, Epilogue, MaskedScale, PackedConv2d, ReluMask, Unary,
    UnaryBackward,
};
use std::sync::Arc;

/// Joins a rectifier's derivative and the scale behind it into one node, which reads a mask of bits.
pub fn derivatives(graph: &mut Graph, wanted: &[Value]) -> Result<()> {
    while let Some((first, second)) = next(graph, wanted) {
        let all = graph.nodes();
        let (Some(relu), Some(scale)) = (all.get(first), all.get(second)) else { break };
        let [dy, y] = exactly("masks", "inputs", &relu.inputs)?;
        let [_, affine] = exactly("masks", "inputs", &scale.inputs)?;
        let outputs = scale.outputs.clone();
        let known = all.iter().find(|node| node.is::<ReluMask>().is_some() && node.inputs == [y]);
        let known = known.and_then(|node| node.outputs.first().copied());
        let made = match known {
            Some(_) => None,
            None => Some(graph.node(Arc::new(ReluMask), &[y])?),
        };
        let bits = known.or_else(|| made.as_ref()?.outputs.first().copied());
        let Some(bits) = bits else { break };
        let op = Arc::new(MaskedScale);
        merge(graph, first, second, Node { op, inputs: vec![dy, affine, bits], outputs });
        if let Some(made) = made {
            let mut nodes = graph.nodes().to_vec();
            nodes.insert(maker(graph, y).map_or(0, |place| place + 1), made);
            graph.set_nodes(nodes);
        }
    }
    Ok(())
}

/// The places of a rectifier's derivative and of the scale that alone reads it.
fn next(graph: &Graph, wanted: &[Value]) -> Option<(usize, usize)> {
    graph.nodes().iter().enumerate().find_map(|(first, node)| {
        node.is::<UnaryBackward>().filter(|op| op.0 == Unary::Relu)?;
        let second = only_reader(graph, *node.outputs.first()?, wanted)?;
        graph.nodes().get(second)?.is::<ChannelScale>()?;
        may_wait(graph, first, second).then_some((first, second))
    })
}

/// Lets the kernel that computes a rectified value write the rectifier's mask too, where it can.
pub fn makers(graph: &mut Graph) {
    let mut nodes = graph.nodes().to_vec();
    for mask in graph.nodes().iter().filter(|node| node.is::<ReluMask>().is_some()) {
        let (&[y], &[bits]) = (&mask.inputs[..], &mask.outputs[..]) else { continue };
        let Some(maker) = nodes.iter_mut().find(|node| node.outputs.contains(&y)) else { continue };
        let quads = graph.shape(y).is_ok_and(|shape| shape.width().is_multiple_of(4));
        let rectifies = maker.is::<Affine>().is_some_and(|affine| affine.relu);
        let conv = maker.is::<PackedConv2d>().filter(|conv| conv.epilogue.relu);
        if let Some(conv) = conv.filter(|conv| conv.writes_bits()) {
            let epilogue = Epilogue { bits: true, ..conv.epilogue };
            maker.op = Arc::new(PackedConv2d { epilogue, ..*conv });
        } else if rectifies && quads {
            maker.op = Arc::new(AffineMask);
        } else {
            continue;
        }
        maker.outputs.push(bits);
        nodes.retain(|node| node.is::<ReluMask>().is_none() || node.outputs != [bits]);
    }
    graph.set_nodes(nodes);
}
