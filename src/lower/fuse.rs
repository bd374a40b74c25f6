//! Fuses nodes of a graph: a ReLU with the scale before it, and the ops that follow a convolution with the convolution itself. On
//! narrow networks each pass over memory that is saved is worth as much as a convolution.

use super::edit::{maker, may_wait, merge, only_reader};
use crate::Result;
use crate::graph::{Graph, Node, Value};
use crate::ops::{Add, Affine, Epilogue, MaskedScale, PackedConv2d, Residual, Unary};
use std::sync::Arc;

/// Joins each scale and shift of channels ([`Affine`]) with the rectifier behind it into one node.
pub fn rectifiers(graph: &mut Graph, wanted: &[Value]) -> Result<()> {
    while let Some((first, second, node)) = next_rectifier(graph, wanted) {
        merge(graph, first, second, node);
    }
    Ok(())
}

fn next_rectifier(graph: &Graph, wanted: &[Value]) -> Option<(usize, usize, Node)> {
    graph.nodes().iter().enumerate().find_map(|(first, node)| {
        let second = only_reader(graph, *node.outputs.first()?, wanted)?;
        let reader = graph.nodes().get(second)?;
        let plain = node.is::<Affine>().is_some_and(|affine| !affine.relu);
        let found = plain && reader.is() == Some(&Unary::Relu) && may_wait(graph, first, second);
        found.then(|| {
            let op = Arc::new(Affine { relu: true });
            let node = Node { op, inputs: node.inputs.clone(), outputs: reader.outputs.clone() };
            (first, second, node)
        })
    })
}

/// Moves the ops that follow a convolution into its epilogue, as far as the epilogue can compute them.
pub fn epilogues(graph: &mut Graph, wanted: &[Value]) -> Result<()> {
    while let Some((first, second, node)) = next_epilogue(graph, wanted) {
        merge(graph, first, second, node);
    }
    Ok(())
}

fn next_epilogue(graph: &Graph, wanted: &[Value]) -> Option<(usize, usize, Node)> {
    graph.nodes().iter().enumerate().find_map(|(first, node)| {
        let conv = node.is::<PackedConv2d>()?;
        let &[result] = &node.outputs[..] else { return None };
        let second = only_reader(graph, result, wanted)?;
        let reader = graph.nodes().get(second)?;
        let (epilogue, inputs) = taken_over(graph, conv, node, reader, first, result)?;
        let op = Arc::new(PackedConv2d { epilogue, ..*conv });
        may_wait(graph, first, second)
            .then(|| (first, second, Node { op, inputs, outputs: reader.outputs.clone() }))
    })
}

/// The epilogue with the reader in it, and the inputs in its order: x, w, affine, mask, residual.
fn taken_over(
    graph: &Graph,
    conv: &PackedConv2d,
    node: &Node,
    reader: &Node,
    first: usize,
    result: Value,
) -> Option<(Epilogue, Vec<Value>)> {
    let old = conv.epilogue;
    let mut inputs = node.inputs.clone();
    if let Some(&Affine { relu }) = reader.is() {
        let plain = !(old.affine || old.mask || old.relu) && old.residual != Residual::Last;
        let &[_, affine] = &reader.inputs[..] else { return None };
        inputs.insert(2, affine);
        return plain.then_some((Epilogue { affine: true, relu, ..old }, inputs));
    }
    if reader.is::<MaskedScale>().is_some() {
        let plain = !(old.affine || old.mask || old.relu) && old.residual != Residual::Last;
        let &[_, affine, bits] = &reader.inputs[..] else { return None };
        inputs.insert(2, affine);
        inputs.insert(3, bits);
        return plain.then_some((Epilogue { mask: true, ..old }, inputs));
    }
    if reader.is::<Add>().is_some() && old.residual == Residual::None && !old.relu {
        let other = *reader.inputs.iter().find(|&&input| input != result)?;
        // Of two convolutions that are added, the later one takes the earlier one's result.
        let later = maker(graph, other).is_some_and(|place| {
            place > first
                && graph.nodes().get(place).is_some_and(|node| node.is::<PackedConv2d>().is_some())
        });
        if later {
            return None;
        }
        let residual = if old.affine || old.mask { Residual::Last } else { Residual::First };
        inputs.push(other);
        return Some((Epilogue { residual, ..old }, inputs));
    }
    None
}
