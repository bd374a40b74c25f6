//! Reads CIFAR-10 and CIFAR-100 as their authors offer them (<https://www.cs.toronto.edu/~kriz/cifar.html>): the binary files
//! for C programs or the pickles for Python, in a folder or in the `.tar.gz` as downloaded, which is read as a stream.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::dataset::{Dataset, Part};
use super::npy::Numbers;
use super::{pickled, tar_members};
use crate::files;
use crate::{Error, Result};

const SIDE: usize = 32;
/// Bytes of an image: red, green and blue planes, row by row.
const IMAGE: usize = 3 * SIDE * SIDE;
/// The largest accepted file in bytes: five times the size of the official ones.
const MAX_BYTES: u64 = 1 << 30;

/// The two sets' files.
struct Layout {
    records: Records,
    classes: u32,
    train: &'static [&'static str],
    test: &'static [&'static str],
    names: &'static str,
    /// The name of the archive's folder.
    folder: &'static str,
}

/// The layout of a file's records.
enum Records {
    /// Binary records with this many labels before each image; the last label is read (CIFAR-100's first is the superclass).
    Binary(usize),
    /// A dict; under which key the labels are, and under which in the file of names these.
    Pickled { labels: &'static str, names: &'static str },
}

const LAYOUTS: [Layout; 4] = [
    Layout {
        records: Records::Binary(1),
        classes: 10,
        train: &[
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
        ],
        test: &["test_batch.bin"],
        names: "batches.meta.txt",
        folder: "cifar-10-batches-bin",
    },
    Layout {
        records: Records::Binary(2),
        classes: 100,
        train: &["train.bin"],
        test: &["test.bin"],
        names: "fine_label_names.txt",
        folder: "cifar-100-binary",
    },
    Layout {
        records: Records::Pickled { labels: "labels", names: "label_names" },
        classes: 10,
        train: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"],
        test: &["test_batch"],
        names: "batches.meta",
        folder: "cifar-10-batches-py",
    },
    Layout {
        records: Records::Pickled { labels: "fine_labels", names: "fine_label_names" },
        classes: 100,
        train: &["train"],
        test: &["test"],
        names: "meta",
        folder: "cifar-100-python",
    },
];

impl Layout {
    fn files(&self, part: Part) -> &'static [&'static str] {
        match part {
            Part::Train => self.train,
            Part::Test => self.test,
        }
    }

    fn is_in(&self, folder: &Path) -> bool {
        let is_there = |name: &&str| folder.join(name).is_file();
        // Many files are called train.
        let told = self.names != "meta" || is_there(&self.names);
        told && self.train.iter().chain(self.test).any(is_there)
    }
}

/// The folder with the files: the one given, or the archive's in it.
pub(super) fn cifar_folder(folder: &Path) -> Option<PathBuf> {
    let here = LAYOUTS.iter().map(|layout| (layout, folder.to_owned()));
    let places = here.chain(LAYOUTS.iter().map(|layout| (layout, folder.join(layout.folder))));
    let mut found = places.filter(|(layout, folder)| layout.is_in(folder));
    found.next().map(|(_, folder)| folder)
}

/// Whether a folder has the files of a part.
pub(super) fn has_part(folder: &Path, part: Part) -> bool {
    let mut files = LAYOUTS.iter().filter(|layout| layout.is_in(folder));
    files.any(|layout| layout.files(part).iter().any(|name| folder.join(name).is_file()))
}

/// Reads a folder of binary files or pickles.
///
/// # Errors
/// `BadFile` where one is missing, is not a whole number of records, or has a label out of range.
pub(super) fn from_folder(folder: &Path, part: Part) -> Result<Dataset> {
    let layout = LAYOUTS.iter().find(|layout| layout.is_in(folder));
    let layout = layout.ok_or_else(|| missing(folder))?;
    let mut files = BTreeMap::new();
    for name in layout.files(part).iter().chain([&layout.names]) {
        let path = folder.join(name);
        if path.exists() {
            files.insert((*name).to_owned(), files::read(&path, MAX_BYTES)?);
        }
    }
    assemble(folder, layout, part, &files)
}

/// Reads the archive; only the part asked for stays in memory.
///
/// # Errors
/// The errors of [`from_folder`], and where it is no such archive or is damaged.
pub(super) fn from_archive(path: &Path, part: Part) -> Result<Dataset> {
    let failed = |error: &dyn std::fmt::Display| Error::bad_file(path, error);
    let stream = MultiGzDecoder::new(BufReader::new(files::open(path)?));
    let (mut files, mut left) = (BTreeMap::new(), files::room(path)?);
    let read = tar_members::of_stream(stream, |name, entry| {
        let name = name.rsplit('/').next().unwrap_or_default();
        let wanted = |layout: &Layout| layout.files(part).contains(&name) || layout.names == name;
        if LAYOUTS.iter().any(wanted) {
            left = left.checked_sub(entry.size()).ok_or(
                "its files hold more bytes than are allowed for an archive as small as this",
            )?;
            files.insert(name.to_owned(), take(entry)?);
        }
        Ok(())
    });
    read.map_err(|reason| failed(&reason))?;
    let has = |layout: &&Layout| layout.files(part).iter().any(|name| files.contains_key(*name));
    match LAYOUTS.iter().find(has) {
        Some(layout) => assemble(path, layout, part, &files),
        None => Err(missing(path)),
    }
}

fn missing(path: &Path) -> Error {
    let [ten, hundred, ten_pickled, hundred_pickled] =
        LAYOUTS.each_ref().map(|layout| [layout.train, layout.test].concat().join(", "));
    let reason = format!(
        "it has no file of CIFAR-10 ({ten}, or {ten_pickled}) or of CIFAR-100 ({hundred}, or {hundred_pickled})"
    );
    Error::bad_file(path, reason)
}

fn take(file: impl Read) -> std::result::Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err("a file of more than 1 GiB is not CIFAR's".into());
    }
    Ok(bytes)
}

fn assemble(
    path: &Path,
    layout: &Layout,
    part: Part,
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<Dataset> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for name in layout.files(part) {
        let failed = |reason: String| Error::bad_file(path, format!("{name}: {reason}"));
        let bytes = files.get(*name).ok_or_else(|| failed("the file is not there".into()))?;
        match layout.records {
            Records::Binary(before) => {
                binary(bytes, before, layout.classes, &mut pixels, &mut labels).map_err(failed)?;
            }
            Records::Pickled { labels: key, .. } => {
                pickle(bytes, key, layout.classes, &mut pixels, &mut labels).map_err(failed)?;
            }
        }
    }
    let side = SIDE as u32;
    let mut all = Dataset::new(3, side, side, layout.classes, pixels, labels)?;
    let names = match (files.get(layout.names), &layout.records) {
        (None, _) => Vec::new(),
        (Some(text), Records::Binary(_)) => {
            let text = String::from_utf8_lossy(text);
            let names = text.lines().map(str::trim).filter(|name| !name.is_empty());
            names.map(str::to_owned).collect()
        }
        (Some(bytes), Records::Pickled { names, .. }) => pickled::Batch::new(bytes)
            .and_then(|batch| batch.names(names))
            .map_err(|reason| Error::bad_file(path, format!("{}: {reason}", layout.names)))?,
    };
    if names.len() == layout.classes as usize {
        all.about.class_names = names;
    }
    Ok(all)
}

/// Records one after the other.
fn binary(
    bytes: &[u8],
    before: usize,
    classes: u32,
    pixels: &mut Vec<u8>,
    labels: &mut Vec<u32>,
) -> std::result::Result<(), String> {
    let record = before + IMAGE;
    if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
        return Err(format!(
            "the file has {} bytes, but whole records of {record} bytes are needed",
            bytes.len()
        ));
    }
    for (i, record_bytes) in bytes.chunks_exact(record).enumerate() {
        let (head, image) = record_bytes.split_at(before);
        let label = head.last().map_or(0, |&label| u32::from(label));
        if label >= classes {
            let at = i * record + before - 1;
            return Err(format!(
                "the label at byte {at} is {label}, but has to be below {classes}"
            ));
        }
        labels.push(label);
        pixels.extend_from_slice(image);
    }
    Ok(())
}

/// A dict of images, a row each or as planes, and labels.
fn pickle(
    bytes: &[u8],
    key: &str,
    classes: u32,
    pixels: &mut Vec<u8>,
    labels: &mut Vec<u32>,
) -> std::result::Result<(), String> {
    let (images, given) = pickled::Batch::new(bytes)?.images(key)?;
    let count = match images.shape[..] {
        [count, IMAGE] | [count, 3, SIDE, SIDE] => count,
        _ => {
            return Err(format!(
                "the images have the shape {:?}, but have to be [N, {IMAGE}]",
                images.shape
            ));
        }
    };
    let Numbers::U8(bytes) = images.numbers else {
        return Err("the images are not bytes".into());
    };
    if given.len() != count || count == 0 {
        return Err(format!("there are {} labels for {count} images", given.len()));
    }
    for (image, label) in given.into_iter().enumerate() {
        let known = u32::try_from(label).ok().filter(|&label| label < classes);
        labels.push(known.ok_or_else(|| {
            format!("the label of image {image} is {label}, but has to be below {classes}; images are counted from 0")
        })?);
    }
    pixels.extend(bytes);
    Ok(())
}
