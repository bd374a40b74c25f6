//! From the library's ops to ONNX's (<https://onnx.ai/onnx/operators>). An op that is added to the library for networks to be
//! built of gets a line here.

use super::protobuf::Message;
use super::{FLOAT, INT64, constant, half};
use crate::graph::{Graph, Node, Shape, Value, exactly};
use crate::ops::{
    Add, AvgPool, BroadcastAdd, Conv2d, FrozenBatchNorm, GlobalAvgPool, Linear, Normalise, Relu,
    Silu,
};
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};

/// A graph's nodes and constants, encoded as fields of ONNX's.
#[derive(Debug, Default)]
pub struct Translation {
    pub nodes: Vec<u8>,
    pub constants: Vec<u8>,
    names: BTreeMap<Value, String>,
    used: BTreeSet<Value>,
}

/// A node's attribute.
enum Attribute<'a> {
    Float(f32),
    Int(u64),
    Ints(&'a [u32]),
}

impl Translation {
    pub fn name(&mut self, value: Value, name: &str) {
        self.names.insert(value, name.into());
    }

    /// Whether a node reads it.
    pub fn uses(&self, value: Value) -> bool {
        self.used.contains(&value)
    }

    /// Adds what computes the node's output. Err for ops without a counterpart.
    pub fn node(&mut self, graph: &Graph, node: &Node) -> Result<()> {
        use Attribute::{Float, Int, Ints};
        let op = node.op.name();
        let [output] = exactly(op, "outputs", &node.outputs)?;
        self.used.extend(&node.inputs);
        let names: Vec<String> = node.inputs.iter().map(|&input| self.named(input)).collect();
        let inputs: Vec<&str> = names.iter().map(String::as_str).collect();
        let y = self.named(output);
        if let Some(Normalise { mean, std }) = node.is() {
            let [x] = exactly(op, "inputs", &inputs)?;
            let [mean, std] = [("mean", mean), ("std", std)].map(|(name, values)| {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                self.constant(&format!("{y}.{name}"), FLOAT, &[values.len(), 1, 1], &bytes)
            });
            let centred = format!("{y}.centred");
            self.push("Sub", &[x, &mean], &centred, &[]);
            self.push("Div", &[&centred, &std], &y, &[]);
        } else if let Some(conv) = node.is::<Conv2d>() {
            let [top, left] = conv.padding;
            let attributes =
                [("strides", Ints(&conv.stride)), ("pads", Ints(&[top, left, top, left]))];
            self.push("Conv", &inputs, &y, &attributes);
        } else if let Some(norm) = node.is::<FrozenBatchNorm>() {
            self.push("BatchNormalization", &inputs, &y, &[("epsilon", Float(norm.eps))]);
        } else if node.is::<Relu>().is_some() {
            self.push("Relu", &inputs, &y, &[]);
        } else if node.is::<Silu>().is_some() {
            let [x] = exactly(op, "inputs", &inputs)?;
            let gate = format!("{y}.gate");
            self.push("Sigmoid", &[x], &gate, &[]);
            self.push("Mul", &[x, &gate], &y, &[]);
        } else if node.is::<Add>().is_some() {
            self.push("Add", &inputs, &y, &[]);
        } else if node.is::<BroadcastAdd>().is_some() {
            let [a, b] = exactly(op, "inputs", &inputs)?;
            let b = self.a_channel(graph, node, b)?;
            self.push("Add", &[a, &b], &y, &[]);
        } else if node.is::<GlobalAvgPool>().is_some() {
            self.push("GlobalAveragePool", &inputs, &y, &[]);
        } else if let Some(pool) = node.is::<AvgPool>() {
            let window = [pool.kernel; 2];
            let attributes = [("kernel_shape", Ints(&window)), ("strides", Ints(&window))];
            self.push("AveragePool", &inputs, &y, &attributes);
        } else if node.is::<Linear>().is_some() {
            let [x, rest @ ..] = &inputs[..] else {
                return Err(Error::mismatch(op, "no inputs", "2 or 3"));
            };
            // Pooled maps [N, C, 1, 1] are matrices here, but not there.
            let flat = format!("{y}.flat");
            self.push("Flatten", &[x], &flat, &[("axis", Int(1))]);
            let inputs: Vec<&str> =
                std::iter::once(flat.as_str()).chain(rest.iter().copied()).collect();
            self.push("Gemm", &inputs, &y, &[("transB", Int(1))]);
        } else {
            return Err(Error::mismatch("ONNX", format_args!("op {op}"), "one that ONNX has"));
        }
        Ok(())
    }

    /// The second input, one number a channel, in a shape that ONNX adds to and multiplies with maps.
    fn a_channel(&mut self, graph: &Graph, node: &Node, name: &str) -> Result<String> {
        let op = node.op.name();
        let [a, b] = exactly(op, "inputs", &node.inputs)?;
        graph.shape(b)?.expect(op, Shape::vector(graph.shape(a)?.channels())?)?;
        let column = format!("{name}.column");
        let axes: Vec<u8> = [1u64, 2].iter().flat_map(|axis| axis.to_le_bytes()).collect();
        let axes = self.constant(&format!("{column}.axes"), INT64, &[2], &axes);
        self.push("Unsqueeze", &[name, &axes], &column, &[]);
        Ok(column)
    }

    /// Makes the full-precision weights of those stored in half precision. They come first.
    pub fn widen(&mut self, name: &str) {
        let others = std::mem::take(&mut self.nodes);
        self.push("Cast", &[&half(name)], name, &[("to", Attribute::Int(FLOAT))]);
        self.nodes.extend(others);
    }

    fn named(&self, value: Value) -> String {
        self.names.get(&value).cloned().unwrap_or_else(|| format!("value.{}", value.0))
    }

    fn constant(&mut self, name: &str, data_type: u64, shape: &[usize], bytes: &[u8]) -> String {
        let tensor = constant(name, data_type, shape).bytes(9, bytes);
        self.constants.extend(Message::default().message(5, tensor).0);
        name.into()
    }

    fn push(&mut self, op: &str, inputs: &[&str], output: &str, attributes: &[(&str, Attribute)]) {
        let node = inputs.iter().fold(Message::default(), |node, input| node.bytes(1, input));
        let node = node.bytes(2, output).bytes(3, format!("{output}.{op}")).bytes(4, op);
        let node = attributes.iter().fold(node, |node, (name, value)| {
            let attribute = Message::default().bytes(1, name);
            let attribute = match value {
                Attribute::Float(value) => attribute.float(2, *value).int(20, 1),
                Attribute::Int(value) => attribute.int(3, *value).int(20, 2),
                Attribute::Ints(values) => {
                    let ints = |attribute: Message, &value: &u32| attribute.int(8, value.into());
                    values.iter().fold(attribute, ints).int(20, 7)
                }
            };
            node.message(5, attribute)
        });
        self.nodes.extend(Message::default().message(1, node).0);
    }
}
