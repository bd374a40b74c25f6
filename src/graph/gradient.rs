//! Reverse-mode differentiation that adds nodes only for the derivatives asked for: with respect to the images
//! while attacking or sampling, to the weights while training.

use super::{Graph, Node, Op, Value};
use crate::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

impl Graph {
    /// Adds the nodes that compute the derivatives of sum(`of` * `seed`) for each value in `wanted`; `seed` has the shape of
    /// `of`.
    ///
    /// `sum` is the op that adds the derivatives of a value that is used twice; ops lie above this layer,
    /// so [`ops::gradient`](crate::ops::gradient) brings it. Err if there is no path from a wanted
    /// value, or if an op on one has no derivative.
    pub fn gradient_with(
        &mut self,
        of: Value,
        seed: Value,
        wanted: &[Value],
        sum: &Arc<dyn Op>,
    ) -> Result<Vec<Value>> {
        self.shape(seed)?.expect("gradient", self.shape(of)?)?;
        wanted.iter().try_for_each(|&value| self.shape(value).map(drop))?;
        let mut on_path: HashSet<Value> = wanted.iter().copied().collect();
        for node in &self.nodes {
            if asked(node, &on_path).contains(&true) {
                on_path.extend(&node.outputs);
            }
        }
        let mut derivatives = HashMap::from([(of, seed)]);
        for node in self.nodes.clone().iter().rev() {
            let result = node.outputs.first();
            let Some(&dy) = result.and_then(|y| derivatives.get(y)) else { continue };
            let asked = asked(node, &on_path);
            if !asked.contains(&true) {
                continue;
            }
            let (op, made) = (node.op.name(), node.op.gradient(self, node, dy, &asked)?);
            if made.len() != node.inputs.len() {
                let given = format_args!("{} derivatives", made.len());
                let wanted = format_args!("{}, one for each input", node.inputs.len());
                return Err(Error::mismatch(op, given, wanted));
            }
            let entries = (0..).zip(&node.inputs).zip(made).zip(&asked);
            for (((place, &input), derivative), _) in entries.filter(|(_, asked)| **asked) {
                let Some(derivative) = derivative else {
                    let given = format_args!("no derivative for input {place}");
                    let wanted = "a derivative, unless Op::flat lists this input";
                    return Err(Error::mismatch(op, given, wanted));
                };
                let (shape, wanted) = (self.shape(derivative)?, self.shape(input)?);
                if shape != wanted {
                    let given = format_args!("a derivative of {shape} for input {place}");
                    return Err(Error::mismatch(op, given, wanted));
                }
                let total = match derivatives.get(&input) {
                    Some(&other) => self.push_shared(sum, &[other, derivative])?,
                    None => derivative,
                };
                derivatives.insert(input, total);
            }
        }
        let why = "the result does not depend on a value with respect to which it is to be differentiated, or only through inputs that have no derivatives, such as labels";
        let found = |value: &Value| {
            derivatives.get(value).copied().ok_or(Error::NoDerivative { op: "gradient", why })
        };
        let found: Vec<Value> = wanted.iter().map(found).collect::<Result<_>>()?;
        for (value, &derivative) in wanted.iter().zip(&found) {
            if let Some(name) = self.names.get(value).cloned() {
                self.names.entry(derivative).or_insert(name);
            }
        }
        Ok(found)
    }
}

/// Marks the inputs of a node through which its result depends on a value asked for.
fn asked(node: &Node, on_path: &HashSet<Value>) -> Vec<bool> {
    let flat = node.op.flat();
    let asked = |(place, input)| on_path.contains(input) && !flat.contains(&place);
    node.inputs.iter().enumerate().map(asked).collect()
}
