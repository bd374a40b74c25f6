//! A state dict: the tensors of a model on the host, by name.

use super::Parameter;
use crate::{Error, Result};
use std::collections::BTreeMap;

/// Mismatches that a message lists before it only counts them.
const LISTED: usize = 20;

/// A tensor in main memory: a shape, and numbers in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The tensor's shape, as PyTorch has it; empty for a single number.
    pub shape: Vec<usize>,
    /// The tensor's values, as many as the dimensions of its shape multiplied.
    pub data: Vec<f32>,
}

impl Tensor {
    /// Makes a tensor. Err unless there are as many numbers as the shape says.
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Result<Self> {
        if shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side))
            == Some(data.len())
        {
            return Ok(Self { shape, data });
        }
        Err(Error::mismatch(
            "tensor",
            format_args!("{} numbers", data.len()),
            format_args!("as many as shape {shape:?} has"),
        ))
    }
}

/// Named tensors in main memory, sorted by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StateDict(BTreeMap<String, Tensor>);

impl StateDict {
    /// Returns the tensor of this name. Err if there is none.
    pub fn get(&self, name: &str) -> Result<&Tensor> {
        let missing = || {
            Error::mismatch(
                "state dict",
                format_args!("the name {name:?}"),
                "the name of a tensor in it",
            )
        };
        self.0.get(name).ok_or_else(missing)
    }

    /// Adds a tensor under a name; returns the tensor that it replaces, if there was one.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) -> Option<Tensor> {
        self.0.insert(name.into(), tensor)
    }

    /// Removes the tensor of this name and returns it.
    pub fn remove(&mut self, name: &str) -> Option<Tensor> {
        self.0.remove(name)
    }

    /// Goes over names and tensors, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Returns the number of tensors.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks that the tensors are exactly those of `parameters`. Err, with a table of all that are missing, unexpected or of
    /// another shape, if not.
    pub fn check(&self, parameters: &[Parameter]) -> Result<()> {
        match self.differences(parameters) {
            None => Ok(()),
            Some(table) => Err(Error::mismatch("state dict", table, "the model's tensors")),
        }
    }

    /// Returns a table with a line for each tensor that is missing, unexpected or of another shape than in `parameters`; None if
    /// there are none.
    pub fn differences(&self, parameters: &[Parameter]) -> Option<String> {
        let mut lines = Vec::new();
        for Parameter { name, shape, .. } in parameters {
            match self.0.get(name) {
                None => lines.push(format!("missing     {name} {shape:?}")),
                Some(tensor) if tensor.shape != *shape => {
                    let given = &tensor.shape;
                    lines
                        .push(format!("mismatched  {name} {given:?}, but the model has {shape:?}"));
                }
                Some(_) => {}
            }
        }
        for (name, tensor) in &self.0 {
            if !parameters.iter().any(|parameter| parameter.name == *name) {
                lines.push(format!("unexpected  {name} {:?}", tensor.shape));
            }
        }
        let more = lines.len().saturating_sub(LISTED);
        lines.truncate(LISTED);
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        (!lines.is_empty()).then(|| lines.join("\n  "))
    }
}

impl IntoIterator for StateDict {
    type Item = (String, Tensor);
    type IntoIter = std::collections::btree_map::IntoIter<String, Tensor>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<(String, Tensor)> for StateDict {
    fn from_iter<T: IntoIterator<Item = (String, Tensor)>>(tensors: T) -> Self {
        Self(tensors.into_iter().collect())
    }
}
