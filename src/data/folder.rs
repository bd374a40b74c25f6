//! Reads folders with the four idx files of MNIST and of data sets like it, under their official names, plain or `.gz`.

use std::path::{Path, PathBuf};

use super::dataset::{Dataset, Part};
use super::idx::{Idx, read_idx};
use crate::{Error, Result};

impl Dataset {
    /// Reads a folder of MNIST-like idx files: `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, or `t10k-...` (or
    /// `test-...`) for the test part, each plain or with `.gz`, with a dot before `idx` or not. `classes` is the highest training
    /// label plus one, for both parts; without training labels, the highest of the part.
    ///
    /// # Errors
    /// `BadFile` where a file is missing, is no idx file of the right rank, holds another number of labels than images, or
    /// a test label that training does not know.
    pub fn from_idx_folder(folder: impl AsRef<Path>, part: Part) -> Result<Self> {
        let folder = folder.as_ref();
        let images = find(folder, part, "images-idx3-ubyte")?;
        let labels = find(folder, part, "labels-idx1-ubyte")?;
        let classes = match (part, find(folder, Part::Train, "labels-idx1-ubyte")) {
            (Part::Test, Ok(known)) => Some(classes(&read_idx(known)?)),
            _ => None,
        };
        let (image_data, label_data) = (read_idx(&images)?, read_idx(&labels)?);
        let classes = classes.unwrap_or_else(|| self::classes(&label_data));
        let mut all = from_idx((&images, image_data), (&labels, label_data), classes)?;
        all.about.numbered = true;
        Ok(all)
    }
}

impl Dataset {
    /// Reads the images of one idx file, and the labels that lie beside it, with `labels` and `idx1` in the name in place
    /// of `images` and `idx3`, with `.gz` or without.
    ///
    /// # Errors
    /// The errors of [`Dataset::from_idx_folder`].
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn from_idx_files(images: &Path) -> Result<Self> {
        let name = images.file_name().unwrap_or_default().to_string_lossy();
        let name = name.replace("images", "labels").replace("idx3", "idx1");
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        let packed = images.with_file_name(format!("{plain}.gz"));
        let labels = if packed.is_file() { packed } else { images.with_file_name(plain) };
        let (image_data, label_data) = (read_idx(images)?, read_idx(&labels)?);
        let classes = self::classes(&label_data);
        let mut all = from_idx((images, image_data), (&labels, label_data), classes)?;
        all.about.numbered = true;
        Ok(all)
    }
}

/// Puts images (N, height, width) and labels (N) together; the paths are for messages.
pub fn from_idx(images: (&Path, Idx), labels: (&Path, Idx), classes: u32) -> Result<Dataset> {
    let ((image_path, images), (label_path, labels)) = (images, labels);
    let &[count, height, width] = images.dims.as_slice() else {
        return Err(Error::bad_file(image_path, rank_reason(&images, "3: images, height, width")));
    };
    let &[label_count] = labels.dims.as_slice() else {
        return Err(Error::bad_file(label_path, rank_reason(&labels, "1: labels")));
    };
    if label_count != count {
        let reason =
            format!("it has {label_count} labels, but {} has {count} images", image_path.display());
        return Err(Error::bad_file(label_path, reason));
    }
    if let Some((image, label)) =
        labels.bytes.iter().enumerate().find(|&(_, &label)| u32::from(label) >= classes)
    {
        // An idx file of rank 1 has 8 bytes of header.
        let reason = format!(
            "label {label} of image {image} at byte {} has to be below {classes}; images are counted from 0",
            image + 8
        );
        return Err(Error::bad_file(label_path, reason));
    }
    let labels = labels.bytes.into_iter().map(u32::from).collect();
    Dataset::new(1, height, width, classes, images.bytes, labels)
        .map_err(|error| Error::bad_file(image_path, error))
}

fn rank_reason(found: &Idx, wanted: &str) -> String {
    format!("it has {} dimensions, {:?}, but has to have {wanted}", found.dims.len(), found.dims)
}

fn classes(labels: &Idx) -> u32 {
    labels.bytes.iter().max().map_or(0, |&label| u32::from(label) + 1)
}

/// Whether the folder has an idx file of images for this part.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn has_idx(folder: &Path, part: Part) -> bool {
    find(folder, part, "images-idx3-ubyte").is_ok()
}

fn find(folder: &Path, part: Part, name: &str) -> Result<PathBuf> {
    let stems: &[&str] = match part {
        Part::Train => &["train"],
        Part::Test => &["t10k", "test"],
    };
    let names = stems.iter().flat_map(|stem| {
        let plain = format!("{stem}-{name}");
        [plain.replace("-idx", ".idx"), plain]
    });
    let mut paths = names.flat_map(|name| [folder.join(&name), folder.join(format!("{name}.gz"))]);
    paths.find(|path| path.is_file()).ok_or_else(|| {
        let stem = stems.first().unwrap_or(&"");
        Error::bad_file(folder, format!("it has neither {stem}-{name} nor {stem}-{name}.gz"))
    })
}
