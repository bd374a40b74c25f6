//! Folders with a sub-folder of PNG and JPEG files for each class, read as photographs.

use std::fmt::Display;
use std::num::NonZero;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use image::imageops::{FilterType, crop_imm, resize};
use image::{DynamicImage, ImageDecoder, ImageReader, Limits};

use super::dataset::{Dataset, MAX_SIDE, Part};
use crate::{Error, Result};

/// Rows and columns of a photograph, at most.
const LARGEST: u32 = 1 << 14;
/// Of how many files one may be damaged.
const DAMAGED_ONE_IN: usize = 10;

impl Dataset {
    /// Reads `FOLDER/CLASS/*.png` and `*.jpg` or `*.jpeg` as [`photograph`] does; a folder with `train` and `test` in it
    /// keeps its two parts there, `train/CLASS` and `test/CLASS`, any other is all training images. Classes are numbered in
    /// the order of their names, images follow each other by class and name. Other files are not looked at, nor are names
    /// that begin with a dot.
    ///
    /// Up to a tenth of the files may be damaged: these are left out, see [`Dataset::damaged`].
    ///
    /// # Errors
    /// `BadFile` where there is no test part, no class, a class without pictures, or a test class that training does not
    /// know, and where more files are damaged; `Mismatch` for a side out of range.
    pub fn from_class_folders(folder: impl AsRef<Path>, part: Part, side: u32) -> Result<Self> {
        let folder = folder.as_ref();
        if !(1..=MAX_SIDE).contains(&side) {
            return Err(Error::mismatch(
                "class folders",
                format!("side {side}"),
                format!("1 to {MAX_SIDE}"),
            ));
        }
        let [train, test] = ["train", "test"].map(|part| folder.join(part));
        let divided = train.is_dir() && test.is_dir();
        let learnt = if divided { &train } else { folder };
        let names = class_names(learnt)?;
        let read = match part {
            Part::Train => learnt,
            Part::Test if divided => &test,
            Part::Test => {
                let reason = "it is not divided into train and test: data.held_out = N keeps N training images to test with";
                return Err(Error::bad_file(folder, reason));
            }
        };
        if let Some(unknown) = class_names(read)?.iter().find(|name| !names.contains(name)) {
            let reason = format!("the class {unknown:?} is not in {}", learnt.display());
            return Err(Error::bad_file(read, reason));
        }
        let mut files = Vec::new();
        for (label, name) in (0..).zip(&names) {
            let class = read.join(name);
            let pictures = if class.is_dir() { pictures(&class)? } else { Vec::new() };
            if pictures.is_empty() {
                return Err(Error::bad_file(&class, "no PNG or JPEG file is in it"));
            }
            files.extend(pictures.into_iter().map(|file| (file, label)));
        }
        let (mut pixels, mut labels, mut damaged) = (Vec::new(), Vec::new(), Vec::new());
        for ((file, label), read) in files.iter().zip(read_all(&files, side)) {
            match read {
                Ok(image) => {
                    pixels.extend(image);
                    labels.push(*label);
                }
                Err(error) => damaged.push((file.clone(), error)),
            }
        }
        if damaged.len() > files.len() / DAMAGED_ONE_IN {
            let (count, of) = (damaged.len(), files.len());
            let first = damaged.first().map(|(_, error)| error.to_string()).unwrap_or_default();
            let reason = format!(
                "{count} of {of} pictures cannot be read, more than one in {DAMAGED_ONE_IN}; the first: {first}"
            );
            return Err(Error::bad_file(read, reason));
        }
        let damaged = damaged.into_iter().map(|(_, error)| error.to_string()).collect();
        let classes = names.len() as u32;
        let mut all = Self::new(3, side, side, classes, pixels, labels)?;
        (all.class_names, all.damaged) = (names, damaged);
        Ok(all)
    }
}

/// A picture's file at `side`×`side`: upright, its short side brought to `side` by an antialiased bicubic filter
/// (Catmull and Rom's), and the middle of the long one; transparency is dropped. Red, green and blue planes in \[0, 1\].
///
/// # Errors
/// `BadFile` where the file is no sound PNG or JPEG, or has a side above 16,384 pixels.
pub fn photograph(path: &Path, side: u32) -> Result<Vec<f32>> {
    let failed = |error: &dyn Display| Error::bad_file(path, error);
    let reader = ImageReader::open(path).map_err(|error| failed(&error))?;
    let mut reader = reader.with_guessed_format().map_err(|error| failed(&error))?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(LARGEST), Some(LARGEST));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| failed(&error))?;
    let orientation = decoder.orientation().map_err(|error| failed(&error))?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| failed(&error))?;
    image.apply_orientation(orientation);
    let (width, height) = (image.width(), image.height());
    let long = |length: u32| {
        let short = f64::from(width.min(height)).max(1.0);
        (f64::from(length) * f64::from(side) / short).round().max(f64::from(side)) as u32
    };
    let (columns, rows) = (long(width), long(height));
    if columns.max(rows) > LARGEST {
        let reason = format_args!("{width}×{height} is too long for its width, at {side} pixels");
        return Err(failed(&reason));
    }
    let (left, top) = ((columns - side) / 2, (rows - side) / 2);
    let sized = resize(&image.into_rgb32f(), columns, rows, FilterType::CatmullRom);
    let square = crop_imm(&sized, left, top, side, side).to_image();
    let plane = |c: usize| square.pixels().filter_map(move |pixel| pixel.0.get(c));
    Ok((0..3).flat_map(plane).map(|value| value.clamp(0.0, 1.0)).collect())
}

/// Each file's bytes, or why there are none, by as many threads as the machine has cores.
fn read_all(files: &[(PathBuf, u32)], side: u32) -> Vec<Result<Vec<u8>>> {
    let byte = |value: &f32| (value * 255.0).round() as u8;
    let read = |(path, _): &(PathBuf, u32)| {
        // Whatever a decoder does with a damaged file, the others are read.
        let read = catch_unwind(|| photograph(path, side));
        let values = read.unwrap_or_else(|_| Err(Error::bad_file(path, "its decoder gave up")))?;
        Ok(values.iter().map(byte).collect())
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let mut running = Vec::new();
        for part in files.chunks(files.len().div_ceil(threads).max(1)) {
            running.push(scope.spawn(move || part.iter().map(read).collect::<Vec<_>>()));
        }
        running.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    })
}

/// The sub-folders' names, sorted.
fn class_names(folder: &Path) -> Result<Vec<String>> {
    let found = entries(folder)?.into_iter().filter(|path| path.is_dir());
    let names: Vec<_> = found
        .filter_map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()))
        .collect();
    if names.is_empty() {
        let reason = "neither idx files nor a folder for each class are in it";
        return Err(Error::bad_file(folder, reason));
    }
    Ok(names)
}

fn pictures(class: &Path) -> Result<Vec<PathBuf>> {
    let is_picture = |path: &PathBuf| {
        let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
        extension
            .is_some_and(|extension| ["png", "jpg", "jpeg"].iter().any(|known| extension == *known))
    };
    Ok(entries(class)?.into_iter().filter(is_picture).collect())
}

/// What does not begin with a dot, sorted.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error: std::io::Error| Error::bad_file(folder, error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
