//! Networks as ONNX files (<https://onnx.ai>, operator set 17), for other tools to run: images in \[0, 1\] in, logits out,
//! any number of images at once. A network's graph, with its input normalisation, is translated op by op (`ops.rs`), so that any
//! network can be written whose ops all have a translation. With the feature `onnx`, ONNX files can also be read, by
//! [`Checkpoint::read`](super::Checkpoint::read).

#[cfg(feature = "onnx")]
pub(super) mod import;
mod ops;
mod protobuf;

use super::checkpoint::{FilePrecision, safetensors};
use super::{Checkpoint, Mode, Network, StateDict, Tensor, Weights};
use crate::graph::{Graph, Shape, Value};
use crate::{Error, Result};
use ops::Translation;
use protobuf::Message;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// The operator set: the first with layer normalisation.
const OPERATOR_SET: u64 = 17;
/// The file format that came with it.
const FORMAT: u64 = 8;

/// ONNX's numbers for types.
const FLOAT: u64 = 1;
const INT64: u64 = 7;
const FLOAT16: u64 = 10;

/// A protocol buffer ends here.
const LONGEST: usize = i32::MAX as usize;

/// The side of the images in the graph for a network that takes any side: more than the deepest network divides by.
const ANY_SIDE: u32 = 64;

/// Writes a network with its weights and metadata as an ONNX file: see [`Export::write`]. Images may have any size, unless the
/// metadata say one.
///
/// # Errors
/// The errors of [`Export::write`].
pub fn export(
    net: &Network,
    checkpoint: &Checkpoint,
    out: impl AsRef<Path>,
    precision: FilePrecision,
) -> Result<()> {
    let side = checkpoint.metadata.side;
    let sides = side.unwrap_or(ANY_SIDE);
    let mut graph = Graph::default();
    let images = graph.input(Shape::new(1, net.channels(), sides, sides)?);
    let weights = Weights::inputs(&mut graph, &net.parameters())?;
    let logits = net.logits(&mut graph, images, &weights, Mode::Frozen)?;
    let export = Export {
        graph: &graph,
        images,
        logits,
        weights: &weights,
        numbers: &checkpoint.weights,
        fixed_size: side.is_some(),
    };
    export.write(out, &checkpoint.metadata.to_strings(), precision)
}

/// A network as a graph with weights, ready to be written as an ONNX file.
#[derive(Debug)]
pub struct Export<'a> {
    /// The graph that computes `logits` from `images` and weights.
    pub graph: &'a Graph,
    /// The graph's input images \[N, C, H, W\]; N is left open in the file.
    pub images: Value,
    /// The graph's output, the logits \[N, K\].
    pub logits: Value,
    /// The graph's other inputs, the weights.
    pub weights: &'a Weights,
    /// The values of the weights, by name.
    pub numbers: &'a StateDict,
    /// Whether the file fixes height and width to those of `images`; otherwise they are left open.
    pub fixed_size: bool,
}

impl Export<'_> {
    /// Writes the network as an ONNX file, which is there whole or not at all. With half precision the weights are stored as f16
    /// and converted to f32 before anything is computed with them.
    ///
    /// Err for ops that have no counterpart, for missing weights, and beyond 2 GiB.
    pub fn write(
        &self,
        path: impl AsRef<Path>,
        metadata: &BTreeMap<String, String>,
        precision: FilePrecision,
    ) -> Result<()> {
        let path = path.as_ref();
        let translation = self.translate(precision)?;
        let mut stored = Vec::new();
        let mut length = 0;
        for (name, value) in self.weights.iter() {
            if !translation.uses(value) {
                continue;
            }
            let tensor = self.numbers.get(name).map_err(|error| Error::bad_file(path, error))?;
            let (name, data_type, width) = match precision {
                FilePrecision::F32 => (name.to_owned(), FLOAT, 4),
                FilePrecision::F16 => (half(name), FLOAT16, 2),
            };
            let bytes = tensor.data.len() * width;
            let header = constant(&name, data_type, &tensor.shape).head(9, bytes);
            let header =
                Message::default().head(5, header.0.len() + bytes).0.into_iter().chain(header.0);
            let header: Vec<u8> = header.collect();
            length += header.len() + bytes;
            stored.push((header, name, tensor));
        }
        let graph = self.described(translation)?;
        length += graph.0.len();
        let file = self.framed(metadata).head(7, length);
        if file.0.len() + length > LONGEST {
            let reason = match precision {
                FilePrecision::F32 => {
                    "the network is larger than the 2 GiB that an ONNX file holds: --f16 halves it"
                }
                FilePrecision::F16 => {
                    "the network is larger than the 2 GiB that an ONNX file holds, even in half precision"
                }
            };
            return Err(Error::bad_file(path, reason));
        }
        super::checkpoint::stream_atomically(path, |to| {
            let failed = |error: std::io::Error| error.to_string();
            let mut written = || {
                to.write_all(&file.0).and_then(|()| to.write_all(&graph.0)).map_err(failed)?;
                for (header, name, Tensor { data, .. }) in &stored {
                    to.write_all(header).map_err(failed)?;
                    safetensors::numbers(name, data, precision, |bytes| {
                        to.write_all(bytes).map_err(failed)
                    })?;
                }
                Ok(())
            };
            written().map_err(|reason: String| Error::bad_file(path, reason))
        })
    }

    fn translate(&self, precision: FilePrecision) -> Result<Translation> {
        let mut translation = Translation::default();
        translation.name(self.images, "images");
        translation.name(self.logits, "logits");
        for (name, value) in self.weights.iter() {
            translation.name(value, name);
            if self.numbers.get(name).is_ok_and(|tensor| tensor.shape.len() == 2) {
                translation.matrix(value);
            }
        }
        for node in self.graph.nodes() {
            translation.node(self.graph, node)?;
        }
        if precision == FilePrecision::F16 {
            let used = self.weights.iter().filter(|&(_, value)| translation.uses(value));
            for (name, _) in used.collect::<Vec<_>>() {
                translation.widen(name);
            }
        }
        Ok(translation)
    }

    /// The graph but for the weights.
    fn described(&self, translation: Translation) -> Result<Message> {
        let [_, channels, height, width] = self.graph.shape(self.images)?.sides();
        let [_, classes, ..] = self.graph.shape(self.logits)?.sides();
        let side = |side: u32, open: &str| {
            if self.fixed_size { Side::Fixed(side) } else { Side::Open(open.into()) }
        };
        let batch = || Side::Open("batch".into());
        let images = [batch(), Side::Fixed(channels), side(height, "height"), side(width, "width")];
        let graph = Message(translation.nodes).bytes(2, "lapidary");
        let graph = Message([graph.0, translation.constants].concat());
        Ok(graph
            .message(11, described("images", &images))
            .message(12, described("logits", &[batch(), Side::Fixed(classes)])))
    }

    /// The file but for the graph.
    fn framed(&self, metadata: &BTreeMap<String, String>) -> Message {
        let operators = Message::default().bytes(1, "").int(2, OPERATOR_SET);
        let file = Message::default()
            .int(1, FORMAT)
            .bytes(2, "lapidary")
            .bytes(3, env!("CARGO_PKG_VERSION"))
            .message(8, operators);
        metadata.iter().fold(file, |file, (key, value)| {
            file.message(14, Message::default().bytes(1, key).bytes(2, value))
        })
    }
}

/// The name of weights that are stored in half precision.
fn half(name: &str) -> String {
    format!("{name}.half")
}

enum Side {
    Fixed(u32),
    Open(String),
}

/// An input or output of the file.
fn described(name: &str, sides: &[Side]) -> Message {
    let shape = sides.iter().fold(Message::default(), |shape, side| {
        let side = match side {
            Side::Fixed(side) => Message::default().int(1, (*side).into()),
            Side::Open(name) => Message::default().bytes(2, name),
        };
        shape.message(1, side)
    });
    let tensor = Message::default().int(1, FLOAT).message(2, shape);
    Message::default().bytes(1, name).message(2, Message::default().message(1, tensor))
}

/// A tensor but for its bytes, which are field 9.
fn constant(name: &str, data_type: u64, shape: &[usize]) -> Message {
    let sides = shape.iter().fold(Message::default(), |tensor, &side| tensor.int(1, side as u64));
    sides.int(2, data_type).bytes(8, name)
}
