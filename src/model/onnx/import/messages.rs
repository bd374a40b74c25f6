//! Parses the parts of an ONNX file (<https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>) that a network is read from.
//!
//! `prost` decodes them, a level at a time: messages in messages stay bytes of the file, which are shared and not copied,
//! until they are looked at. What decoding one level can take in memory is compared with a limit first, by counting the bytes
//! that can begin one of its repeated parts.

use crate::files::Checked;
use prost::Message;
use prost::bytes::Bytes;

/// The bytes that a repeated part takes while its list grows: 32 of its own, and twice as many for the smaller lists
/// before.
const PART: u64 = 96;
/// The parts of one level may take this many times the level's bytes, plus `LEAST`.
const TIMES: u64 = 4;
const LEAST: u64 = 4 << 20;

/// The longest message without its tensors' numbers, in bytes: whatever a message of this length says, its parts fit into
/// `LEAST`.
const LONGEST: usize = 64 << 10;

/// The outermost message (ModelProto) of an ONNX file.
#[derive(Clone, PartialEq, Message)]
pub struct Model {
    #[prost(string, tag = "2")]
    pub producer: String,
    #[prost(bytes = "bytes", optional, tag = "7")]
    pub graph: Option<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "8")]
    pub operators: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "14")]
    pub facts: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "25")]
    pub functions: Vec<Bytes>,
}

/// A set of ONNX operators and its version.
#[derive(Clone, PartialEq, Message)]
pub struct OperatorSet {
    #[prost(string, tag = "1")]
    pub domain: String,
    #[prost(int64, tag = "2")]
    pub version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub nodes: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "5")]
    pub tensors: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "11")]
    pub inputs: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "12")]
    pub outputs: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "15")]
    pub sparse: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Node {
    #[prost(string, repeated, tag = "1")]
    pub inputs: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub outputs: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub operator: String,
    #[prost(bytes = "bytes", repeated, tag = "5")]
    pub attributes: Vec<Bytes>,
    #[prost(string, tag = "7")]
    pub domain: String,
}

/// The tensor of an attribute, and its string.
#[derive(Clone, PartialEq, Message)]
struct Held {
    #[prost(bytes = "bytes", tag = "4")]
    text: Bytes,
    #[prost(bytes = "bytes", optional, tag = "5")]
    tensor: Option<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(float, tag = "2")]
    pub real: f32,
    #[prost(int64, tag = "3")]
    pub whole: i64,
    #[prost(bytes = "bytes", tag = "4")]
    pub text: Bytes,
    #[prost(bytes = "bytes", optional, tag = "5")]
    pub tensor: Option<Bytes>,
    #[prost(float, repeated, tag = "7")]
    pub reals: Vec<f32>,
    #[prost(int64, repeated, tag = "8")]
    pub wholes: Vec<i64>,
}

/// The numbers of a tensor, where they are bytes: as they are, or packed.
#[derive(Clone, PartialEq, Message)]
struct Packed {
    #[prost(bytes = "bytes", tag = "4")]
    floats: Bytes,
    #[prost(bytes = "bytes", tag = "9")]
    raw: Bytes,
    #[prost(bytes = "bytes", tag = "10")]
    doubles: Bytes,
}

/// The description of a tensor in an ONNX file (TensorProto), without its numbers.
#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    pub sides: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub kind: i32,
    #[prost(int32, repeated, tag = "5")]
    pub int32s: Vec<i32>,
    #[prost(int64, repeated, tag = "7")]
    pub int64s: Vec<i64>,
    #[prost(string, tag = "8")]
    pub name: String,
    #[prost(message, repeated, tag = "13")]
    pub outside: Vec<Fact>,
    #[prost(int32, tag = "14")]
    pub place: i32,
}

/// A key with its value (`StringStringEntryProto`), in a model's metadata, or where it says in which file a tensor's numbers lie.
#[derive(Clone, PartialEq, Message)]
pub struct Fact {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

/// An input or output of an ONNX graph.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfo {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub kind: Option<ValueKind>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ValueKind {
    #[prost(message, optional, tag = "1")]
    pub tensor: Option<TensorKind>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TensorKind {
    #[prost(int32, tag = "1")]
    pub kind: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Sides>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Sides {
    #[prost(message, repeated, tag = "1")]
    pub sides: Vec<Side>,
}

/// The size of a dimension in an ONNX file: a number, or open.
#[derive(Clone, PartialEq, Message)]
pub struct Side {
    #[prost(int64, optional, tag = "1")]
    pub number: Option<i64>,
}

/// Decodes one level of a message whose listed fields are repeated.
pub fn level<M: Message + Default>(what: &str, bytes: &Bytes, fields: &[u8]) -> Checked<M> {
    // A part begins with its field's number and that it has a length; fields above 15 have two bytes there.
    let first =
        |field: &u8| if *field < 16 { field << 3 | 2 } else { (field & 15) << 3 | 2 | 0x80 };
    let firsts: Vec<u8> = fields.iter().map(first).collect();
    let parts = bytes.iter().filter(|byte| firsts.contains(byte)).count() as u64;
    let length = bytes.len() as u64;
    if PART * parts > TIMES * length + LEAST {
        return Err(format!(
            "{what} has {length} bytes but up to {parts} fields: it is damaged or malicious"
        ));
    }
    decoded(what, bytes)
}

/// Decodes a message that is short whatever is in it. Err above 64 KiB.
pub fn short<M: Message + Default>(what: &str, bytes: &Bytes) -> Checked<M> {
    if bytes.len() > LONGEST {
        return Err(format!("{what} has {} bytes, but at most {LONGEST} are read", bytes.len()));
    }
    decoded(what, bytes)
}

/// Decodes an attribute, which is short beside its tensor.
pub fn attribute(bytes: &Bytes) -> Checked<Attribute> {
    let Held { text, tensor } = decoded("an attribute", bytes)?;
    let long = text.len() + tensor.as_ref().map_or(0, Bytes::len);
    expect_short("an attribute", bytes.len().saturating_sub(long))?;
    decoded("an attribute", bytes)
}

/// Decodes a tensor, which is short beside its numbers; and returns the numbers as bytes of the type that it says, if they are
/// there.
pub fn tensor(bytes: &Bytes) -> Checked<(Tensor, Bytes)> {
    let Packed { floats, raw, doubles } = decoded("a tensor", bytes)?;
    let long = [&floats, &raw, &doubles].map(Bytes::len);
    expect_short("a tensor without its numbers", bytes.len().saturating_sub(long.iter().sum()))?;
    let numbers = [raw, floats, doubles].into_iter().find(|bytes| !bytes.is_empty());
    Ok((decoded("a tensor", bytes)?, numbers.unwrap_or_default()))
}

fn expect_short(what: &str, length: usize) -> Checked<()> {
    if length <= LONGEST {
        return Ok(());
    }
    Err(format!("{what} has {length} bytes, but at most {LONGEST} are read"))
}

fn decoded<M: Message + Default>(what: &str, bytes: &Bytes) -> Checked<M> {
    M::decode(bytes.clone()).map_err(|error| format!("{what} is cut off or damaged: {error}"))
}
