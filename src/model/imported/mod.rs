//! A network that is described by a list of layers, as in an ONNX file, and not by the name of an architecture. Checkpoints keep
//! the list in their metadata, a line for each layer.

mod layer;

#[cfg(feature = "onnx")]
pub use layer::MOST_JOINED;
pub use layer::{Kind, Layer};

use super::layers::{Mode, check_ends, known, normalise};
use super::{Metadata, Normalisation, Parameter, Weights};
use crate::graph::{Graph, Shape, Value};
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};

/// The largest number of layers of an imported network; something is wrong with a file that has more.
pub const MOST_LAYERS: usize = 5000;

/// A network as a list of layers, such as one read from an ONNX file; the last layer's value is the logits.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    layers: Vec<Layer>,
    channels: u32,
    classes: u32,
    normalisation: Option<Normalisation>,
}

impl Imported {
    /// Makes a network of layers. Err for layers that read later layers, for tensors that share a name but differ, beyond
    /// 5000 layers, and beyond 4 channels or 65,536 classes. Whether layers fit each other and the images is checked when a
    /// graph is built.
    pub fn new(
        layers: Vec<Layer>,
        channels: u32,
        classes: u32,
        normalisation: Option<Normalisation>,
    ) -> Result<Self> {
        const OP: &str = "imported network";
        check_ends(OP, channels, classes, normalisation.as_ref())?;
        if !(1..=MOST_LAYERS).contains(&layers.len()) {
            let given = format_args!("{} layers", layers.len());
            return Err(Error::mismatch(OP, given, format_args!("1 to {MOST_LAYERS}")));
        }
        let mut shapes: BTreeMap<&str, &[usize]> = BTreeMap::new();
        for (place, layer) in layers.iter().enumerate() {
            if let Some(input) = layer.inputs.iter().find(|&&input| input > place) {
                let given = format_args!("layer {place} (counted from 0) with input {input}");
                let wanted = format_args!(
                    "an input of at most {place}: 0 for the images, or n for the n-th layer"
                );
                return Err(Error::mismatch(OP, given, wanted));
            }
            for (name, shape) in &layer.weights {
                if shapes.insert(name, shape).is_some_and(|before| before != shape) {
                    let given = format_args!("tensor {name} used with two shapes");
                    return Err(Error::mismatch(OP, given, "one shape wherever it is used"));
                }
            }
        }
        Ok(Self { layers, channels, classes, normalisation })
    }

    /// Makes the network of metadata with layers, channels and classes.
    pub fn from_metadata(metadata: &Metadata) -> Result<Self> {
        let layers = known("imported network", "layers", metadata.layers.clone())?;
        let channels = known("imported network", "channels", metadata.channels)?;
        let classes = known("imported network", "classes", metadata.classes)?;
        Self::new(layers, channels, classes, metadata.normalisation.clone())
    }

    /// Returns the metadata from which [`Imported::from_metadata`] makes this network again.
    pub fn metadata(&self) -> Metadata {
        Metadata {
            architecture: Some("imported".into()),
            layers: Some(self.layers.clone()),
            classes: Some(self.classes),
            channels: Some(self.channels),
            normalisation: self.normalisation.clone(),
            ..Metadata::default()
        }
    }

    /// Returns the network's layers, from images to logits.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Returns the number of channels of the images.
    pub fn channels(&self) -> u32 {
        self.channels
    }

    /// Returns the number of classes, which is the number of logits.
    pub fn classes(&self) -> u32 {
        self.classes
    }

    /// Returns the normalisation of the input; `None` where the network takes images as they are.
    pub fn normalisation(&self) -> Option<&Normalisation> {
        self.normalisation.as_ref()
    }

    /// Returns all tensors in the order in which layers read them, each once even if several layers read it.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut seen = BTreeSet::new();
        let all = self.layers.iter().flat_map(Layer::parameters);
        all.filter(|parameter| seen.insert(parameter.name.clone())).collect()
    }

    /// Returns the names of weight and bias of the last layer, where it is a linear one.
    pub fn head(&self) -> Option<[Option<&str>; 2]> {
        let last = self.layers.last().filter(|layer| layer.kind == Kind::Linear)?;
        let name = |place: usize| last.weights.get(place).map(|(name, _)| name.as_str());
        Some([name(0), name(1)])
    }

    /// Returns the name of the network's first activation function.
    pub fn activation(&self) -> &'static str {
        let unary = |layer: &&Layer| matches!(layer.kind, Kind::Unary(_));
        self.layers.iter().find(unary).map_or("no non-linearity", |layer| layer.kind.name().0)
    }

    /// Counts the layers of each kind that has tensors, the most frequent first.
    pub fn counts(&self) -> Vec<(&'static str, usize)> {
        let mut counts = BTreeMap::new();
        for layer in self.layers.iter().filter(|layer| !layer.weights.is_empty()) {
            *counts.entry(layer.kind.name().0).or_insert(0) += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        counts
    }

    /// Adds the nodes of the forward pass to a graph, from images x \[N, C, H, W\] in \[0, 1\] to logits \[N, K\]. Err for images
    /// that the layers do not fit.
    pub fn logits(
        &self,
        graph: &mut Graph,
        x: Value,
        weights: &Weights,
        mut mode: Mode,
    ) -> Result<Value> {
        let images = graph.shape(x)?.images();
        let mut values = vec![normalise(graph, x, self.normalisation.as_ref())?];
        for layer in &self.layers {
            let inputs: Vec<Value> =
                layer.inputs.iter().filter_map(|&input| values.get(input).copied()).collect();
            values.push(layer.push(graph, &inputs, weights, &mut mode)?);
        }
        let logits = values.last().copied().unwrap_or(x);
        graph.shape(logits)?.expect("imported network", Shape::matrix(images, self.classes)?)?;
        Ok(logits)
    }
}
