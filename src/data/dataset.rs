//! Holds labelled images of one size in memory, a byte for each value as in most files, with class-balanced splits and a
//! fingerprint by which a run recognises its data.

use std::fmt;

use super::about::About;
use super::checksum::Checksum;
use super::seed::Random;
use crate::{Error, Result};

/// The longest side of an image.
pub(super) const MAX_SIDE: u32 = 4096;
/// The most classes: far above ImageNet-21k's, and memory for each is no matter.
const MAX_CLASSES: u32 = 1 << 16;
/// The most channels of an image.
pub(super) const MAX_CHANNELS: u32 = 16;

/// A part of a data set: training or test images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The training images.
    Train,
    /// The test images.
    Test,
}

impl Part {
    /// The name that files have for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// Images of one size in memory, with one label each.
#[derive(Clone, PartialEq)]
pub struct Dataset {
    channels: u32,
    height: u32,
    width: u32,
    classes: u32,
    pixels: Vec<u8>,
    labels: Vec<u32>,
    pub(super) about: About,
    /// The exact values of the pixels in \[0, 1\], for images whose values bytes cannot hold.
    pub(super) exact: Option<Vec<f32>>,
}

impl Dataset {
    /// Makes a data set of `labels.len()` images, whose `pixels` are in NCHW order, from 0 (black) to 255.
    ///
    /// # Errors
    /// `Mismatch` where a size is 0 or too large (sides up to 4096, channels up to 16, fewer than 2^32 images), the number
    /// of pixels does not fit, `classes` is above 65,536, or a label is not below it.
    pub fn new(
        channels: u32,
        height: u32,
        width: u32,
        classes: u32,
        pixels: Vec<u8>,
        labels: Vec<u32>,
    ) -> Result<Self> {
        let sized = (1..=MAX_CHANNELS).contains(&channels)
            && (1..=MAX_SIDE).contains(&height)
            && (1..=MAX_SIDE).contains(&width);
        if !sized {
            return Err(Error::mismatch(
                "data set",
                format!("images of {channels}×{height}×{width}"),
                format!("1 to {MAX_CHANNELS} channels and sides of 1 to {MAX_SIDE}"),
            ));
        }
        let images = labels.len();
        let each = u128::from(channels) * u128::from(height) * u128::from(width);
        let wanted = images as u128 * each;
        if u32::try_from(images).is_err() || pixels.len() as u128 != wanted {
            return Err(Error::mismatch(
                "data set",
                match pixels.len() as u128 {
                    pixels if pixels % each == 0 => {
                        format!("{} images and {images} labels", pixels / each)
                    }
                    pixels => format!("{pixels} pixels for {images} labels"),
                },
                format!(
                    "a label for each image of {channels}×{height}×{width}, so {wanted} pixels for {images} labels, and fewer than 2^32 images"
                ),
            ));
        }
        check_labels("data set", &labels, classes)?;
        let (about, exact) = (About::default(), None);
        Ok(Self { channels, height, width, classes, pixels, labels, about, exact })
    }

    /// Returns the number of colour channels, 1 to 16.
    pub fn channels(&self) -> u32 {
        self.channels
    }

    /// Returns the height of the images in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Returns the width of the images in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Returns the number of classes; all labels are below it.
    pub fn classes(&self) -> u32 {
        self.classes
    }

    /// Returns the number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Returns whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Returns all pixels as bytes, \[N, C, H, W\].
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Returns all pixels as numbers in \[0, 1\], NCHW: the file's exact values where it had finer ones than bytes.
    pub fn to_unit(&self) -> Vec<f32> {
        let bytes = || self.pixels.iter().map(|&byte| f32::from(byte) / 255.0).collect();
        self.exact.clone().unwrap_or_else(bytes)
    }

    /// Returns the label of each image.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Returns the names of the classes, by label; empty where the files have none.
    pub fn class_names(&self) -> &[String] {
        &self.about.class_names
    }

    /// Returns the reason why the images have no labels, if they have none; every label is 0 then.
    pub fn unlabelled(&self) -> Option<&str> {
        self.about.unlabelled.as_deref()
    }

    /// Returns one sentence, with the file's path, for each image that could not be read.
    pub fn damaged(&self) -> &[String] {
        &self.about.damaged
    }

    /// Returns one sentence for each thing that was left out or is unusual, beside damaged images.
    pub fn notes(&self) -> &[String] {
        &self.about.notes
    }

    /// Returns the pixels of one image, \[C, H, W\].
    pub fn image(&self, index: usize) -> Option<&[u8]> {
        let size = self.image_len();
        let start = index.checked_mul(size)?;
        self.pixels.get(start..start.checked_add(size)?)
    }

    /// Holds `held_out` images out of training, drawn evenly by class; both sets keep the order of the file. Each class gives its
    /// share of the held-out images, rounded so that they sum up (largest remainders, lower class first); which images of a class
    /// go is a pure function of `seed`. Returns (the others, those held out).
    ///
    /// # Errors
    /// `Mismatch` where `held_out` is more than there are.
    pub fn split(&self, held_out: usize, seed: u64) -> Result<(Self, Self)> {
        let chosen = balanced(&self.labels, self.classes, held_out, seed)?;
        Ok((self.select(&chosen, false), self.select(&chosen, true)))
    }

    /// Returns a fingerprint by which a run recognises its data, the same on every machine: the FNV-1a hash (64 bits) of
    /// channels, height, width, classes, number of images, labels (each a little-endian u32, the number a u64) and pixels, and of
    /// the exact values where the file had finer ones than bytes.
    pub fn checksum(&self) -> u64 {
        Checksum::new()
            .feed(
                [self.channels, self.height, self.width, self.classes]
                    .into_iter()
                    .flat_map(u32::to_le_bytes),
            )
            .feed((self.len() as u64).to_le_bytes())
            .feed(self.labels.iter().flat_map(|label| label.to_le_bytes()))
            .feed(self.pixels.iter().copied())
            .feed(self.exact.iter().flatten().flat_map(|value| value.to_le_bytes()))
            .value()
    }

    /// Returns the images at these places, in the order of the file.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn chosen(&self, places: &[usize]) -> Self {
        let mut marks = vec![false; self.len()];
        for &place in places {
            if let Some(mark) = marks.get_mut(place) {
                *mark = true;
            }
        }
        self.select(&marks, true)
    }

    fn image_len(&self) -> usize {
        self.channels as usize * self.height as usize * self.width as usize
    }

    fn select(&self, marks: &[bool], wanted: bool) -> Self {
        let kept = || marks.iter().map(|&mark| mark == wanted);
        Self {
            pixels: chosen(&self.pixels, self.image_len(), kept()),
            exact: self.exact.as_ref().map(|values| chosen(values, self.image_len(), kept())),
            labels: self
                .labels
                .iter()
                .zip(kept())
                .filter(|(_, keep)| *keep)
                .map(|(&label, _)| label)
                .collect(),
            about: self.about.clone(),
            ..*self
        }
    }
}

/// The kept ones of the images, which have `length` values each.
fn chosen<T: Copy>(values: &[T], length: usize, kept: impl Iterator<Item = bool>) -> Vec<T> {
    let images = values.chunks_exact(length).zip(kept).filter(|(_, keep)| *keep);
    images.flat_map(|(image, _)| image).copied().collect()
}

impl fmt::Debug for Dataset {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { channels, height, width, classes, .. } = self;
        write!(
            out,
            "Dataset({} images of {channels}×{height}×{width} in {classes} classes)",
            self.len()
        )
    }
}

/// Chooses the images to hold out, from their labels: see [`Dataset::split`].
pub(super) fn balanced(
    labels: &[u32],
    classes: u32,
    held_out: usize,
    seed: u64,
) -> Result<Vec<bool>> {
    if held_out > labels.len() {
        return Err(Error::mismatch(
            "images to hold out for tests or validation",
            held_out,
            format!("at most {}, as many images as there are", labels.len()),
        ));
    }
    let mut of_class = vec![Vec::new(); classes as usize];
    for (index, &label) in labels.iter().enumerate() {
        if let Some(images) = of_class.get_mut(label as usize) {
            images.push(index);
        }
    }
    let shares = shares(&of_class.iter().map(Vec::len).collect::<Vec<_>>(), held_out);
    let mut chosen = vec![false; labels.len()];
    for ((class, mut images), share) in (0..).zip(of_class).zip(shares) {
        Random::new(seed, "split", 0, class).shuffle(&mut images);
        for image in images.into_iter().take(share) {
            if let Some(mark) = chosen.get_mut(image) {
                *mark = true;
            }
        }
    }
    Ok(chosen)
}

/// Checks that every label is below `classes`, and that these are not too many.
pub(super) fn check_labels(op: &'static str, labels: &[u32], classes: u32) -> Result<()> {
    if classes > MAX_CLASSES {
        return Err(Error::mismatch(
            op,
            format!("{classes} classes"),
            format!("at most {MAX_CLASSES}"),
        ));
    }
    match labels.iter().enumerate().find(|&(_, &label)| label >= classes) {
        Some((image, label)) => Err(Error::mismatch(
            op,
            format!("label {label} for image {image} (counted from 0)"),
            format!("a label below {classes}"),
        )),
        None => Ok(()),
    }
}

/// `total` divided in proportion to `counts`, whole and exact; a share never exceeds its count where `total` is at most
/// the sum of counts.
fn shares(counts: &[usize], total: usize) -> Vec<usize> {
    let sum = (counts.iter().sum::<usize>() as u128).max(1);
    let exact =
        |count: usize| (total as u128 * count as u128 / sum, total as u128 * count as u128 % sum);
    let mut shares: Vec<usize> = counts.iter().map(|&count| exact(count).0 as usize).collect();
    let mut by_remainder: Vec<_> =
        shares.iter_mut().zip(counts).map(|(share, &count)| (exact(count).1, share)).collect();
    by_remainder.sort_by_key(|(remainder, _)| std::cmp::Reverse(*remainder));
    let missing = total - by_remainder.iter().map(|(_, share)| **share).sum::<usize>();
    for (_, share) in by_remainder.into_iter().take(missing) {
        *share += 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_up_and_fit() {
        assert_eq!(shares(&[300; 10], 500), [50; 10]);
        assert_eq!(shares(&[10, 10, 10], 4), [2, 1, 1]);
        assert_eq!(shares(&[1, 0, 99], 50), [1, 0, 49]);
        assert_eq!(shares(&[3, 5, 7], 15), [3, 5, 7]);
        assert_eq!(shares(&[], 0), [0; 0]);
        for total in 0..=21 {
            let shares = shares(&[1, 6, 0, 14], total);
            assert_eq!(shares.iter().sum::<usize>(), total);
            assert!(shares.iter().zip([1, 6, 0, 14]).all(|(share, count)| *share <= count));
        }
    }
}
