//! Translates the library's ops into ONNX's (<https://onnx.ai/onnx/operators>). A new op that networks are to use needs a branch
//! in `Translation::node`; without it, such networks cannot be written as ONNX files.

use super::protobuf::Message;
use super::{FLOAT, INT64, constant, half};
use crate::graph::{Graph, Node, Shape, Value, exactly};
use crate::ops::{
    Add, AvgPool, Broadcast, ConcatChannels, Conv2d, FrozenBatchNorm, GlobalAvgPool, GroupNorm,
    GroupedConv2d, LayerNorm, Linear, LocalMean, MaxPool, Mul, Normalise, Pad, Reshape, Scale,
    Unary,
};
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};

/// A graph's nodes and constants, encoded as fields of ONNX's messages.
#[derive(Debug, Default)]
pub struct Translation {
    pub nodes: Vec<u8>,
    pub constants: Vec<u8>,
    names: BTreeMap<Value, String>,
    used: BTreeSet<Value>,
    matrices: BTreeSet<Value>,
}

/// An attribute of a node.
enum Attribute<'a> {
    Float(f32),
    Int(u64),
    Ints(&'a [u32]),
}

impl Translation {
    pub fn name(&mut self, value: Value, name: &str) {
        self.names.insert(value, name.into());
    }

    /// Says that a value is a constant of two sides, as the weights of a linear layer.
    pub fn matrix(&mut self, value: Value) {
        self.matrices.insert(value);
    }

    /// Returns whether a node of the graph reads this value.
    pub fn uses(&self, value: Value) -> bool {
        self.used.contains(&value)
    }

    /// Adds the ONNX operators that compute the node's first output; the other outputs are for derivatives. Err for ops without a
    /// counterpart.
    pub fn node(&mut self, graph: &Graph, node: &Node) -> Result<()> {
        use Attribute::{Float, Int, Ints};
        let op = node.op.name();
        let none = || Error::mismatch(op, "no outputs", "at least one output");
        let output = *node.outputs.first().ok_or_else(none)?;
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
            self.conv(node, *conv, 1)?;
        } else if let Some(GroupedConv2d { conv, groups }) = node.is() {
            self.conv(node, *conv, *groups)?;
        } else if let Some(norm) = node.is::<FrozenBatchNorm>() {
            self.push("BatchNormalization", &inputs, &y, &[("epsilon", Float(norm.eps))]);
        } else if let Some(Unary::Relu) = node.is() {
            self.push("Relu", &inputs, &y, &[]);
        } else if let Some(Unary::Silu) = node.is() {
            let [x] = exactly(op, "inputs", &inputs)?;
            let gate = format!("{y}.gate");
            self.push("Sigmoid", &[x], &gate, &[]);
            self.push("Mul", &[x, &gate], &y, &[]);
        } else if let Some(Unary::Sigmoid) = node.is() {
            self.push("Sigmoid", &inputs, &y, &[]);
        } else if let Some(Unary::Relu6) = node.is() {
            let [x] = exactly(op, "inputs", &inputs)?;
            let [low, high] = [("low", 0.0), ("high", 6.0)].map(|(name, value)| {
                self.constant(&format!("{y}.{name}"), FLOAT, &[], &f32::to_le_bytes(value))
            });
            self.push("Clip", &[x, &low, &high], &y, &[]);
        } else if let Some(Unary::LeakyRelu { slope }) = node.is() {
            self.push("LeakyRelu", &inputs, &y, &[("alpha", Float(*slope))]);
        } else if let Some(Unary::Elu { alpha }) = node.is() {
            self.push("Elu", &inputs, &y, &[("alpha", Float(*alpha))]);
        } else if let Some(Unary::HardSigmoid) = node.is() {
            self.push("HardSigmoid", &inputs, &y, &[("alpha", Float(1.0 / 6.0))]);
        } else if let Some(Unary::HardSwish) = node.is() {
            self.push("HardSwish", &inputs, &y, &[]);
        } else if let Some(Unary::Tanh) = node.is() {
            self.push("Tanh", &inputs, &y, &[]);
        } else if let Some(Unary::Softplus) = node.is() {
            self.push("Softplus", &inputs, &y, &[]);
        } else if let Some(Unary::Mish) = node.is() {
            // An operator of its own came with set 18.
            let [x] = exactly(op, "inputs", &inputs)?;
            let [soft, gate] = ["soft", "gate"].map(|name| format!("{y}.{name}"));
            self.push("Softplus", &[x], &soft, &[]);
            self.push("Tanh", &[&soft], &gate, &[]);
            self.push("Mul", &[x, &gate], &y, &[]);
        } else if node.is::<ConcatChannels>().is_some() {
            self.push("Concat", &inputs, &y, &[("axis", Int(1))]);
        } else if let Some(GroupNorm { groups, eps }) = node.is() {
            // An operator of its own came with set 18. The groups become channels of an instance normalisation.
            let [x] = exactly(op, "inputs", &inputs)?;
            let [parted, normed, sides] =
                ["parted", "normed", "sides"].map(|name| format!("{y}.{name}"));
            let bytes: Vec<u8> =
                [0, i64::from(*groups), -1].into_iter().flat_map(i64::to_le_bytes).collect();
            let parts = self.constant(&format!("{y}.parts"), INT64, &[3], &bytes);
            let [ones, zeros] = [("ones", 1.0_f32), ("zeros", 0.0)].map(|(name, value)| {
                let bytes = value.to_le_bytes().repeat(*groups as usize);
                self.constant(&format!("{y}.{name}"), FLOAT, &[*groups as usize], &bytes)
            });
            self.push("Reshape", &[x, &parts], &parted, &[]);
            let attributes = [("epsilon", Float(*eps))];
            self.push("InstanceNormalization", &[&parted, &ones, &zeros], &normed, &attributes);
            self.push("Shape", &[x], &sides, &[]);
            self.push("Reshape", &[&normed, &sides], &y, &[]);
        } else if node.is::<Mul>().is_some() {
            self.push("Mul", &inputs, &y, &[]);
        } else if node.is::<Reshape>().is_some() {
            // Networks flatten and do nothing else.
            let [x] = exactly(op, "inputs", &node.inputs)?;
            let flat = Reshape::flat(graph.shape(x)?)?;
            graph.shape(output)?.expect("ONNX", flat.shape)?;
            self.push("Flatten", &inputs, &y, &[("axis", Int(1))]);
        } else if let Some(LocalMean { reach }) = node.is() {
            let attributes = [
                ("kernel_shape", Ints(&[2 * reach + 1; 2])),
                ("pads", Ints(&[*reach; 4])),
                ("count_include_pad", Int(0)),
            ];
            self.push("AveragePool", &inputs, &y, &attributes);
        } else if let Some(Scale { factor }) = node.is() {
            let [x] = exactly(op, "inputs", &inputs)?;
            let bytes = factor.to_le_bytes();
            let factor = self.constant(&format!("{y}.factor"), FLOAT, &[], &bytes);
            self.push("Mul", &[x, &factor], &y, &[]);
        } else if let Some(Pad { top, bottom, left, right }) = node.is() {
            let [x] = exactly(op, "inputs", &inputs)?;
            // Before all sides, then behind them.
            let pads = [0, 0, *top, *left, 0, 0, *bottom, *right].map(i64::from);
            let bytes: Vec<u8> = pads.iter().flat_map(|pad| pad.to_le_bytes()).collect();
            let pads = self.constant(&format!("{y}.pads"), INT64, &[pads.len()], &bytes);
            self.push("Pad", &[x, &pads], &y, &[]);
        } else if node.is::<Add>().is_some() {
            self.push("Add", &inputs, &y, &[]);
        } else if node.is() == Some(&Broadcast::Add) {
            self.a_channel("Add", graph, node)?;
        } else if node.is() == Some(&Broadcast::Mul) {
            self.a_channel("Mul", graph, node)?;
        } else if let Some(norm) = node.is::<LayerNorm>() {
            let [x, gamma, beta] = exactly(op, "inputs", &inputs)?;
            // Channels are last there.
            let (last, normed) = (format!("{y}.last"), format!("{y}.normed"));
            self.push("Transpose", &[x], &last, &[("perm", Ints(&[0, 2, 3, 1]))]);
            let attributes = [("axis", Int(3)), ("epsilon", Float(norm.eps))];
            self.push("LayerNormalization", &[&last, gamma, beta], &normed, &attributes);
            self.push("Transpose", &[&normed], &y, &[("perm", Ints(&[0, 3, 1, 2]))]);
        } else if let Some(Unary::Gelu) = node.is() {
            // x (1 + erf(x / sqrt 2)) / 2; an operator of its own came with set 20.
            let [x] = exactly(op, "inputs", &inputs)?;
            let [root, one, half] =
                [("root", std::f32::consts::FRAC_1_SQRT_2), ("one", 1.0), ("half", 0.5)].map(
                    |(name, value)| {
                        self.constant(&format!("{y}.{name}"), FLOAT, &[], &f32::to_le_bytes(value))
                    },
                );
            let part = |name: &str| format!("{y}.{name}");
            let [scaled, erf, sum, twice] = ["scaled", "erf", "sum", "twice"].map(part);
            self.push("Mul", &[x, &root], &scaled, &[]);
            self.push("Erf", &[&scaled], &erf, &[]);
            self.push("Add", &[&erf, &one], &sum, &[]);
            self.push("Mul", &[x, &sum], &twice, &[]);
            self.push("Mul", &[&twice, &half], &y, &[]);
        } else if let Some(MaxPool { kernel, stride, padding }) = node.is() {
            let attributes = [
                ("kernel_shape", Ints(&[*kernel; 2])),
                ("strides", Ints(&[*stride; 2])),
                ("pads", Ints(&[*padding; 4])),
            ];
            self.push("MaxPool", &inputs, &y, &attributes);
        } else if node.is::<GlobalAvgPool>().is_some() {
            self.push("GlobalAveragePool", &inputs, &y, &[]);
        } else if let Some(pool) = node.is::<AvgPool>() {
            let window = [pool.kernel; 2];
            let attributes = [("kernel_shape", Ints(&window)), ("strides", Ints(&window))];
            self.push("AveragePool", &inputs, &y, &attributes);
        } else if node.is::<Linear>().is_some() {
            let [x, rest @ ..] = &inputs[..] else {
                return Err(Error::mismatch(
                    op,
                    "no inputs",
                    "2 or 3 inputs: x, weights and perhaps a bias",
                ));
            };
            // Pooled maps [N, C, 1, 1] are matrices here, but not there.
            let flat = format!("{y}.flat");
            self.push("Flatten", &[x], &flat, &[("axis", Int(1))]);
            let inputs: Vec<&str> =
                std::iter::once(flat.as_str()).chain(rest.iter().copied()).collect();
            self.push("Gemm", &inputs, &y, &[("transB", Int(1))]);
        } else {
            return Err(Error::mismatch(
                "ONNX",
                format_args!("op {op}"),
                "an op that can be written as ONNX",
            ));
        }
        Ok(())
    }

    fn conv(&mut self, node: &Node, conv: Conv2d, groups: u32) -> Result<()> {
        use Attribute::{Int, Ints};
        let op = node.op.name();
        let ([x, w], [y]) =
            (exactly(op, "inputs", &node.inputs)?, exactly(op, "outputs", &node.outputs)?);
        let [x, mut weights, y] = [x, w, y].map(|value| self.named(value));
        // A linear layer's weights are a convolution's of one pixel here, but not there.
        if self.matrices.contains(&w) {
            weights = self.unsqueeze(&weights, &[2, 3]);
        }
        let [top, left] = conv.padding;
        let attributes = [
            ("strides", Ints(&conv.stride)),
            ("pads", Ints(&[top, left, top, left])),
            ("group", Int(groups.into())),
        ];
        self.push("Conv", &[&x, &weights], &y, &attributes);
        Ok(())
    }

    /// Writes an operator that combines a map with one number for each channel, or for each image and channel.
    fn a_channel(&mut self, operator: &str, graph: &Graph, node: &Node) -> Result<()> {
        let op = node.op.name();
        let ([a, b], [y]) =
            (exactly(op, "inputs", &node.inputs)?, exactly(op, "outputs", &node.outputs)?);
        let (map, other) = (graph.shape(a)?, graph.shape(b)?);
        let computed = graph.nodes().iter().any(|node| node.outputs.contains(&b));
        let [a, b, y] = [a, b, y].map(|value| self.named(value));
        let column = if computed {
            // One number an image and channel. Behind a linear layer it is a matrix there.
            other.expect(op, Shape::matrix(map.images(), map.channels())?)?;
            let sides = [0i64, -1, 1, 1].map(i64::to_le_bytes).concat();
            let wide = format!("{b}.wide");
            let sides = self.constant(&format!("{wide}.sides"), INT64, &[4], &sides);
            self.push("Reshape", &[&b, &sides], &wide, &[]);
            wide
        } else {
            other.expect(op, Shape::vector(map.channels())?)?;
            self.unsqueeze(&b, &[1, 2])
        };
        self.push(operator, &[&a, &column], &y, &[]);
        Ok(())
    }

    /// Adds sides of 1 and returns the name.
    fn unsqueeze(&mut self, name: &str, axes: &[u64]) -> String {
        let wide = format!("{name}.wide");
        let bytes: Vec<u8> = axes.iter().flat_map(|axis| axis.to_le_bytes()).collect();
        let axes = self.constant(&format!("{wide}.axes"), INT64, &[axes.len()], &bytes);
        self.push("Unsqueeze", &[name, &axes], &wide, &[]);
        wide
    }

    /// Writes nodes that widen half-precision weights to full precision. They must come first.
    pub fn widen(&mut self, name: &str) {
        let others = std::mem::take(&mut self.nodes);
        self.push("Cast", &[&half(name)], name, &[("to", Attribute::Int(FLOAT))]);
        self.nodes.extend(others);
    }

    fn named(&self, value: Value) -> String {
        self.names.get(&value).cloned().unwrap_or_else(|| format!("value.{}", value.number()))
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
