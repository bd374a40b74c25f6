//! Computation graphs: pure data of values with shapes and nodes with ops. No GPU is touched here.

mod check;
mod element;
mod gradient;
mod memory;
mod names;
mod op;
mod plan;
mod shape;
mod trial;
mod tune;

pub use element::Element;
pub use op::{Derivatives, Halves, Launch, Op};
pub use plan::Summary;
pub use shape::Shape;
pub(crate) use tune::plan;
// The parts that programs are made of: public for tests and tools, but no part of the API.
#[doc(hidden)]
pub use {
    plan::Plan,
    trial::{Candidate, Given, Trial},
    tune::tune,
};

use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::{any::Any, sync::Arc};

/// A tensor of a computation graph, as a handle; it is valid in copies of the graph too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value {
    graph: u64,
    number: usize,
}

impl Value {
    /// The value's index among the values of its graph.
    pub(crate) fn number(self) -> usize {
        self.number
    }

    /// Err unless it is of the graph with this identity: by its number alone it could be taken for another.
    fn expect_of(self, graph: u64) -> Result<()> {
        if self.graph == graph {
            return Ok(());
        }
        let given = format_args!("value {} of another graph", self.number);
        Err(Error::mismatch("graph", given, "a value of this graph"))
    }
}

/// A node of a computation graph: an op applied to values.
#[derive(Clone, Debug)]
pub struct Node {
    /// The op that the node computes.
    pub op: Arc<dyn Op>,
    /// The values that the node reads, including those that it writes in place ([`Op::writes`]).
    pub inputs: Vec<Value>,
    /// The values that the node makes.
    pub outputs: Vec<Value>,
}

impl Node {
    /// Returns the node's op if it is of type `T`. Rewrites of graphs find nodes by it.
    pub fn is<T: Op>(&self) -> Option<&T> {
        (self.op.as_ref() as &dyn Any).downcast_ref()
    }
}

/// A computation graph: values, and nodes in the order in which they run. Every node follows the nodes whose results it reads,
/// and a node that writes in place follows all nodes that need the old contents.
#[derive(Clone, Debug)]
pub struct Graph {
    /// A number that no other graph of the process has, except copies of this one.
    id: u64,
    shapes: Vec<Shape>,
    nodes: Vec<Node>,
    /// The values that lie in memory in half precision.
    halves: BTreeSet<Value>,
    /// The names of parameters and of their derivatives.
    names: BTreeMap<Value, String>,
}

impl Default for Graph {
    /// Makes an empty graph.
    fn default() -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let id = MADE.fetch_add(1, Ordering::Relaxed);
        Self {
            id,
            shapes: Vec::new(),
            nodes: Vec::new(),
            halves: BTreeSet::new(),
            names: BTreeMap::new(),
        }
    }
}

impl Graph {
    /// Adds a value that comes from outside of the graph: data, labels, weights, state.
    pub fn input(&mut self, shape: Shape) -> Value {
        self.shapes.push(shape);
        Value { graph: self.id, number: self.shapes.len() - 1 }
    }

    /// Returns a value's shape. Err if the value belongs to another graph, or was added to another copy of this one.
    pub fn shape(&self, value: Value) -> Result<Shape> {
        value.expect_of(self.id)?;
        let (id, count) = (value.number, self.shapes.len());
        let unknown = || {
            Error::mismatch(
                "graph",
                format_args!("value {id} (counted from 0)"),
                format_args!("one of the graph's {count} values"),
            )
        };
        self.shapes.get(id).copied().ok_or_else(unknown)
    }

    /// Returns the type of a value's numbers in memory: 4-byte words or half precision.
    pub fn element(&self, value: Value) -> Element {
        if self.halves.contains(&value) { Element::Half } else { Element::Word }
    }

    /// Lets values lie in memory in half precision from now on. Lowering does so, with values for which all nodes that
    /// make or read them allow it ([`Op::halves`]).
    pub(crate) fn set_halves(&mut self, halves: BTreeSet<Value>) {
        self.halves = halves;
    }

    /// Returns all nodes in the order in which they run.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Replaces all nodes of the graph, as [rewrite rules](crate::lower::Rule) do; values keep their numbers and shapes. Every
    /// node has to follow the nodes whose results it reads.
    pub fn set_nodes(&mut self, nodes: Vec<Node>) {
        self.nodes = nodes;
    }

    /// Adds a node and returns its outputs. Err, with the graph unchanged, if inputs do not fit.
    pub fn push_all(&mut self, op: impl Op, inputs: &[Value]) -> Result<Vec<Value>> {
        let node = self.node(Arc::new(op), inputs)?;
        let outputs = node.outputs.clone();
        self.nodes.push(node);
        Ok(outputs)
    }

    /// Adds a node with one output, and returns it. Err, with the graph unchanged, if inputs do not fit.
    pub fn push(&mut self, op: impl Op, inputs: &[Value]) -> Result<Value> {
        let name = op.name();
        let [output] = exactly(name, "outputs", &self.push_all(op, inputs)?)?;
        Ok(output)
    }

    /// [`Graph::push`] for an op that several nodes share.
    pub(crate) fn push_shared(&mut self, op: &Arc<dyn Op>, inputs: &[Value]) -> Result<Value> {
        let node = self.node(op.clone(), inputs)?;
        let [output] = exactly(op.name(), "outputs", &node.outputs)?;
        self.nodes.push(node);
        Ok(output)
    }

    /// Makes a node with new outputs that does not run until [`Graph::set_nodes`] puts it among the graph's nodes. Err if the
    /// inputs do not fit.
    pub fn node(&mut self, op: Arc<dyn Op>, inputs: &[Value]) -> Result<Node> {
        let shapes: Vec<_> =
            inputs.iter().map(|&value| self.shape(value)).collect::<Result<_>>()?;
        let outputs = op.outputs(&shapes)?.into_iter().map(|shape| self.input(shape)).collect();
        Ok(Node { op, inputs: inputs.to_vec(), outputs })
    }
}

/// Returns `given` as an array of N items. Err, in the name of `op`, if there are not N.
pub fn exactly<T: Copy, const N: usize>(
    op: &'static str,
    what: &str,
    given: &[T],
) -> Result<[T; N]> {
    let wrong = |_| Error::mismatch(op, format_args!("{} {what}", given.len()), N);
    given.try_into().map_err(wrong)
}
