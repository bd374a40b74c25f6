//! Finds the layer of a model that a graph's node belongs to, from the names of the parameters that it reads, for tables of
//! timings.

use super::{Graph, Node, Value};
use std::collections::HashMap;

impl Graph {
    /// Gives a value of the graph a name, as a model's parameters have. The derivative of a named value has its name too.
    pub fn set_name(&mut self, value: Value, name: &str) {
        self.names.insert(value, name.to_owned());
    }

    /// Returns the name of a value; `None` if it has none.
    pub fn name(&self, value: Value) -> Option<&str> {
        self.names.get(&value).map(String::as_str)
    }
}

/// Returns the name of the model's layer that each node belongs to: the name, up to its last dot, of the largest parameter that
/// the node reads (itself, packed or folded) or whose derivative it computes. It is empty where there is none.
pub fn layers(graph: &Graph, nodes: &[Node]) -> Vec<String> {
    // The named value behind each value that parameters alone make up.
    let mut behind: HashMap<Value, Value> =
        graph.names.keys().map(|&named| (named, named)).collect();
    let size = |&value: &Value| graph.shape(value).map_or(0, |shape| shape.elements());
    let mut found = Vec::new();
    for node in nodes {
        let read: Vec<_> =
            node.inputs.iter().filter_map(|input| behind.get(input).copied()).collect();
        let made = node.outputs.iter().copied().filter(|output| graph.names.contains_key(output));
        // The first of equals.
        let largest = read.iter().copied().chain(made).rev().max_by_key(size);
        if let Some(largest) = largest.filter(|_| read.len() == node.inputs.len()) {
            for &output in &node.outputs {
                behind.entry(output).or_insert(largest);
            }
        }
        let name = largest.and_then(|value| graph.name(value)).unwrap_or_default();
        found.push(name.rsplit_once('.').map_or(name, |(layer, _)| layer).to_owned());
    }
    found
}
