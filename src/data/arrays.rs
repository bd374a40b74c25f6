//! Images in NumPy's files: bytes of shape \[N, H, W\], \[N, H, W, C\] or \[N, C, H, W\] with C of 1 or 3, and whole numbers
//! as labels.

use std::path::{Path, PathBuf};

use super::class_folders::undivided;
use super::dataset::{Dataset, Part};
use super::npy::{Array, Numbers, npz_names, read_npy, read_npz};
use crate::{Error, Result};

/// What archives call their arrays, in the order in which they are looked for: images, then labels.
const TRAIN: [[&str; 2]; 6] = [
    ["x_train", "y_train"],
    ["train_images", "train_labels"],
    ["images", "labels"],
    ["data", "labels"],
    ["x", "y"],
    ["arr_0", "arr_1"],
];
const TEST: [[&str; 2]; 2] = [["x_test", "y_test"], ["test_images", "test_labels"]];

/// The archives of a folder.
fn archives(folder: &Path) -> [PathBuf; 2] {
    ["train.npz", "test.npz"].map(|name| folder.join(name))
}

pub(super) fn has_archives(folder: &Path) -> bool {
    archives(folder).iter().any(|path| path.is_file())
}

/// Reads `train.npz` or `test.npz` of a folder; a `.npz` with both parts, or with one, which is then for training; or a `.npy`
/// of images, whose labels are in the file with `labels` in its name in place of `images`, if there is one. `classes` is the
/// highest training label plus one.
///
/// # Errors
/// `BadFile` where an array is missing or of another type or shape, and for a test label that training does not know.
pub(super) fn from_arrays(path: &Path, part: Part) -> Result<Dataset> {
    if path.is_dir() {
        let [train, test] = archives(path);
        let known = || found(&train, &TRAIN);
        return match part {
            Part::Train => known()?.dataset(&train, None),
            Part::Test => {
                let classes = known().ok().map(|train| train.classes());
                found(&test, &TRAIN)?.dataset(&test, classes)
            }
        };
    }
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy")) {
        if part == Part::Test {
            return Err(undivided(path));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let labels = path.with_file_name(name.replace("images", "labels"));
        let labels =
            if labels != path && labels.is_file() { Some(read_npy(&labels)?) } else { None };
        let labels = labels.map(|array| numbers(path, &array)).transpose()?;
        return Found { images: read_npy(path)?, labels }.dataset(path, None);
    }
    let train = || found(path, &TRAIN);
    match part {
        Part::Train => train()?.dataset(path, None),
        Part::Test if pair(&npz_names(path)?, &TEST).is_some() => {
            let classes = train()?.classes();
            found(path, &TEST)?.dataset(path, Some(classes))
        }
        Part::Test => Err(undivided(path)),
    }
}

/// The first pair of `names` whose images are there.
fn pair(there: &[String], names: &[[&'static str; 2]]) -> Option<[&'static str; 2]> {
    names.iter().copied().find(|[images, _]| there.iter().any(|name| name == images))
}

struct Found {
    images: Array,
    labels: Option<Vec<u32>>,
}

fn found(path: &Path, names: &[[&'static str; 2]]) -> Result<Found> {
    let Some([images, labels]) = pair(&npz_names(path)?, names) else {
        let wanted: Vec<_> = names.iter().map(|[images, _]| *images).collect();
        let reason = format!("no array of images in it: one of {} wanted", wanted.join(", "));
        return Err(Error::bad_file(path, reason));
    };
    let mut arrays = read_npz(path, &[images, labels])?;
    let labels = arrays.get(labels).map(|array| numbers(path, array)).transpose()?;
    let gone = || Error::bad_file(path, format_args!("{images} was there and is not"));
    Ok(Found { images: arrays.remove(images).ok_or_else(gone)?, labels })
}

fn numbers(path: &Path, Array { shape, numbers }: &Array) -> Result<Vec<u32>> {
    let labels: Option<Vec<u32>> = match numbers {
        Numbers::U8(bytes) => Some(bytes.iter().map(|&byte| byte.into()).collect()),
        Numbers::I64(all) => all.iter().map(|&label| u32::try_from(label).ok()).collect(),
        Numbers::F32(_) | Numbers::F64(_) => None,
    };
    let flat = matches!(shape.as_slice(), [_] | [_, 1]);
    labels.filter(|_| flat).ok_or_else(|| {
        let reason =
            format!("labels {} of {shape:?}, |u1 or <i8 of [N], 0 or more, wanted", numbers.kind());
        Error::bad_file(path, reason)
    })
}

impl Found {
    fn classes(&self) -> u32 {
        self.labels.iter().flatten().max().map_or(1, |&label| label.saturating_add(1))
    }

    fn dataset(self, path: &Path, classes: Option<u32>) -> Result<Dataset> {
        let classes = classes.unwrap_or_else(|| self.classes());
        let Array { shape, numbers } = self.images;
        let kind = numbers.kind();
        let wrong = || {
            let wanted = "|u1 of [N, H, W], [N, H, W, C] or [N, C, H, W] with C of 1 or 3 wanted";
            Error::bad_file(path, format!("images {kind} of {shape:?}, {wanted}"))
        };
        let Numbers::U8(bytes) = numbers else { return Err(wrong()) };
        let (count, [channels, height, width], interleaved) = match *shape.as_slice() {
            [count, height, width] => (count, [1, height, width], false),
            [count, height, width, channels @ (1 | 3)] => (count, [channels, height, width], true),
            [count, channels @ (1 | 3), height, width] => (count, [channels, height, width], false),
            _ => return Err(wrong()),
        };
        if [channels, height, width].contains(&0) {
            return Err(wrong());
        }
        let pixels = if interleaved && channels > 1 {
            let image = (height * width * channels).max(1);
            let planes = |image: &[u8]| -> Vec<u8> {
                let plane = |c| image.iter().skip(c).step_by(channels).copied();
                (0..channels).flat_map(plane).collect()
            };
            bytes.chunks_exact(image).flat_map(planes).collect()
        } else {
            bytes
        };
        let labels = self.labels.unwrap_or_else(|| vec![0; count]);
        let [channels, height, width] =
            [channels, height, width].map(|length| u32::try_from(length).unwrap_or(u32::MAX));
        Dataset::new(channels, height, width, classes, pixels, labels)
            .map_err(|error| Error::bad_file(path, error))
    }
}
