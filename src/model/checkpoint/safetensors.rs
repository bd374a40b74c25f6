//! The safetensors format: an 8-byte length, a JSON header, then the tensors' bytes without gaps
//! (<https://huggingface.co/docs/safetensors>). Reading is checked by the `safetensors` crate; writing is
//! here, because the crate's order of metadata changes from run to run.

use crate::model::{StateDict, Tensor};
use crate::{Error, Result};
use ::safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Integer scalars that PyTorch keeps beside the weights and nobody here needs.
const COUNTERS: [&str; 2] = ["num_batches_tracked", "n_averaged"];

/// Tensors in the order of the file, as f32, and the strings of `__metadata__`. `source` is for messages.
///
/// f64, f16 and bf16 are converted, integer counters left out. Err for all else, for a header that does
/// not fit the bytes, and for tensors that overlap; nothing is allocated on the header's word.
#[expect(clippy::type_complexity, reason = "a name for the pair would say less")]
pub fn read(
    source: &Path,
    bytes: &[u8],
) -> Result<(Vec<(String, Tensor)>, BTreeMap<String, String>)> {
    let wrong = |error: SafeTensorError| Error::bad_file(source, reason(&error, bytes));
    let file = SafeTensors::deserialize(bytes).map_err(wrong)?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(wrong)?;
    let mut tensors = Vec::new();
    for name in header.offset_keys() {
        let view = file.tensor(&name).map_err(wrong)?;
        let last = name.rsplit('.').next().unwrap_or_default();
        if COUNTERS.contains(&last) && view.dtype() == Dtype::I64 {
            continue;
        }
        let data = numbers(&view).ok_or_else(|| {
            let reason =
                format_args!("{name}: {:?} values, f32, f64, f16 or bf16 wanted", view.dtype());
            Error::bad_file(source, reason)
        })?;
        tensors.push((name, Tensor { shape: view.shape().to_vec(), data }));
    }
    Ok((tensors, header.metadata().clone().unwrap_or_default().into_iter().collect()))
}

/// The bytes of a file, all tensors as f32 in the order of their names: the same for the same input.
pub fn write(tensors: &StateDict, metadata: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".into(), json!(metadata));
    }
    let mut end = 0;
    for (name, tensor) in tensors.iter() {
        let start = end;
        end += tensor.data.len() * 4;
        let (shape, offsets) = (&tensor.shape, [start, end]);
        let described = json!({ "dtype": "F32", "shape": shape, "data_offsets": offsets });
        header.insert(name.into(), described);
    }
    let mut header = Json::from(header).to_string();
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    let mut bytes = Vec::with_capacity(8 + header.len() + end);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header.as_bytes());
    for (_, tensor) in tensors.iter() {
        bytes.extend(tensor.data.iter().flat_map(|number| number.to_le_bytes()));
    }
    Ok(bytes)
}

/// The values as f32; None for types that are no weights.
fn numbers(view: &TensorView) -> Option<Vec<f32>> {
    fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        let (values, _) = bytes.as_chunks::<N>();
        values.iter().map(|&value| number(value)).collect()
    }
    let bytes = view.data();
    Some(match view.dtype() {
        Dtype::F32 => each(bytes, f32::from_le_bytes),
        Dtype::F64 => each(bytes, |value| f64::from_le_bytes(value) as f32),
        Dtype::F16 => each(bytes, |value| from_f16(u16::from_le_bytes(value))),
        Dtype::BF16 => {
            each(bytes, |value| f32::from_bits(u32::from(u16::from_le_bytes(value)) << 16))
        }
        _ => return None,
    })
}

/// IEEE 754 binary16, exactly.
fn from_f16(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, mantissa) = (u32::from(bits >> 10 & 31), u32::from(bits & 1023));
    sign * match (exponent, mantissa) {
        (31, 0) => f32::INFINITY,
        (31, _) => f32::NAN,
        // Subnormal: multiples of 2^-24.
        (0, _) => mantissa as f32 * f32::from_bits((127 - 24) << 23),
        _ => f32::from_bits((exponent + 127 - 15) << 23 | mantissa << 13),
    }
}

/// The crate's error, with the tensor's name and sizes where it leaves them out.
fn reason(error: &SafeTensorError, bytes: &[u8]) -> String {
    match error {
        SafeTensorError::HeaderTooSmall | SafeTensorError::InvalidHeaderLength => {
            format!("cut off, or no safetensors file: {} bytes end inside the header", bytes.len())
        }
        SafeTensorError::HeaderTooLarge => {
            "no safetensors file: its header would be above 100 MB".into()
        }
        SafeTensorError::InvalidHeader(_)
        | SafeTensorError::InvalidHeaderDeserialization(_)
        | SafeTensorError::JsonError(_) => format!("no safetensors file: {error}"),
        _ => unfitting(bytes).unwrap_or_else(|| error.to_string()),
    }
}

/// The first tensor, by offset, that does not fit the file.
fn unfitting(bytes: &[u8]) -> Option<String> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (header, data) = rest.split_at_checked(u64::from_le_bytes(*length).try_into().ok()?)?;
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
            _ => 1,
        };
        let wanted = shape.iter().try_fold(width, |bytes: u64, &side| bytes.checked_mul(side));
        if start != expected || end < start {
            return Some(format!("{name}: bytes {start} to {end} overlap others or leave a gap"));
        }
        if wanted != Some(end - start) {
            let given = end - start;
            return Some(format!("{name}: {given} bytes do not fit {dtype} of shape {shape:?}"));
        }
        if end > data.len() as u64 {
            let has = data.len();
            return Some(format!("{name}: cut off, ends at byte {end} of {has} bytes of data"));
        }
        expected = end;
    }
    (expected < data.len() as u64)
        .then(|| format!("{} bytes behind the last tensor", data.len() as u64 - expected))
}

#[test]
fn half_precision_is_exact() {
    let cases = [
        (0x3c00, 1.0),
        (0xc000, -2.0),
        (0x0001, 5.960_464_5e-8),
        (0x7bff, 65504.0),
        (0x03ff, 6.097_555e-5),
    ];
    for (bits, value) in cases {
        assert_eq!(from_f16(bits), value);
    }
    assert!(from_f16(0x7c01).is_nan() && from_f16(0xfc00) == f32::NEG_INFINITY);
}
