//! Reverse-mode differentiation that adds nodes only for what is asked for: the image alone while
//! attacking or sampling, the weights while training.

use super::{Graph, Op, Value};
use crate::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

impl Graph {
    /// Derivatives of sum(`of` * `seed`) for each value in `wanted`; `seed` has the shape of `of`.
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
        let mut on_path: HashSet<Value> = wanted.iter().copied().collect();
        for node in &self.nodes {
            if node.inputs.iter().any(|input| on_path.contains(input)) {
                on_path.extend(&node.outputs);
            }
        }
        let mut derivatives = HashMap::from([(of, seed)]);
        for node in self.nodes.clone().iter().rev() {
            let result = node.outputs.first();
            let Some(&dy) = result.and_then(|y| derivatives.get(y)) else { continue };
            let asked: Vec<bool> =
                node.inputs.iter().map(|input| on_path.contains(input)).collect();
            if !asked.contains(&true) {
                continue;
            }
            for (&input, derivative) in
                node.inputs.iter().zip(node.op.gradient(self, node, dy, &asked)?)
            {
                let Some(derivative) = derivative else { continue };
                let total = match derivatives.get(&input) {
                    Some(&other) => self.push_shared(sum, &[other, derivative])?,
                    None => derivative,
                };
                derivatives.insert(input, total);
            }
        }
        let why = "the result does not depend on a value asked for";
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
