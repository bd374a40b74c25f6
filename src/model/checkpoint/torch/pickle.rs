//! A reader of pickles (PEP 307, PEP 3154; Python's `pickletools` describes each opcode) that executes nothing: it builds plain
//! data, and the few calls of [`globals`](super::globals) make tensors' descriptions. Whatever else a pickle
//! asks for is refused by name. Nothing recurses, and all memory is charged before it is allocated.

use super::budget::Budget;
use super::globals::{Global, Storage, TensorPlace};
use crate::model::checkpoint::input::{Checked, Input};
use std::io::{Read, Seek};

/// The longest name of a module or a class.
const LONGEST_NAME: u64 = 256;

/// Plain data; what does not fit a few bytes lies in the [`Pickle`].
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
    Node(u32),
}

/// A range of the pickle's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    start: u32,
    length: u32,
}

/// What a [`Value`] refers to: shared, changed in place, and possibly part of itself.
#[derive(Debug)]
pub enum Node {
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    Storage(Storage),
    Tensor(TensorPlace),
}

/// What a pickle says.
#[derive(Debug)]
pub struct Pickle {
    pub result: Value,
    nodes: Vec<Node>,
    bytes: Vec<u8>,
    pub budget: Budget,
}

impl Pickle {
    /// Reads from the input's place to the pickle's end. All pickles of a file share one budget.
    pub fn read<R: Read + Seek>(input: &mut Input<R>, budget: Budget) -> Checked<Self> {
        let pickle = Self { result: Value::None, nodes: Vec::new(), bytes: Vec::new(), budget };
        let machine =
            Machine { input, pickle, stack: Vec::new(), marks: Vec::new(), memo: Vec::new() };
        machine.run()
    }

    pub fn node(&self, value: Value) -> Option<&Node> {
        let Value::Node(id) = value else { return None };
        self.nodes.get(id as usize)
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
            _ => None,
        }
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

    /// For messages.
    pub fn describe(&self, value: Value) -> &'static str {
        match (value, self.node(value)) {
            (_, Some(Node::Tuple(_))) => "a tuple",
            (_, Some(Node::List(_))) => "a list",
            (_, Some(Node::Dict(_))) => "a dict",
            (_, Some(Node::Storage(_))) => "a storage",
            (_, Some(Node::Tensor(_))) => "a tensor",
            (Value::Text(_), _) => "a string",
            (Value::Global(_), _) => "a function",
            (Value::None, _) => "None",
            _ => "a number",
        }
    }

    pub fn add(&mut self, node: Node) -> Checked<Value> {
        let id = u32::try_from(self.nodes.len()).map_err(|_| "more than 2^32 objects")?;
        self.budget.push(&mut self.nodes, node)?;
        Ok(Value::Node(id))
    }
}

/// The pickle machine: a stack, marks in it, and the objects that were noted for later.
struct Machine<'a, R> {
    input: &'a mut Input<R>,
    pickle: Pickle,
    stack: Vec<Value>,
    marks: Vec<u32>,
    memo: Vec<Option<Value>>,
}

impl<R: Read + Seek> Machine<'_, R> {
    fn run(mut self) -> Checked<Pickle> {
        loop {
            let at = self.input.at();
            let [opcode] = self.input.array()?;
            match self.step(opcode) {
                Ok(None) => {}
                Ok(Some(result)) => return Ok(Pickle { result, ..self.pickle }),
                Err(reason) => {
                    return Err(format!("{reason} (pickle opcode {opcode:#04x} at byte {at})"));
                }
            }
        }
    }

    /// One opcode; the result at the last.
    fn step(&mut self, opcode: u8) -> Checked<Option<Value>> {
        match opcode {
            0x80 => {
                let [version] = self.input.array()?;
                if !(2..=5).contains(&version) {
                    return Err(format!("pickle protocol {version}, 2 to 5 wanted"));
                }
            }
            // FRAME: the length of what follows, for readers that read ahead.
            0x95 => drop(self.input.array::<8>()?),
            b'.' => return self.pop().map(Some),
            b'(' => {
                let height = self.stack.len() as u32;
                self.pickle.budget.push(&mut self.marks, height)?;
            }
            b'0' => drop(self.pop()?),
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'K' => {
                let [number] = self.input.array()?;
                self.push(Value::Int(number.into()))?;
            }
            b'M' => {
                let number = u16::from_le_bytes(self.input.array()?);
                self.push(Value::Int(number.into()))?;
            }
            b'J' => {
                let number = i32::from_le_bytes(self.input.array()?);
                self.push(Value::Int(number.into()))?;
            }
            0x8a => self.long()?,
            b'G' => {
                self.input.array::<8>()?;
                self.push(Value::Float)?;
            }
            b'X' | b'T' => {
                let length = u32::from_le_bytes(self.input.array()?);
                self.push_text(length.into())?;
            }
            0x8c | b'U' => {
                let [length] = self.input.array()?;
                self.push_text(length.into())?;
            }
            0x8d => {
                let length = u64::from_le_bytes(self.input.array()?);
                self.push_text(length)?;
            }
            b')' => self.push_tuple(0)?,
            0x85 => self.push_tuple(1)?,
            0x86 => self.push_tuple(2)?,
            0x87 => self.push_tuple(3)?,
            b't' => {
                let height = self.mark()?;
                self.push_tuple(self.stack.len() - height)?;
            }
            b']' => self.push_node(Node::List(Vec::new()))?,
            b'}' => self.push_node(Node::Dict(Vec::new()))?,
            b'a' => self.append(self.stack.len().saturating_sub(1))?,
            b'e' => {
                let height = self.mark()?;
                self.append(height)?;
            }
            b's' => self.set_items(self.stack.len().saturating_sub(2))?,
            b'u' => {
                let height = self.mark()?;
                self.set_items(height)?;
            }
            b'q' => {
                let [index] = self.input.array()?;
                self.note(index.into())?;
            }
            b'r' => {
                let index = u32::from_le_bytes(self.input.array()?);
                self.note(index as usize)?;
            }
            0x94 => self.note(self.memo.len())?,
            b'h' => {
                let [index] = self.input.array()?;
                self.recall(index.into())?;
            }
            b'j' => {
                let index = u32::from_le_bytes(self.input.array()?);
                self.recall(index as usize)?;
            }
            b'c' => {
                let module = self.input.line(LONGEST_NAME)?;
                let name = self.input.line(LONGEST_NAME)?;
                self.push(Value::Global(Global::find(&module, &name)?))?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let text = |value| self.pickle.text(value).ok_or("a function's name is no string");
                let global = Global::find(text(module)?, text(name)?)?;
                self.push(Value::Global(global))?;
            }
            b'R' => {
                let (arguments, called) = (self.pop()?, self.pop()?);
                let Value::Global(global) = called else {
                    return Err(format!("{} is called", self.pickle.describe(called)));
                };
                let made = global.call(&mut self.pickle, arguments)?;
                self.push(made)?;
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = Storage::from_id(&self.pickle, id)?;
                self.push_node(Node::Storage(storage))?;
            }
            b'b' => {
                // Attributes of an OrderedDict, as a state dict's `_metadata`: no tensors.
                self.pop()?;
                let object = self.top()?;
                if self.pickle.dict(object).is_none() {
                    let given = self.pickle.describe(object);
                    return Err(format!("{given} is given attributes; only a dict may have them"));
                }
            }
            _ => return Err("an opcode that state dicts do not need".into()),
        }
        Ok(None)
    }

    fn push(&mut self, value: Value) -> Checked<()> {
        self.pickle.budget.push(&mut self.stack, value)
    }

    fn push_node(&mut self, node: Node) -> Checked<()> {
        let value = self.pickle.add(node)?;
        self.push(value)
    }

    /// The last value, which no mark protects.
    fn top(&self) -> Checked<Value> {
        let free = self.marks.last().is_none_or(|&height| (height as usize) < self.stack.len());
        self.stack.last().copied().filter(|_| free).ok_or_else(|| "the stack is empty".into())
    }

    fn pop(&mut self) -> Checked<Value> {
        let value = self.top()?;
        self.stack.pop();
        Ok(value)
    }

    /// Takes the last mark: the height of the stack when it was set.
    fn mark(&mut self) -> Checked<usize> {
        let height = self.marks.pop().map(|height| height as usize);
        height.filter(|&height| height <= self.stack.len()).ok_or_else(|| "no mark is set".into())
    }

    fn long(&mut self) -> Checked<()> {
        let [length] = self.input.array()?;
        if length > 8 {
            let span = self.span(length.into())?;
            return self.push(Value::Long(span));
        }
        let mut bytes = [0; 8];
        let given = bytes.get_mut(..length.into()).unwrap_or_default();
        self.input.fill(given)?;
        // The highest bit given is the sign.
        if given.last().is_some_and(|&byte| byte >= 0x80) {
            bytes.iter_mut().skip(length.into()).for_each(|byte| *byte = 0xff);
        }
        self.push(Value::Int(i64::from_le_bytes(bytes)))
    }

    /// Keeps the next bytes of the input.
    fn span(&mut self, length: u64) -> Checked<Span> {
        let Pickle { bytes, budget, .. } = &mut self.pickle;
        let start = bytes.len();
        let beyond = || format!("a string of {length} bytes");
        let narrow = u32::try_from(length).ok().filter(|&length| {
            u32::try_from(start).is_ok_and(|start| start.checked_add(length).is_some())
        });
        let (length, start) = (narrow.ok_or_else(beyond)?, start as u32);
        if u64::from(length) > self.input.left() {
            return Err(format!("cut off: a string of {length} bytes goes beyond the end"));
        }
        budget.reserve(bytes, length as usize)?;
        self.input.append(length.into(), bytes)?;
        Ok(Span { start, length })
    }

    fn push_text(&mut self, length: u64) -> Checked<()> {
        let span = self.span(length)?;
        if std::str::from_utf8(self.pickle.bytes(span)).is_err() {
            return Err("a string that is not UTF-8".into());
        }
        self.push(Value::Text(span))
    }

    /// Of the last values.
    fn push_tuple(&mut self, count: usize) -> Checked<()> {
        let from = self.below(count)?;
        let items = self.take(from)?;
        self.push_node(Node::Tuple(items))
    }

    /// Where the last `count` values begin. Err if a mark lies above.
    fn below(&self, count: usize) -> Checked<usize> {
        let floor = self.marks.last().map_or(0, |&height| height as usize);
        let from = self.stack.len().checked_sub(count).filter(|&from| from >= floor);
        from.ok_or_else(|| "the stack is empty".into())
    }

    /// Takes the values from a height on.
    fn take(&mut self, from: usize) -> Checked<Vec<Value>> {
        let taken = self.stack.get(from..).unwrap_or_default();
        self.pickle.budget.charge(size_of_val(taken))?;
        let items = taken.to_vec();
        self.stack.truncate(from);
        Ok(items)
    }

    /// The values from a height on join the list below them.
    fn append(&mut self, from: usize) -> Checked<()> {
        let from = self.below(self.stack.len().saturating_sub(from))?;
        let Pickle { nodes, budget, .. } = &mut self.pickle;
        let list = from.checked_sub(1).and_then(|at| self.stack.get(at));
        let list = list.and_then(|value| match value {
            Value::Node(id) => nodes.get_mut(*id as usize),
            _ => None,
        });
        let Some(Node::List(list)) = list else { return Err("no list to append to".into()) };
        for &item in self.stack.get(from..).unwrap_or_default() {
            budget.push(list, item)?;
        }
        self.stack.truncate(from);
        Ok(())
    }

    /// The keys and values from a height on go into the dict below them.
    fn set_items(&mut self, from: usize) -> Checked<()> {
        let from = self.below(self.stack.len().saturating_sub(from))?;
        let Pickle { nodes, budget, .. } = &mut self.pickle;
        let dict = from.checked_sub(1).and_then(|at| self.stack.get(at));
        let dict = dict.and_then(|value| match value {
            Value::Node(id) => nodes.get_mut(*id as usize),
            _ => None,
        });
        let Some(Node::Dict(dict)) = dict else { return Err("no dict to add to".into()) };
        let (pairs, rest) = self.stack.get(from..).unwrap_or_default().as_chunks::<2>();
        if !rest.is_empty() {
            return Err("a key without a value".into());
        }
        for &[key, value] in pairs {
            budget.push(dict, (key, value))?;
        }
        self.stack.truncate(from);
        Ok(())
    }

    fn note(&mut self, index: usize) -> Checked<()> {
        let value = self.top()?;
        let missing = index.saturating_add(1).saturating_sub(self.memo.len());
        self.pickle.budget.reserve(&mut self.memo, missing)?;
        self.memo.resize(self.memo.len() + missing, None);
        if let Some(slot) = self.memo.get_mut(index) {
            *slot = Some(value);
        }
        Ok(())
    }

    fn recall(&mut self, index: usize) -> Checked<()> {
        let value = self.memo.get(index).copied().flatten();
        self.push(value.ok_or_else(|| format!("object {index} was not noted"))?)
    }
}
