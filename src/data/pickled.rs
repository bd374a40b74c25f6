//! Reads pickled batches of images, as CIFAR's version for Python has them: a dict with NumPy's array of images and a list of
//! labels, in any protocol from 2 on, written by Python 2 or 3. The reader of PyTorch's checkpoints reads them as data and
//! executes nothing: an array gets its type and shape from its description, and its numbers from bytes of the file.

use std::borrow::Cow;
use std::io::Cursor;

use super::npy::{Array, Contents, Numbers};
use super::npy_header::Header;
use crate::files::{Budget, Input, Node, Pickle, Value};

/// Longest key or name.
const LONGEST: u64 = 4096;

/// Why a batch is refused.
type Checked<T> = Result<T, String>;

/// A pickle, and the bytes that it is.
pub(super) struct Batch<'a> {
    pickle: Pickle,
    bytes: &'a [u8],
}

impl<'a> Batch<'a> {
    /// Reads a CIFAR batch file, which is a pickle. Its values may take no more memory than a budget that follows from its
    /// length.
    pub fn new(bytes: &'a [u8]) -> Checked<Self> {
        if bytes.first() != Some(&0x80) {
            return Err("not a pickle of protocol 2 or later".into());
        }
        let mut input = Input::new(Cursor::new(bytes))?;
        input.section(0, bytes.len() as u64)?;
        let pickle = Pickle::read(&mut input, Budget::new(bytes.len() as u64))?;
        Ok(Self { pickle, bytes })
    }

    /// Returns the images of a CIFAR batch file, and their labels, which are found under the key `labels` of its dict.
    pub fn images(&self, labels: &str) -> Checked<(Array, Vec<i64>)> {
        let images = self
            .array(self.item("data")?)
            .map_err(|reason| format!("the pickle's data: {reason}"))?;
        let labels = self
            .whole(self.item(labels)?)
            .map_err(|reason| format!("the pickle's {labels}: {reason}"))?;
        Ok((images, labels))
    }

    /// Returns the list of names under a key of the file's dict.
    pub fn names(&self, key: &str) -> Checked<Vec<String>> {
        let list = self
            .pickle
            .list(self.item(key)?)
            .ok_or_else(|| format!("the pickle's {key} is not a list"))?;
        let names: Option<Vec<String>> = list.iter().map(|&name| self.text(name)).collect();
        names.ok_or_else(|| format!("the pickle's {key} has elements that are not texts"))
    }

    /// Returns the value under a key of the pickle's dict; Python 3 may have the key as bytes.
    fn item(&self, key: &str) -> Checked<Value> {
        let dict = self.pickle.dict(self.pickle.result);
        let items = dict.ok_or_else(|| {
            format!(
                "the pickle is {}, but has to be a dict",
                self.pickle.describe(self.pickle.result)
            )
        })?;
        let found = items.iter().find(|&&(at, _)| self.text(at).as_deref() == Some(key));
        found.map(|&(_, value)| value).ok_or_else(|| format!("the pickle has no key {key}"))
    }

    /// A short text, or bytes that are one.
    fn text(&self, value: Value) -> Option<String> {
        if let Some(text) = self.pickle.text(value) {
            return Some(text.to_owned());
        }
        let bytes = self.content(value).filter(|bytes| bytes.len() as u64 <= LONGEST)?;
        String::from_utf8(bytes.into_owned()).ok()
    }

    /// Bytes: as they are, as a string of Python 2, or as Python 3 has to write them in protocol 2, by the letters of Latin 1.
    fn content(&self, value: Value) -> Option<Cow<'_, [u8]>> {
        if let Some((start, length)) = self.pickle.place(value) {
            let (start, length) = (usize::try_from(start).ok()?, usize::try_from(length).ok()?);
            return self.bytes.get(start..start.checked_add(length)?).map(Cow::Borrowed);
        }
        if let Some(text) = self.pickle.text(value) {
            return Some(Cow::Borrowed(text.as_bytes()));
        }
        let (class, object) = self.pickle.object(value)?;
        let first = self.pickle.tuple(object.arguments)?.first().copied();
        match class {
            "_codecs.encode" => {
                let letters = self.pickle.text(first?)?.chars();
                let bytes: Option<Vec<u8>> =
                    letters.map(|c| u8::try_from(u32::from(c)).ok()).collect();
                bytes.map(Cow::Owned)
            }
            "builtins.bytearray" | "__builtin__.bytearray" => {
                let place = first.filter(|&value| self.pickle.place(value).is_some());
                self.content(place?)
            }
            _ => None,
        }
    }

    /// An array of NumPy's.
    fn array(&self, value: Value) -> Checked<Array> {
        let wanted =
            || format!("it is {}, but has to be a NumPy array", self.pickle.describe(value));
        let (class, object) = self.pickle.object(value).ok_or_else(wanted)?;
        let class = class.replace("numpy._core.", "numpy.core.");
        let [shape, kind, columns, data] = match class.as_str() {
            "numpy.core.multiarray._reconstruct" => match self.pickle.tuple(object.state) {
                Some(&[_, shape, kind, columns, data]) => [shape, kind, columns, data],
                _ => return Err(wanted()),
            },
            "numpy.core.numeric._frombuffer" => match self.pickle.tuple(object.arguments) {
                Some(&[data, kind, shape, order]) => {
                    [shape, kind, Value::Bool(self.text(order).as_deref() == Some("F")), data]
                }
                _ => return Err(wanted()),
            },
            _ => return Err(wanted()),
        };
        let side = |value: &Value| match value {
            Value::Int(side) => usize::try_from(*side).ok(),
            _ => None,
        };
        let sides = self.pickle.tuple(shape).filter(|sides| sides.len() <= 8);
        let shape: Option<Vec<usize>> = sides.and_then(|sides| sides.iter().map(side).collect());
        let shape = shape.ok_or("an array's shape is not a tuple of whole numbers")?;
        let columns = matches!(columns, Value::Bool(true) | Value::Int(1));
        let header = Header::of(&self.kind(kind)?, columns, shape)?;
        let (length, held) = header.sizes().ok_or_else(|| {
            format!("an array of shape {:?} would take 2^64 bytes or more", header.shape)
        })?;
        let data = self.content(data).ok_or(
            "an array holds Python objects, which cannot be read without executing the pickle",
        )?;
        if data.len() as u64 != length {
            let (given, shape) = (data.len(), &header.shape);
            return Err(format!(
                "an array of type {} and shape {shape:?} has {given} bytes, but needs {length}",
                header.descr
            ));
        }
        if held > 8 * length {
            return Err(format!(
                "an array of images or labels has the type {}, which is not read",
                header.descr
            ));
        }
        match header.contents(&data) {
            Contents::Numbers(array) => Ok(array),
            Contents::Texts(..) => Err("an array holds texts, but has to hold numbers".into()),
        }
    }

    /// The type of an array's elements, as `<f4`.
    fn kind(&self, value: Value) -> Checked<String> {
        let wrong = || "an array has no type".to_owned();
        let (class, object) = self.pickle.object(value).ok_or_else(wrong)?;
        let name = self.pickle.tuple(object.arguments).and_then(|all| self.text(*all.first()?));
        let name = name.filter(|_| class == "numpy.dtype").ok_or_else(wrong)?;
        let order = self.pickle.tuple(object.state).and_then(|state| self.text(*state.get(1)?));
        Ok(format!("{}{name}", order.filter(|order| order.len() == 1).unwrap_or("|".into())))
    }

    /// A list, or an array, of whole numbers.
    fn whole(&self, value: Value) -> Checked<Vec<i64>> {
        if let Some(Node::List(list) | Node::Tuple(list)) = self.pickle.node(value) {
            let number = |value: &Value| match value {
                Value::Int(number) => Ok(*number),
                other => Err(format!(
                    "a label is {}, but has to be a whole number",
                    self.pickle.describe(*other)
                )),
            };
            return list.iter().map(number).collect();
        }
        match self.array(value)?.numbers {
            Numbers::I64(numbers) => Ok(numbers),
            Numbers::U8(numbers) => Ok(numbers.into_iter().map(i64::from).collect()),
            _ => Err("labels are not whole numbers".into()),
        }
    }
}
