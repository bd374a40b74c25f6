//! Reads tar archives of pictures as WebDataset has them: `KEY.jpg` (or another picture) and `KEY.cls`, the class's number as a
//! text, or `KEY.json` with a number `label`, `cls` or `class`, one after the other. Only the positions of pictures are read at
//! first; several archives (shards) are taken in the order of their names.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::about::About;
use super::class_folders::{Division, entries};
use super::dataset::Part;
use super::decode::is_picture;
use super::pictures::Pictures;
use super::places::Places;
use super::tar_members;
use crate::{Error, Result};
use serde_json::Value;

/// Keys of a picture's JSON under which its class's number is looked for, and the length that is read of it.
const JSON_LABELS: [&str; 3] = ["label", "cls", "class"];
const LONGEST_JSON: u64 = 1 << 16;

/// The shards in a folder.
fn shards(folder: &Path) -> Vec<PathBuf> {
    let is_tar = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "tar");
    entries(folder).unwrap_or_default().into_iter().filter(is_tar).collect()
}

/// Whether a folder, or one of its parts, has WebDataset shards.
pub(super) fn has_shards(folder: &Path) -> bool {
    let Ok(Division { train, test, .. }) = Division::of_folder(folder) else { return false };
    let parts = [train, test].into_iter().flatten().map(|name| folder.join(name));
    parts.chain([folder.to_owned()]).any(|folder| !shards(&folder).is_empty())
}

/// Reads the pictures of a folder's shards, of which `train` and `test` (or their other names) may be sub-folders, or of
/// one shard, and returns the part's name; `None` where there is no such part. `classes` is the highest training label
/// plus one.
///
/// # Errors
/// `BadFile` where a shard is damaged or cut off, a label is no number, or some pictures have labels and others do not.
pub(super) fn from_shards(path: &Path, part: Part) -> Result<Option<(Pictures, String)>> {
    let (learnt, files, name) = if !path.is_dir() {
        if part == Part::Test {
            return Ok(None);
        }
        (Vec::new(), vec![path.to_owned()], "all".to_owned())
    } else {
        let Division { train, test, whole } = Division::of_folder(path)?;
        let of = |name: &Option<String>| {
            name.as_ref().map_or(Vec::new(), |name| shards(&path.join(name)))
        };
        match (part, test) {
            (Part::Train, _) if whole => (Vec::new(), shards(path), "all".into()),
            (Part::Train, _) => (Vec::new(), of(&train), train.unwrap_or_default()),
            (Part::Test, Some(test)) => (of(&train), shards(&path.join(&test)), test),
            (Part::Test, None) => return Ok(None),
        }
    };
    let (labels, ranges) = scan(&files)?;
    let known = if learnt.is_empty() { &labels } else { &scan(&learnt)?.0 };
    let classes = known.iter().max().map_or(1, |&label| label.saturating_add(1));
    let mut about = About::numbered();
    if labels.is_empty() {
        about.unlabelled =
            Some("there is no KEY.cls for KEY.jpg, and no label in a KEY.json".into());
    }
    let places = Places::Ranges { files, ranges, head: Vec::new() };
    Pictures::new(path, places, labels, about, classes).map(|pictures| Some((pictures, name)))
}

/// Labels and places of pictures.
type Found = (Vec<u32>, Vec<(u32, u64, u32)>);

fn scan(files: &[PathBuf]) -> Result<Found> {
    let (mut labels, mut ranges) = (Vec::new(), Vec::new());
    for (number, path) in (0..).zip(files) {
        let (mut key, mut label, mut places) = (String::new(), None, Vec::new());
        let mut close = |key: &str, label: &mut Option<u32>, places: &mut Vec<_>| {
            let labelled = label.take();
            for place in places.drain(..) {
                ranges.push(place);
                labels.extend(labelled);
                if !labels.is_empty() && labels.len() != ranges.len() {
                    let found = if labelled.is_some() { "a label" } else { "no label" };
                    return Err(format!(
                        "picture {key} has {found}, unlike the pictures before it"
                    ));
                }
            }
            Ok(())
        };
        let scanned = tar_members::of_file(path, |name, entry| {
            let start = name.rfind('/').map_or(0, |slash| slash + 1);
            let Some(dot) = name.get(start..).and_then(|file| file.find('.')) else {
                return Ok(());
            };
            let (this, extension) = name.split_at(start + dot);
            if this != key {
                close(&key, &mut label, &mut places)?;
                this.clone_into(&mut key);
            }
            if is_picture(Path::new(&format!("x{extension}"))) {
                let length = u32::try_from(entry.size())
                    .map_err(|_| "the file of a picture has 4 GiB or more")?;
                places.push((number, entry.raw_file_position(), length));
            } else if extension.eq_ignore_ascii_case(".cls") {
                let mut text = String::new();
                let read = entry.by_ref().take(32).read_to_string(&mut text);
                let given = read.ok().and_then(|_| text.trim().parse().ok());
                label = Some(given.ok_or_else(|| {
                    format!("the file holds {text:?}, but has to hold the number of a class")
                })?);
            } else if extension.eq_ignore_ascii_case(".json") && label.is_none() {
                let mut text = Vec::new();
                // A longer text, or one that is no JSON, may be about anything and gives no label.
                let read = entry.by_ref().take(LONGEST_JSON).read_to_end(&mut text);
                let told: Option<Value> =
                    read.ok().and_then(|_| serde_json::from_slice(&text).ok());
                let told = told
                    .and_then(|told| JSON_LABELS.iter().find_map(|key| told.get(key)?.as_u64()));
                label = told.and_then(|label| label.try_into().ok());
            }
            Ok(())
        });
        let ended = scanned.and_then(|()| close(&key, &mut label, &mut places));
        ended.map_err(|reason| Error::bad_file(path, reason))?;
    }
    Ok((labels, ranges))
}
