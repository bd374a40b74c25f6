//! The size of a batch that a network is built for: the number of images, and their height and width, which are equal.

use super::Model;
use crate::graph::Shape;
use crate::{Error, Result};
use std::borrow::Cow;

/// The number of images that go through a network at once, and their height and width. Programs are made for one such size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSize {
    /// The number of images that go through the network at once, 1 or more.
    pub images: u32,
    /// The height and width of each image in pixels.
    pub side: u32,
}

impl BatchSize {
    /// Returns the size for so many images: a batch of more would be filled up with images that nobody asked for.
    #[cfg(feature = "eval")]
    pub(crate) fn at_most(self, images: usize) -> Self {
        Self { images: (self.images as usize).min(images).max(1) as u32, ..self }
    }

    /// Returns the shape of a batch of the model's images. Err for sizes of 0 and for more values than a buffer can hold.
    pub fn shape(self, model: &dyn Model) -> Result<Shape> {
        Shape::new(self.images, model.channels(), self.side, self.side)
    }

    /// Returns the number of values in one image of the model. Err for a side of 0 and for more values than a buffer can hold.
    pub fn words(self, model: &dyn Model) -> Result<usize> {
        Ok((Self { images: 1, ..self }.shape(model)?.elements()) as usize)
    }

    /// Returns the number of whole images in `values`. Err for part of an image.
    pub fn count(self, model: &dyn Model, values: &[f32]) -> Result<usize> {
        let words = self.words(model)?;
        if !values.len().is_multiple_of(words) {
            let given = format_args!("{} values", values.len());
            return Err(Error::mismatch(
                "images",
                given,
                format_args!("a multiple of {words}, the number of values in one image"),
            ));
        }
        Ok(values.len() / words)
    }
}

/// Returns the values of a batch, filled up to `whole` values with `with` where the last batch has fewer images.
pub(crate) fn filled<T: Copy>(values: &[T], whole: usize, with: T) -> Cow<'_, [T]> {
    if values.len() == whole {
        return Cow::Borrowed(values);
    }
    let mut filled = values.to_vec();
    filled.resize(whole, with);
    Cow::Owned(filled)
}

#[cfg(feature = "eval")]
#[test]
fn no_batch_is_larger_than_all_images() {
    let size = BatchSize { images: 64, side: 16 };
    let images = |count| size.at_most(count).images;
    assert_eq!([0, 4, 64, 65].map(images), [1, 4, 64, 64]);
}
