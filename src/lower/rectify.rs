//! Joins batch normalisation with the ReLU that follows it, which saves passes over memory: the rectifier moves into the
//! normalisation, and its derivative into the normalisation's derivative, which finds from the input where the output is
//! above 0.

use super::edit::{maker, only_reader};
use crate::Result;
use crate::graph::{Graph, Node, Value, exactly};
use crate::ops::{
    Affine, AffineBackward, BatchNorm, BatchNormBackward, BatchNormStats, BatchNormWeights,
    ChannelScale, FoldBatchNorm, Unary, UnaryBackward,
};
use std::sync::Arc;

/// Joins batch normalisation by the batch's statistics with the rectifier behind it: the statistics, folded to a scale and a
/// shift a channel, then one pass.
pub fn batch_norms(graph: &mut Graph, wanted: &[Value]) -> Result<()> {
    let mut nodes = Vec::new();
    let mut rectified = Vec::new();
    for (place, node) in graph.nodes().to_vec().into_iter().enumerate() {
        if rectified.contains(&place) {
            continue;
        }
        let Some(&BatchNorm { eps }) = node.is() else {
            nodes.push(node);
            continue;
        };
        let [x, gamma, beta] = exactly("rectify", "inputs", &node.inputs)?;
        let [y, mean, variance] = exactly("rectify", "outputs", &node.outputs)?;
        let reader = only_reader(graph, y, wanted);
        let reader = reader.and_then(|place| Some((place, graph.nodes().get(place)?)));
        let Some((second, relu)) = reader.filter(|(_, node)| node.is() == Some(&Unary::Relu))
        else {
            nodes.push(node);
            continue;
        };
        let outputs = relu.outputs.clone();
        let fold = graph.node(Arc::new(FoldBatchNorm { eps }), &[gamma, beta, mean, variance])?;
        let [affine] = exactly("rectify", "outputs", &fold.outputs)?;
        let stats = Arc::new(BatchNormStats);
        nodes.push(Node { op: stats, inputs: vec![x], outputs: vec![mean, variance] });
        nodes.push(fold);
        let op = Arc::new(Affine { relu: true });
        nodes.push(Node { op, inputs: vec![x, affine], outputs });
        rectified.push(second);
    }
    graph.set_nodes(nodes);
    Ok(())
}

/// Joins the derivative of a rectifier behind an affine with the normalisation's derivatives, where only these read it.
pub fn derivatives(graph: &mut Graph, wanted: &[Value]) -> Result<()> {
    let mut from = 0;
    while let Some(place) = next(graph, from) {
        from = place + 1;
        if let Some(nodes) = masked(graph, place, wanted)? {
            graph.set_nodes(nodes);
            from = place;
        }
    }
    Ok(())
}

/// The next rectifier's derivative.
fn next(graph: &Graph, from: usize) -> Option<usize> {
    let found = |node: &Node| node.is() == Some(&UnaryBackward(Unary::Relu));
    graph.nodes().iter().skip(from).position(found).map(|at| from + at)
}

/// All nodes without the derivative at `place`, if its readers can do it themselves.
fn masked(graph: &mut Graph, place: usize, wanted: &[Value]) -> Result<Option<Vec<Node>>> {
    let all = graph.nodes().to_vec();
    let Some((node, rest)) = all.get(place..).and_then(<[Node]>::split_first) else {
        return Ok(None);
    };
    let ([dy, r], [d]) = (
        exactly::<_, 2>("rectify", "inputs", &node.inputs)?,
        exactly::<_, 1>("rectify", "outputs", &node.outputs)?,
    );
    let made = maker(graph, r).and_then(|at| graph.nodes().get(at));
    let Some((&[x, affine], true)) = made
        .and_then(|made| Some((made.inputs.get(..)?, made.is::<Affine>()?.relu)))
        .and_then(|(inputs, relu)| Some((<&[Value; 2]>::try_from(inputs).ok()?, relu)))
    else {
        return Ok(None);
    };
    let readers = || rest.iter().filter(|reader| reader.inputs.contains(&d));
    let weights = readers().find(|node| {
        node.is::<BatchNormWeights>().is_some_and(|op| !op.mask) && node.inputs.get(1) == Some(&x)
    });
    let Some((weights, eps)) =
        weights.and_then(|node| Some((node, node.is::<BatchNormWeights>()?.eps)))
    else {
        return Ok(None);
    };
    if readers().count() != 2 || wanted.contains(&d) {
        return Ok(None);
    }
    let [_, _, mean, variance] = exactly("rectify", "inputs", &weights.inputs)?;
    let scale =
        readers().find(|node| node.is::<ChannelScale>().is_some() && node.inputs == [d, affine]);
    let backward = readers().find(|node| node.is::<BatchNormBackward>().is_some());
    let replaced: Vec<(&Node, Option<Node>)> = match (scale, backward) {
        // Frozen statistics: one op for all three, in the place of the rectifier's.
        (Some(scale), _) => {
            let op = Arc::new(AffineBackward { eps });
            let inputs = vec![dy, x, affine, mean, variance];
            let outputs = [&scale.outputs[..], &weights.outputs[..]].concat();
            vec![(node, Some(Node { op, inputs, outputs })), (scale, None), (weights, None)]
        }
        (None, Some(backward)) => {
            let [_, _, _, _, _, dgamma, dbeta] = exactly("rectify", "inputs", &backward.inputs)?;
            let sums = Node {
                op: Arc::new(BatchNormWeights { eps, mask: true }),
                inputs: vec![dy, x, mean, variance, affine],
                outputs: weights.outputs.clone(),
            };
            let through = Node {
                op: Arc::new(BatchNormBackward { eps, mask: true }),
                inputs: vec![dy, x, affine, mean, variance, dgamma, dbeta],
                outputs: backward.outputs.clone(),
            };
            vec![(node, None), (weights, Some(sums)), (backward, Some(through))]
        }
        _ => return Ok(None),
    };
    let replace = |node: &Node| {
        let found = replaced.iter().find(|(old, _)| old.outputs == node.outputs);
        found.map_or_else(|| Some(node.clone()), |(_, new)| new.clone())
    };
    Ok(Some(all.iter().filter_map(replace).collect()))
}
