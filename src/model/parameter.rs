//! The parameters of a network: their names, shapes and roles, and the values that stand for them in one computation graph.

use crate::graph::{Graph, Shape, Value};
use crate::{Error, Result};
use std::collections::BTreeMap;

/// Whether a tensor of a network is trained, or is a running statistic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A weight: it has a gradient, and the optimiser changes it.
    Weight,
    /// A running mean or variance of batch norm: training on batch statistics updates it, everything else only reads it.
    Statistic,
}

/// The name, shape and role of one tensor of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The tensor's name in PyTorch's state dict.
    pub name: String,
    /// The tensor's shape, as PyTorch has it: \[O, I, H, W\] for convolutions, \[O, I\] for linear layers, \[C\] for vectors.
    pub shape: Vec<usize>,
    /// Whether the tensor is trained, or is a running statistic.
    pub role: Role,
}

impl Parameter {
    /// Returns the number of values in the tensor.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns the tensor's shape in a graph. Err beyond 2^30 values.
    pub fn graph_shape(&self) -> Result<Shape> {
        let side = |&side: &usize| {
            u32::try_from(side).map_err(|_| {
                Error::mismatch(
                    "parameter",
                    format_args!("{} with a dimension of {side}", self.name),
                    "dimensions below 2^32",
                )
            })
        };
        let sides = self.shape.iter().map(side).collect::<Result<Vec<_>>>()?;
        match sides[..] {
            [channels] => Shape::vector(channels),
            [outputs, inputs] => Shape::matrix(outputs, inputs),
            [outputs, inputs, height, width] => Shape::new(outputs, inputs, height, width),
            _ => {
                let given = format_args!("{} of shape {:?}", self.name, self.shape);
                Err(Error::mismatch("parameter", given, "1, 2 or 4 dimensions"))
            }
        }
    }
}

/// The parameters of a model, with the running statistics of its batch norms, as values of one graph.
#[derive(Clone, Debug, Default)]
pub struct Weights(BTreeMap<String, Value>);

impl Weights {
    /// Adds an input to the graph for each parameter, under the parameter's name.
    pub fn inputs(graph: &mut Graph, parameters: &[Parameter]) -> Result<Self> {
        let input = |parameter: &Parameter| {
            let value = graph.input(parameter.graph_shape()?);
            graph.set_name(value, &parameter.name);
            Ok((parameter.name.clone(), value))
        };
        parameters.iter().map(input).collect::<Result<_>>().map(Self)
    }

    /// Adds an input for one more parameter, or returns the existing one of this name.
    #[cfg(feature = "onnx")]
    pub(super) fn add(&mut self, graph: &mut Graph, parameter: &Parameter) -> Result<Value> {
        if let Some(&value) = self.0.get(&parameter.name) {
            graph.shape(value)?.expect("weights", parameter.graph_shape()?)?;
            return Ok(value);
        }
        let value = graph.input(parameter.graph_shape()?);
        self.0.insert(parameter.name.clone(), value);
        Ok(value)
    }

    /// Returns the graph's value for the parameter of this name. Err if there is none.
    pub fn get(&self, name: &str) -> Result<Value> {
        let missing = || {
            Error::mismatch("weights", format_args!("the name {name:?}"), "the name of a parameter")
        };
        self.0.get(name).copied().ok_or_else(missing)
    }

    /// Returns whether there is a parameter of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Goes over the parameters' names and their values in the graph, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Value)> {
        self.0.iter().map(|(name, &value)| (name.as_str(), value))
    }
}
