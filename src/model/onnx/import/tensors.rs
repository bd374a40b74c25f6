//! Reads the constants of an ONNX file, whose numbers lie in the file or in files beside it, as f32.

use super::messages::{self, Tensor as Message};
use crate::Error;
use crate::files::{self, Checked, Kind};
use prost::bytes::Bytes;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// Most sides of a constant.
const MOST_SIDES: usize = 8;
/// Most whole numbers: they say shapes and axes.
const MOST_WHOLE: usize = 4096;

/// A constant of an ONNX graph.
#[derive(Clone, Debug)]
pub struct Constant {
    pub sides: Vec<usize>,
    pub numbers: Numbers,
}

/// The numbers of a constant in an ONNX file.
#[derive(Clone, Debug)]
pub enum Numbers {
    /// The numbers lie in these bytes of the ONNX file.
    Here(Kind, Bytes),
    /// The numbers lie in these bytes of another file beside the ONNX file: name, first byte and count.
    Beside(Kind, String, u64, u64),
    /// The numbers were computed from other constants.
    Made(Vec<f32>),
    Whole(Vec<i64>),
}

impl Constant {
    /// Reads a constant and its name from a message: 16, 32 or 64-bit floats, int32, int64 or bool. Err for other types and
    /// for numbers that do not fill the shape.
    pub fn new(bytes: &Bytes) -> Checked<(String, Self)> {
        let (message, numbers) = messages::tensor(bytes)?;
        let name = message.name.clone();
        let wrong = |reason: String| format!("{}: {reason}", shown(&name));
        let made = Self::described(message, numbers).map_err(wrong)?;
        Ok((name, made))
    }

    fn described(message: Message, bytes: Bytes) -> Checked<Self> {
        let sides: Option<Vec<usize>> =
            message.sides.iter().map(|&side| usize::try_from(side).ok()).collect();
        let sides = sides.filter(|sides| sides.len() <= MOST_SIDES);
        let sides = sides.ok_or_else(|| {
            format!(
                "the tensor's shape {:.60?} has a negative dimension or more than {MOST_SIDES}",
                message.sides
            )
        })?;
        let count = sides.iter().try_fold(1u64, |all, &side| all.checked_mul(side as u64));
        let count = count
            .ok_or_else(|| format!("a tensor of shape {sides:?} would take 2^64 bytes or more"))?;
        let kind = match message.kind {
            1 => Kind::F32,
            10 => Kind::F16,
            11 => Kind::F64,
            16 => Kind::Bf16,
            6 => Kind::Other("int32", 4),
            7 => Kind::Other("int64", 8),
            9 => Kind::Other("bool", 1),
            2 | 3 => {
                return Err("the tensor has 8-bit numbers: quantised networks are not read".into());
            }
            other => {
                return Err(format!(
                    "the tensor has numbers of ONNX's type {other}, but only floats, int32, int64 and bool are read"
                ));
            }
        };
        let whole = matches!(kind, Kind::Other(..));
        if whole && count > MOST_WHOLE as u64 {
            return Err(format!(
                "the tensor has {count} whole numbers, but at most {MOST_WHOLE} are read"
            ));
        }
        let wanted = count
            .checked_mul(kind.width())
            .ok_or_else(|| format!("a tensor of shape {sides:?} would take 2^64 bytes or more"))?;
        let numbers = if message.place == 1 {
            let (name, start) = beside(&message, wanted)?;
            if whole {
                return Err(
                    "the tensor's whole numbers lie in another file, from which only floats are read"
                        .into(),
                );
            }
            Numbers::Beside(kind, name, start, wanted)
        } else if !bytes.is_empty() || count == 0 {
            if bytes.len() as u64 != wanted {
                let given = bytes.len();
                return Err(format!(
                    "the tensor has {given} bytes for the shape {sides:?} of {}, but needs {wanted}",
                    kind.name()
                ));
            }
            if whole { Numbers::Whole(integers(kind, &bytes)) } else { Numbers::Here(kind, bytes) }
        } else {
            listed(kind, message, count)?
        };
        Ok(Self { sides, numbers })
    }

    /// Makes a constant of floats that were computed here.
    pub fn made(sides: Vec<usize>, numbers: Vec<f32>) -> Self {
        Self { sides, numbers: Numbers::Made(numbers) }
    }

    /// Returns the number of elements of the constant.
    pub fn count(&self) -> usize {
        self.sides.iter().product()
    }
}

/// The file's name and the first byte of numbers that lie beside.
fn beside(message: &Message, wanted: u64) -> Checked<(String, u64)> {
    let fact =
        |key: &str| message.outside.iter().find(|fact| fact.key == key).map(|fact| &fact.value);
    let number = |key: &str| {
        fact(key).map(|text| {
            text.parse::<u64>().map_err(|_| {
                format!("the tensor's external {key} is {}, but has to be a number", shown(text))
            })
        })
    };
    let name = fact("location")
        .ok_or("the tensor's numbers lie in another file, whose name is missing")?;
    let mut parts = Path::new(name).components();
    if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
        return Err(format!(
            "the tensor's numbers lie in {}, which is not a file in the same folder",
            shown(name)
        ));
    }
    if let Some(length) = number("length").transpose()?.filter(|&length| length != wanted) {
        return Err(format!(
            "the tensor has {length} bytes in {}, but needs {wanted}",
            shown(name)
        ));
    }
    Ok((name.clone(), number("offset").transpose()?.unwrap_or(0)))
}

/// Numbers that are fields of their own.
fn listed(kind: Kind, message: Message, count: u64) -> Checked<Numbers> {
    let given = |length: usize| {
        let wrong = || format!("the tensor has {length} numbers, but its shape needs {count}");
        (length as u64 == count).then_some(()).ok_or_else(wrong)
    };
    Ok(match kind {
        Kind::Other("int64", _) => {
            given(message.int64s.len())?;
            Numbers::Whole(message.int64s)
        }
        Kind::Other(..) => {
            given(message.int32s.len())?;
            Numbers::Whole(message.int32s.into_iter().map(i64::from).collect())
        }
        // The bits of 16-bit floats.
        Kind::F16 | Kind::Bf16 => {
            given(message.int32s.len())?;
            let bytes: Vec<u8> =
                message.int32s.iter().flat_map(|&bits| (bits as u16).to_le_bytes()).collect();
            Numbers::Here(kind, bytes.into())
        }
        _ => {
            return Err(format!("the tensor has no numbers, but needs {count} of {}", kind.name()));
        }
    })
}

fn integers(kind: Kind, bytes: &[u8]) -> Vec<i64> {
    match kind.width() {
        8 => bytes.as_chunks::<8>().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect(),
        4 => {
            bytes.as_chunks::<4>().0.iter().map(|&bytes| i32::from_le_bytes(bytes).into()).collect()
        }
        _ => bytes.iter().map(|&byte| byte.into()).collect(),
    }
}

/// Limits which bytes an import may read: floats of the file and of files beside it, each byte once.
#[derive(Debug)]
pub struct Store {
    folder: Option<PathBuf>,
    files: BTreeMap<String, (File, u64)>,
    /// Bytes that may still be made of the file's own.
    left: u64,
}

impl Store {
    /// Makes a store for a file of `length` bytes, whose external files lie in `folder`.
    pub fn new(length: u64, folder: Option<&Path>) -> Self {
        Self {
            folder: folder.map(Into::into),
            files: BTreeMap::new(),
            left: 2 * length + (1 << 20),
        }
    }

    /// Reads the numbers of a constant as f32.
    pub fn read(&mut self, constant: &Constant) -> Checked<Vec<f32>> {
        if !matches!(constant.numbers, Numbers::Beside(..)) {
            self.charge(constant.count())?;
        }
        let (kind, bytes) = match &constant.numbers {
            Numbers::Made(numbers) => return Ok(numbers.clone()),
            Numbers::Whole(numbers) => {
                return Ok(numbers.iter().map(|&number| number as f32).collect());
            }
            Numbers::Here(kind, bytes) => (*kind, bytes.clone()),
            Numbers::Beside(kind, name, start, count) => {
                (*kind, self.beside(name, *start, *count)?.into())
            }
        };
        let mut numbers = Vec::with_capacity(constant.count());
        kind.convert(&bytes, &mut numbers);
        Ok(numbers)
    }

    /// Refuses files whose tensors would take more than twice the file's bytes, as where many layers read one in many ways.
    pub fn charge(&mut self, count: usize) -> Checked<()> {
        let bytes = (count as u64).checked_mul(4);
        let left = bytes.and_then(|bytes| self.left.checked_sub(bytes));
        self.left =
            left.ok_or("the file's tensors, in all the forms in which layers read them (transposed, for example), would take more memory than twice the file's size, which is the limit")?;
        Ok(())
    }

    fn beside(&mut self, name: &str, start: u64, count: u64) -> Checked<Vec<u8>> {
        let wrong =
            |reason: String| format!("{}, which has the numbers of tensors: {reason}", shown(name));
        if !self.files.contains_key(name) {
            let folder = self.folder.as_ref();
            let folder = folder.ok_or_else(|| {
                wrong("files beside an ONNX file are read only if it is opened by its path".into())
            })?;
            let open = || {
                let file = files::open(&folder.join(name))?;
                let length = file.metadata().map_err(|error| Error::bad_file(name, error))?.len();
                Ok((file, length))
            };
            let opened = open().map_err(|error: Error| wrong(error.to_string()))?;
            self.files.insert(name.into(), opened);
        }
        let Some((file, left)) = self.files.get_mut(name) else {
            return Err(wrong("the file was not opened".into()));
        };
        let length = file.metadata().map_err(|error| wrong(error.to_string()))?.len();
        if start.checked_add(count).is_none_or(|end| end > length) {
            return Err(wrong(format!(
                "it has {length} bytes, but {count} bytes are needed from byte {start} on: it is cut off or of another network"
            )));
        }
        *left = left.checked_sub(count).ok_or_else(|| {
            wrong(format!(
                "the tensors in it take more bytes together than it has, so some overlap; the last is {count} bytes from byte {start} on"
            ))
        })?;
        let mut bytes = vec![0; count as usize];
        let mut read = || {
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(&mut bytes)
        };
        read().map_err(|error| wrong(error.to_string()))?;
        Ok(bytes)
    }
}

/// Returns a name of the ONNX file as it is shown in a message.
pub fn shown(name: &str) -> String {
    let short: String = name.chars().take(80).collect();
    if short.is_empty() { "a part without a name".into() } else { short.escape_debug().to_string() }
}
