//! What sampling starts from.

use std::path::{Path, PathBuf};

use image::{ImageReader, Limits};

use super::args::Start;
use crate::data::{BatchSource, Dataset, Prepared, Random, SAMPLE_STARTS};
use crate::train::Data;
use crate::{Error, Result};

/// The same images as [`images`] where they are random fields, noise or pictures, batch by batch.
#[derive(Debug)]
pub enum Starts {
    /// Of a stream of batches, the next one.
    Batches(BatchSource, u64),
    /// One stream of uniform values, so many a batch.
    Noise(Random, usize),
    /// Pictures again and again: all of them, the next, how many a batch.
    Pictures(Prepared, usize, usize),
}

impl Starts {
    /// Batches of `batch` images of so many channels; side, recipe and limit of damage are the table's.
    pub fn new(start: &Start, seed: u64, batch: usize, data: &Data, channels: u32) -> Result<Self> {
        let side = data.side;
        let Start::Images(text) = start else {
            let values = batch * (channels * side * side) as usize;
            return Ok(Self::Noise(Random::new(seed, SAMPLE_STARTS, 0, 0), values));
        };
        let files = pngs(Path::new(text));
        if !files.is_empty() {
            return Ok(Self::Pictures(read(&files, channels)?.prepared(side)?, 0, batch));
        }
        let batches = data.open(text, channels)?.batches(SAMPLE_STARTS, seed, batch)?;
        Ok(Self::Batches(batches, 0))
    }

    /// The next batch.
    pub fn batch(&mut self) -> Result<Vec<f32>> {
        match self {
            Self::Batches(batches, step) => {
                *step += 1;
                Ok(batches.batch(*step - 1)?.images)
            }
            Self::Noise(random, values) => {
                Ok((0..*values).map(|_| random.uniform(0.0, 1.0) as f32).collect())
            }
            Self::Pictures(all, first, batch) => {
                let places = *first..*first + *batch;
                *first = places.end;
                Ok(places.filter_map(|i| all.image(i % all.len())).flatten().copied().collect())
            }
        }
    }
}

/// `count` images as [`Starts::new`] takes them, the same for the same seed.
pub fn images(
    start: &Start,
    seed: u64,
    count: usize,
    data: &Data,
    channels: u32,
) -> Result<Vec<f32>> {
    Starts::new(start, seed, count, data, channels)?.batch()
}

/// A folder's PNG files by name; none where it is no folder.
pub fn pngs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_png = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"))
    };
    let mut found: Vec<_> = entries.map(|entry| entry.path()).filter(is_png).collect();
    found.sort();
    found
}

/// PNG files, all of one size, as grey or as red, green and blue.
pub fn read(files: &[PathBuf], channels: u32) -> Result<Dataset> {
    let (mut pixels, mut size) = (Vec::new(), None);
    for file in files {
        let failed = |error: &dyn std::fmt::Display| Error::bad_file(file, error);
        let mut reader = ImageReader::open(file).map_err(|error| failed(&error))?;
        let mut limits = Limits::default();
        (limits.max_image_width, limits.max_image_height) = (Some(4096), Some(4096));
        reader.limits(limits);
        let image = reader.decode().map_err(|error| failed(&error))?;
        let (width, height) = (image.width(), image.height());
        if *size.get_or_insert((width, height)) != (width, height) {
            return Err(failed(&format_args!("{width}×{height}, another size than the first")));
        }
        match channels {
            1 => pixels.extend(image.into_luma8().into_raw()),
            _ => {
                let rgb = image.into_rgb8();
                for channel in 0..channels as usize {
                    pixels.extend(rgb.pixels().filter_map(|pixel| pixel.0.get(channel)));
                }
            }
        }
    }
    let (width, height) = size.unwrap_or_default();
    Dataset::new(channels, height, width, 1, pixels, vec![0; files.len()])
}
