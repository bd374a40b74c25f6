//! Reads the file of the data set 80 Million Tiny Images: 3072 bytes for each image, red, green and blue planes of 32×32, each
//! column by column. There is no header and no index: image n begins at byte 3072 n.

use std::path::Path;

use super::about::About;
use super::picture::Picture;
use super::pictures::Pictures;
use super::places::Places;
use crate::{Error, Result};

const SIDE: usize = 32;
/// The number of bytes of one image.
pub(super) const BYTES: usize = 3 * SIDE * SIDE;

/// The images of a file, without labels; none is read yet.
///
/// # Errors
/// `BadFile` where it cannot be looked at, is not a whole number of images, or has 2^32 of them or more.
pub(super) fn tiny_images(file: &Path) -> Result<Pictures> {
    let found = std::fs::metadata(file).map_err(|error| Error::bad_file(file, error))?;
    let (images, rest) = (found.len() / BYTES as u64, found.len() % BYTES as u64);
    let count = u32::try_from(images).ok().filter(|&count| count > 0 && rest == 0);
    let count = count.ok_or_else(|| {
        let reason = format!(
            "it has {} bytes, but a file of Tiny Images has {BYTES} for each of 1 to 2^32 - 1 images",
            found.len()
        );
        Error::bad_file(file, reason)
    })?;
    let places = Places::TinyImages { file: file.to_owned(), count };
    let unlabelled = Some("80 Million Tiny Images have none".into());
    let about = About { unlabelled, ..About::default() };
    Pictures::new(file, places, Vec::new(), about, 1)
}

/// Turns columns into rows, planes into pixels.
pub(super) fn picture(bytes: &[u8]) -> Picture {
    let value = |at: usize| {
        let (pixel, channel) = (at / 3, at % 3);
        let (row, column) = (pixel / SIDE, pixel % SIDE);
        bytes.get((channel * SIDE + column) * SIDE + row).copied().unwrap_or_default()
    };
    Picture::new(SIDE as u32, SIDE as u32, (0..BYTES).map(value).collect())
}
