//! A tensor that is still in its file: where its numbers lie, in which format and order, and how they are
//! read as f32 without a second copy.

use super::input::{Checked, Input};
use crate::model::Tensor;
use half::{bf16, f16};
use std::io::{Read, Seek};

/// The type of a number, by the name PyTorch gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    F64,
    F32,
    F16,
    Bf16,
    /// Whole numbers and truth values, of so many bytes: counters, never weights.
    Other(&'static str, u64),
}

impl Kind {
    /// Bytes of a number.
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

    /// Appends what little-endian bytes say.
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

/// Bytes of a file that have a CRC-32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summed {
    pub start: u64,
    pub length: u64,
    pub crc: u32,
}

impl Summed {
    /// Err unless the bytes have the sum.
    pub fn check<R: Read + Seek>(&self, input: &mut Input<R>, what: &str) -> Checked<()> {
        input.section(self.start, self.length)?;
        let mut sum = crc32fast::Hasher::new();
        input.chunks(self.length, 1, |bytes| sum.update(bytes))?;
        let given = sum.finalize();
        if given == self.crc {
            return Ok(());
        }
        Err(format!("{what} is damaged: its CRC-32 is {given:08x}, the file says {:08x}", self.crc))
    }
}

/// A tensor's place in its file.
#[derive(Clone, Debug)]
pub struct Stored {
    pub kind: Kind,
    /// As in PyTorch.
    pub shape: Vec<usize>,
    /// Numbers from one index to the next, a side each; None where the order is row-major.
    pub strides: Option<Vec<usize>>,
    /// Of the first number, in bytes.
    pub start: u64,
    /// The storage it lies in, where that has a sum.
    pub summed: Option<Summed>,
}

/// The number of elements; None beyond 2^63.
pub fn elements(shape: &[usize]) -> Option<u64> {
    let product = shape.iter().try_fold(1u64, |product, &side| product.checked_mul(side as u64));
    product.filter(|&count| count < 1 << 63)
}

impl Stored {
    /// Whether its numbers are counters, masks or places, as networks keep them beside their weights.
    pub fn is_whole(&self) -> bool {
        matches!(self.kind, Kind::Other("int64" | "int32" | "int16" | "bool" | "uint8", _))
    }

    /// The numbers as f32, row-major. The caller has checked the storage's sum, and that so many may be
    /// allocated. Err if they are no floating-point numbers or the file ends before.
    pub fn read<R: Read + Seek>(&self, input: &mut Input<R>) -> Checked<Tensor> {
        if let Kind::Other(name, _) = self.kind {
            return Err(format!("{name} values, float32, float64, float16 or bfloat16 wanted"));
        }
        let count = elements(&self.shape).ok_or("more than 2^63 values")?;
        let data = match &self.strides {
            None => {
                let length = count.checked_mul(self.kind.width()).ok_or("more than 2^64 bytes")?;
                input.section(self.start, length)?;
                let mut data = Vec::with_capacity(count as usize);
                input.chunks(length, self.kind.width(), |bytes| {
                    self.kind.convert(bytes, &mut data)
                })?;
                data
            }
            Some(strides) => self.gather(input, count as usize, strides)?,
        };
        Ok(Tensor { shape: self.shape.clone(), data })
    }

    /// In the order of the file, so that it is read once and forwards.
    fn gather<R: Read + Seek>(
        &self,
        input: &mut Input<R>,
        count: usize,
        strides: &[usize],
    ) -> Checked<Vec<f32>> {
        let mut data = vec![0.0; count];
        let mut sides = Vec::with_capacity(self.shape.len());
        let mut place = 1;
        for (&side, &stride) in self.shape.iter().zip(strides).rev() {
            sides.push(Side { side, stride, place, index: 0 });
            place *= side;
        }
        sides.sort_by_key(|side| side.stride);
        let width = self.kind.width();
        let mut value = Vec::with_capacity(1);
        let mut bytes = [0; 8];
        for _ in 0..count {
            let from: usize = sides.iter().map(|side| side.index * side.stride).sum();
            let to: usize = sides.iter().map(|side| side.index * side.place).sum();
            input.section(self.start + from as u64 * width, width)?;
            let bytes = bytes.get_mut(..width as usize).unwrap_or_default();
            input.fill(bytes)?;
            value.clear();
            self.kind.convert(bytes, &mut value);
            if let (Some(slot), Some(&value)) = (data.get_mut(to), value.first()) {
                *slot = value;
            }
            for side in &mut sides {
                side.index += 1;
                if side.index < side.side {
                    break;
                }
                side.index = 0;
            }
        }
        Ok(data)
    }
}

/// One side while a tensor is gathered: its length, the numbers from one index to the next in the file and
/// in the result, and where it stands.
struct Side {
    side: usize,
    stride: usize,
    place: usize,
    index: usize,
}

/// What a tensor of a storage is: None for `strides` that are row-major.
///
/// Err if a number would lie outside the storage of `count` numbers, or if indices that differ meet in one
/// number other than by a stride of 0, as `expand` makes them.
pub fn fit(
    shape: &[usize],
    strides: &[usize],
    offset: u64,
    count: u64,
) -> Checked<Option<Vec<usize>>> {
    let given = || format!("shape {shape:?}, strides {strides:?}, offset {offset}");
    if shape.len() != strides.len() {
        return Err(format!("{} do not go together", given()));
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
            return Err(format!("{} overlap", given()));
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
            (&[2, 2], &[1], 0, "do not go together"),
            (&[3, 3], &[1, 1], 0, "overlap"),
            (&[2, 3], &[2, 1], 0, "overlap"),
        ] {
            let reason = fit(shape, strides, offset, 6).unwrap_err();
            assert!(reason.contains(word), "{reason}");
        }
    }

    #[test]
    fn strided_tensors_come_row_major() {
        let bytes: Vec<u8> = (0..12).flat_map(|number| (number as f32).to_le_bytes()).collect();
        let mut input = Input::new(std::io::Cursor::new(bytes)).unwrap();
        let mut read = |shape: &[usize], strides: &[usize], offset: u64| {
            let strides = fit(shape, strides, offset, 12).unwrap();
            let (shape, start) = (shape.to_vec(), offset * 4);
            Stored { kind: Kind::F32, shape, strides, start, summed: None }
                .read(&mut input)
                .unwrap()
                .data
        };
        assert_eq!(read(&[2, 3], &[1, 2], 0), [0., 2., 4., 1., 3., 5.]);
        assert_eq!(read(&[2, 2, 3], &[6, 1, 2], 0)[..6], [0., 2., 4., 1., 3., 5.]);
        assert_eq!(read(&[2, 2], &[4, 2], 5), [5., 7., 9., 11.]);
        assert_eq!(read(&[2, 2], &[0, 1], 3), [3., 4., 3., 4.]);
    }
}
