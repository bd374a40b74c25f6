//! A reader of pickles (PEP 307, PEP 3154; Python's `pickletools` describes each opcode) that executes nothing: it builds plain
//! data, and it makes descriptions of tensors from calls of the few functions and classes that [`globals`](super::globals)
//! lists. Every other function or class is only a name: a call of it becomes an [`Object`], which holds the arguments as plain
//! data and does nothing. Nothing recurses, and all memory is counted against a limit (`budget.rs`) before it is allocated.

use super::budget::Budget;
use super::globals::{Global, Storage, TensorPlace};
use super::input::{Checked, Input};
use super::machine::Machine;
use std::io::{Read, Seek};

/// A value of a pickle as plain data; values larger than a few bytes lie in the [`Pickle`].
#[derive(Clone, Copy, Debug)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// A floating-point number, which no tensor's description has.
    Float,
    Text(Span),
    /// A whole number beyond 64 bits: its little-endian bytes.
    Long(Span),
    Global(Global),
    /// A function or class that is never looked up, by its number among [`Pickle::names`].
    Unknown(u32),
    /// Bytes, which stay in the input, by their number among the pickle's places.
    Bytes(u32),
    Node(u32),
}

/// A range of the pickle's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub(super) start: u32,
    pub(super) length: u32,
}

/// An object that a [`Value`] refers to. Several values may refer to the same object, and it may change later or contain itself.
#[derive(Debug)]
pub enum Node {
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    Storage(Storage),
    /// A tensor, in a box because most nodes are tuples and far smaller.
    Tensor(Box<TensorPlace>),
    Object(Box<Object>),
}

/// A placeholder for the result of calling an unknown name.
#[derive(Debug)]
pub struct Object {
    /// The number of the called name in [`Pickle::names`].
    pub class: u32,
    /// The items that were set on the object, as on a dict.
    pub items: Vec<(Value, Value)>,
    /// The arguments of the call that made the object, a tuple.
    pub arguments: Value,
    /// The attributes of the object, usually a dict.
    pub state: Value,
}

/// The decoded contents of a pickle.
#[derive(Debug)]
pub struct Pickle {
    pub result: Value,
    /// The names of functions and classes that are unknown here, as `module.name`.
    pub names: Vec<String>,
    pub(super) nodes: Vec<Node>,
    pub(super) bytes: Vec<u8>,
    /// The positions of byte strings in the input: first byte and length.
    pub(super) places: Vec<(u64, u64)>,
    pub budget: Budget,
}

impl Pickle {
    /// Reads a pickle, from where the input is to the pickle's end. All pickles of a file share one budget.
    pub fn read<R: Read + Seek>(input: &mut Input<R>, budget: Budget) -> Checked<Self> {
        let pickle = Self {
            result: Value::None,
            names: Vec::new(),
            nodes: Vec::new(),
            bytes: Vec::new(),
            places: Vec::new(),
            budget,
        };
        Machine::new(input, pickle).run()
    }

    pub fn node(&self, value: Value) -> Option<&Node> {
        let Value::Node(id) = value else { return None };
        self.nodes.get(id as usize)
    }

    pub(super) fn node_mut(&mut self, value: Value) -> Option<&mut Node> {
        let Value::Node(id) = value else { return None };
        self.nodes.get_mut(id as usize)
    }

    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub fn bytes(&self, span: Span) -> &[u8] {
        let Span { start, length } = span;
        self.bytes.get(start as usize..start as usize + length as usize).unwrap_or_default()
    }

    pub fn text(&self, value: Value) -> Option<&str> {
        let Value::Text(span) = value else { return None };
        std::str::from_utf8(self.bytes(span)).ok()
    }

    pub fn dict(&self, value: Value) -> Option<&[(Value, Value)]> {
        match self.node(value)? {
            Node::Dict(items) => Some(items),
            // Counters, defaultdicts and their like.
            Node::Object(object) if !object.items.is_empty() => Some(&object.items),
            _ => None,
        }
    }

    /// Returns the object of an unknown class that a value is, and the name of the class.
    pub fn object(&self, value: Value) -> Option<(&str, &Object)> {
        let Node::Object(object) = self.node(value)? else { return None };
        let name = self.names.get(object.class as usize)?;
        Some((name.as_str(), object))
    }

    /// Returns the value that a dict has under a text key.
    pub fn item(&self, dict: Value, key: &str) -> Option<Value> {
        let items = self.dict(dict)?.iter().rev();
        items.copied().find(|&(at, _)| self.text(at) == Some(key)).map(|(_, value)| value)
    }

    pub fn tuple(&self, value: Value) -> Option<&[Value]> {
        match self.node(value)? {
            Node::Tuple(items) => Some(items),
            _ => None,
        }
    }

    pub fn list(&self, value: Value) -> Option<&[Value]> {
        match self.node(value)? {
            Node::List(items) => Some(items),
            _ => None,
        }
    }

    /// Names the type of a value, for messages.
    pub fn describe(&self, value: Value) -> &'static str {
        match (value, self.node(value)) {
            (_, Some(Node::Tuple(_))) => "a tuple",
            (_, Some(Node::List(_))) => "a list",
            (_, Some(Node::Dict(_))) => "a dict",
            (_, Some(Node::Storage(_))) => "a storage",
            (_, Some(Node::Tensor(_))) => "a tensor",
            (_, Some(Node::Object(_))) => "an object",
            (Value::Bytes(_), _) => "bytes",
            (Value::Text(_), _) => "a string",
            (Value::Global(_) | Value::Unknown(_), _) => "a function",
            (Value::None, _) => "None",
            _ => "a number",
        }
    }

    /// Adds an object of an unknown class to the pickle.
    pub fn add_object(&mut self, class: u32, arguments: Value) -> Checked<Value> {
        self.budget.charge(size_of::<Object>())?;
        let (items, state) = (Vec::new(), Value::None);
        self.add(Node::Object(Box::new(Object { class, items, arguments, state })))
    }

    /// Returns the position of a byte string in the input: first byte and length.
    #[cfg_attr(
        any(not(feature = "data"), target_arch = "wasm32"),
        expect(dead_code, reason = "for data sets of NumPy arrays, which are read from files")
    )]
    pub fn place(&self, value: Value) -> Option<(u64, u64)> {
        let Value::Bytes(number) = value else { return None };
        self.places.get(number as usize).copied()
    }

    pub fn add(&mut self, node: Node) -> Checked<Value> {
        let id =
            u32::try_from(self.nodes.len()).map_err(|_| "the pickle has more than 2^32 objects")?;
        self.budget.push(&mut self.nodes, node)?;
        Ok(Value::Node(id))
    }
}
