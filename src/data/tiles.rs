//! Reads sets of many small images that are stored as tiles of a few large pictures: each picture a grid of square tiles, edge to
//! edge.

use std::path::Path;

use super::class_folders::pictures;
use super::dataset::Dataset;
use super::decode;
use crate::{Error, Result};

/// The tiles of the PNG and JPEG files in a folder, by name of the file and row by row, all of class 0.
///
/// # Errors
/// `BadFile` where there is no picture, or one that cannot be read or is not a whole number of tiles.
pub(super) fn tiles(folder: &Path, side: u32) -> Result<Dataset> {
    let (mut pixels, mut count) = (Vec::new(), 0);
    let files = pictures(folder)?;
    if files.is_empty() {
        return Err(Error::bad_file(folder, "no PNG or JPEG file is in it"));
    }
    for file in files {
        let failed = |error: &dyn std::fmt::Display| Error::bad_file(&file, error);
        let sheet = decode::read(&file)?;
        let (width, height) = (sheet.width(), sheet.height());
        if width % side != 0 || height % side != 0 {
            return Err(failed(&format_args!(
                "the picture's {width}×{height} pixels cannot be cut into tiles of {side}×{side}"
            )));
        }
        for top in (0..height).step_by(side as usize) {
            for left in (0..width).step_by(side as usize) {
                pixels.extend(sheet.tile(left, top, side));
                count += 1;
            }
        }
    }
    let mut all = Dataset::new(3, side, side, 1, pixels, vec![0; count])?;
    all.about.unlabelled = Some("tiles have none".into());
    Ok(all)
}
