//! Prepares the measurement by which tuning chooses between kernels: one graph in which the plain kernels and every candidate
//! compute the same results from the same inputs.

use super::{Graph, Node, Value};
use crate::Result;
use crate::gpu::{Choices, Question};

/// A race between kernels: one graph over shared inputs in which the plain ops and every candidate's nodes stand side by
/// side, each with results of its own. What a candidate is made of does not matter: it may be several nodes, with
/// scratch, and with weights that are packed once.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The choice between kernels that the trial decides.
    pub question: Question,
    /// The graph with the nodes of the plain kernels and of all candidates.
    pub graph: Graph,
    /// The inputs of the graph, f32.
    pub inputs: Vec<Given>,
    /// The results of the plain kernels, with which the candidates' results are compared.
    pub plain: Vec<Value>,
    /// The candidates to measure, as many as the question names and in its order.
    pub candidates: Vec<Candidate>,
}

/// An input of the kernels that a trial compares.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    /// The input's value in the graph.
    pub value: Value,
    /// Whether the input changes from run to run. Nodes that depend on no such input, such as the packing of weights,
    /// are not timed.
    pub changes: bool,
}

/// A candidate of a trial: one way to compute the results.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The candidate's results, in the order of the plain kernels' results.
    pub outputs: Vec<Value>,
    /// The largest allowed difference of the candidate's results from the plain ones, as a share of the largest plain value.
    pub bound: f32,
    /// The kernels chosen for the candidate's own nodes, where these have a choice.
    pub choices: Choices,
}

impl Candidate {
    /// The largest allowed difference between sums in single precision in different orders: they differ by some 1e-5 of
    /// the largest.
    pub const SINGLE: f32 = 1e-4;
}

impl Trial {
    /// Makes the trial of a node that asks while it is recorded: its own static choice stands in for the plain kernel.
    pub(super) fn of_node(from: &Graph, question: &Question, node: &Node) -> Result<Self> {
        let mut graph = Graph::default();
        let mut values: Vec<(Value, Value)> = Vec::new();
        for &value in &node.inputs {
            if !values.iter().any(|(known, _)| *known == value) {
                values.push((value, graph.input(from.shape(value)?)));
            }
        }
        let own =
            |value: &Value| values.iter().find(|(known, _)| known == value).map(|pair| pair.1);
        let inputs: Vec<Value> = node.inputs.iter().filter_map(own).collect();
        let copy = graph.node(node.op.clone(), &inputs)?;
        let outputs: Vec<Value> = copy.outputs.iter().copied().take(1).collect();
        graph.set_nodes(vec![copy]);
        let candidates = (0..question.candidates.len()).map(|place| Candidate {
            outputs: outputs.clone(),
            bound: Candidate::SINGLE,
            choices: Choices::default().with(question, place),
        });
        let given = values.iter().enumerate();
        Ok(Self {
            question: question.clone(),
            inputs: given.map(|(i, &(_, value))| Given { value, changes: i == 0 }).collect(),
            plain: outputs.clone(),
            candidates: candidates.collect(),
            graph,
        })
    }

    /// Operations of all nodes together: the largest question is measured first.
    pub(super) fn flops(&self) -> u64 {
        let shapes = |values: &[Value]| -> Vec<_> {
            values.iter().filter_map(|&value| self.graph.shape(value).ok()).collect()
        };
        let nodes = self.graph.nodes().iter();
        nodes.map(|node| node.op.flops(&shapes(&node.inputs), &shapes(&node.outputs))).sum()
    }
}
