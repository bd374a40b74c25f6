//! Images as a network takes them: f32 in `[0, 1]`, square, of the network's input size, with the mean and standard deviation for
//! its normalisation.

use std::fmt;

use super::dataset::{Dataset, MAX_CHANNELS, MAX_SIDE, check_labels};
use super::fit::{Fit, letterbox};
use super::picture::Picture;
use crate::{Error, Result};

/// 8 GiB of f32; counts in 32 bits too.
const MAX_VALUES: u128 = 2 << 30;

/// Square images as a network takes them: in `[0, 1]`, NCHW, with one label each.
#[derive(Clone)]
pub struct Prepared {
    channels: u32,
    side: u32,
    classes: u32,
    images: Vec<f32>,
    labels: Vec<u32>,
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl Dataset {
    /// Brings the images to `side`×`side` pixels and `[0, 1]`: zeros are put around them (an odd row or column below or to the
    /// right) up to k·`side`×k·`side` pixels, with the smallest k that covers the longer side; each new pixel is then the mean
    /// of k×k pixels, over 255. Images of 28×28 become 32×32, and for side 16 (k = 2) the means of 2×2 of these pixels.
    ///
    /// # Errors
    /// `Mismatch` where there are no images, `side` is not within 1 to 4096, or the result would pass 8 GiB.
    pub fn prepared(&self, side: u32) -> Result<Prepared> {
        check_shape(self.channels(), side, self.len())?;
        if let Some(prepared) = self.as_they_are(side) {
            return Ok(prepared);
        }
        let plane_len = side as usize * side as usize;
        let mut images = zeros(self.len() * self.channels() as usize * plane_len)?;
        let mut sums = vec![0; plane_len];
        let size = [self.height(), self.width()];
        let plane = size.map(|length| length as usize).iter().product();
        for (from, to) in self.pixels().chunks_exact(plane).zip(images.chunks_exact_mut(plane_len))
        {
            letterbox(from, size, side, &mut sums, to);
        }
        Ok(Prepared::with_statistics(
            self.channels(),
            side,
            self.classes(),
            images,
            self.labels().to_vec(),
        ))
    }
}

impl Dataset {
    /// Prepares images in the way that `fit` says. `letterbox` pads them with zeros, as [`Dataset::prepared`] does; the other
    /// ways need images of 1 or 3 channels.
    ///
    /// # Errors
    /// The errors of [`Dataset::prepared`], and `Mismatch` for other channels.
    pub fn prepared_as(&self, side: u32, fit: Fit) -> Result<Prepared> {
        if fit == Fit::Letterbox {
            return self.prepared(side);
        }
        let image_len = check_shape(self.channels(), side, self.len())?;
        if let Some(prepared) = self.as_they_are(side) {
            return Ok(prepared);
        }
        let mut images = zeros(self.len() * image_len)?;
        let size = [self.height(), self.width()];
        for (index, to) in images.chunks_exact_mut(image_len).enumerate() {
            let planes = self.image(index).unwrap_or_default();
            let picture = Picture::from_planes(self.channels(), size, planes)?;
            to.copy_from_slice(&picture.fitted(self.channels(), side, fit)?);
        }
        let labels = self.labels().to_vec();
        Ok(Prepared::with_statistics(self.channels(), side, self.classes(), images, labels))
    }

    /// Prepares, as [`Dataset::prepared_as`] does, only those images that `choose` takes.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn prepared_of(
        &self,
        side: u32,
        fit: Fit,
        choose: &mut super::evaluation::Choose<'_>,
    ) -> Result<Prepared> {
        let classes =
            super::class_map::Classes { names: self.class_names(), count: self.classes() };
        match choose(classes, self.labels())? {
            places if places.len() < self.len() => self.chosen(&places).prepared_as(side, fit),
            _ => self.prepared_as(side, fit),
        }
    }

    /// Floating-point values of images that have the side already; none where bytes hold them, or they are to be resized, which
    /// is done in bytes.
    fn as_they_are(&self, side: u32) -> Option<Prepared> {
        let images = self.exact.clone().filter(|_| [self.height(), self.width()] == [side; 2])?;
        let labels = self.labels().to_vec();
        Some(Prepared::with_statistics(self.channels(), side, self.classes(), images, labels))
    }

    /// Returns the way in which a network trained on these images has others fitted: the usual one if the images have
    /// that side already, otherwise `letterbox`, as [`Dataset::prepared`] does.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn taught_fit(&self, side: u32) -> Fit {
        if [self.height(), self.width()] == [side; 2] {
            Fit::usual(self.channels())
        } else {
            Fit::Letterbox
        }
    }
}

impl Prepared {
    /// Returns the largest number of images of this size that one set holds.
    #[cfg(feature = "cli")]
    pub(crate) fn most(channels: u32, side: u32) -> u32 {
        let values = u128::from(channels) * u128::from(side).pow(2);
        u32::try_from(MAX_VALUES / values.max(1)).unwrap_or(u32::MAX)
    }

    /// Takes images that are already prepared: `labels.len()` images, NCHW, all values in `[0, 1]`.
    ///
    /// # Errors
    /// `Mismatch` where sizes do not fit (as [`Dataset::prepared`]), a label is not below `classes` (at most 65,536), or a
    /// value is NaN, infinite or outside `[0, 1]`: the message names the image and the value.
    pub fn from_f32(
        channels: u32,
        side: u32,
        classes: u32,
        images: Vec<f32>,
        labels: Vec<u32>,
    ) -> Result<Self> {
        let image_len = check_shape(channels, side, labels.len())?;
        if images.len() != labels.len() * image_len {
            return Err(Error::mismatch(
                "prepared images",
                format!("{} values for {} labels", images.len(), labels.len()),
                format!("{image_len} values ({channels}×{side}×{side}) for each label"),
            ));
        }
        if let Some((at, value)) =
            images.iter().enumerate().find(|(_, value)| !(0.0..=1.0).contains(*value))
        {
            let (image, within) = (at / image_len, at % image_len);
            return Err(Error::mismatch(
                "prepared images",
                format!(
                    "the value {value} in image {image}, at index {within} of it (both counted from 0)"
                ),
                "values in [0,1]",
            ));
        }
        check_labels("prepared images", &labels, classes)?;
        Ok(Self::with_statistics(channels, side, classes, images, labels))
    }

    fn with_statistics(
        channels: u32,
        side: u32,
        classes: u32,
        images: Vec<f32>,
        labels: Vec<u32>,
    ) -> Self {
        let plane_len = side as usize * side as usize;
        let count = (labels.len() * plane_len) as f64;
        let channel = |index: usize| {
            images.chunks_exact(plane_len).skip(index).step_by(channels as usize).flatten()
        };
        let (mean, std) = (0..channels as usize)
            .map(|index| {
                let mean = channel(index).map(|&value| f64::from(value)).sum::<f64>() / count;
                let variance =
                    channel(index).map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>()
                        / count;
                (mean as f32, if variance > 0.0 { variance.sqrt() as f32 } else { 1.0 })
            })
            .unzip();
        Self { channels, side, classes, images, labels, mean, std }
    }

    /// Returns the number of colour channels, 1 to 16.
    pub fn channels(&self) -> u32 {
        self.channels
    }

    /// Returns the height and width of the images.
    pub fn side(&self) -> u32 {
        self.side
    }

    /// Returns the number of classes; all labels are below it.
    pub fn classes(&self) -> u32 {
        self.classes
    }

    /// Returns the number of images, at least 1.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Returns false: there is always an image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Returns all images, NCHW, in `[0, 1]`.
    pub fn images(&self) -> &[f32] {
        &self.images
    }

    /// Returns the label of each image.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Returns the values of one image, \[C, H, W\].
    pub fn image(&self, index: usize) -> Option<&[f32]> {
        let size = self.image_len();
        let start = index.checked_mul(size)?;
        self.images.get(start..start.checked_add(size)?)
    }

    /// Returns the mean of each channel over all images, summed in f64: for the model's input normalisation.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// Returns the standard deviation of each channel over all images (divided by n, not n − 1), and 1 for a channel whose
    /// values are all the same, which avoids a division by 0.
    pub fn std(&self) -> &[f32] {
        &self.std
    }

    /// Replaces each label L by `labels[L]`, a new label below `classes`.
    ///
    /// # Errors
    /// `Mismatch` where a label has no new one, or one that is not below `classes`.
    pub fn relabelled(self, labels: &[u32], classes: u32) -> Result<Self> {
        let renamed = |label: &u32| {
            let missing = || {
                let given = format_args!("the label {label}");
                let wanted =
                    format_args!("a label below {}, the number of new labels", labels.len());
                Error::mismatch("labels", given, wanted)
            };
            labels.get(*label as usize).copied().ok_or_else(missing)
        };
        let labels = self.labels.iter().map(renamed).collect::<Result<Vec<_>>>()?;
        check_labels("relabelled images", &labels, classes)?;
        Ok(Self { labels, classes, ..self })
    }

    /// The number of values in one image.
    pub(super) fn image_len(&self) -> usize {
        self.channels as usize * self.side as usize * self.side as usize
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { channels, side, classes, .. } = self;
        write!(
            out,
            "Prepared({} images of {channels}×{side}×{side} in {classes} classes)",
            self.len()
        )
    }
}

/// Returns the number of values in one image, if all images together are within the limits.
fn check_shape(channels: u32, side: u32, images: usize) -> Result<usize> {
    let sized = (1..=MAX_CHANNELS).contains(&channels) && (1..=MAX_SIDE).contains(&side);
    let image_len = u128::from(channels) * u128::from(side) * u128::from(side);
    if !sized
        || images == 0
        || u32::try_from(images).is_err()
        || images as u128 * image_len > MAX_VALUES
    {
        return Err(Error::mismatch(
            "prepared images",
            format!("{images} images of {channels}×{side}×{side}"),
            format!(
                "at least 1 image, 1 to {MAX_CHANNELS} channels, side 1 to {MAX_SIDE}, and at most 8 GiB in all"
            ),
        ));
    }
    Ok(image_len as usize)
}

fn zeros(len: usize) -> Result<Vec<f32>> {
    let mut values = Vec::new();
    values.try_reserve_exact(len).map_err(|error| {
        Error::mismatch(
            "prepared images",
            format!("{len} values ({error})"),
            "images that fit into memory",
        )
    })?;
    values.resize(len, 0.0);
    Ok(values)
}

#[cfg(feature = "cli")]
#[test]
fn the_largest_set_is_taken_and_one_image_more_is_not() {
    for (channels, side) in [(1, 16), (3, 224)] {
        let most = Prepared::most(channels, side) as usize;
        assert!(check_shape(channels, side, most).is_ok());
        assert!(check_shape(channels, side, most + 1).is_err());
    }
}
