//! The light augmentation: a random crop after zero padding, and a mirror image every other time.

use super::seed::Random;
use crate::{Error, Result};

/// Shifts an image by up to `padding` pixels each way, zeros coming in, and mirrors it left to right with probability ½
/// (torchvision's `RandomCrop(side, padding)` and `RandomHorizontalFlip`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CropFlip {
    /// Pixels of zeros on each border before the crop.
    pub padding: u32,
    /// Whether to mirror.
    pub flip: bool,
}

impl CropFlip {
    /// The usual strength: an eighth of the side (4 pixels of 32), with mirroring.
    pub fn for_side(side: u32) -> Self {
        Self { padding: side / 8, flip: true }
    }

    /// Writes the augmented `image` into `out`, both CHW of `channels`×`side`×`side`. Draws the row offset, the column
    /// offset and the mirroring, in this order and always all three: the crops do not depend on `flip`.
    ///
    /// # Errors
    /// `Mismatch` where a slice has another length.
    pub fn apply(
        &self,
        random: &mut Random,
        image: &[f32],
        channels: u32,
        side: u32,
        out: &mut [f32],
    ) -> Result<()> {
        let wanted = u128::from(channels) * u128::from(side) * u128::from(side);
        if image.len() as u128 != wanted || out.len() as u128 != wanted {
            return Err(Error::mismatch(
                "crop and flip",
                format!("{} values into {}", image.len(), out.len()),
                format!("{wanted}, which is {channels}×{side}×{side}"),
            ));
        }
        let down = self.offset(random);
        let right = self.offset(random);
        let mirrored = random.coin() && self.flip;
        let (row_len, plane_len) = (side as usize, side as usize * side as usize);
        if plane_len == 0 {
            return Ok(());
        }
        for (from, to) in image.chunks_exact(plane_len).zip(out.chunks_exact_mut(plane_len)) {
            for (y, row) in (0_i64..).zip(to.chunks_exact_mut(row_len)) {
                row.fill(0.0);
                let source =
                    usize::try_from(y + down).ok().and_then(|y| from.chunks_exact(row_len).nth(y));
                if let Some(source) = source {
                    shift(source, right, row);
                }
                if mirrored {
                    row.reverse();
                }
            }
        }
        Ok(())
    }

    /// Within ±padding.
    fn offset(&self, random: &mut Random) -> i64 {
        let padding = i64::from(self.padding);
        random.below(2 * padding as u64 + 1) as i64 - padding
    }
}

/// `to[x] = from[x + by]` where that exists; both have the same length.
fn shift(from: &[f32], by: i64, to: &mut [f32]) {
    let distance = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX);
    let Some(common) = to.len().checked_sub(distance) else { return };
    let (from_start, to_start) = if by >= 0 { (distance, 0) } else { (0, distance) };
    for (value, &pixel) in
        to.iter_mut().skip(to_start).zip(from.iter().skip(from_start)).take(common)
    {
        *value = pixel;
    }
}
