//! CIFAR-10 and CIFAR-100 as their authors offer them "for C programs" (<https://www.cs.toronto.edu/~kriz/cifar.html>): a
//! folder of binary files, or the `.tar.gz` as downloaded, which is read as a stream.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::dataset::{Dataset, Part};
use super::file;
use super::tar_members;
use crate::{Error, Result};

const SIDE: usize = 32;
/// Bytes of an image: red, green and blue planes, row by row.
const IMAGE: usize = 3 * SIDE * SIDE;
/// Of one file: five times what the official ones have.
const MAX_BYTES: u64 = 1 << 30;

/// The two sets' files.
struct Layout {
    /// Of a record, before the image; the last one is read (CIFAR-100's first is the superclass).
    labels: usize,
    classes: u32,
    train: &'static [&'static str],
    test: &'static [&'static str],
    names: &'static str,
    /// What the archive calls its folder.
    folder: &'static str,
}

const LAYOUTS: [Layout; 2] = [
    Layout {
        labels: 1,
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
        labels: 2,
        classes: 100,
        train: &["train.bin"],
        test: &["test.bin"],
        names: "fine_label_names.txt",
        folder: "cifar-100-binary",
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
        self.train.iter().chain(self.test).any(|name| folder.join(name).is_file())
    }
}

/// The folder with the binary files: the one given, or the archive's in it.
pub(super) fn cifar_folder(folder: &Path) -> Option<PathBuf> {
    let [ten, hundred] = LAYOUTS.each_ref().map(|layout| (layout, folder.join(layout.folder)));
    let places = [(ten.0, folder.to_owned()), (hundred.0, folder.to_owned()), ten, hundred];
    places.into_iter().find(|(layout, folder)| layout.is_in(folder)).map(|(_, folder)| folder)
}

/// Whether a folder has the files of a part.
pub(super) fn has_part(folder: &Path, part: Part) -> bool {
    let mut files = LAYOUTS.iter().flat_map(|layout| layout.files(part));
    files.any(|name| folder.join(name).is_file())
}

/// Reads a folder of binary files.
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
            files.insert((*name).to_owned(), file::read(&path, MAX_BYTES)?);
        }
    }
    assemble(folder, layout, part, &files)
}

/// Reads the archive; only what is asked for stays in memory.
///
/// # Errors
/// As [`from_folder`], and where it is no such archive or is damaged.
pub(super) fn from_archive(path: &Path, part: Part) -> Result<Dataset> {
    let failed = |error: &dyn std::fmt::Display| Error::bad_file(path, error);
    let stream = MultiGzDecoder::new(BufReader::new(file::open(path)?));
    let (mut files, mut pickled, mut left) = (BTreeMap::new(), false, file::room(path)?);
    let read = tar_members::of_stream(stream, |name, entry| {
        let name = name.rsplit('/').next().unwrap_or_default();
        pickled |= ["data_batch_1", "meta"].contains(&name);
        let wanted = |layout: &Layout| layout.files(part).contains(&name) || layout.names == name;
        if LAYOUTS.iter().any(wanted) {
            left = left.checked_sub(entry.size()).ok_or("far more bytes than the archive has")?;
            files.insert(name.to_owned(), take(entry)?);
        }
        Ok(())
    });
    read.map_err(|reason| failed(&reason))?;
    let has = |layout: &&Layout| layout.files(part).iter().any(|name| files.contains_key(*name));
    match LAYOUTS.iter().find(has) {
        Some(layout) => assemble(path, layout, part, &files),
        None if pickled => Err(failed(&"it is the version for Python; the binary one is wanted")),
        None => Err(missing(path)),
    }
}

fn missing(path: &Path) -> Error {
    let [ten, hundred] =
        LAYOUTS.each_ref().map(|layout| [layout.train, layout.test].concat().join(", "));
    Error::bad_file(path, format!("neither CIFAR-10's {ten} nor CIFAR-100's {hundred} are in it"))
}

fn take(file: impl Read) -> std::result::Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err("a file of more than 1 GiB, which CIFAR has none of".into());
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
        let bytes = files.get(*name).ok_or_else(|| failed("is not there".into()))?;
        let record = layout.labels + IMAGE;
        if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
            let reason = format!("{} bytes, a multiple of {record} wanted", bytes.len());
            return Err(failed(reason));
        }
        for (i, record_bytes) in bytes.chunks_exact(record).enumerate() {
            let (head, image) = record_bytes.split_at(layout.labels);
            let label = head.last().map_or(0, |&label| u32::from(label));
            if label >= layout.classes {
                let at = i * record + layout.labels - 1;
                let reason = format!("label {label} at byte {at}, below {} wanted", layout.classes);
                return Err(failed(reason));
            }
            labels.push(label);
            pixels.extend_from_slice(image);
        }
    }
    let side = SIDE as u32;
    let mut all = Dataset::new(3, side, side, layout.classes, pixels, labels)?;
    let names = files.get(layout.names).map(|text| String::from_utf8_lossy(text));
    let names = names.iter().flat_map(|text| text.lines()).map(str::trim);
    let names: Vec<String> = names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if names.len() == layout.classes as usize {
        all.about.class_names = names;
    }
    Ok(all)
}
