//! The safetensors format: an 8-byte length, a JSON header, then the tensors' bytes without gaps
//! (<https://huggingface.co/docs/safetensors>). The header is checked by the `safetensors` crate; writing is
//! here, because the crate's order of metadata changes from run to run.

use super::stored::Stored;
use crate::files::{Checked, Input, Kind};
use crate::model::StateDict;
use ::safetensors::{Dtype, tensor::Metadata as Header};
use half::f16;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::io::{Read, Seek, Write};

/// The memory that a parsed header may take is limited to this many times its bytes, for names and copies of them, plus a
/// fixed number for each value, of which commas and colons give the number.
const NAMES: u64 = 4;
const VALUE: u64 = 128;
/// The smallest limit of memory beside twice the file's length, in bytes.
const LEAST: u64 = 1 << 16;

/// The number format in which weights are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FilePrecision {
    /// Single precision: the numbers stay as they are.
    #[default]
    F32,
    /// Half precision, rounded to nearest: half the size.
    F16,
}

/// Reads the tensors in the order of the file, and the strings of `__metadata__`. Err for a header that does not fit the file,
/// and for tensors that overlap.
#[expect(clippy::type_complexity, reason = "a name for the pair would say less")]
pub fn tensors<R: Read + Seek>(
    input: &mut Input<R>,
) -> Checked<(Vec<(String, Stored)>, BTreeMap<String, String>)> {
    let length = input.length();
    let cut = |_| format!("cut off, or no safetensors file: {length} bytes end inside the header");
    input.section(0, length)?;
    let header = u64::from_le_bytes(input.array().map_err(cut)?);
    if header > 100_000_000 {
        return Err("it is not a safetensors file: its header would be larger than 100 MB".into());
    }
    input.section(0, 8 + header).map_err(cut)?;
    input.section(8, header)?;
    let bytes = input.bytes(header)?;
    let values = bytes.iter().filter(|byte| matches!(byte, b',' | b':')).count() as u64;
    let within = |value| NAMES * header + value * values <= 2 * length + LEAST;
    if !within(VALUE) {
        return Err(format!(
            "the header of {header} bytes with up to {values} values is too large for a file of {length} bytes: it is damaged or malicious"
        ));
    }
    let data = 8 + header;
    // Looking for the reason takes twice as much as reading.
    let reason = || within(2 * VALUE).then(|| unfitting(&bytes, length - data)).flatten();
    let wrong = |error| reason().unwrap_or_else(|| format!("no safetensors file: {error}"));
    let header: Header = serde_json::from_slice(&bytes).map_err(wrong)?;
    let mut tensors = Vec::new();
    let mut end = 0;
    for name in header.offset_keys() {
        let Some(info) = header.info(&name) else { continue };
        end = info.data_offsets.1;
        let start = data + info.data_offsets.0 as u64;
        let (kind, shape) = (kind(info.dtype), info.shape.clone());
        tensors.push((name, Stored { kind, shape, strides: None, start, summed: None }));
    }
    if data.checked_add(end as u64) != Some(length) {
        let other = || "cut off, or longer than its header says".into();
        return Err(reason().unwrap_or_else(other));
    }
    Ok((tensors, header.metadata().clone().unwrap_or_default().into_iter().collect()))
}

fn kind(dtype: Dtype) -> Kind {
    match dtype {
        Dtype::F64 => Kind::F64,
        Dtype::F32 => Kind::F32,
        Dtype::F16 => Kind::F16,
        Dtype::BF16 => Kind::Bf16,
        Dtype::I64 => Kind::Other("int64", 8),
        Dtype::I32 => Kind::Other("int32", 4),
        Dtype::U8 => Kind::Other("uint8", 1),
        Dtype::BOOL => Kind::Other("bool", 1),
        Dtype::I16 => Kind::Other("int16", 2),
        Dtype::I8 => Kind::Other("int8", 1),
        Dtype::C64 => Kind::Other("complex64", 8),
        // Refused by this: the width matters to nobody.
        _ => Kind::Other("float8 or other", 1),
    }
}

/// Writes tensors in the safetensors format, in the order of their names: the same bytes for the same input. Err if half
/// precision is asked for and a number is too large for it.
pub fn write(
    tensors: &StateDict,
    metadata: &BTreeMap<String, String>,
    precision: FilePrecision,
    to: &mut impl Write,
) -> Checked<()> {
    let (width, dtype) = match precision {
        FilePrecision::F32 => (4, "F32"),
        FilePrecision::F16 => (2, "F16"),
    };
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".into(), json!(metadata));
    }
    let mut end = 0;
    for (name, tensor) in tensors.iter() {
        let start = end;
        end += tensor.data.len() * width;
        let (shape, offsets) = (&tensor.shape, [start, end]);
        let described = json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets });
        header.insert(name.into(), described);
    }
    let mut header = Json::from(header).to_string();
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    let failed = |error: std::io::Error| error.to_string();
    to.write_all(&(header.len() as u64).to_le_bytes()).map_err(failed)?;
    to.write_all(header.as_bytes()).map_err(failed)?;
    for (name, tensor) in tensors.iter() {
        numbers(name, &tensor.data, precision, |bytes| to.write_all(bytes).map_err(failed))?;
    }
    Ok(())
}

/// The little-endian bytes of numbers, some at a time.
pub(crate) fn numbers(
    name: &str,
    data: &[f32],
    precision: FilePrecision,
    mut each: impl FnMut(&[u8]) -> Checked<()>,
) -> Checked<()> {
    let mut bytes = Vec::with_capacity(data.len().min(CHUNK) * 4);
    for part in data.chunks(CHUNK) {
        bytes.clear();
        match precision {
            FilePrecision::F32 => bytes.extend(part.iter().flat_map(|number| number.to_le_bytes())),
            FilePrecision::F16 => {
                for &number in part {
                    let half = f16::from_f32(number);
                    if number.is_finite() && half.is_infinite() {
                        return Err(format!(
                            "{name} has the value {number}, but half precision ends at 65504: leave --f16 out"
                        ));
                    }
                    bytes.extend(half.to_le_bytes());
                }
            }
        }
        each(&bytes)?;
    }
    Ok(())
}

/// Numbers converted at once.
const CHUNK: usize = 1 << 14;

/// The first tensor, by offset, that does not fit so many bytes of data; the crate's errors leave out its name.
fn unfitting(header: &[u8], has: u64) -> Option<String> {
    let header: Map<String, Json> = serde_json::from_slice(header).ok()?;
    let mut tensors = Vec::new();
    for (name, info) in header.iter().filter(|(name, _)| *name != "__metadata__") {
        let number = |key: &str, at: usize| info.get(key)?.get(at)?.as_u64();
        let shape: Option<Vec<u64>> =
            info.get("shape")?.as_array()?.iter().map(Json::as_u64).collect();
        let dtype = info.get("dtype")?.as_str()?;
        tensors.push((number("data_offsets", 0)?, number("data_offsets", 1)?, name, shape?, dtype));
    }
    tensors.sort();
    let mut expected = 0;
    for (start, end, name, shape, dtype) in tensors {
        let width = match dtype {
            "F64" | "I64" | "U64" => 8,
            "F32" | "I32" | "U32" => 4,
            "F16" | "BF16" | "I16" | "U16" => 2,
            "I8" | "U8" | "BOOL" => 1,
            _ => return None,
        };
        let wanted = shape.iter().try_fold(width, |bytes: u64, &side| bytes.checked_mul(side));
        if start != expected || end < start {
            return Some(format!("{name}: bytes {start} to {end} overlap others or leave a gap"));
        }
        if wanted != Some(end - start) {
            let given = end - start;
            return Some(format!("{name}: {given} bytes do not fit {dtype} of shape {shape:?}"));
        }
        if end > has {
            return Some(format!("{name}: cut off at byte {has}, before its end at byte {end}"));
        }
        expected = end;
    }
    (expected < has).then(|| format!("{} bytes follow the last tensor", has - expected))
}
