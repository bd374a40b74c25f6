//! Reads images from NumPy's files and from safetensors: \[N, H, W\], \[N, H, W, C\] or \[N, C, H, W\] with C of 1 or 3, of any
//! type of number, and labels as whole numbers, texts or one-hot rows.

use std::path::{Path, PathBuf};

use super::about::About;
use super::dataset::{Dataset, Part};
use super::layout::AxisOrder;
use super::natural::natural;
use super::npy::{Array, Contents, Numbers, npz_names, read_contents, read_npy};
use super::pixels::{Pixels, is_wide};
use super::tensors;
use crate::error::listed;
use crate::{Error, Result};

/// Names of the images' array in an archive, in the order in which they are tried; the part's name may stand before or
/// behind.
const IMAGES: [&str; 6] = ["x", "images", "data", "imgs", "image", "arr_0"];
const LABELS: [&str; 7] = ["y", "labels", "label", "targets", "target", "classes", "arr_1"];
/// Names of the two parts of a data set: images to train on, and images to test with.
const TRAIN: [&str; 2] = ["train", "training"];
pub(super) const TEST: [&str; 5] = ["test", "testing", "val", "valid", "validation"];

/// The archives of a folder that are named after a part of the data.
fn archive(folder: &Path, names: &[&str]) -> Option<PathBuf> {
    let paths = names.iter().map(|name| folder.join(format!("{name}.npz")));
    paths.into_iter().find(|path| path.is_file())
}

pub(super) fn has_archives(folder: &Path) -> bool {
    archive(folder, &[&TRAIN[..], &TEST].concat()).is_some()
}

/// Reads `train.npz` or `test.npz` (or `val.npz`, ...) of a folder; a `.npz` or `.safetensors` with both parts, or with one; or a `.npy` of images,
/// whose labels are in the file with `labels` in its name in place of `images`, or `y` in place of `x`, if there is one. `None`
/// where there is no test part. `classes` is the highest training label plus one.
///
/// # Errors
/// `BadFile` where an array is missing or of another type or shape, and for a test label that training does not know.
pub(super) fn from_arrays(
    path: &Path,
    part: Part,
    layout: AxisOrder,
) -> Result<Option<(Dataset, String)>> {
    if path.is_dir() {
        let [train, test] = [&TRAIN[..], &TEST].map(|names| archive(path, names));
        let one = |path: &Path| found(path, None);
        return match (part, train, test) {
            (Part::Train, Some(train), _) => {
                one(&train)?.dataset(&train, layout, None).map(|data| Some((data, "train".into())))
            }
            (Part::Test, train, Some(test)) => {
                let known = train.map(|train| one(&train)).transpose()?;
                let name = test.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                let data = one(&test)?.dataset(&test, layout, known.as_ref())?;
                Ok(Some((data, name)))
            }
            (Part::Train, None, Some(test)) => Err(Error::bad_file(
                test,
                "this file has test images, and no train.npz with training images is in its folder",
            )),
            _ => Ok(None),
        };
    }
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy")) {
        return match part {
            Part::Test => Ok(None),
            Part::Train => {
                single(path)?.dataset(path, layout, None).map(|data| Some((data, "all".into())))
            }
        };
    }
    let names = array_names(path)?;
    let [train, test] = [&TRAIN[..], &TEST].map(|parts| pick(&names, parts));
    match (part, test) {
        (Part::Train, Some(test)) if train.is_none() && pick(&names, &[""]).is_none() => {
            let Pair { part, images, .. } = test;
            let reason = format!(
                "there is nothing in it but {part} images, in the array {images}: training images are needed, in an array x_train"
            );
            Err(Error::bad_file(path, reason))
        }
        (Part::Train, _) => {
            let name = if train.is_some() { "train" } else { "all" };
            let found = found(path, train)?.dataset(path, layout, None)?;
            Ok(Some((found, name.into())))
        }
        (Part::Test, None) => Ok(None),
        (Part::Test, Some(test)) => {
            let name = test.part.clone();
            let plain = pick(&names, &[""]);
            let known = match train.or(plain) {
                Some(train) => Some(found(path, Some(train))?),
                None => None,
            };
            let data = found(path, Some(test))?.dataset(path, layout, known.as_ref())?;
            Ok(Some((data, name)))
        }
    }
}

fn is_safetensors(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("safetensors"))
}

/// Lists the names of the arrays in an archive or a safetensors file.
fn array_names(path: &Path) -> Result<Vec<String>> {
    if is_safetensors(path) { tensors::names(path) } else { npz_names(path) }
}

/// Names of arrays that belong together.
#[derive(Clone)]
struct Pair {
    part: String,
    images: String,
    labels: Option<String>,
}

/// The first of the parts whose images are there; a part without a name is for images alone.
fn pick(there: &[String], parts: &[&str]) -> Option<Pair> {
    let find = |word: &str, part: &str| {
        let wanted = if part.is_empty() {
            vec![word.to_owned()]
        } else {
            vec![format!("{word}_{part}"), format!("{part}_{word}"), format!("{word}{part}")]
        };
        let is = |name: &&String| wanted.iter().any(|wanted| name.eq_ignore_ascii_case(wanted));
        there.iter().find(is).cloned()
    };
    parts.iter().find_map(|part| {
        let images = IMAGES.iter().find_map(|word| find(word, part))?;
        let labels = LABELS.iter().find_map(|word| find(word, part));
        Some(Pair { part: (*part).to_owned(), images, labels })
    })
}

impl Dataset {
    /// Makes labelled images from arrays in memory, of the shapes and types that are also read from files. There are as many
    /// classes as names, or without names the highest label plus one. For test images `known` are the training images,
    /// from which the number of classes is taken.
    ///
    /// # Errors
    /// `BadFile`, of `name`, for arrays of another type or shape, and `Mismatch` as [`Dataset::new`].
    pub fn from_memory(
        images: Array,
        layout: AxisOrder,
        (labels, class_names): (Vec<u32>, Vec<String>),
        known: Option<&Self>,
        name: &str,
    ) -> Result<Self> {
        let classes = labels.iter().max().map_or(0, |&label| label.saturating_add(1));
        let classes = known.map_or(classes.max(class_names.len() as u32), Self::classes);
        let pixels = Found { images, labels: None, names: Vec::new() };
        let path = Path::new(name);
        let read = pixels.dataset(path, layout, None)?;
        let mut data = Self::new(
            read.channels(),
            read.height(),
            read.width(),
            classes,
            read.pixels().to_vec(),
            labels,
        )?;
        let numbered = class_names.is_empty();
        data.about = About { class_names, numbered, ..About::default() };
        data.exact = read.exact;
        Ok(data)
    }
}

struct Found {
    images: Array,
    labels: Option<(Vec<u32>, Vec<String>)>,
    /// All arrays that are there.
    names: Vec<String>,
}

/// The arrays of a pair, or of the images that no part is named of.
fn found(path: &Path, pair: Option<Pair>) -> Result<Found> {
    let names = array_names(path)?;
    let others =
        || pick(&names, &[""]).or_else(|| pick(&names, &TRAIN)).or_else(|| pick(&names, &TEST));
    let Some(Pair { images, labels, .. }) = pair.or_else(others) else {
        let there = match names.as_slice() {
            [] => "there is no array in it".to_owned(),
            names => format!("it has the arrays {}, and none of images", listed(names)),
        };
        let reason = format!(
            "{there}: the array of images has to be called {}, or one of these with _train or _test at its end",
            IMAGES.join(", ")
        );
        return Err(Error::bad_file(path, reason));
    };
    let wanted: Vec<&str> =
        [Some(images.as_str()), labels.as_deref()].into_iter().flatten().collect();
    let mut arrays = if is_safetensors(path) {
        tensors::read(path, &wanted)?
    } else {
        read_contents(path, &wanted)?
    };
    let taken = labels.and_then(|name| arrays.remove(&name));
    let labels = taken.map(|labels| numbers(path, labels)).transpose()?;
    match arrays.remove(&images) {
        Some(Contents::Numbers(images)) => Ok(Found { images, labels, names }),
        _ => Err(Error::bad_file(
            path,
            format_args!("the array {images} holds texts, but images are numbers"),
        )),
    }
}

/// Reads a `.npy` of images and the one of their labels.
fn single(path: &Path) -> Result<Found> {
    let Contents::Numbers(images) = read_npy(path)? else {
        return Err(Error::bad_file(path, "it holds texts, but images are numbers"));
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let other = match name.split_at_checked(1) {
        Some(("x" | "X", rest)) if !name.contains("images") => format!("y{rest}"),
        _ => name.replace("images", "labels"),
    };
    let beside = path.with_file_name(&other);
    let there = beside != path && beside.is_file();
    let read = || numbers(&beside, read_npy(&beside)?);
    let labels = if there { Some(read()?) } else { None };
    Ok(Found { images, labels, names: vec![name.into_owned()] })
}

/// Labels, and what the classes are called where labels are texts.
fn numbers(path: &Path, contents: Contents) -> Result<(Vec<u32>, Vec<String>)> {
    let wrong = |given: String| {
        let wanted = "one whole number from 0 to 65535, one text or one one-hot row for each image";
        Error::bad_file(path, format_args!("it has labels {given}, but needs {wanted}"))
    };
    let Array { shape, numbers } = match contents {
        Contents::Texts(shape, texts) => {
            if !matches!(shape.as_slice(), [_] | [_, 1]) {
                return Err(wrong(format!("as texts of shape {shape:?}")));
            }
            let mut names = texts.clone();
            names.sort_by(|a, b| natural(a, b));
            names.dedup();
            let label = |text: &String| names.binary_search_by(|name| natural(name, text)).ok();
            let labels = texts.iter().filter_map(label).map(|label| label as u32).collect();
            return Ok((labels, names));
        }
        Contents::Numbers(array) => array,
    };
    let values: Vec<f64> = match &numbers {
        Numbers::U8(bytes) => bytes.iter().map(|&byte| byte.into()).collect(),
        Numbers::I64(all) => all.iter().map(|&label| label as f64).collect(),
        Numbers::F32(all) => all.iter().map(|&label| label.into()).collect(),
        Numbers::F64(all) => all.clone(),
    };
    let values = match *shape.as_slice() {
        [_] | [_, 1] => values,
        [_, classes] if classes > 1 => {
            let row = |row: &[f64]| {
                let ones = row.iter().filter(|&&value| value == 1.0).count();
                let zeros = row.iter().filter(|&&value| value == 0.0).count();
                let at = row.iter().position(|&value| value == 1.0);
                at.filter(|_| ones == 1 && zeros == classes - 1).map(|at| at as f64)
            };
            let rows: Vec<Option<f64>> = values.chunks_exact(classes).map(row).collect();
            if let Some(at) = rows.iter().position(Option::is_none) {
                let given = format!(
                    "of shape {shape:?}, and row {at} (counted from 0) is not a single 1 among zeros"
                );
                return Err(wrong(given));
            }
            rows.into_iter().flatten().collect()
        }
        _ => return Err(wrong(format!("of shape {shape:?}"))),
    };
    let whole = |value: &f64| value.fract() == 0.0 && (0.0..=65_535.0).contains(value);
    match values.iter().enumerate().find(|(_, value)| !whole(value)) {
        Some((image, value)) => {
            Err(wrong(format!("with the value {value} for image {image} (counted from 0)")))
        }
        None => Ok((values.into_iter().map(|value| value as u32).collect(), Vec::new())),
    }
}

impl Found {
    fn classes(&self) -> u32 {
        let (labels, names) = self.labels.as_ref().map_or((&[][..], 0), |(l, n)| (l, n.len()));
        labels.iter().max().map_or(1, |&label| label.saturating_add(1)).max(names as u32)
    }

    /// Returns the images; `known` are the training images, whose classes are taken over.
    fn dataset(self, path: &Path, layout: AxisOrder, known: Option<&Self>) -> Result<Dataset> {
        let failed = |reason: String| Error::bad_file(path, reason);
        let classes = known.unwrap_or(&self).classes();
        let Array { shape, numbers } = self.images;
        let other = known.map(|known| &known.images.numbers);
        if let (Some(true), Some(false)) | (Some(false), Some(true)) =
            (is_wide(&numbers), other.and_then(is_wide))
        {
            let reason = "only one of the training and test parts has pixels above 255: it is not clear whether 255 or \
                          65535 is white";
            return Err(failed(reason.into()));
        }
        let pixels = Pixels::new(numbers)
            .map_err(|reason| failed(format!("it has images of shape {shape:?}: {reason}")))?;
        let (count, [channels, height, width], interleaved) = sides(&shape, layout)
            .map_err(|reason| failed(format!("it has images of shape {shape:?}: {reason}")))?;
        if [count, channels, height, width].contains(&0) {
            return Err(failed(format!(
                "it has no images: the array of images has the shape {shape:?}"
            )));
        }
        let pixels = if interleaved && channels > 1 {
            pixels.planes(channels, height * width)
        } else {
            pixels
        };
        let mut about = About::numbered();
        about.notes.extend(pixels.note.clone());
        let labels = match self.labels {
            Some((labels, names)) => {
                let before = known.and_then(|known| known.labels.as_ref()).map(|(_, names)| names);
                let labels = match before {
                    Some(before) if *before != names => {
                        renumbered(&labels, &names, before).map_err(failed)?
                    }
                    _ => labels,
                };
                about.class_names = before.unwrap_or(&names).clone();
                about.numbered = names.is_empty();
                labels
            }
            None => {
                let reason = format!(
                    "it has arrays {}; labels are looked for as {}",
                    listed(&self.names),
                    LABELS.join(", ")
                );
                about.unlabelled = Some(reason);
                vec![0; count]
            }
        };
        let [channels, height, width] =
            [channels, height, width].map(|length| u32::try_from(length).unwrap_or(u32::MAX));
        let mut data = Dataset::new(channels, height, width, classes, pixels.bytes, labels)
            .map_err(|error| Error::bad_file(path, error))?;
        (data.about, data.exact) = (about, pixels.exact);
        Ok(data)
    }
}

/// Labels by their own names as labels by others'.
fn renumbered(
    labels: &[u32],
    names: &[String],
    wanted: &[String],
) -> std::result::Result<Vec<u32>, String> {
    if names.is_empty() {
        let wanted = listed(wanted);
        return Err(format!(
            "the test labels are numbers, but the training labels are texts: {wanted}"
        ));
    }
    let number = |&label: &u32| {
        let name = names.get(label as usize).map_or("", String::as_str);
        let found = wanted.iter().position(|wanted| wanted == name);
        found.map(|at| at as u32).ok_or_else(|| {
            format!("the label {name:?} is not among the training labels: {}", listed(wanted))
        })
    };
    labels.iter().map(number).collect()
}

/// Number of images, channels, height and width, and whether channels come last.
fn sides(
    shape: &[usize],
    layout: AxisOrder,
) -> std::result::Result<(usize, [usize; 3], bool), String> {
    let is_channels = |side: usize| [1, 3].contains(&side);
    let &[count, a, b, c] = shape else {
        return match *shape {
            [count, height, width] => Ok((count, [1, height, width], false)),
            _ => {
                Err("the shape has to be [N, H, W], [N, H, W, C] or [N, C, H, W] with C of 1 or 3"
                    .into())
            }
        };
    };
    match (layout, is_channels(a), is_channels(c)) {
        (AxisOrder::Nchw, true, _) | (AxisOrder::Plain, true, false) => {
            Ok((count, [a, b, c], false))
        }
        (AxisOrder::Nhwc, _, true) | (AxisOrder::Plain, false, true) => {
            Ok((count, [c, a, b], true))
        }
        (AxisOrder::Plain, true, true) => {
            Err("two of the dimensions may be the channels: write nchw:PATH if they come first, nhwc:PATH if they come last".into())
        }
        _ => Err("the channels, 1 or 3, have to be the second dimension or the last".into()),
    }
}
