//! Parses the setting that names labelled images (a path, an archive or a built-in set) and opens them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::augment::Augment;
use super::dataset::{Dataset, MAX_SIDE, Part};
use super::fashion;
use super::fit::Fit;
use super::layout::AxisOrder;
use super::prepared::Prepared;
#[cfg(not(target_arch = "wasm32"))]
use super::{
    arrays, cifar, class_folders, folder, jpeg_pack, pictures::Pictures, shards, tiles, tiny_images,
};
#[cfg(not(target_arch = "wasm32"))]
use crate::files;
use crate::{Error, Result};

/// The kinds of data that a path may lead to, for messages.
#[cfg(not(target_arch = "wasm32"))]
pub(super) const KNOWN: &str = "idx files, CIFAR's files or their .tar.gz, a folder of pictures for each class or a \
     .zip of it, tar shards, Parquet tables, .npz, .npy and .safetensors, head.bin with train.jpgs, Tiny Images' .bin";

/// Images up to this many bytes of f32 lie in memory, decoded once; more are read anew in every epoch.
#[cfg(not(target_arch = "wasm32"))]
const IN_MEMORY: u64 = 1 << 30;

/// A source of labelled images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `builtin:fashion`: the part of Fashion-MNIST that is built into the library.
    Fashion,
    /// A file or a folder, whose format is recognised when it is read.
    Path(PathBuf),
    /// `nchw:FILE` or `nhwc:FILE`: arrays whose channels come first or last, for shapes that do not show which.
    Arrays(AxisOrder, PathBuf),
    /// `tiles:SIDE:FOLDER`: pictures that are grids of square images of SIDE×SIDE pixels, without labels.
    Tiles(u32, PathBuf),
}

/// Labelled images for training: in memory, or on disk and decoded when they are asked for.
#[derive(Clone, Debug)]
pub enum LabelledImages {
    /// Images in memory, in the size at which they are trained on.
    Prepared(Arc<Prepared>),
    /// Pictures on disk, of any size.
    #[cfg(not(target_arch = "wasm32"))]
    Pictures {
        /// The picture files on disk.
        pictures: Pictures,
        /// The number of channels, 1 or 3, that pictures are decoded to.
        channels: u32,
        /// The height and width that pictures are resized to.
        side: u32,
        /// How pictures of other shapes are fitted to this size.
        fit: Fit,
    },
}

impl Source {
    /// Parses the name of a source of labelled images: `builtin:fashion`, a path, `nchw:FILE`, `nhwc:FILE` or
    /// `tiles:SIDE:FOLDER`. Whether the file exists is checked only when it is loaded.
    ///
    /// # Errors
    /// `BadConfig` for an empty text, for other builtins, and for tiles of no side.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "builtin:fashion" => Ok(Self::Fashion),
            _ if text.is_empty() || text.starts_with("builtin:") => {
                Err(bad("data", text, "builtin:fashion, or the path of a folder or file of images"))
            }
            _ if text.starts_with("nchw:") || text.starts_with("nhwc:") => {
                let (layout, path) = text.split_at_checked(5).unwrap_or_default();
                let layout = if layout == "nchw:" { AxisOrder::Nchw } else { AxisOrder::Nhwc };
                if path.is_empty() {
                    return Err(bad(
                        "data",
                        text,
                        "nchw:FILE or nhwc:FILE, such as nchw:some/images.npz",
                    ));
                }
                Ok(Self::Arrays(layout, path.into()))
            }
            _ => match text.strip_prefix("tiles:") {
                None => Ok(Self::Path(text.into())),
                Some(rest) => {
                    let (side, folder) = rest.split_once(':').unwrap_or_default();
                    let side = side.parse().ok().filter(|side| (1..=MAX_SIDE).contains(side));
                    let side = side.filter(|_| !folder.is_empty());
                    side.map(|side| Self::Tiles(side, folder.into())).ok_or_else(|| {
                        bad("data", text, "tiles:SIDE:FOLDER, such as tiles:32:some/path")
                    })
                }
            },
        }
    }

    /// Reads all images of one part into memory. The middle square of each picture is resized to `side`×`side` pixels; images
    /// of array files keep their size, which [`Dataset::prepared`] can change.
    ///
    /// # Errors
    /// `BadFile` for what is not there, is of no known format or is damaged; a browser has no files.
    pub fn load(&self, part: Part, side: u32) -> Result<Dataset> {
        self.load_fitted(part, side, Fit::Crop)
    }

    /// Reads all images of one part into memory as [`Source::load`] does, but brings pictures to `side`×`side` pixels by `fit`.
    ///
    /// # Errors
    /// The errors of [`Source::load`].
    #[cfg_attr(target_arch = "wasm32", expect(unused_variables, reason = "no pictures there"))]
    pub fn load_fitted(&self, part: Part, side: u32, fit: Fit) -> Result<Dataset> {
        match self {
            Self::Fashion => fashion::load(part),
            #[cfg(target_arch = "wasm32")]
            Self::Path(path) => Dataset::from_idx_folder(path, part),
            #[cfg(target_arch = "wasm32")]
            Self::Arrays(_, path) | Self::Tiles(_, path) => {
                Err(Error::bad_file(path, "picture files are not read in a browser"))
            }
            #[cfg(not(target_arch = "wasm32"))]
            Self::Path(_) | Self::Arrays(..) | Self::Tiles(..) => match self.part(part)?.0 {
                Opened::Data(data) => Ok(data),
                Opened::Pictures(pictures) => pictures.decoded(side, fit),
            },
        }
    }

    /// Opens the training or the test part, and returns its name.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn part(&self, part: Part) -> Result<(Opened, String)> {
        self.open(part)?.ok_or_else(|| class_folders::undivided(&PathBuf::from(self.to_string())))
    }

    /// Finds out what a path leads to, by names alone; `None` where there is no such part.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn open(&self, part: Part) -> Result<Option<(Opened, String)>> {
        let data = |data: Dataset, name: &str| Some((Opened::Data(data), name.to_owned()));
        let named = |found: Option<(Pictures, String)>| {
            found.map(|(pictures, name)| (Opened::Pictures(pictures), name))
        };
        let arrays = |path: &PathBuf, layout| {
            let found = arrays::from_arrays(path, part, layout)?;
            Ok(found.map(|(data, name)| (Opened::Data(data), name)))
        };
        let path = match self {
            Self::Fashion => return fashion::load(part).map(|all| data(all, part.name())),
            Self::Tiles(..) if part == Part::Test => return Ok(None),
            Self::Tiles(side, folder) => {
                return tiles::tiles(folder, *side).map(|all| data(all, "all"));
            }
            Self::Arrays(layout, path) => return arrays(path, *layout),
            Self::Path(path) => path,
        };
        if !path.is_dir() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
            return if ends(&[".tar.gz", ".tgz"]) {
                cifar::from_archive(path, part).map(|all| data(all, part.name()))
            } else if ends(&[".tar"]) {
                shards::from_shards(path, part).map(named)
            } else if ends(&[".npz", ".npy", ".safetensors"]) {
                arrays(path, AxisOrder::Plain)
            } else if ends(&[".parquet"]) {
                parquet(path, part).map(named)
            } else if ends(&[".zip"]) {
                class_folders::zipped_folders(path, part).map(named)
            } else if name.contains("idx3") {
                if part == Part::Test {
                    return Ok(None);
                }
                Dataset::from_idx_files(path).map(|all| data(all, "all"))
            } else if ends(&[".bin"]) && part == Part::Train {
                let all = tiny_images::tiny_images(path)?;
                Ok(Some((Opened::Pictures(all), "all".into())))
            } else if ends(&[".bin"]) {
                Ok(None)
            } else {
                // What is not there, or is a pipe or a device, is said before what is of no known kind.
                files::open(path)?;
                Err(Error::bad_file(
                    path,
                    format!(
                        "images cannot be read from a file of this kind; what can be read is {KNOWN}"
                    ),
                ))
            };
        }
        let idx = [Part::Train, Part::Test].map(|part| folder::has_idx(path, part));
        if idx.contains(&true) {
            if part == Part::Test && idx == [true, false] {
                return Ok(None);
            }
            Dataset::from_idx_folder(path, part).map(|all| data(all, part.name()))
        } else if let Some(folder) = cifar::cifar_folder(path) {
            if part == Part::Test && !cifar::has_part(&folder, part) {
                return Ok(None);
            }
            cifar::from_folder(&folder, part).map(|all| data(all, part.name()))
        } else if jpeg_pack::is_jpeg_pack(path) {
            let all = jpeg_pack::jpeg_pack(path, part)?;
            Ok(Some((Opened::Pictures(all), part.name().into())))
        } else if arrays::has_archives(path) {
            arrays(path, AxisOrder::Plain)
        } else if shards::has_shards(path) {
            shards::from_shards(path, part).map(named)
        } else if has_parquet(path) {
            parquet(path, part).map(named)
        } else {
            class_folders::class_folders(path, part).map(named)
        }
    }

    /// The training images, or the test images where there are no others.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn any(&self) -> Result<(Opened, String)> {
        self.part(Part::Train).or_else(|error| self.open(Part::Test).ok().flatten().ok_or(error))
    }

    /// Training images without their labels, in memory or not.
    ///
    /// # Errors
    /// The errors of [`Source::load`], and where too many pictures are damaged.
    #[cfg_attr(target_arch = "wasm32", expect(unused_variables, reason = "no photographs there"))]
    pub(super) fn images(
        &self,
        [channels, side]: [u32; 2],
        fit: Option<Fit>,
        augment: Augment,
        max_bad: f64,
    ) -> Result<Found> {
        #[cfg(target_arch = "wasm32")]
        return Found::new(&self.load(Part::Train, side)?, side, fit);
        #[cfg(not(target_arch = "wasm32"))]
        match self.any()?.0 {
            Opened::Data(data) => Found::new(&data, side, fit),
            Opened::Pictures(pictures) => {
                let (pictures, fit) =
                    (pictures.with_max_bad(max_bad), fit.unwrap_or(Fit::usual(channels)));
                let checksum = pictures.checksum()?;
                if pictures.is_large(side) || augment.takes_whole_pictures() {
                    let images = LabelledImages::Pictures { pictures, channels, side, fit };
                    return Ok(Found { images, checksum, damaged: Vec::new() });
                }
                let images = Arc::new(pictures.prepared([channels, side], fit)?).into();
                Ok(Found { images, checksum, damaged: pictures.damaged() })
            }
        }
    }
}

#[cfg(all(feature = "parquet", not(target_arch = "wasm32")))]
use super::tables::{has_tables as has_parquet, tables as parquet};

#[cfg(all(not(feature = "parquet"), not(target_arch = "wasm32")))]
fn has_parquet(_: &std::path::Path) -> bool {
    false
}

#[cfg(all(not(feature = "parquet"), not(target_arch = "wasm32")))]
fn parquet(path: &std::path::Path, _: Part) -> Result<Option<(Pictures, String)>> {
    Err(Error::bad_file(
        path,
        "it is a Parquet table, which this build cannot read, as it lacks the feature `parquet`",
    ))
}

/// The kind of data that a path leads to.
#[cfg(not(target_arch = "wasm32"))]
pub(super) enum Opened {
    Data(Dataset),
    Pictures(Pictures),
}

#[cfg(not(target_arch = "wasm32"))]
impl Pictures {
    /// Whether the images stay on disk, because decoded they would take too much memory.
    pub(super) fn is_large(&self, side: u32) -> bool {
        12 * u64::from(side) * u64::from(side) * self.len() as u64 > IN_MEMORY
    }
}

/// Images without labels, with the facts for a run's record.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub images: LabelledImages,
    /// The checksum of the images, as in [`Parts`].
    pub checksum: u64,
    /// Pictures that could not be read into memory, a sentence each.
    pub damaged: Vec<String>,
}

impl Found {
    fn new(data: &Dataset, side: u32, fit: Option<Fit>) -> Result<Self> {
        let (checksum, damaged) = (data.checksum(), data.damaged().to_vec());
        let images = Arc::new(data.prepared_as(side, fit.unwrap_or(Fit::Letterbox))?).into();
        Ok(Self { images, checksum, damaged })
    }
}

impl LabelledImages {
    /// Returns the number of colour channels.
    pub fn channels(&self) -> u32 {
        match self {
            Self::Prepared(images) => images.channels(),
            #[cfg(not(target_arch = "wasm32"))]
            Self::Pictures { channels, .. } => *channels,
        }
    }

    /// Returns the height and width at which the images are trained on.
    pub fn side(&self) -> u32 {
        match self {
            Self::Prepared(images) => images.side(),
            #[cfg(not(target_arch = "wasm32"))]
            Self::Pictures { side, .. } => *side,
        }
    }

    /// Returns the number of classes; all labels are below it.
    pub fn classes(&self) -> u32 {
        match self {
            Self::Prepared(images) => images.classes(),
            #[cfg(not(target_arch = "wasm32"))]
            Self::Pictures { pictures, .. } => pictures.classes(),
        }
    }

    /// Returns the number of images.
    pub fn len(&self) -> usize {
        match self {
            Self::Prepared(images) => images.len(),
            #[cfg(not(target_arch = "wasm32"))]
            Self::Pictures { pictures, .. } => pictures.len(),
        }
    }

    /// Returns false: there is always an image.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns one sentence for each picture that could not be read when it was asked for; none where all images lie in memory.
    pub fn damaged(&self) -> Vec<String> {
        match self {
            Self::Prepared(_) => Vec::new(),
            #[cfg(not(target_arch = "wasm32"))]
            Self::Pictures { pictures, .. } => pictures.damaged(),
        }
    }
}

impl From<Arc<Prepared>> for LabelledImages {
    fn from(images: Arc<Prepared>) -> Self {
        Self::Prepared(images)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fashion => out.write_str("builtin:fashion"),
            Self::Path(path) => write!(out, "{}", path.display()),
            Self::Arrays(layout, path) => {
                let name = if *layout == AxisOrder::Nchw { "nchw" } else { "nhwc" };
                write!(out, "{name}:{}", path.display())
            }
            Self::Tiles(side, folder) => write!(out, "tiles:{side}:{}", folder.display()),
        }
    }
}

pub(super) fn bad(key: &str, value: &str, allowed: &str) -> Error {
    Error::BadConfig { key: key.into(), value: format!("{value:?}"), allowed: allowed.into() }
}
