//! Replaces convolutions and their derivatives by the kernels that the table in `ops/conv/table.rs` chooses for the shape and
//! adapter. Weights that do not change between runs are packed once.

use super::Target;
use crate::Result;
use crate::gpu::{Choices, Question};
use crate::graph::{Candidate, Given, Graph, Node, Trial, Value, exactly};
use crate::ops::conv::{
    Choice, Conv2d, Conv2dGradient, ConvRole, Epilogue, PackWeights, PackedConv2d,
    PackedWeightGradient, Problem, Way, choose, most_work,
};
use std::collections::HashMap;
use std::sync::Arc;

/// A choice between convolution kernels that lowering met.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The question which kernel computes the convolution.
    pub question: Question,
    problem: Problem,
    role: ConvRole,
    choices: Vec<Choice>,
    most_work: u64,
}

/// Replaces convolutions without groups and their derivatives by packed ones, and returns the questions that came up.
pub fn convolutions(graph: &mut Graph, target: &Target) -> Result<Vec<Asked>> {
    let mut nodes = Vec::new();
    let mut asked = Vec::new();
    let mut packs: HashMap<(PackWeights, Value), Value> = HashMap::new();
    let mut left = target.preferences.most_transformed;
    let most_work = most_work(target.adapter);
    for node in graph.nodes().to_vec() {
        let (problem, role) = match of(graph, &node)? {
            Some(found) => found,
            None => {
                nodes.push(node);
                continue;
            }
        };
        let [read, other] = exactly("pack", "inputs", &node.inputs)?;
        let op = |choice| PackedConv2d { problem, role, choice, epilogue: Epilogue::default() };
        let needs = |way: &'static Way| {
            let packing = op(Choice { way, size: 0 }).packing();
            match packing.layout.is_transformed() && !packs.contains_key(&(packing, other)) {
                true => packing.words(problem.w).map_or(u64::MAX, |words| 4 * u64::from(words)),
                false => 0,
            }
        };
        let affordable = |way: &'static Way| role == ConvRole::WeightGradient || needs(way) <= left;
        let by = (target.adapter, target.preferences, target.choices);
        let Some((choice, question, choices)) = choose(&problem, role, by, affordable)? else {
            nodes.push(node);
            continue;
        };
        if choices.len() > 1 {
            asked.push(Asked { question, problem, role, choices, most_work });
        }
        if role == ConvRole::WeightGradient {
            let op = PackedWeightGradient { problem, choice, most_work };
            nodes.push(weights(graph, op, node)?);
            continue;
        }
        left -= needs(choice.way);
        let op = op(choice);
        let packed = match packs.get(&(op.packing(), other)) {
            Some(&packed) => packed,
            None => {
                let pack = graph.node(Arc::new(op.packing()), &[other])?;
                let [packed] = exactly("pack", "outputs", &pack.outputs)?;
                nodes.push(pack);
                packs.insert((op.packing(), other), packed);
                packed
            }
        };
        nodes.push(Node { op: Arc::new(op), inputs: vec![read, packed], outputs: node.outputs });
    }
    graph.set_nodes(nodes);
    Ok(asked)
}

/// The problem of a node that the table has rows for.
fn of(graph: &Graph, node: &Node) -> Result<Option<(Problem, ConvRole)>> {
    if let Some(&conv) = node.is::<Conv2d>() {
        let [x, w] = exactly("pack", "inputs", &node.inputs)?;
        let problem = Problem::new(conv, 1, graph.shape(x)?, graph.shape(w)?)?;
        return Ok(Some((problem, ConvRole::Forward)));
    }
    let derivative = node.is::<Conv2dGradient>().filter(|op| op.problem.groups == 1);
    Ok(derivative.map(|op| (op.problem, op.role)))
}

/// Makes the node of a packed weight gradient. Its parts are scratch; dw keeps its value.
fn weights(graph: &mut Graph, op: PackedWeightGradient, node: Node) -> Result<Node> {
    let mut made = graph.node(Arc::new(op), &node.inputs)?;
    made.outputs.splice(..1, node.outputs);
    Ok(made)
}

impl Asked {
    /// Makes the trial that measures the candidate kernels beside the plain one, each with its own packing of the weights.
    pub fn trial(&self) -> Result<Trial> {
        let Problem { x, w, y, stride, padding, .. } = self.problem;
        let mut graph = Graph::default();
        let shapes = match self.role {
            ConvRole::Forward => [x, w],
            ConvRole::InputGradient => [y, w],
            ConvRole::WeightGradient => [y, x],
        };
        let inputs = shapes.map(|shape| graph.input(shape));
        let plain = match self.role {
            ConvRole::Forward => graph.push(Conv2d { stride, padding }, &inputs)?,
            role => graph.push(Conv2dGradient { problem: self.problem, role }, &inputs)?,
        };
        let mut candidates = Vec::new();
        for &choice in &self.choices {
            let output = self.push(&mut graph, choice, inputs)?;
            let bound = choice.way.bound();
            let choices = Choices::default();
            candidates.push(Candidate { outputs: vec![output], bound, choices });
        }
        let changes = [true, self.role == ConvRole::WeightGradient];
        let inputs = inputs.into_iter().zip(changes);
        let inputs = inputs.map(|(value, changes)| Given { value, changes }).collect();
        let question = self.question.clone();
        Ok(Trial { question, graph, inputs, plain: vec![plain], candidates })
    }

    /// Pushes the nodes of one candidate.
    fn push(&self, graph: &mut Graph, choice: Choice, [read, other]: [Value; 2]) -> Result<Value> {
        let (problem, role) = (self.problem, self.role);
        if role == ConvRole::WeightGradient {
            let op = PackedWeightGradient { problem, choice, most_work: self.most_work };
            let made = graph.push_all(op, &[read, other])?;
            return exactly::<_, 2>("trial", "outputs", &made).map(|[dw, _]| dw);
        }
        let op = PackedConv2d { problem, role, choice, epilogue: Epilogue::default() };
        let packed = graph.push(op.packing(), &[other])?;
        graph.push(op, &[read, packed])
    }
}
