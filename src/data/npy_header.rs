//! Parses the text at the beginning of a `.npy` file, a Python dictionary of element type, order of elements and shape, and
//! decodes elements of each type.

use half::f16;

use super::npy::Numbers;

/// The parsed header of a `.npy` file.
pub(super) struct Header {
    /// The element type as NumPy writes it, for example `<f4`.
    pub descr: String,
    pub kind: Kind,
    pub big_endian: bool,
    /// Whether the elements are in Fortran's order, in which the first index runs fastest.
    pub columns: bool,
    pub shape: Vec<usize>,
    /// The number of bytes of one element in the file.
    width: u64,
    /// The number of bytes of one element in memory.
    held: u64,
}

/// The type of the elements, and the byte order in which they are decoded.
pub(super) enum Kind {
    Number(fn(&[u8], bool) -> Numbers),
    /// Text of so many bytes, with four or one for each letter.
    Text {
        width: usize,
        wide: bool,
    },
}

/// Converts whole elements of some type.
macro_rules! read {
    ($from:ty, $to:ty, $into:path) => {
        (size_of::<$from>(), size_of::<$to>(), |bytes: &[u8], big: bool| {
            let number = |bytes: &[u8; size_of::<$from>()]| {
                if big { <$from>::from_be_bytes(*bytes) } else { <$from>::from_le_bytes(*bytes) }
            };
            $into(bytes.as_chunks().0.iter().map(|bytes| number(bytes) as $to).collect())
        })
    };
}

impl Header {
    /// Parses the header of a .npy file: a Python dict as text, with the array's type, order and shape.
    pub fn parse(text: &str) -> Result<Self, String> {
        let after = |key: &str| Some(text.split_once(&format!("'{key}':"))?.1.trim_start());
        let descr = after("descr").and_then(|rest| rest.strip_prefix('\'')?.split('\'').next());
        let columns = after("fortran_order").is_some_and(|rest| rest.starts_with("True"));
        let sides = after("shape").and_then(|rest| rest.strip_prefix('(')?.split(')').next());
        let (Some(descr), Some(sides)) = (descr, sides) else {
            return Err(format!("the header has no type or no shape: {text:?}"));
        };
        let sides = sides.split(',').map(str::trim).filter(|side| !side.is_empty());
        let shape: Vec<usize> = sides
            .map(|side| {
                side.parse().map_err(|_| {
                    format!("the shape has the dimension {side:?}, which is not a number")
                })
            })
            .collect::<Result<_, _>>()?;
        Self::of(descr, columns, shape)
    }

    /// Makes the header of an array of a type such as `<f4`, with its elements row by row or column by column.
    pub fn of(descr: &str, columns: bool, shape: Vec<usize>) -> Result<Self, String> {
        let (order, name) = descr.split_at_checked(1).unwrap_or_default();
        let (width, held, kind) = kind(name).ok_or_else(|| match name {
            name if name.starts_with('O') => "the elements are Python objects, which would have to be executed; only numbers are read".to_owned(),
            _ => format!("the elements are of type {descr}; only whole or floating-point numbers, truth values and texts are read"),
        })?;
        Ok(Self {
            descr: descr.into(),
            kind,
            big_endian: order == ">",
            columns,
            shape,
            width: width as u64,
            held: held as u64,
        })
    }

    /// Returns the bytes of the array in the file, and in memory; None where they cannot be counted.
    pub fn sizes(&self) -> Option<(u64, u64)> {
        let count =
            self.shape.iter().try_fold(1, |all: u64, &side| all.checked_mul(side as u64))?;
        Some((count.checked_mul(self.width)?, count.checked_mul(self.held)?))
    }
}

/// Widths in the file and in memory, and how one becomes the other.
fn kind(name: &str) -> Option<(usize, usize, Kind)> {
    let (width, held, convert): (_, _, fn(&[u8], bool) -> Numbers) = match name {
        "f8" => read!(f64, f64, Numbers::F64),
        "f4" => read!(f32, f32, Numbers::F32),
        "f2" => (2, 4, halves),
        "b1" => (1, 4, |bytes, _| {
            Numbers::F32(bytes.iter().map(|&byte| f32::from(u8::from(byte != 0))).collect())
        }),
        "u1" => (1, 1, |bytes, _| Numbers::U8(bytes.to_vec())),
        "i1" => read!(i8, i64, Numbers::I64),
        "i2" => read!(i16, i64, Numbers::I64),
        "u2" => read!(u16, i64, Numbers::I64),
        "i4" => read!(i32, i64, Numbers::I64),
        "u4" => read!(u32, i64, Numbers::I64),
        "i8" => read!(i64, i64, Numbers::I64),
        "u8" => (8, 8, unsigned),
        _ => {
            let (letters, wide) = match name.split_at_checked(1)? {
                ("U", letters) => (letters, true),
                ("S" | "a", letters) => (letters, false),
                _ => return None,
            };
            let letters: usize =
                letters.parse().ok().filter(|&count| (1..1 << 16).contains(&count))?;
            let width = if wide { 4 * letters } else { letters };
            // A text in memory is a heap of its own.
            return Some((width, width + 64, Kind::Text { width, wide }));
        }
    };
    Some((width, held, Kind::Number(convert)))
}

fn halves(bytes: &[u8], big: bool) -> Numbers {
    let number =
        |bytes: &[u8; 2]| if big { f16::from_be_bytes(*bytes) } else { f16::from_le_bytes(*bytes) };
    Numbers::F32(bytes.as_chunks().0.iter().map(|bytes| number(bytes).to_f32()).collect())
}

/// Beyond 2^63 there is no label and no pixel: the largest there is stands for them, and is refused as such.
fn unsigned(bytes: &[u8], big: bool) -> Numbers {
    let number =
        |bytes: &[u8; 8]| if big { u64::from_be_bytes(*bytes) } else { u64::from_le_bytes(*bytes) };
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    Numbers::I64(bytes.as_chunks().0.iter().map(|bytes| signed(number(bytes))).collect())
}
