//! Collects the layers that an ONNX file's nodes become, and what each value's name in the file stands for.

use super::patterns::Part;
use super::tensors::{Constant, Store};
use super::whole::Whole;
use crate::files::Checked;
use crate::graph::{Graph, Shape, Value};
use crate::model::imported::{Kind, Layer, MOST_LAYERS};
use crate::model::layers::Mode;
use crate::model::{Normalisation, StateDict, Tensor, Weights};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// The order of the dimensions of a value in an ONNX file. Imported feature maps are always \[N, C, H, W\], so that a
/// transposition to channels last and back costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Channels before rows and columns: \[N, C, H, W\].
    Nchw,
    /// Channels after rows and columns: \[N, H, W, C\].
    Nhwc,
    /// A matrix \[N, C\].
    Matrix,
}

/// A value of the imported network, by its number: 0 for the images, i for the result of layer i - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Map {
    pub value: usize,
    pub layout: Layout,
}

/// The input images of an ONNX network with the normalisation found so far: a mean that is subtracted and a deviation that
/// divides, one number for each channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Images {
    pub layout: Layout,
    pub mean: Vec<f32>,
    pub std: Vec<f32>,
}

impl Images {
    pub fn new(layout: Layout, channels: usize) -> Self {
        Self { layout, mean: vec![0.0; channels], std: vec![1.0; channels] }
    }

    /// Returns the normalisation of the images; None where they are used as they are.
    fn normalisation(&self) -> Option<Normalisation> {
        let plain =
            self.mean.iter().all(|&mean| mean == 0.0) && self.std.iter().all(|&std| std == 1.0);
        let Self { mean, std, .. } = self.clone();
        (!plain).then_some(Normalisation { mean, std })
    }
}

/// What a name in an ONNX graph stands for: images, a layer's value, a constant and so on.
#[derive(Clone, Debug)]
pub enum Known {
    Images(Images),
    Map(Map),
    /// A constant of floating-point numbers, with its name.
    Constant(String, Rc<Constant>),
    Whole(Whole),
    /// A step of a function such as GELU that is one layer here, computed from this value.
    Part(Part, Map),
    /// A softmax of a map, which is accepted only as the graph's output.
    Softmax(Map),
}

/// Collects layers with their weights, in a graph of the images' size, which knows shapes and refuses layers that do not
/// fit.
#[derive(Debug)]
pub struct Builder {
    pub store: Store,
    pub notes: Vec<String>,
    graph: Graph,
    inputs: Weights,
    layers: Vec<Layer>,
    values: Vec<Value>,
    weights: StateDict,
    /// The names of tensors made here, by operation and constant.
    made: BTreeMap<String, String>,
    normalisation: Option<Option<Normalisation>>,
}

/// The parts of a network whose import is finished: layers, weights, normalisation and notes.
#[derive(Debug)]
pub struct Finished {
    pub layers: Vec<Layer>,
    pub weights: StateDict,
    pub normalisation: Option<Normalisation>,
    pub notes: Vec<String>,
}

impl Builder {
    pub fn new(images: Shape, store: Store) -> Self {
        let mut graph = Graph::default();
        let values = vec![graph.input(images)];
        Self {
            store,
            notes: Vec::new(),
            graph,
            inputs: Weights::default(),
            layers: Vec::new(),
            values,
            weights: StateDict::default(),
            made: BTreeMap::new(),
            normalisation: None,
        }
    }

    /// Returns the shape of a value as \[N, C, H, W\], whatever its layout in the file.
    pub fn shape(&self, map: Map) -> Checked<Shape> {
        let value =
            self.values.get(map.value).ok_or("an input names a value that the file lacks")?;
        self.graph.shape(*value).map_err(|error| error.to_string())
    }

    /// Returns the layer that made a value; none for the images.
    pub fn maker(&self, map: Map) -> Option<&Layer> {
        self.layers.get(map.value.checked_sub(1)?)
    }

    /// Returns the map for a value to compute with; for images, the map after the normalisation found so far. Err for
    /// what is no map, and where images are normalised in two ways.
    pub fn map(&mut self, known: &Known) -> Checked<Map> {
        match known {
            Known::Map(map) => Ok(*map),
            Known::Images(images) => {
                let given = images.normalisation();
                if *self.normalisation.get_or_insert_with(|| given.clone()) != given {
                    return Err("the input images are normalised in two ways".into());
                }
                Ok(Map { value: 0, layout: images.layout })
            }
            Known::Constant(..) | Known::Whole(..) => Err(
                "an input is a constant, where only a value computed from the images is supported"
                    .into(),
            ),
            Known::Part(part, _) => {
                Err(format!("an input is {part}, which is not supported by itself"))
            }
            Known::Softmax(_) => {
                Err("an input is a softmax, which is supported only at the network's end".into())
            }
        }
    }

    /// Keeps a tensor of the file, changed as `how` says, among the weights, and returns its name there and its shape. `make`
    /// computes the numbers, and is called once for the same name, change and shape.
    pub fn tensor(
        &mut self,
        name: &str,
        how: &str,
        shape: Vec<usize>,
        make: impl FnOnce(&mut Store) -> Checked<Vec<f32>>,
    ) -> Checked<(String, Vec<usize>)> {
        let key = format!("{name}\0{how}\0{shape:?}");
        if let Some(known) = self.made.get(&key) {
            return Ok((known.clone(), shape));
        }
        let clean = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        let mut free: String = name.chars().take(200).map(clean).collect();
        if free.is_empty() {
            free = "tensor".into();
        }
        while self.weights.get(&free).is_ok() {
            free += "_";
            free += if how.is_empty() { "again" } else { how };
        }
        let data = make(&mut self.store)?;
        let tensor = Tensor::new(shape.clone(), data).map_err(|error| error.to_string())?;
        self.weights.insert(free.clone(), tensor);
        self.made.insert(key, free.clone());
        Ok((free, shape))
    }

    /// Keeps a constant of the file, as a tensor of this shape, among the weights, and returns its name there and its shape.
    pub fn constant(
        &mut self,
        name: &str,
        constant: &Constant,
        shape: Vec<usize>,
    ) -> Checked<(String, Vec<usize>)> {
        self.tensor(name, "", shape, |store| store.read(constant))
    }

    /// Adds a layer and returns its value, in this layout. Err, with shapes, where it does not fit.
    pub fn layer(
        &mut self,
        kind: Kind,
        inputs: &[Map],
        weights: Vec<(String, Vec<usize>)>,
        layout: Layout,
    ) -> Checked<Map> {
        if self.layers.len() >= MOST_LAYERS {
            return Err(format!("the network has more than {MOST_LAYERS} layers"));
        }
        let inputs: Vec<usize> = inputs.iter().map(|map| map.value).collect();
        let layer = Layer { kind, inputs, weights };
        let wrong = |error: crate::Error| error.to_string();
        for parameter in layer.parameters() {
            self.inputs.add(&mut self.graph, &parameter).map_err(wrong)?;
        }
        let read: Vec<Value> =
            layer.inputs.iter().filter_map(|&input| self.values.get(input).copied()).collect();
        let made = layer.push(&mut self.graph, &read, &self.inputs, &mut Mode::Frozen);
        self.values.push(made.map_err(wrong)?);
        self.layers.push(layer);
        Ok(Map { value: self.layers.len(), layout })
    }

    /// Returns the layers that the logits need, with biases merged into their linear layers, and the tensors of these
    /// layers.
    pub fn finish(self, logits: usize) -> Finished {
        let Self { mut layers, mut weights, notes, normalisation, .. } = self;
        layers.truncate(logits);
        biases(&mut layers);
        // From the end: what is read, and where it lies then.
        let mut needed = vec![false; layers.len() + 1];
        if let Some(last) = needed.last_mut() {
            *last = true;
        }
        for (place, layer) in layers.iter().enumerate().rev() {
            if needed.get(place + 1) == Some(&true) {
                for &input in &layer.inputs {
                    if let Some(input) = needed.get_mut(input) {
                        *input = true;
                    }
                }
            }
        }
        let mut places = vec![0; layers.len() + 1];
        let mut kept: Vec<Layer> = Vec::new();
        for (place, mut layer) in layers.into_iter().enumerate() {
            if needed.get(place + 1) == Some(&true) {
                for input in &mut layer.inputs {
                    *input = places.get(*input).copied().unwrap_or(0);
                }
                kept.push(layer);
            }
            if let Some(here) = places.get_mut(place + 1) {
                *here = kept.len();
            }
        }
        let used: BTreeSet<&str> =
            kept.iter().flat_map(|layer| &layer.weights).map(|(name, _)| name.as_str()).collect();
        let unused: Vec<String> = weights
            .iter()
            .map(|(name, _)| name)
            .filter(|name| !used.contains(name))
            .map(str::to_owned)
            .collect();
        unused.iter().for_each(|name| drop(weights.remove(name)));
        Finished { layers: kept, weights, normalisation: normalisation.flatten(), notes }
    }
}

/// A number for each channel that is added to what a linear layer alone makes and nobody else reads is its bias.
fn biases(layers: &mut [Layer]) {
    let mut readers = vec![0usize; layers.len() + 1];
    for input in layers.iter().flat_map(|layer| &layer.inputs) {
        if let Some(count) = readers.get_mut(*input) {
            *count += 1;
        }
    }
    for place in 1..layers.len() {
        let (before, rest) = layers.split_at_mut(place);
        let Some(added) = rest.first_mut() else { continue };
        let [input] = added.inputs[..] else { continue };
        let maker = input.checked_sub(1).and_then(|maker| before.get(maker));
        let Some(linear) =
            maker.filter(|maker| maker.kind == Kind::Linear && maker.weights.len() == 1)
        else {
            continue;
        };
        if added.kind == Kind::ChannelAdd && readers.get(input) == Some(&1) {
            let weights = linear.weights.iter().chain(&added.weights).cloned().collect();
            *added = Layer { kind: Kind::Linear, inputs: linear.inputs.clone(), weights };
        }
    }
}
