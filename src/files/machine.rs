//! Interprets Python pickles without executing anything: the opcodes of protocols 2 to 5 that data needs, and no others.

use super::globals::{Global, Storage};
use super::input::{Checked, Input};
use super::pickle::{Node, Pickle, Span, Value};
use std::io::{Read, Seek};

/// The longest name of a module or a class.
const LONGEST_NAME: u64 = 256;

/// The longest string of Python 2 that may be a name.
const LONGEST_OLD_TEXT: u64 = 4096;

/// Different names that a pickle may have: each is compared with all.
const MOST_NAMES: usize = 1024;

/// The name under which a set is listed.
const SET: &str = "builtins.set";

/// The pickle machine: a stack, marks in it, and the objects that were noted for later.
pub struct Machine<'a, R> {
    input: &'a mut Input<R>,
    pub(super) pickle: Pickle,
    pub(super) stack: Vec<Value>,
    pub(super) marks: Vec<u32>,
    pub(super) memo: Vec<Option<Value>>,
}

impl<'a, R: Read + Seek> Machine<'a, R> {
    pub fn new(input: &'a mut Input<R>, pickle: Pickle) -> Self {
        Self { input, pickle, stack: Vec::new(), marks: Vec::new(), memo: Vec::new() }
    }

    pub fn run(mut self) -> Checked<Pickle> {
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

    /// Executes one opcode; returns the result at the last.
    fn step(&mut self, opcode: u8) -> Checked<Option<Value>> {
        match opcode {
            0x80 => {
                let [version] = self.input.array()?;
                if !(2..=5).contains(&version) {
                    return Err(format!(
                        "the pickle has protocol {version}, but only 2 to 5 are read"
                    ));
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
            b'X' => {
                let length = u32::from_le_bytes(self.input.array()?);
                self.push_text(length.into())?;
            }
            0x8c => {
                let [length] = self.input.array()?;
                self.push_text(length.into())?;
            }
            // Strings of Python 2, which may be bytes.
            b'T' => {
                let length = u32::from_le_bytes(self.input.array()?);
                self.push_old_text(length.into())?;
            }
            b'U' => {
                let [length] = self.input.array()?;
                self.push_old_text(length.into())?;
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
                self.push_global(&module, &name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let text = |value| {
                    let text = self
                        .pickle
                        .text(value)
                        .ok_or("the pickle names a function by something other than a string")?;
                    let short = text.len() as u64 <= LONGEST_NAME;
                    short
                        .then(|| text.to_owned())
                        .ok_or("the pickle names a function by too long a string")
                };
                let (module, name) = (text(module)?, text(name)?);
                self.push_global(&module, &name)?;
            }
            b'R' => {
                let (arguments, called) = (self.pop()?, self.pop()?);
                self.call(called, arguments)?;
            }
            // NEWOBJ, and NEWOBJ_EX with named arguments: an object without its attributes.
            0x81 => {
                let (arguments, class) = (self.pop()?, self.pop()?);
                self.call(class, arguments)?;
            }
            0x92 => {
                let (_, arguments, class) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(class, arguments)?;
            }
            b'Q' => {
                let id = self.pop()?;
                match self.pickle.tuple(id) {
                    // Old files have classes with their source beside whole modules.
                    Some(&[tag, class, ..]) if self.pickle.text(tag) == Some("module") => {
                        self.push(class)?;
                    }
                    _ => {
                        let storage = Storage::from_id(&self.pickle, id)?;
                        self.push_node(Node::Storage(storage))?;
                    }
                }
            }
            b'b' => {
                let state = self.pop()?;
                let object = self.top()?;
                match self.pickle.node_mut(object) {
                    Some(Node::Object(object)) => object.state = state,
                    // Attributes of an OrderedDict, as a state dict's `_metadata`, or of a tensor: no numbers.
                    Some(Node::Dict(_) | Node::Tensor(_)) => {}
                    _ => {
                        let given = self.pickle.describe(object);
                        return Err(format!(
                            "the pickle gives attributes to {given}, which has none"
                        ));
                    }
                }
            }
            // Sets, whose members are dropped: no tensor is in one.
            0x8f => self.push_object(SET)?,
            0x90 => {
                let height = self.mark()?;
                self.drop_to(height)?;
                let set = self.top()?;
                if self.pickle.object(set).is_none() {
                    return Err("the pickle adds to something that is not a set".into());
                }
            }
            0x91 => {
                let height = self.mark()?;
                self.drop_to(height)?;
                self.push_object(SET)?;
            }
            b'2' => {
                let value = self.top()?;
                self.push(value)?;
            }
            b'1' => {
                let height = self.mark()?;
                self.drop_to(height)?;
            }
            b'B' => {
                let length = u32::from_le_bytes(self.input.array()?);
                self.push_bytes(length.into())?;
            }
            b'C' => {
                let [length] = self.input.array()?;
                self.push_bytes(length.into())?;
            }
            0x8e | 0x96 => {
                let length = u64::from_le_bytes(self.input.array()?);
                self.push_bytes(length)?;
            }
            0x8b => {
                let length = u32::from_le_bytes(self.input.array()?);
                let span = self.span(length.into())?;
                self.push(Value::Long(span))?;
            }
            _ => return Err("no checkpoint needs this opcode".into()),
        }
        Ok(None)
    }

    /// Pushes the meaning of a module's name: a known function or class, or else only the name.
    fn push_global(&mut self, module: &str, name: &str) -> Checked<()> {
        if let Some(global) = Global::find(module, name)? {
            return self.push(Value::Global(global));
        }
        let name = format!("{module}.{name}");
        let class = self.unknown(name)?;
        self.push(Value::Unknown(class))
    }

    /// The number of an unknown name.
    fn unknown(&mut self, name: String) -> Checked<u32> {
        let Pickle { names, budget, .. } = &mut self.pickle;
        if let Some(at) = names.iter().position(|known| *known == name) {
            return Ok(at as u32);
        }
        if names.len() >= MOST_NAMES {
            return Err(format!(
                "the pickle names more than {MOST_NAMES} different functions and classes"
            ));
        }
        budget.charge(name.len())?;
        budget.push(names, name)?;
        Ok(names.len() as u32 - 1)
    }

    /// Calls a known name; a call of an unknown name makes a placeholder object.
    fn call(&mut self, called: Value, arguments: Value) -> Checked<()> {
        let class = match called {
            Value::Global(global) => {
                let made = global.call(&mut self.pickle, arguments)?;
                return self.push(made);
            }
            Value::Unknown(class) => class,
            // What a function returned that was never called.
            other => match self.pickle.node(other) {
                Some(Node::Object(object)) => object.class,
                _ => {
                    return Err(format!(
                        "the pickle calls {}, which is not a known function",
                        self.pickle.describe(other)
                    ));
                }
            },
        };
        let object = self.pickle.add_object(class, arguments)?;
        self.push(object)
    }

    fn push_object(&mut self, class: &str) -> Checked<()> {
        let class = self.unknown(class.into())?;
        let object = self.pickle.add_object(class, Value::None)?;
        self.push(object)
    }

    /// Goes over bytes, whose place is noted.
    fn push_bytes(&mut self, length: u64) -> Checked<()> {
        let place = (self.input.at(), length);
        self.input.chunks(length, 1, |_| ())?;
        let number = u32::try_from(self.pickle.places.len())
            .map_err(|_| "the pickle has more than 2^32 bytes objects")?;
        self.pickle.budget.push(&mut self.pickle.places, place)?;
        self.push(Value::Bytes(number))
    }

    /// A string of Python 2: bytes where it is longer than any name, or no text.
    fn push_old_text(&mut self, length: u64) -> Checked<()> {
        if length > LONGEST_OLD_TEXT {
            return self.push_bytes(length);
        }
        let at = self.input.at();
        let span = self.span(length)?;
        if std::str::from_utf8(self.pickle.bytes(span)).is_ok() {
            return self.push(Value::Text(span));
        }
        let number = self.pickle.places.len() as u32;
        self.pickle.budget.push(&mut self.pickle.places, (at, length))?;
        self.push(Value::Bytes(number))
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
        let beyond = || format!("a string of {length} bytes is too long");
        let narrow = u32::try_from(length).ok().filter(|&length| {
            u32::try_from(start).is_ok_and(|start| start.checked_add(length).is_some())
        });
        let (length, start) = (narrow.ok_or_else(beyond)?, start as u32);
        if u64::from(length) > self.input.left() {
            return Err(format!("cut off: a string of {length} bytes goes beyond the file's end"));
        }
        budget.reserve(bytes, length as usize)?;
        self.input.append(length.into(), bytes)?;
        Ok(Span { start, length })
    }

    fn push_text(&mut self, length: u64) -> Checked<()> {
        let span = self.span(length)?;
        if std::str::from_utf8(self.pickle.bytes(span)).is_err() {
            return Err("a string in the pickle is not UTF-8".into());
        }
        self.push(Value::Text(span))
    }
}
