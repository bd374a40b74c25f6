//! Folders with a sub-folder of PNG and JPEG files for each class, or with such files alone.

use std::path::{Path, PathBuf};

use super::dataset::{Dataset, Part};
use super::decode::is_picture;
use super::fit::Fit;
use super::pictures::{Pictures, Places};
use crate::{Error, Result};

impl Dataset {
    /// Reads `FOLDER/CLASS/*.png` and `*.jpg` or `*.jpeg` as [`photograph`](super::photograph) does; a folder with `train` and
    /// `test` (or `val`) in it keeps its two parts there, `train/CLASS` and `test/CLASS`, any other is all training images.
    /// Classes are numbered in the order of their names, images follow each other by class and name. Other files are not
    /// looked at, nor are names that begin with a dot. Pictures that lie in the folder itself, where there are no classes,
    /// are all of class 0.
    ///
    /// Up to a tenth of the files may be damaged: these are left out, see [`Dataset::damaged`].
    ///
    /// # Errors
    /// `BadFile` where there is no test part, no class, a class without pictures, or a test class that training does not
    /// know, and where more files are damaged; `Mismatch` for a side out of range.
    pub fn from_class_folders(folder: impl AsRef<Path>, part: Part, side: u32) -> Result<Self> {
        class_folders(folder.as_ref(), part)?.decoded(side, Fit::Crop)
    }
}

/// As [`Dataset::from_class_folders`], nothing decoded.
pub(super) fn class_folders(folder: &Path, part: Part) -> Result<Pictures> {
    let (learnt, read) = parts(folder, part)?;
    let names = folders(&learnt)?;
    if names.is_empty() {
        let files = pictures(&read)?;
        if files.is_empty() {
            let reason =
                format!("nothing that is known as data is in it: {}", super::source::KNOWN);
            return Err(Error::bad_file(read, reason));
        }
        return Pictures::new(folder, Places::Files(files), Vec::new(), Vec::new(), 1);
    }
    if let Some(unknown) = folders(&read)?.iter().find(|name| !names.contains(name)) {
        let reason = format!("the class {unknown:?} is not in {}", learnt.display());
        return Err(Error::bad_file(read, reason));
    }
    let (mut files, mut labels) = (Vec::new(), Vec::new());
    for (label, name) in (0..).zip(&names) {
        let class = read.join(name);
        let found = if class.is_dir() { pictures(&class)? } else { Vec::new() };
        if found.is_empty() {
            return Err(Error::bad_file(&class, "no PNG or JPEG file is in it"));
        }
        labels.resize(labels.len() + found.len(), label);
        files.extend(found);
    }
    let classes = names.len() as u32;
    Pictures::new(folder, Places::Files(files), labels, names, classes)
}

/// Where training images lie, and where those of `part`.
pub(super) fn parts(folder: &Path, part: Part) -> Result<(PathBuf, PathBuf)> {
    let train = folder.join("train");
    let test = ["test", "val"].map(|name| folder.join(name)).into_iter().find(|test| test.is_dir());
    match (test.filter(|_| train.is_dir()), part) {
        (Some(_), Part::Train) => Ok((train.clone(), train)),
        (Some(test), Part::Test) => Ok((train, test)),
        (None, Part::Train) => Ok((folder.to_owned(), folder.to_owned())),
        (None, Part::Test) => Err(undivided(folder)),
    }
}

pub(super) fn undivided(path: &Path) -> Error {
    let reason = "it is not divided into train and test: data.held_out = N keeps N training images to test with";
    Error::bad_file(path, reason)
}

/// The sub-folders' names, sorted.
fn folders(folder: &Path) -> Result<Vec<String>> {
    let found = entries(folder)?.into_iter().filter(|path| path.is_dir());
    Ok(found
        .filter_map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()))
        .collect())
}

/// The pictures in a folder, sorted.
pub(super) fn pictures(class: &Path) -> Result<Vec<PathBuf>> {
    Ok(entries(class)?.into_iter().filter(|path| is_picture(path)).collect())
}

/// The pictures that lie in a folder itself, by name; none where it is no folder.
#[cfg(feature = "cli")]
pub(crate) fn picture_files(folder: &Path) -> Vec<PathBuf> {
    pictures(folder).unwrap_or_default()
}

/// What does not begin with a dot, sorted.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
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
