//! Augmentation, which changes images from epoch to epoch: named recipes, and the crop and the cutout that they are made
//! of. Each image's change is a pure function of the random numbers given.

use std::fmt;

use super::auto_augment::auto_augment;
#[cfg(not(target_arch = "wasm32"))]
use super::fit::Fit;
#[cfg(not(target_arch = "wasm32"))]
use super::picture::Picture;
#[cfg(not(target_arch = "wasm32"))]
use super::resized_crop::{resized_crop, resized_crop_of_planes};
use super::seed::Random;
use crate::{Error, Result};

/// A recipe of augmentation: how training images are changed at random, by the name that a configuration has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Augment {
    /// `none`: images are only resized to the network's size by [`Fit`].
    None,
    /// `crop-flip`: a border of zeros, an eighth of the side wide, is put around the image, a random crop of the image's size is
    /// taken, and half of the images are mirrored ([`CropFlip::for_side`]).
    CropFlip,
    /// `cifar`: the random crop and mirroring of `crop-flip`, then AutoAugment's policy for CIFAR-10, then one cutout of half the
    /// image's side.
    Cifar,
    /// `resized-crop`: a random part of the whole picture, resized to the network's size (torchvision's `RandomResizedCrop` with
    /// its usual bounds), mirrored with probability ½.
    ResizedCrop,
    /// `centre`: images are resized to the network's size by [`Fit`], and mirrored with probability ½.
    Centre,
}

impl Augment {
    const ALL: [(&str, Self); 5] = [
        ("none", Self::None),
        ("crop-flip", Self::CropFlip),
        ("cifar", Self::Cifar),
        ("resized-crop", Self::ResizedCrop),
        ("centre", Self::Centre),
    ];

    /// Reads the name of an augmentation recipe.
    ///
    /// # Errors
    /// `BadConfig` for another, under the key `augment`.
    pub fn parse(text: &str) -> Result<Self> {
        let found = Self::ALL.iter().find(|(name, _)| *name == text);
        found.map(|&(_, recipe)| recipe).ok_or_else(|| Error::BadConfig {
            key: "augment".into(),
            value: format!("{text:?}"),
            allowed: format!("one of {}", Self::ALL.map(|(name, _)| name).join(", ")),
        })
    }

    /// Returns whether the recipe cuts parts out of pictures that are larger than the network's images, so that pictures must not
    /// be shrunk first.
    pub fn takes_whole_pictures(self) -> bool {
        self == Self::ResizedCrop
    }

    /// Augments `image` and writes the result into `out`, both CHW of `channels`×`side`×`side` in \[0, 1\]. AutoAugment and
    /// resized crops work on bytes: they round to whole 255ths.
    ///
    /// # Errors
    /// `Mismatch` where a slice has another length, and for `cifar` with other than 1 or 3 channels.
    pub fn apply(
        self,
        random: &mut Random,
        image: &[f32],
        channels: u32,
        side: u32,
        out: &mut [f32],
    ) -> Result<()> {
        let crop = match self {
            Self::None => CropFlip { padding: 0, flip: false },
            Self::Centre => CropFlip { padding: 0, flip: true },
            Self::CropFlip | Self::Cifar => CropFlip::for_side(side),
            #[cfg(not(target_arch = "wasm32"))]
            Self::ResizedCrop => {
                let bytes = to_bytes(image);
                to_unit(&resized_crop_of_planes(random, &bytes, channels, side)?, out);
                return Ok(());
            }
            #[cfg(target_arch = "wasm32")]
            Self::ResizedCrop => {
                return Err(Error::mismatch(
                    "augmentation",
                    self,
                    "none, centre, crop-flip or cifar: a browser has no others",
                ));
            }
        };
        crop.apply(random, image, channels, side, out)?;
        if self == Self::Cifar {
            let mut bytes = to_bytes(out);
            auto_augment(random, &mut bytes, channels, side)?;
            let middle = [(); 2].map(|()| random.below(side.into()) as u32);
            cut_out(&mut bytes, side, middle, side / 2);
            to_unit(&bytes, out);
        }
        Ok(())
    }

    /// Changes a whole picture into an image of `channels`×`side`×`side`: fits it, then augments it.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn apply_to_picture(
        self,
        random: &mut Random,
        picture: &Picture,
        (channels, side, fit): (u32, u32, Fit),
        out: &mut [f32],
    ) -> Result<()> {
        if self == Self::ResizedCrop {
            let cut = resized_crop(random, picture, side)?;
            out.copy_from_slice(&cut.fitted(channels, side, Fit::Crop)?);
            return Ok(());
        }
        self.apply(random, &picture.fitted(channels, side, fit)?, channels, side, out)
    }
}

impl fmt::Display for Augment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = Self::ALL.iter().find(|(_, recipe)| recipe == self);
        out.write_str(found.map_or("", |(name, _)| name))
    }
}

/// Fills a square of `length` around the pixel (row, column) with zeros, as far as it lies in the image (DeVries and
/// Taylor, arXiv 1708.04552).
/// 1708.04552).
pub(super) fn cut_out(image: &mut [u8], side: u32, middle: [u32; 2], length: u32) {
    let half = length / 2;
    let [rows, columns] = middle.map(|middle| {
        middle.saturating_sub(half) as usize..middle.saturating_add(half).min(side) as usize
    });
    let side = (side as usize).max(1);
    for plane in image.chunks_exact_mut(side * side) {
        for row in plane.chunks_exact_mut(side).take(rows.end).skip(rows.start) {
            row.get_mut(columns.clone()).unwrap_or_default().fill(0);
        }
    }
}

fn to_bytes(image: &[f32]) -> Vec<u8> {
    image.iter().map(|value| (value * 255.0).round() as u8).collect()
}

fn to_unit(bytes: &[u8], out: &mut [f32]) {
    for (value, &byte) in out.iter_mut().zip(bytes) {
        *value = f32::from(byte) / 255.0;
    }
}

/// Shifts an image by up to `padding` pixels each way, zeros coming in, and mirrors it left to right with probability ½
/// (torchvision's `RandomCrop(side, padding)` and `RandomHorizontalFlip`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CropFlip {
    /// The number of rows and columns of zeros on each border before the crop.
    pub padding: u32,
    /// Whether half of the images are mirrored.
    pub flip: bool,
}

impl CropFlip {
    /// Makes the usual augmentation for images of this size: padding by an eighth of the side (4 pixels of 32), with mirroring.
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
                format!("an image of {} values and an output of {}", image.len(), out.len()),
                format!("{wanted} values, {channels}×{side}×{side}, in both"),
            ));
        }
        let offsets = [self.offset(random), self.offset(random)];
        let mirrored = random.coin() && self.flip;
        crop(image, side, offsets, mirrored, out);
        Ok(())
    }

    /// Draws an offset from −padding to padding.
    fn offset(&self, random: &mut Random) -> i64 {
        let padding = i64::from(self.padding);
        random.below(2 * padding as u64 + 1) as i64 - padding
    }
}

/// Takes what lies `down` and `right` of each pixel, zero from outside, and mirrors that.
pub(super) fn crop(
    image: &[f32],
    side: u32,
    [down, right]: [i64; 2],
    mirrored: bool,
    out: &mut [f32],
) {
    let (row_len, plane_len) = (side as usize, side as usize * side as usize);
    if plane_len == 0 {
        return;
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
