//! Tar archives of pictures as WebDataset has them: `KEY.jpg` (or `.jpeg`, `.png`) and `KEY.cls`, the class's number as a
//! text, one after the other. Only where pictures lie is read; shards follow each other by name.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::class_folders::{entries, parts, undivided};
use super::dataset::Part;
use super::pictures::{Pictures, Places};
use crate::{Error, Result};

/// The shards in a folder, or in its `train`.
fn shards(folder: &Path) -> Vec<PathBuf> {
    let is_tar = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "tar");
    entries(folder).unwrap_or_default().into_iter().filter(is_tar).collect()
}

/// Whether there are shards in a folder, or in its `train`.
pub(super) fn has_shards(folder: &Path) -> bool {
    [folder.to_owned(), folder.join("train")].iter().any(|folder| !shards(folder).is_empty())
}

/// The pictures of a folder's shards, of which `train` and `test` (or `val`) may be sub-folders, or of one shard. `classes` is
/// the highest training label plus one.
///
/// # Errors
/// `BadFile` where a shard is damaged, a label is no number, or some pictures have labels and others do not.
pub(super) fn from_shards(path: &Path, part: Part) -> Result<Pictures> {
    let (learnt, files) = if path.is_file() {
        if part == Part::Test {
            return Err(undivided(path));
        }
        (Vec::new(), vec![path.to_owned()])
    } else {
        let (learnt, read) = parts(path, part)?;
        (if part == Part::Test { shards(&learnt) } else { Vec::new() }, shards(&read))
    };
    let (labels, ranges) = scan(&files)?;
    let known = if learnt.is_empty() { &labels } else { &scan(&learnt)?.0 };
    let classes = known.iter().max().map_or(1, |&label| label.saturating_add(1));
    Pictures::new(
        path,
        Places::Ranges { files, ranges, head: Vec::new() },
        labels,
        Vec::new(),
        classes,
    )
}

/// Labels and places of pictures.
type Found = (Vec<u32>, Vec<(u32, u64, u32)>);

fn scan(files: &[PathBuf]) -> Result<Found> {
    let (mut labels, mut ranges) = (Vec::new(), Vec::new());
    for (number, path) in (0..).zip(files) {
        let failed = |error: &dyn std::fmt::Display| Error::bad_file(path, error);
        let mut archive = tar::Archive::new(File::open(path).map_err(|error| failed(&error))?);
        let (mut key, mut label, mut places) = (String::new(), None, Vec::new());
        let mut close = |key: &str, label: &mut Option<u32>, places: &mut Vec<_>| {
            let labelled = label.take();
            for place in places.drain(..) {
                ranges.push(place);
                labels.extend(labelled);
                if !labels.is_empty() && labels.len() != ranges.len() {
                    let reason = format_args!(
                        "{key} has {}, unlike those before",
                        if labelled.is_some() { "a .cls" } else { "no .cls" }
                    );
                    return Err(failed(&reason));
                }
            }
            Ok(())
        };
        for entry in archive.entries_with_seek().map_err(|error| failed(&error))? {
            let mut entry = entry.map_err(|error| failed(&error))?;
            let name = entry.path().map_err(|error| failed(&error))?.to_string_lossy().into_owned();
            let start = name.rfind('/').map_or(0, |slash| slash + 1);
            let Some(dot) = name.get(start..).and_then(|file| file.find('.')) else { continue };
            let (this, extension) = name.split_at(start + dot);
            if this != key {
                close(&key, &mut label, &mut places)?;
                this.clone_into(&mut key);
            }
            match extension.to_ascii_lowercase().as_str() {
                ".jpg" | ".jpeg" | ".png" => {
                    let length = u32::try_from(entry.size())
                        .map_err(|_| failed(&format_args!("{name} has 4 GiB or more")))?;
                    places.push((number, entry.raw_file_position(), length));
                }
                ".cls" => {
                    let mut text = String::new();
                    let read = entry.by_ref().take(32).read_to_string(&mut text);
                    let given = read.ok().and_then(|_| text.trim().parse().ok());
                    let reason = format_args!("{name}: {text:?}, a class's number wanted");
                    label = Some(given.ok_or_else(|| failed(&reason))?);
                }
                _ => {}
            }
        }
        close(&key, &mut label, &mut places)?;
    }
    Ok((labels, ranges))
}
