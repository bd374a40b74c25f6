//! The trait `Model`, which all networks implement: attacks, samplers and classifiers use nothing else of a network.

use super::{Mode, Network, Parameter, Weights};
use crate::Result;
use crate::graph::{Graph, Value};

/// A network that computes logits from images, as attacks, samplers and classifiers use it. [`Network`] has all networks of
/// this crate; other crates can write their own from the [`ops`](crate::ops).
pub trait Model: Send + Sync {
    /// Returns the number of channels of the images, 1 to 4.
    fn channels(&self) -> u32;

    /// Returns the number of classes, K, which is the number of logits.
    fn classes(&self) -> u32;

    /// Returns the names, shapes and roles of all tensors of the network. Names are unique.
    fn parameters(&self) -> Vec<Parameter>;

    /// Adds the nodes of the network's forward pass to a graph: from images x \[N, C, H, W\] in \[0, 1\] to logits \[N, K\];
    /// `weights` has a value for each of the parameters. Err for images of a shape that the network cannot take.
    fn logits(&self, graph: &mut Graph, x: Value, weights: &Weights, mode: Mode) -> Result<Value>;
}

impl Model for Network {
    fn channels(&self) -> u32 {
        self.channels()
    }

    fn classes(&self) -> u32 {
        self.classes()
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.parameters()
    }

    fn logits(&self, graph: &mut Graph, x: Value, weights: &Weights, mode: Mode) -> Result<Value> {
        self.logits(graph, x, weights, mode)
    }
}
