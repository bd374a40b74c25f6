//! Reads Parquet tables of pictures as the Hugging Face hub and others export them: a column of encoded pictures (`image`, `img`
//! or a like name; bytes or a structure with `bytes`), and one of labels; class names are taken from the table's metadata.
//! Several files (shards) are taken in the order of their names.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::{ByteArray, DataType};
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::serialized_reader::SerializedPageReader;

use super::about::About;
use super::arrays::TEST;
use super::dataset::Part;
use super::natural::natural;
use super::pages;
use super::pictures::Pictures;
use super::places::Places;
use crate::files;
use crate::{Error, Result, threads};

/// Names of the pictures' column, in the order in which they are tried.
const IMAGES: [&str; 6] = ["image", "img", "picture", "jpg", "png", "webp"];
const LABELS: [&str; 6] = ["label", "labels", "fine_label", "target", "class", "cls"];
/// The training part's name.
const TRAIN: &str = "train";
/// The most bytes of all encoded pictures of a data set, which lie in memory.
const MOST: u64 = 8 << 30;
/// The most rows read at once: their bytes are counted before the next are asked for.
const ROWS: usize = 64;
/// Longest text of what a table says of itself, and of a name.
const LONGEST: usize = 1 << 20;

type Checked<T> = std::result::Result<T, String>;

/// The reason why tables are refused of which `what` needs more memory than [`MOST`] and [`files::room`] allow.
fn too_much(what: &str) -> String {
    format!(
        "{what} take more memory than allowed: at most {} GiB, and at most {} MiB plus {} times the file",
        MOST >> 30,
        files::SMALL >> 20,
        files::GROWTH
    )
}

/// The tables of a folder, or in its folder `data`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let within = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let is_table = |path: &PathBuf| path.extension().is_some_and(|end| end == "parquet");
        let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_table).collect();
        found.sort();
        found
    };
    let here = within(folder);
    if here.is_empty() { within(&folder.join("data")) } else { here }
}

/// Whether a folder, or one of its parts, has Parquet tables.
pub(super) fn has_tables(folder: &Path) -> bool {
    !files(folder).is_empty()
        || !parted(folder, &[TRAIN]).is_empty()
        || !parted(folder, &TEST).is_empty()
}

/// Lists the tables of a part: those in a folder named after the part, or with names such as
/// `train-00000-of-00002.parquet`.
fn parted(folder: &Path, names: &[&str]) -> Vec<PathBuf> {
    names
        .iter()
        .map(|name| {
            let apart = files(&folder.join(name));
            if !apart.is_empty() {
                return apart;
            }
            let is_of = |path: &PathBuf| {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                stem == *name
                    || stem.strip_prefix(name).is_some_and(|rest| rest.starts_with(['-', '.', '_']))
            };
            files(folder).into_iter().filter(is_of).collect()
        })
        .find(|found: &Vec<PathBuf>| !found.is_empty())
        .unwrap_or_default()
}

/// Reads the pictures of a folder's tables or of one table, and returns the part's name; `None` where there is no such
/// part.
///
/// # Errors
/// `BadFile` where a table is damaged, has no column of pictures, or says more than memory may hold; for labels that are not
/// whole numbers or texts, and where a row has none.
pub(super) fn tables(path: &Path, part: Part) -> Result<Option<(Pictures, String)>> {
    let [train, test] = if path.is_dir() {
        [parted(path, &[TRAIN]), parted(path, &TEST)]
    } else {
        [Vec::new(), Vec::new()]
    };
    let whole = || if path.is_dir() { files(path) } else { vec![path.to_owned()] };
    let (read, name) = match part {
        Part::Train if !train.is_empty() => (train.clone(), "train"),
        Part::Test if !test.is_empty() => (test, "test"),
        Part::Test => return Ok(None),
        Part::Train if !test.is_empty() => {
            return Err(Error::bad_file(
                path,
                "it has tables for testing only: training images are needed in a table whose name has `train` in it",
            ));
        }
        Part::Train => (whole(), "all"),
    };
    let table = Table::of(&read)?;
    let learnt =
        if part == Part::Test && !train.is_empty() { Some(Table::of(&train)?) } else { None };
    let pictures = table.pictures(path, read, learnt.as_ref())?;
    Ok(Some((pictures, name.into())))
}

/// The pictures and labels that were read from tables so far.
#[derive(Default)]
struct Table {
    held: Vec<(u32, Box<[u8]>)>,
    labels: Labels,
    /// The names of the classes by label, if a table has them.
    names: Vec<String>,
    /// All columns of the last.
    columns: Vec<String>,
}

/// The labels: one for each row, or none at all.
#[derive(Default)]
enum Labels {
    #[default]
    None,
    Numbers(Vec<i64>),
    Texts(Vec<String>),
}

impl Table {
    fn of(files: &[PathBuf]) -> Result<Self> {
        let mut table = Self::default();
        let mut left = MOST;
        for (number, path) in (0..).zip(files) {
            left = left.min(files::room(path)?);
            let read = || {
                let read = table.read(path, number, &mut left);
                read.map_err(|reason| Error::bad_file(path, reason))
            };
            // The library that reads tables panics over some damaged ones.
            threads::caught("reading a table", read).map_err(|error| match error {
                Error::Thread { .. } => Error::bad_file(path, "the Parquet table is damaged"),
                other => other,
            })?;
        }
        Ok(table)
    }

    /// Adds a file's rows; their bytes are subtracted from `left`.
    fn read(&mut self, path: &Path, number: u32, left: &mut u64) -> Checked<()> {
        let opened = files::open(path).map_err(|error| error.to_string())?;
        let again = opened.try_clone().map_err(|error| error.to_string())?;
        let reader = SerializedFileReader::new(opened).map_err(|error| error.to_string())?;
        let about = reader.metadata();
        let columns = Columns::of(about)?;
        self.columns = columns.all;
        let said = about.file_metadata().key_value_metadata();
        let names = said.and_then(|said| names(said, &columns.label)).unwrap_or_default();
        if self.names.is_empty() {
            self.names = names;
        } else if !names.is_empty() && names != self.names {
            return Err("the class names differ from those of the table before".into());
        }
        for group in 0..reader.num_row_groups() {
            for (column, _) in [Some(columns.images), columns.labels].into_iter().flatten() {
                *left -= unpacked(&again, about, group, column, *left)?;
            }
            let column = |place: usize| column(&reader, &again, group, place);
            self.pictures_of(column(columns.images.0)?, columns.images.1, number, left)?;
            if let Some((place, depth)) = columns.labels {
                self.labels_of(column(place)?, depth, left)?;
            }
            let (pictures, labels) = (self.held.len(), self.labels.len());
            // Where no table has labels it is said that there are none.
            if labels != pictures && (labels != 0 || columns.labels.is_some()) {
                return Err(format!("there are {labels} labels for {pictures} pictures"));
            }
        }
        Ok(())
    }

    fn pictures_of(
        &mut self,
        column: ColumnReader,
        depth: i16,
        file: u32,
        left: &mut u64,
    ) -> Checked<()> {
        let ColumnReader::ByteArrayColumnReader(reader) = column else {
            return Err("the column of pictures does not hold bytes".into());
        };
        each(reader, depth, |bytes: ByteArray| {
            let cost = bytes.len() as u64 + 64;
            *left = left.checked_sub(cost).ok_or_else(|| too_much("the encoded pictures"))?;
            self.held.push((file, bytes.data().into()));
            Ok(())
        })
    }

    fn labels_of(&mut self, column: ColumnReader, depth: i16, left: &mut u64) -> Checked<()> {
        let mut charge = |bytes: u64| {
            *left = left.checked_sub(bytes).ok_or_else(|| too_much("the labels"))?;
            Ok::<_, String>(())
        };
        if matches!(self.labels, Labels::None) {
            let texts = matches!(column, ColumnReader::ByteArrayColumnReader(_));
            self.labels =
                if texts { Labels::Texts(Vec::new()) } else { Labels::Numbers(Vec::new()) };
        }
        match (column, &mut self.labels) {
            (ColumnReader::Int64ColumnReader(reader), Labels::Numbers(all)) => {
                each(reader, depth, |label| {
                    all.push(label);
                    charge(16)
                })
            }
            (ColumnReader::Int32ColumnReader(reader), Labels::Numbers(all)) => {
                each(reader, depth, |label| {
                    all.push(label.into());
                    charge(16)
                })
            }
            (ColumnReader::ByteArrayColumnReader(reader), Labels::Texts(all)) => {
                each(reader, depth, |text: ByteArray| {
                    charge(text.len() as u64 + 64)?;
                    let text = text.as_utf8().map_err(|_| "a label is not text in UTF-8")?;
                    all.push(text.to_owned());
                    Ok(())
                })
            }
            _ => Err(
                "the labels are neither whole numbers nor texts, or differ in type from those of the table before"
                    .into(),
            ),
        }
    }

    /// Numbers the classes, beginning with those of the training part, and returns the pictures.
    fn pictures(self, path: &Path, files: Vec<PathBuf>, learnt: Option<&Self>) -> Result<Pictures> {
        let wrong = |reason: String| Error::bad_file(path, reason);
        let mut about = About { class_names: self.names.clone(), ..About::default() };
        let (labels, classes) = match &self.labels {
            Labels::None => {
                let columns: Vec<&str> = self.columns.iter().take(10).map(String::as_str).collect();
                let looked = LABELS.join(", ");
                about.unlabelled = Some(format!(
                    "the columns are {}, but labels are looked for in columns named {looked}",
                    columns.join(", ")
                ));
                (Vec::new(), 1)
            }
            Labels::Numbers(all) => {
                let number = |(row, &label): (usize, &i64)| {
                    let known = u32::try_from(label).ok().filter(|&label| label < 1 << 16);
                    known.ok_or_else(|| {
                        wrong(format!(
                            "the label in row {row} (counted from 0) is {label}, but has to be 0 to 65535"
                        ))
                    })
                };
                let labels: Vec<u32> = all.iter().enumerate().map(number).collect::<Result<_>>()?;
                let known = match learnt.map(|table| &table.labels) {
                    Some(Labels::Numbers(all)) => all.iter().max().copied().unwrap_or(0),
                    _ => labels.iter().max().copied().unwrap_or(0).into(),
                };
                about.numbered = self.names.is_empty();
                let named = self.names.len() as u32;
                let highest = u32::try_from(known).unwrap_or(u32::MAX).saturating_add(1);
                (labels, if named > 0 { named } else { highest })
            }
            Labels::Texts(texts) => {
                let all = match learnt.map(|table| &table.labels) {
                    Some(Labels::Texts(all)) => all,
                    _ => texts,
                };
                let mut names = all.clone();
                names.sort_by(|a, b| natural(a, b));
                names.dedup();
                let number = |text: &String| {
                    let found = names.binary_search_by(|name| natural(name, text));
                    let short: String = text.chars().take(80).collect();
                    found.map(|at| at as u32).map_err(|_| {
                        wrong(format!("the label {short:?} is not among the training labels"))
                    })
                };
                let labels = texts.iter().map(number).collect::<Result<Vec<u32>>>()?;
                about.class_names.clone_from(&names);
                (labels, names.len() as u32)
            }
        };
        Pictures::new(path, Places::Held { files, held: self.held }, labels, about, classes)
    }
}

impl Labels {
    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Numbers(all) => all.len(),
            Self::Texts(all) => all.len(),
        }
    }
}

/// The columns of pictures and labels, each with the number of levels at which a value may be missing.
struct Columns {
    images: (usize, i16),
    labels: Option<(usize, i16)>,
    /// The name of the labels' column.
    label: String,
    all: Vec<String>,
}

impl Columns {
    fn of(about: &ParquetMetaData) -> Checked<Self> {
        let schema = about.file_metadata().schema_descr();
        let columns = schema.columns();
        let all: Vec<String> =
            columns.iter().map(|column| column.path().string()).take(1000).collect();
        let find = |name: &str| {
            columns.iter().position(|column| {
                column.max_rep_level() == 0 && column.path().string().eq_ignore_ascii_case(name)
            })
        };
        let depth = |place: usize| columns.get(place).map_or(0, |column| column.max_def_level());
        let is_bytes = |place: &usize| {
            columns.get(*place).is_some_and(|column| column.physical_type() == Type::BYTE_ARRAY)
        };
        let images = IMAGES.iter().find_map(|name| {
            find(&format!("{name}.bytes")).or_else(|| find(name)).filter(is_bytes)
        });
        let shown = || all.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
        let images = images.ok_or_else(|| {
            format!(
                "the columns are {}: a column of encoded pictures has to have one of the names {}",
                shown(),
                IMAGES.join(", ")
            )
        })?;
        let labels = LABELS.iter().find_map(|name| find(name));
        let label = labels.and_then(|place| all.get(place)).cloned().unwrap_or_default();
        let labels = labels.map(|place| (place, depth(place)));
        Ok(Self { images: (images, depth(images)), labels, label, all })
    }
}

/// The reason why a table is refused that has no data of a column in a group of rows.
fn damaged_group(group: usize) -> String {
    format!(
        "group {group} of the table's rows lacks a column that the table declares: the file is damaged"
    )
}

/// Returns a reader of one column in a group of rows, after [its pages' declared sizes](unpacked) were checked.
fn column(
    reader: &SerializedFileReader<File>,
    file: &File,
    group: usize,
    place: usize,
) -> Checked<ColumnReader> {
    let rows = reader.get_row_group(group).map_err(|error| error.to_string())?;
    let about = rows.metadata();
    let chunk = about.columns().get(place).ok_or_else(|| damaged_group(group))?;
    if !matches!(chunk.compression(), Compression::ZSTD(_)) {
        return rows.get_column_reader(place).map_err(|error| error.to_string());
    }
    let (start, length) = chunk.byte_range();
    let mut packed =
        vec![0; usize::try_from(length).map_err(|_| "a column is too large for memory")?];
    let mut file = file;
    file.seek(SeekFrom::Start(start)).map_err(|error| error.to_string())?;
    file.read_exact(&mut packed).map_err(|error| error.to_string())?;
    let pages = Bytes::from(pages::from_zstd(&packed)?);
    let has_dictionary = chunk.dictionary_page_offset().is_some();
    let chunk = chunk
        .clone()
        .into_builder()
        .set_compression(Compression::UNCOMPRESSED)
        .set_data_page_offset(0)
        .set_dictionary_page_offset(has_dictionary.then_some(0))
        .set_total_compressed_size(pages.len() as i64)
        .build()
        .map_err(|error| error.to_string())?;
    let count = usize::try_from(about.num_rows()).map_err(|_| "the number of rows is negative")?;
    let read = SerializedPageReader::new(Arc::new(pages), &chunk, count, None);
    let read = read.map_err(|error| error.to_string())?;
    Ok(get_column_reader(chunk.column_descr_ptr(), Box::new(read)))
}

/// Bytes to which a column's pages in a group of rows unpack. Err where they are not all in the file, or too many.
fn unpacked(
    file: &File,
    about: &ParquetMetaData,
    group: usize,
    column: usize,
    most: u64,
) -> Checked<u64> {
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    let groups = about.row_groups().get(group).and_then(|group| group.columns().get(column));
    let chunk = groups.ok_or_else(|| damaged_group(group))?;
    let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
    let sizes = u64::try_from(start).ok().zip(u64::try_from(chunk.compressed_size()).ok());
    let inside =
        sizes.filter(|&(start, size)| start.checked_add(size).is_some_and(|end| end <= length));
    let (start, size) = inside.ok_or("a column lies outside of the file")?;
    if let Some(first) = chunk.dictionary_page_offset()
        && chunk.data_page_offset() < first
    {
        return Err("a column's pages lie before their dictionary".into());
    }
    pages::unpacked(file, start, size, most)
}

/// All values of a column, some at a time. Err where one is missing.
fn each<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    depth: i16,
    mut take: impl FnMut(T::T) -> Checked<()>,
) -> Checked<()> {
    let (mut values, mut present) = (Vec::new(), Vec::new());
    loop {
        values.clear();
        present.clear();
        let read = reader.read_records(ROWS, Some(&mut present), None, &mut values);
        let (rows, found, _) = read.map_err(|error| error.to_string())?;
        if rows == 0 {
            return Ok(());
        }
        if found != rows || present.iter().any(|&level| level < depth) {
            return Err("a row is without a picture or without a label".into());
        }
        values.drain(..).try_for_each(&mut take)?;
    }
}

/// Reads the names of the classes from the Hugging Face description of the columns in the table's metadata.
fn names(said: &[KeyValue], label: &str) -> Option<Vec<String>> {
    let text = said.iter().find(|fact| fact.key == "huggingface")?.value.as_ref()?;
    let told: serde_json::Value =
        serde_json::from_str(text.get(..text.len().min(LONGEST))?).ok()?;
    let names = told.get("info")?.get("features")?.get(label)?.get("names")?.as_array()?;
    names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
}
