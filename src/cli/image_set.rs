//! Sets of images that evaluation compares: data sets, folders of pictures, archives. Pictures are read one after the other,
//! each of its own size, so that there may be more of them than memory holds.

use std::collections::BTreeMap;

use crate::data::{Checksum, Fit, Part, Pictures, Source, Viewed};
use crate::{Error, Result};

/// A set of images, in memory or in files.
#[derive(Clone, Debug)]
pub enum ImageSet {
    /// Images in memory, all of one size.
    Memory {
        /// The images, NCHW in \[0, 1\].
        images: Vec<f32>,
        /// The number of channels, 1 or 3.
        channels: u32,
        /// The rows and columns of each image.
        size: [u32; 2],
    },
    /// Pictures that stay in their files.
    Pictures(Pictures),
}

impl ImageSet {
    /// Makes a set of square images in memory.
    pub fn squares(images: Vec<f32>, channels: u32, side: u32) -> Self {
        Self::Memory { images, channels, size: [side; 2] }
    }

    /// Reads a set of images from whatever can be trained on: of a divided source the training part, of a folder of pictures all
    /// that lie in it, however deep. Arrays and idx files are brought to `side`, if that is given.
    pub fn read(name: &str, side: Option<u32>) -> Result<Self> {
        let data = match Source::parse(name)?.viewed()? {
            Viewed::Pictures(pictures) => return Ok(Self::Pictures(pictures)),
            Viewed::Images(data) => data,
        };
        let channels = data.channels();
        if ![1, 3].contains(&channels) {
            let reason = format!("its images have {channels} channels, but have to have 1 or 3");
            return Err(Error::bad_file(name, reason));
        }
        Ok(match side {
            Some(side) => Self::squares(data.prepared(side)?.images().to_vec(), channels, side),
            None => {
                let size = [data.height(), data.width()];
                Self::Memory { images: data.to_unit(), channels, size }
            }
        })
    }

    /// Reads the training images of a data set, brought to a side as training brings them for a network of this many channels.
    pub fn of_training(name: &str, [channels, side]: [u32; 2], fit: Option<Fit>) -> Result<Self> {
        let pictures = fit.unwrap_or(Fit::usual(channels));
        let data = Source::parse(name)?.load_fitted(Part::Train, side, pictures)?;
        let real = data.prepared_as(side, fit.unwrap_or(Fit::Letterbox))?;
        Ok(Self::squares(real.images().to_vec(), real.channels(), side))
    }

    /// Returns the number of images.
    pub fn len(&self) -> usize {
        match self {
            Self::Memory { images, channels, size: [height, width] } => {
                images.len() / (*channels as usize * *height as usize * *width as usize).max(1)
            }
            Self::Pictures(pictures) => pictures.len(),
        }
    }

    /// Returns whether the images are resized to a side that is asked for: arrays and idx files are, picture files keep their own
    /// size.
    pub fn has_side(&self) -> bool {
        matches!(self, Self::Memory { .. })
    }

    /// Returns the side of the images; `None` where those in memory, or the first of the picture files, are not square.
    pub fn side(&self) -> Result<Option<u32>> {
        let [height, width] = match self {
            Self::Memory { size, .. } => *size,
            Self::Pictures(pictures) => pictures.view(0)?.1,
        };
        Ok((height == width).then_some(height))
    }

    /// Returns one image in planes, with its rows and columns.
    pub fn image(&self, index: usize) -> Result<(Vec<f32>, [u32; 2])> {
        match self {
            Self::Memory { images, channels, size: [height, width] } => {
                let words = *channels as usize * *height as usize * *width as usize;
                let image = images.get(index * words..(index + 1) * words).unwrap_or_default();
                Ok((image.to_vec(), [*height, *width]))
            }
            Self::Pictures(pictures) => pictures.view(index as u32),
        }
    }

    /// Adds all that is seen of the images to a checksum.
    pub fn checksum(&self, sum: Checksum) -> Result<Checksum> {
        match self {
            Self::Memory { images, channels, size: [height, width] } => {
                let size = [*channels, *height, *width].into_iter().flat_map(u32::to_le_bytes);
                Ok(sum.feed(size).feed(images.iter().flat_map(|value| value.to_le_bytes())))
            }
            Self::Pictures(pictures) => {
                (0..pictures.len() as u32).try_fold(sum, |sum, i| Ok(sum.feed(pictures.bytes(i)?)))
            }
        }
    }
}

/// Counts the images of each size, to be shown to users.
#[derive(Clone, Debug, Default)]
pub struct Sizes(BTreeMap<[u32; 2], usize>);

impl Sizes {
    /// Counts one more image of a size.
    pub fn add(&mut self, size: [u32; 2]) {
        *self.0.entry(size).or_default() += 1;
    }

    /// Returns rows, columns and count of each size as a list of numbers, for a file.
    pub fn numbers(&self) -> Vec<i64> {
        let of = |(&[height, width], &count): (&[u32; 2], &usize)| {
            [height.into(), width.into(), count as i64]
        };
        self.0.iter().flat_map(of).collect()
    }

    /// Makes the counts from the list of numbers that [`Sizes::numbers`] returned.
    pub fn from_numbers(numbers: &[i64]) -> Self {
        let of =
            |&[height, width, count]: &[i64; 3]| ([height as u32, width as u32], count as usize);
        Self(numbers.as_chunks().0.iter().map(of).collect())
    }
}

impl std::fmt::Display for Sizes {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut sizes: Vec<_> = self.0.iter().collect();
        sizes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let shown = |([height, width], _): &(&[u32; 2], &usize)| format!("{width}×{height}");
        let shown: Vec<String> = sizes.iter().take(3).map(shown).collect();
        let more = sizes.len().saturating_sub(3);
        let more = if more > 0 { format!(" and {more} other sizes") } else { String::new() };
        write!(out, "{}{more}", shown.join(", "))
    }
}
