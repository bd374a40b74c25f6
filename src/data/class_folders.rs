//! Reads folders, or zip archives of them, with a sub-folder of pictures for each class, or with pictures alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::about::About;
use super::arrays::TEST;
use super::class_map::composed;
use super::dataset::{Dataset, Part};
use super::decode::{FORMATS, is_picture};
use super::fit::Fit;
use super::natural::natural;
use super::pictures::Pictures;
use super::places::Places;
use super::tree::{Tree, is_hidden};
use super::zipped;
use crate::error::listed;
use crate::files;
use crate::{Error, Result};

/// Names of the folder of training images.
const TRAIN: [&str; 2] = ["train", "training"];

/// Extensions of pictures in formats that are not read. A class that has nothing else is not left out in silence.
const UNREAD: [&str; 12] =
    ["heic", "heif", "avif", "jxl", "jp2", "dng", "cr2", "cr3", "nef", "arw", "raf", "psd"];

impl Dataset {
    /// Reads the pictures in `FOLDER/CLASS`, however deep, as [`photograph`](super::photograph) does; a folder with `train` (or
    /// `training`) and `test` (or `testing`, `val`, `valid`, `validation`) in it keeps its two parts there, `train/CLASS` and
    /// `test/CLASS`; any other has only training images. Classes are numbered in the order of their names, 2 before 10, or as
    /// `classes.txt` (a name a line) or `class_to_idx.json` in the folder says; images follow each other by class and name.
    /// Names that begin with a dot and those that operating systems make (`Thumbs.db`) are not looked at; other files and
    /// folders without pictures are left out and counted. Pictures that lie in the folder itself, where there are no classes,
    /// are all of class 0.
    ///
    /// Up to a tenth of the files may be damaged: these are left out, see [`Dataset::damaged`].
    ///
    /// # Errors
    /// `BadFile` where there is no test part, no picture, or a test class that training does not know, and where more files are
    /// damaged; `Mismatch` for a side out of range.
    pub fn from_class_folders(folder: impl AsRef<Path>, part: Part, side: u32) -> Result<Self> {
        let found = class_folders(folder.as_ref(), part)?;
        found.ok_or_else(|| undivided(folder.as_ref()))?.0.decoded(side, Fit::Crop)
    }
}

/// Lists the pictures of one part as [`Dataset::from_class_folders`] does, without decoding them, and returns the part's
/// name; `None` where there is no such part.
pub(super) fn class_folders(folder: &Path, part: Part) -> Result<Option<(Pictures, String)>> {
    let (tree, paths) = Tree::of_folder(folder)?;
    let read = |name: &str| {
        let path = folder.join(name);
        path.exists().then(|| files::read_text(&path)).transpose()
    };
    let told = [read("classes.txt")?, read("class_to_idx.json")?];
    sorted(folder, &tree, part, told, &|chosen| {
        Places::Files(chosen.iter().filter_map(|&place| paths.get(place).cloned()).collect())
    })
}

/// All pictures below a folder, or below its training part (its test part if there is no other) where it is divided, by name.
pub(super) fn every_picture(folder: &Path) -> Result<Pictures> {
    let (tree, paths) = Tree::of_folder(folder)?;
    let division = Division::of(tree.top());
    let part = division.train.or(division.test).filter(|_| !division.whole);
    let tree = part.map_or(tree.clone(), |name| tree.below(&name));
    let pictures = tree.files.iter().filter(|(name, _)| is_picture(Path::new(name)));
    let files = pictures.filter_map(|(_, place)| paths.get(*place).cloned()).collect();
    let about = About { unlabelled: Some("labels were not read".into()), ..About::default() };
    Pictures::new(folder, Places::Files(files), Vec::new(), about, 1)
}

/// Lists the pictures of one part of a zip archive; a single folder around all others is skipped.
pub(super) fn zipped_folders(path: &Path, part: Part) -> Result<Option<(Pictures, String)>> {
    let (mut tree, entries) = zipped::entries(path)?;
    let tops = tree.top();
    if let [only] = tops.as_slice() {
        let inner = tree.below(only);
        let around = inner.top().len() > 1 && inner.files.len() == tree.files.len();
        tree = if around { inner } else { tree };
    }
    let read = |name: &str| {
        let found = tree.files.iter().find(|(file, _)| file == name);
        let entry = found.and_then(|&(_, at)| entries.get(at));
        let failed = |reason: String| Error::bad_file(path, format_args!("{name}: {reason}"));
        let text = |entry: &zipped::Entry| {
            let bytes = entry.read(path).map_err(failed)?;
            String::from_utf8(bytes).map_err(|error| failed(error.to_string()))
        };
        entry.map(text).transpose()
    };
    let told = [read("classes.txt")?, read("class_to_idx.json")?];
    sorted(path, &tree, part, told, &|chosen| Places::Zipped {
        file: path.to_owned(),
        entries: chosen.iter().filter_map(|&place| entries.get(place).cloned()).collect(),
    })
}

/// Sorts pictures by class.
fn sorted(
    origin: &Path,
    tree: &Tree,
    part: Part,
    told: [Option<String>; 2],
    places: &dyn Fn(&[usize]) -> Places,
) -> Result<Option<(Pictures, String)>> {
    let failed = |reason: &dyn std::fmt::Display| Error::bad_file(origin, reason);
    let division = Division::of(tree.top());
    let below = |name: &Option<String>| name.as_ref().map(|name| tree.below(name));
    let learnt = if division.whole { None } else { below(&division.train) };
    let (read, name) = match (part, &division.train, &division.test) {
        _ if division.whole && part == Part::Train => (tree.clone(), "all".into()),
        (Part::Train, Some(name), _) | (Part::Test, _, Some(name)) => {
            (tree.below(name), name.clone())
        }
        (Part::Train, None, Some(name)) => {
            return Err(failed(&format_args!(
                "there is nothing in it but {name}: training pictures are needed in a folder train, arranged as in {name}"
            )));
        }
        _ => return Ok(None),
    };
    let classes = Classes::of(&read);
    let known = learnt.as_ref().map(Classes::of);
    let named = known.as_ref().unwrap_or(&classes);
    let (mut about, mut chosen, mut labels) = (About::default(), Vec::new(), Vec::new());
    about.notes.extend(classes.left_out(&name));
    if named.pictures.is_empty() {
        chosen.clone_from(&classes.loose);
        if chosen.is_empty() {
            let reason =
                format!("nothing in it can be read; what can be read is {}", super::source::KNOWN);
            return Err(failed(&reason));
        }
        about.unlabelled = Some("its pictures do not lie in a folder for each class".into());
        let pictures = Pictures::new(origin, places(&chosen), labels, about, 1)?;
        return Ok(Some((pictures, name)));
    }
    if let Some((class, file)) = classes.unread.first_key_value() {
        return Err(failed(&format_args!(
            "the folder {class:?} has pictures, but none of a format that is read, such as {file}: what is read is {FORMATS}; \
             convert them, or take the folder away"
        )));
    }
    about.class_names = ordered(named, told).map_err(|reason| failed(&reason))?;
    if let Some(unknown) = classes.pictures.keys().find(|name| !about.class_names.contains(name)) {
        return Err(failed(&format_args!(
            "the class {unknown:?} in {name} is not among the training classes: {}",
            listed(&about.class_names)
        )));
    }
    for (label, class) in (0..).zip(&about.class_names) {
        let found = classes.pictures.get(class).map_or(&[][..], Vec::as_slice);
        labels.resize(labels.len() + found.len(), label);
        chosen.extend_from_slice(found);
    }
    if let ([only], Some(table)) = (about.class_names.as_slice(), &classes.table) {
        about.unlabelled = Some(format!(
            "{table} in {only} is not read: put the pictures into a folder for each class"
        ));
    }
    let count = about.class_names.len() as u32;
    let pictures = Pictures::new(origin, places(&chosen), labels, about, count)?;
    Ok(Some((pictures, name)))
}

/// The folders that are parts of the data.
pub(super) struct Division {
    pub train: Option<String>,
    pub test: Option<String>,
    /// Whether the folder is not divided into parts, and all its images are for training.
    pub whole: bool,
}

impl Division {
    /// Finds the parts by the folders' names, in capital letters or not. The folder is divided if both parts are there, or if
    /// all its folders are parts.
    pub fn of(names: Vec<String>) -> Self {
        let find = |wanted: &[&str]| {
            wanted
                .iter()
                .find_map(|wanted| names.iter().find(|name| name.eq_ignore_ascii_case(wanted)))
        };
        let (train, test) = (find(&TRAIN).cloned(), find(&TEST).cloned());
        let is_part =
            |name: &String| TRAIN.iter().chain(&TEST).any(|part| name.eq_ignore_ascii_case(part));
        let divided = train.is_some() && test.is_some();
        let alone = !names.is_empty() && names.iter().all(is_part);
        if divided || alone {
            Self { train, test, whole: false }
        } else {
            Self { train: None, test: None, whole: true }
        }
    }

    /// Reads the parts of a folder on the disk.
    pub fn of_folder(folder: &Path) -> Result<Self> {
        let folders = entries(folder)?.into_iter().filter(|path| path.is_dir());
        let name = |path: PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
        Ok(Self::of(folders.filter_map(name).collect()))
    }
}

/// The content of each folder of a part.
struct Classes {
    /// The pictures of each class by the class's name, in the order of their names.
    pictures: BTreeMap<String, Vec<usize>>,
    /// Pictures beside the folders.
    loose: Vec<usize>,
    /// Names of folders without pictures.
    empty: Vec<String>,
    /// Folders whose pictures are all of formats that are not read, with the name of one picture.
    unread: BTreeMap<String, String>,
    /// The number of files that are no pictures, and the name of one.
    others: (usize, String),
    /// A file beside the folders in which labels may be.
    table: Option<String>,
}

impl Classes {
    fn of(tree: &Tree) -> Self {
        let (mut pictures, mut loose): (BTreeMap<String, Vec<usize>>, _) =
            (BTreeMap::new(), Vec::new());
        let (mut others, mut table) = ((0, String::new()), None);
        let mut unread = BTreeMap::new();
        for (name, place) in &tree.files {
            if !is_picture(Path::new(name)) {
                let extension = Path::new(name).extension().unwrap_or_default();
                if !name.contains('/')
                    && ["csv", "tsv", "json", "txt", "xlsx"].iter().any(|known| extension == *known)
                {
                    table = table.or(Some(name.clone()));
                }
                if !["classes.txt", "class_to_idx.json"].contains(&name.as_str()) {
                    others = (others.0 + 1, name.clone());
                }
                let extension = extension.to_string_lossy().to_lowercase();
                if let Some((class, _)) = name.split_once('/')
                    && UNREAD.contains(&extension.as_str())
                {
                    unread.entry(composed(class)).or_insert_with(|| name.clone());
                }
            } else if let Some((class, _)) = name.split_once('/') {
                pictures.entry(composed(class)).or_default().push(*place);
            } else {
                loose.push(*place);
            }
        }
        let empty = tree.top().into_iter().map(|name| composed(&name));
        let empty = empty.filter(|name| !pictures.contains_key(name)).collect();
        unread.retain(|name: &String, _| !pictures.contains_key(name));
        Self { pictures, loose, empty, unread, others, table }
    }

    /// Returns a sentence for each kind of file that is not read.
    fn left_out(&self, part: &str) -> Vec<String> {
        let counted = |count: usize, what: &str| {
            let plural = if count == 1 { "" } else { "s" };
            format!("{part}: left out {count} {what}{plural}")
        };
        let mut notes = Vec::new();
        if let Some(first) = self.empty.first() {
            let folders = counted(self.empty.len(), "folder");
            notes.push(format!("{folders} without pictures, such as {first}"));
        }
        if self.others.0 > 0 {
            let files = counted(self.others.0, "file");
            notes.push(format!("{files} other than {FORMATS}, such as {}", self.others.1));
        }
        if !self.loose.is_empty() && !self.pictures.is_empty() {
            let pictures = counted(self.loose.len(), "picture");
            notes.push(format!("{pictures} outside the folders of classes"));
        }
        notes
    }
}

/// Returns the classes' names by label: those in `classes.txt` or `class_to_idx.json`, or else the folders' names in order.
fn ordered(
    classes: &Classes,
    [list, map]: [Option<String>; 2],
) -> std::result::Result<Vec<String>, String> {
    let names: Vec<String> = if let Some(list) = list {
        // Editors of some systems begin a file with a mark of its encoding.
        let list = list.trim_start_matches('\u{feff}');
        list.lines().map(str::trim).filter(|line| !line.is_empty()).map(composed).collect()
    } else if let Some(map) = map {
        let wanted =
            "class_to_idx.json has to be a JSON object that numbers the class names from 0 on";
        let map: BTreeMap<String, usize> =
            serde_json::from_str(&map).map_err(|error| format!("{wanted} ({error})"))?;
        let mut by_number: Vec<(usize, String)> =
            map.iter().map(|(name, &number)| (number, composed(name))).collect();
        by_number.sort();
        if !by_number.iter().map(|(number, _)| *number).eq(0..by_number.len()) {
            return Err(wanted.into());
        }
        by_number.into_iter().map(|(_, name)| name).collect()
    } else {
        let mut names: Vec<String> = classes.pictures.keys().cloned().collect();
        names.sort_by(|a, b| natural(a, b));
        return Ok(names);
    };
    let mut seen = std::collections::BTreeSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
        return Err(format!("classes.txt lists the class {twice:?} twice"));
    }
    match classes.pictures.keys().find(|name| !names.contains(name)) {
        Some(unknown) => Err(format!(
            "the folder {unknown:?} is not listed in classes.txt or class_to_idx.json beside it"
        )),
        None => Ok(names),
    }
}

pub(super) fn undivided(path: &Path) -> Error {
    let reason = "it is not divided into train and test: data.held_out = 0.2 keeps a fifth of the images for tests, data.held_out = 90 keeps 90";
    Error::bad_file(path, reason)
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

/// Counts the folders of classes in a folder, or in its training part if it has parts; 0 if it is no folder. Pictures are
/// not looked for.
#[cfg(feature = "cli")]
pub(crate) fn classes_in(folder: &Path) -> usize {
    let part = Division::of_folder(folder).ok().and_then(|division| division.train);
    let folder = part.map_or_else(|| folder.to_owned(), |part| folder.join(part));
    entries(&folder).unwrap_or_default().iter().filter(|path| path.is_dir()).count()
}

/// Lists the entries of a folder that are not hidden, sorted.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error: std::io::Error| Error::bad_file(folder, error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !is_hidden(&entry.file_name().to_string_lossy()) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
