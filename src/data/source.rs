//! What a configuration may name as labelled images, and how they are read.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::augment::Augment;
use super::dataset::{Dataset, MAX_SIDE, Part};
use super::fashion;
use super::fit::Fit;
use super::prepared::Prepared;
#[cfg(not(target_arch = "wasm32"))]
use super::{
    arrays, cifar, class_folders, folder, jpeg_pack, pictures::Pictures, shards, tiles, tiny_images,
};
use crate::{Error, Result};

/// What paths may lead to, as messages have it.
#[cfg(not(target_arch = "wasm32"))]
pub(super) const KNOWN: &str = "idx files, CIFAR's binary files or their .tar.gz, a folder of PNG and JPEG files for each \
     class, tar shards, .npz and .npy, head.bin with train.jpgs, Tiny Images' .bin";

/// Images up to this many bytes of f32 lie in memory, decoded once; more are read anew in every epoch.
#[cfg(not(target_arch = "wasm32"))]
const IN_MEMORY: u64 = 1 << 30;
/// Channels of pictures that are trained on.
#[cfg(not(target_arch = "wasm32"))]
const COLOURS: u32 = 3;

/// Labelled images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `builtin:fashion`, the embedded cut of Fashion-MNIST.
    Fashion,
    /// A file or a folder; which format it is shows when it is read.
    Path(PathBuf),
    /// `tiles:SIDE:FOLDER`, pictures that are grids of square images of that side, without labels.
    Tiles(u32, PathBuf),
}

/// Images to train with: in memory, or on disk and decoded when they are asked for.
#[derive(Clone, Debug)]
pub enum Images {
    /// In memory, of the side that they are trained at.
    Prepared(Arc<Prepared>),
    /// On disk, of any size.
    #[cfg(not(target_arch = "wasm32"))]
    Pictures {
        /// Which.
        pictures: Pictures,
        /// 1 or 3, which they are brought to.
        channels: u32,
        /// Rows and columns that they are brought to.
        side: u32,
        /// How they are.
        fit: Fit,
    },
}

/// How images are read for training.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Rows and columns.
    pub side: u32,
    /// How images come to that side; `None` for pictures cropped, and arrays as [`Dataset::prepared`] does it.
    pub fit: Option<Fit>,
    /// The share (below 1) or number (from 1 on) of pictures that may be damaged.
    pub max_bad: f64,
    /// Whether the augmentation cuts parts out of whole pictures: these then stay on disk, however few.
    pub whole: bool,
}

#[cfg(not(target_arch = "wasm32"))]
impl Reading {
    /// For some recipes.
    pub fn new(side: u32, fit: Option<Fit>, max_bad: f64, augments: &[Augment]) -> Self {
        let whole = augments.iter().any(|augment| augment.takes_whole_pictures());
        Self { side, fit, max_bad, whole }
    }
}

/// What is kept from training: so many training images, drawn by a seed; 0 for none.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Clone, Copy, Debug)]
pub struct Split {
    /// In the test images' place.
    pub held_out: (usize, u64),
    /// To choose weights by.
    pub validation: (Kept, u64),
    /// The most test pictures that are read of those that stay on disk.
    pub most_test: usize,
}

/// How many images.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kept {
    /// So many.
    Images(usize),
    /// This share of those that training has, rounded up: none for 0 alone.
    Share(f64),
}

#[cfg(not(target_arch = "wasm32"))]
impl Kept {
    fn of(self, all: usize) -> usize {
        match self {
            Self::Images(count) => count,
            Self::Share(share) => (share * all as f64).ceil() as usize,
        }
    }
}

/// Images of both parts, as training takes them.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Clone, Debug)]
pub struct Parts {
    /// To train with.
    pub train: Images,
    /// Each channel's mean and deviation over the training images, or over 512 of those that stay on disk.
    pub statistics: [Vec<f32>; 2],
    /// To judge by.
    pub test: Prepared,
    /// To choose weights by, where some are kept back for that.
    pub validation: Option<Prepared>,
    /// How other images are brought to the side of a network that learns from these.
    pub fit: Fit,
    /// Of the source's training images: [`Dataset::checksum`], or [`Pictures::checksum`] of those that stay on disk.
    pub checksum: u64,
    /// What the classes are called, by label; empty where the data does not say.
    pub class_names: Vec<String>,
    /// Pictures that could not be read and are left out, a sentence each.
    pub damaged: Vec<String>,
}

impl Source {
    /// Reads `builtin:fashion`, a path, or `tiles:SIDE:FOLDER`; whether anything is there shows when it is loaded.
    ///
    /// # Errors
    /// `BadConfig` for an empty text, for other builtins, and for tiles of no side.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "builtin:fashion" => Ok(Self::Fashion),
            _ if text.is_empty() || text.starts_with("builtin:") => {
                Err(bad("data", text, "builtin:fashion, or the path of a data folder or file"))
            }
            _ => match text.strip_prefix("tiles:") {
                None => Ok(Self::Path(text.into())),
                Some(rest) => {
                    let (side, folder) = rest.split_once(':').unwrap_or_default();
                    let side = side.parse().ok().filter(|side| (1..=MAX_SIDE).contains(side));
                    let side = side.filter(|_| !folder.is_empty());
                    side.map(|side| Self::Tiles(side, folder.into())).ok_or_else(|| {
                        bad("data", text, "tiles:SIDE:FOLDER, as tiles:32:some/path")
                    })
                }
            },
        }
    }

    /// Reads all images of one part into memory. Photographs are brought to `side`×`side`, all others are of the size that
    /// the file says, for [`Dataset::prepared`] to bring to a side.
    ///
    /// # Errors
    /// `BadFile` for what is not there, is of no known format or is damaged; a browser has no files.
    #[cfg_attr(target_arch = "wasm32", expect(unused_variables, reason = "no photographs there"))]
    pub fn load(&self, part: Part, side: u32) -> Result<Dataset> {
        match self {
            Self::Fashion => fashion::load(part),
            #[cfg(target_arch = "wasm32")]
            Self::Path(path) => Dataset::from_idx_folder(path, part),
            #[cfg(target_arch = "wasm32")]
            Self::Tiles(_, path) => Err(Error::bad_file(path, "no pictures are read in a browser")),
            #[cfg(not(target_arch = "wasm32"))]
            Self::Path(_) | Self::Tiles(..) => match self.open(part)? {
                Opened::Data(data) => Ok(data),
                Opened::Pictures(pictures) => pictures.decoded(side, Fit::Crop),
            },
        }
    }

    /// Finds out what is there, by names alone.
    #[cfg(not(target_arch = "wasm32"))]
    fn open(&self, part: Part) -> Result<Opened> {
        let path = match self {
            Self::Fashion => return fashion::load(part).map(Opened::Data),
            Self::Tiles(_, folder) if part == Part::Test => {
                return Err(class_folders::undivided(folder));
            }
            Self::Tiles(side, folder) => return tiles::tiles(folder, *side).map(Opened::Data),
            Self::Path(path) => path,
        };
        if path.is_file() {
            let name = path.to_string_lossy().to_ascii_lowercase();
            return if name.ends_with(".tar.gz") || name.ends_with(".tgz") {
                cifar::from_archive(path, part).map(Opened::Data)
            } else if name.ends_with(".tar") {
                shards::from_shards(path, part).map(Opened::Pictures)
            } else if name.ends_with(".npz") || name.ends_with(".npy") {
                arrays::from_arrays(path, part).map(Opened::Data)
            } else if name.ends_with(".bin") && part == Part::Train {
                tiny_images::tiny_images(path).map(Opened::Pictures)
            } else if name.ends_with(".bin") {
                Err(class_folders::undivided(path))
            } else {
                Err(Error::bad_file(path, format!("no file that is known as data: {KNOWN}")))
            };
        }
        if folder::has_idx(path) {
            Dataset::from_idx_folder(path, part).map(Opened::Data)
        } else if let Some(folder) = cifar::cifar_folder(path) {
            cifar::from_folder(&folder, part).map(Opened::Data)
        } else if jpeg_pack::is_jpeg_pack(path) {
            jpeg_pack::jpeg_pack(path, part).map(Opened::Pictures)
        } else if arrays::has_archives(path) {
            arrays::from_arrays(path, part).map(Opened::Data)
        } else if shards::has_shards(path) {
            shards::from_shards(path, part).map(Opened::Pictures)
        } else {
            class_folders::class_folders(path, part).map(Opened::Pictures)
        }
    }

    /// Training images without their labels, in memory or not.
    ///
    /// # Errors
    /// As [`Source::load`], and where too many pictures are damaged.
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
        match self.open(Part::Train)? {
            Opened::Data(data) => Found::new(&data, side, fit),
            Opened::Pictures(pictures) => {
                let (pictures, fit) =
                    (pictures.with_max_bad(max_bad), fit.unwrap_or(Fit::usual(channels)));
                let checksum = pictures.checksum()?;
                if pictures.is_large(side) || augment.takes_whole_pictures() {
                    let images = Images::Pictures { pictures, channels, side, fit };
                    return Ok(Found { images, checksum, damaged: Vec::new() });
                }
                let images = Arc::new(pictures.prepared([channels, side], fit)?).into();
                Ok(Found { images, checksum, damaged: pictures.damaged() })
            }
        }
    }

    /// Both parts: the file's own, or training images and those of them that are kept back in their place, and what is kept
    /// back for validation. Of test pictures that stay on disk equally many of each class are read.
    ///
    /// # Errors
    /// As [`Source::load`]; `BadFile` where too many pictures are damaged or have no labels; `Mismatch` where more is to be
    /// kept back than there is.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn parts(&self, reading: Reading, split: Split) -> Result<Parts> {
        let side = reading.side;
        let pictures = match self.open(Part::Train)? {
            Opened::Data(data) => return self.parts_in_memory(data, reading, split),
            Opened::Pictures(pictures) => pictures.with_max_bad(reading.max_bad),
        };
        if !pictures.has_labels() {
            return Err(Error::bad_file(self.to_string(), "its pictures have no labels"));
        }
        // What has been cropped or stretched is bytes again; means of squares are not, and are made anew each time.
        let fit = reading.fit.unwrap_or(Fit::Crop);
        if !(pictures.is_large(side) || reading.whole || fit == Fit::Letterbox) {
            let parts = self.parts_in_memory(pictures.decoded(side, fit)?, reading, split)?;
            return Ok(Parts { fit, ..parts });
        }
        let (train, test) = match split.held_out {
            (0, _) => match self.open(Part::Test)? {
                Opened::Pictures(test) => (pictures, test.with_max_bad(reading.max_bad)),
                Opened::Data(_) => {
                    return Err(Error::bad_file(self.to_string(), "no test pictures"));
                }
            },
            (count, seed) => pictures.split(count, seed)?,
        };
        let (kept, seed) = split.validation;
        let (train, validation) = match kept.of(train.len()) {
            0 => (train, None),
            count => {
                let (train, kept) = train.split(count, seed)?;
                (train, Some(kept.prepared([COLOURS, side], fit)?))
            }
        };
        let test = test.split(test.len().min(split.most_test), split.held_out.1)?.1;
        let judged = test.prepared([COLOURS, side], fit)?;
        let sample = train.sample(512).prepared([COLOURS, side], fit)?;
        let mut damaged = train.damaged();
        damaged
            .extend(test.damaged().iter().filter(|line| !train.damaged().contains(line)).cloned());
        Ok(Parts {
            statistics: [sample.mean().to_vec(), sample.std().to_vec()],
            test: judged,
            validation,
            fit,
            checksum: train.checksum()?,
            class_names: train.class_names().to_vec(),
            damaged,
            train: Images::Pictures { pictures: train, channels: COLOURS, side, fit },
        })
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn parts_in_memory(&self, all: Dataset, reading: Reading, split: Split) -> Result<Parts> {
        let side = reading.side;
        let prepared =
            |data: &Dataset| data.prepared_as(side, reading.fit.unwrap_or(Fit::Letterbox));
        let checksum = all.checksum();
        let (class_names, mut damaged) = (all.class_names().to_vec(), all.damaged().to_vec());
        let (train, test) = match split.held_out {
            (0, _) => {
                let test = match self.open(Part::Test)? {
                    Opened::Data(test) => test,
                    // Folders are in the order of their classes: the first so many would be of the first alone.
                    Opened::Pictures(test) => {
                        let most = test.len().min(split.most_test);
                        let test = test.with_max_bad(reading.max_bad);
                        let fit = reading.fit.unwrap_or(Fit::Crop);
                        test.split(most, split.held_out.1)?.1.decoded(side, fit)?
                    }
                };
                damaged.extend_from_slice(test.damaged());
                (all, test)
            }
            (count, seed) => all.split(count, seed)?,
        };
        let (kept, seed) = split.validation;
        let (train, validation) = match kept.of(train.len()) {
            0 => (train, None),
            count => {
                let (train, kept) = train.split(count, seed)?;
                (train, Some(prepared(&kept)?))
            }
        };
        let taught = reading.fit.unwrap_or(train.taught_fit(side));
        let (train, test) = (prepared(&train)?, prepared(&test)?);
        let statistics = [train.mean().to_vec(), train.std().to_vec()];
        let train = Images::Prepared(Arc::new(train));
        Ok(Parts {
            train,
            statistics,
            test,
            validation,
            fit: taught,
            checksum,
            class_names,
            damaged,
        })
    }
}

/// What a path leads to.
#[cfg(not(target_arch = "wasm32"))]
enum Opened {
    Data(Dataset),
    Pictures(Pictures),
}

#[cfg(not(target_arch = "wasm32"))]
impl Pictures {
    /// Whether they stay on disk.
    fn is_large(&self, side: u32) -> bool {
        12 * u64::from(side) * u64::from(side) * self.len() as u64 > IN_MEMORY
    }
}

/// Images without labels, and what a run's record says of them.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub images: Images,
    /// As of [`Parts`].
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

impl Images {
    /// Colour channels.
    pub fn channels(&self) -> u32 {
        match self {
            Self::Prepared(images) => images.channels(),
            #[cfg(not(target_arch = "wasm32"))]
            Self::Pictures { channels, .. } => *channels,
        }
    }

    /// Rows and columns that they are trained at.
    pub fn side(&self) -> u32 {
        match self {
            Self::Prepared(images) => images.side(),
            #[cfg(not(target_arch = "wasm32"))]
            Self::Pictures { side, .. } => *side,
        }
    }

    /// All labels are below this.
    pub fn classes(&self) -> u32 {
        match self {
            Self::Prepared(images) => images.classes(),
            #[cfg(not(target_arch = "wasm32"))]
            Self::Pictures { pictures, .. } => pictures.classes(),
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::Prepared(images) => images.len(),
            #[cfg(not(target_arch = "wasm32"))]
            Self::Pictures { pictures, .. } => pictures.len(),
        }
    }

    /// Never, and here because `len` is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Pictures that could not be read when they were asked for, a sentence each; none where all lie in memory.
    pub fn damaged(&self) -> Vec<String> {
        match self {
            Self::Prepared(_) => Vec::new(),
            #[cfg(not(target_arch = "wasm32"))]
            Self::Pictures { pictures, .. } => pictures.damaged(),
        }
    }
}

impl From<Arc<Prepared>> for Images {
    fn from(images: Arc<Prepared>) -> Self {
        Self::Prepared(images)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fashion => out.write_str("builtin:fashion"),
            Self::Path(path) => write!(out, "{}", path.display()),
            Self::Tiles(side, folder) => write!(out, "tiles:{side}:{}", folder.display()),
        }
    }
}

pub(super) fn bad(key: &str, value: &str, allowed: &str) -> Error {
    Error::BadConfig { key: key.into(), value: format!("{value:?}"), allowed: allowed.into() }
}
