//! A checkpoint's tensor that is still in its file: where its numbers lie, in which format and order, and how they are read as
//! f32 without a second copy.

use crate::files::{Checked, Input, Kind, elements};
use crate::model::Tensor;
use std::io::{Read, Seek};

/// A range of a file's bytes with the CRC-32 that they should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summed {
    pub start: u64,
    pub length: u64,
    pub crc: u32,
}

impl Summed {
    /// Checks that the bytes have the CRC-32 that the file says.
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

/// The place of a tensor's numbers in a file, with their type and order.
#[derive(Clone, Debug)]
pub struct Stored {
    pub kind: Kind,
    /// The tensor's shape, as PyTorch has it.
    pub shape: Vec<usize>,
    /// The number of values from one index to the next, for each dimension of the tensor; None where the order is row-major.
    pub strides: Option<Vec<usize>>,
    /// The byte of the file at which the tensor's first number begins.
    pub start: u64,
    /// The storage that the tensor lies in, where the storage has a CRC-32.
    pub summed: Option<Summed>,
}

impl Stored {
    /// Returns whether the tensor holds whole numbers, as the counters, masks and indices that networks keep beside their
    /// weights.
    pub fn is_whole(&self) -> bool {
        matches!(self.kind, Kind::Other("int64" | "int32" | "int16" | "bool" | "uint8", _))
    }

    /// Err for numbers of another type than float32, float64, float16 and bfloat16.
    pub fn check_kind(&self) -> Checked<()> {
        let Kind::Other(name, _) = self.kind else { return Ok(()) };
        Err(format!(
            "the tensor has {name} values, but only float32, float64, float16 and bfloat16 are read"
        ))
    }

    /// Reads the tensor's numbers as f32, row-major. The caller has checked the storage's sum, and that so many may be allocated.
    /// Err if they are no floating-point numbers or the file ends before.
    pub fn read<R: Read + Seek>(&self, input: &mut Input<R>) -> Checked<Tensor> {
        self.check_kind()?;
        let count = elements(&self.shape).ok_or("the tensor has more than 2^63 values")?;
        let data = match &self.strides {
            None => {
                let length = count
                    .checked_mul(self.kind.width())
                    .ok_or("the tensor has more than 2^64 bytes")?;
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

    /// Reads tensors in the order of the file, so that it is read once and forwards.
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

/// A dimension of a tensor that is gathered from a file with strides: its length, its strides in file and result, and
/// the current index.
struct Side {
    side: usize,
    stride: usize,
    place: usize,
    index: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::fit;

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
