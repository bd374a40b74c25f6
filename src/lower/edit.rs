//! Helpers of lowering (rewriting a graph into faster kernels): they find the nodes that read or make a value, tell whether a
//! node may run later, and merge two nodes into one.

use crate::graph::{Graph, Node, Value};

/// Returns the index of the only node that reads `value`, if there is exactly one reading, and nobody outside wants it.
pub fn only_reader(graph: &Graph, value: Value, wanted: &[Value]) -> Option<usize> {
    let reads = |node: &Node| node.inputs.iter().filter(|&&input| input == value).count();
    let mut readers = graph.nodes().iter().enumerate().filter(|(_, node)| reads(node) > 0);
    let (place, node) = readers.next()?;
    let only = readers.next().is_none() && reads(node) == 1 && !wanted.contains(&value);
    only.then_some(place)
}

/// Returns the index of the node that makes `value`.
pub fn maker(graph: &Graph, value: Value) -> Option<usize> {
    graph.nodes().iter().position(|node| node.outputs.contains(&value))
}

/// Returns whether the node at index `first` may run later, at index `second`: no node in between writes its inputs. That none in
/// between reads its results is for the caller to know, as from [`only_reader`].
pub fn may_wait(graph: &Graph, first: usize, second: usize) -> bool {
    let Some(node) = graph.nodes().get(first) else { return false };
    let between = graph.nodes().get(first + 1..second).unwrap_or_default();
    between.iter().all(|other| {
        let mut written = other.op.writes().iter().filter_map(|&i| other.inputs.get(i));
        written.all(|value| !node.inputs.contains(value))
    })
}

/// Puts `node` in the place of the node at index `second` and removes the node at index `first`.
pub fn merge(graph: &mut Graph, first: usize, second: usize, node: Node) {
    let mut nodes = graph.nodes().to_vec();
    if let Some(place) = nodes.get_mut(second) {
        *place = node;
        nodes.remove(first);
    }
    graph.set_nodes(nodes);
}
