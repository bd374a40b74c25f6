//! The element types of tensors in files (float32 and so on), and the check that a tensor's sizes and strides fit the storage
//! that holds its elements.

use super::input::Checked;
use half::{bf16, f16};

/// The type of a number, by the name PyTorch gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    F64,
    F32,
    F16,
    Bf16,
    /// A type of whole numbers or truth values, of this many bytes: counters, never weights.
    Other(&'static str, u64),
}

impl Kind {
    /// Returns the number of bytes of a number of this type.
    pub fn width(self) -> u64 {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Other(_, width) => width,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::F64 => "float64",
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
            Self::Other(name, _) => name,
        }
    }

    /// Appends the numbers that little-endian bytes hold, as f32.
    pub fn convert(self, bytes: &[u8], to: &mut Vec<f32>) {
        fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32, to: &mut Vec<f32>) {
            to.extend(bytes.as_chunks::<N>().0.iter().map(|&bytes| number(bytes)));
        }
        match self {
            Self::F64 => each(bytes, |bytes| f64::from_le_bytes(bytes) as f32, to),
            Self::F32 => each(bytes, f32::from_le_bytes, to),
            Self::F16 => each(bytes, |bytes| f16::from_le_bytes(bytes).to_f32(), to),
            Self::Bf16 => each(bytes, |bytes| bf16::from_le_bytes(bytes).to_f32(), to),
            Self::Other(..) => {}
        }
    }
}

/// Returns the number of elements of a shape; None beyond 2^63.
pub fn elements(shape: &[usize]) -> Option<u64> {
    let product = shape.iter().try_fold(1u64, |product, &side| product.checked_mul(side as u64));
    product.filter(|&count| count < 1 << 63)
}

/// Checks that a tensor's sizes, strides and offset stay within its storage of `count` numbers, and returns the strides: None
/// for row-major ones.
///
/// Err if a number would lie outside the storage of `count` numbers, or if indices that differ meet in one
/// number other than by a stride of 0, as `expand` makes them.
pub fn fit(
    shape: &[usize],
    strides: &[usize],
    offset: u64,
    count: u64,
) -> Checked<Option<Vec<usize>>> {
    let given = || format!("a tensor's shape {shape:?}, strides {strides:?} and offset {offset}");
    if shape.len() != strides.len() {
        return Err(format!("{} do not fit: there has to be a stride for each dimension", given()));
    }
    let outside = || format!("{} do not fit a storage of {count} values", given());
    if elements(shape).is_none() {
        return Err(outside());
    }
    if shape.contains(&0) {
        return if offset <= count { Ok(None) } else { Err(outside()) };
    }
    let mut sides: Vec<_> = shape.iter().zip(strides).filter(|&(&side, _)| side > 1).collect();
    let mut last = Some(offset);
    for &(&side, &stride) in &sides {
        let reach = (side as u64 - 1).checked_mul(stride as u64);
        last = last.zip(reach).and_then(|(last, reach)| last.checked_add(reach));
    }
    if last.is_none_or(|last| last >= count) {
        return Err(outside());
    }
    // Row-major means: each stride is all that lies to the right of it.
    let mut wanted = 1usize;
    let contiguous = sides.iter().rev().all(|&(&side, &stride)| {
        let fits = stride == wanted;
        wanted = wanted.saturating_mul(side);
        fits
    });
    if contiguous {
        return Ok(None);
    }
    sides.sort_by_key(|&(_, &stride)| stride);
    let mut covered = 1usize;
    for (&side, &stride) in sides.into_iter().filter(|&(_, &stride)| stride > 0) {
        if stride < covered {
            return Err(format!("{} make elements overlap", given()));
        }
        covered = stride.saturating_mul(side);
    }
    Ok(Some(strides.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outside_the_storage_or_on_each_other_are_refused() {
        let row_major = |shape: &[usize], strides: &[usize], offset, count| {
            fit(shape, strides, offset, count).map(|strides| strides.is_none())
        };
        assert_eq!(row_major(&[2, 3], &[3, 1], 0, 6), Ok(true));
        assert_eq!(row_major(&[], &[], 5, 6), Ok(true));
        assert_eq!(row_major(&[1, 3], &[77, 1], 3, 6), Ok(true));
        assert_eq!(row_major(&[0, 3], &[3, 1], 6, 6), Ok(true));
        assert_eq!(row_major(&[2, 3], &[1, 2], 0, 6), Ok(false));
        assert_eq!(row_major(&[4, 3], &[0, 1], 0, 3), Ok(false));
        for (shape, strides, offset, word) in [
            (&[2, 3][..], &[3, 1][..], 1, "do not fit"),
            (&[], &[], 6, "do not fit"),
            (&[0], &[1], 7, "do not fit"),
            (&[2], &[usize::MAX], 0, "do not fit"),
            (&[1 << 40, 1 << 40], &[0, 0], 0, "do not fit"),
            (&[2, 2], &[1], 0, "a stride for each dimension"),
            (&[3, 3], &[1, 1], 0, "overlap"),
            (&[2, 3], &[2, 1], 0, "overlap"),
        ] {
            let reason = fit(shape, strides, offset, 6).unwrap_err();
            assert!(reason.contains(word), "{reason}");
        }
    }
}
