//! Loads images for training: the training and test parts, the images that are held out, and the class names, counts and
//! fingerprints that a run records.

use std::sync::Arc;

use super::about::About;
use super::augment::Augment;
use super::dataset::{Dataset, Part};
#[cfg(feature = "cli")]
use super::evaluation::Choose;
use super::fit::Fit;
use super::labels::not_taught;
use super::pictures::Pictures;
use super::prepared::Prepared;
use super::source::{LabelledImages, Opened, Source};
use crate::{Error, Result};

/// Channels of pictures that are trained on.
const COLOURS: u32 = 3;

/// Settings for reading training images: size, fitting, and how many pictures may be damaged.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The height and width that images are resized to.
    pub side: u32,
    /// How images are fitted to `side`; `None` crops pictures ([`Fit::Crop`]) and letterboxes arrays ([`Fit::Letterbox`]).
    pub fit: Option<Fit>,
    /// How many pictures may be damaged: a share of all if below 1, a number from 1 on.
    pub max_bad: f64,
    /// Whether the augmentation cuts parts out of whole pictures: then they are decoded from disk for each batch, however few they
    /// are, and not kept in memory.
    pub whole: bool,
}

impl Reading {
    /// Makes the settings for reading images that training changes by these augmentation recipes.
    pub fn new(side: u32, fit: Option<Fit>, max_bad: f64, augments: &[Augment]) -> Self {
        let whole = augments.iter().any(|augment| augment.takes_whole_pictures());
        Self { side, fit, max_bad, whole }
    }
}

/// How many training images are kept from training for tests and validation, and by which seeds they are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Split {
    /// The number of training images that serve as test images where the data has none, or else to choose the best weights, and
    /// the seed they are drawn by.
    pub held_out: (Kept, u64),
    /// The number of training images that are kept back to choose the best weights, where `held_out` gives none, and the
    /// seed they are drawn by.
    pub validation: (Kept, u64),
    /// The largest number of test pictures to read, if pictures stay on disk.
    pub most_test: usize,
}

/// A number of images that are kept from training: absolute, or as a share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kept {
    /// This number of images, however many training images there are.
    Images(usize),
    /// This share of the training images, rounded up; none only if it is 0.
    Share(f64),
}

impl Kept {
    /// Returns what a configuration's number means: a share of the images below 1, a number of images from 1 on.
    #[cfg(feature = "train")]
    pub(crate) fn from_number(number: f64) -> Self {
        if number < 1.0 { Self::Share(number) } else { Self::Images(number as usize) }
    }

    fn of(self, all: usize) -> usize {
        match self {
            Self::Images(count) => count,
            Self::Share(share) => (share * all as f64).ceil() as usize,
        }
    }
}

/// The images of a training run: for training, tests and validation, with class names and fingerprints.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The images to train with.
    pub train: LabelledImages,
    /// The mean and the standard deviation of each channel over the training images, or over 512 of them where they are not held
    /// in memory but stay on disk.
    pub statistics: [Vec<f32>; 2],
    /// The test images.
    pub test: Prepared,
    /// The validation images, by which the best weights are chosen, if some are kept from training for that.
    pub validation: Option<Prepared>,
    /// How other images are to be fitted for a network that was trained on these training images.
    pub fit: Fit,
    /// The fingerprint of the training images: [`Dataset::checksum`], or [`Pictures::checksum`] for those that stay on disk.
    pub checksum: u64,
    /// The names of the classes, by label; empty where the data has none.
    pub class_names: Vec<String>,
    /// One sentence for each picture that could not be read and is left out.
    pub damaged: Vec<String>,
}

impl Source {
    /// Loads the training and the test part, and holds images out of training. Where the files have no test part,
    /// `held_out` training images become the test images. Where they have one, the held-out images are used to choose the
    /// best weights, and `validation` takes no others. Of test pictures that stay on disk equally many of each class are
    /// read.
    ///
    /// # Errors
    /// The errors of [`Source::load`]; `BadFile` where too many pictures are damaged, or labels are missing, begin at 1, have gaps or are of
    /// one class; `Mismatch` where more is to be kept back than there is.
    pub fn parts(&self, reading: Reading, split: Split) -> Result<Parts> {
        let side = reading.side;
        let (opened, decoded_as) = self.training(reading)?;
        let pictures = match opened {
            Opened::Data(data) => {
                let own = || self.test_in_memory(reading, split);
                let parts = Parts::in_memory(data, own, &self.to_string(), reading, split)?;
                return Ok(Parts { fit: decoded_as.unwrap_or(parts.fit), ..parts });
            }
            Opened::Pictures(pictures) => pictures,
        };
        let fit = reading.fit.unwrap_or(Fit::Crop);
        let own = || {
            let own = self.open(Part::Test)?.map(|(own, _)| match own {
                Opened::Pictures(own) => Ok(own.with_max_bad(reading.max_bad)),
                Opened::Data(_) => Err(Error::bad_file(self.to_string(), "its training part holds picture files and its test part does not: both have to be of one kind")),
            });
            own.transpose()
        };
        let by: Dividing<Pictures> = (Pictures::len, Pictures::split);
        let (train, test, validation) = divided(pictures, own, &self.to_string(), split, by)?;
        let test = test.split(test.len().min(split.most_test), split.held_out.1)?.1;
        let prepared = |pictures: &Pictures| pictures.prepared([COLOURS, side], fit);
        let (judged, sample) = (prepared(&test)?, prepared(&train.sample(512))?);
        let validation = validation.as_ref().map(prepared).transpose()?;
        Ok(Parts {
            statistics: [sample.mean().to_vec(), sample.std().to_vec()],
            test: judged,
            validation,
            fit,
            checksum: train.checksum()?,
            class_names: train.class_names().to_vec(),
            damaged: left_out(&[train.about(), test.about()]),
            train: LabelledImages::Pictures { pictures: train, channels: COLOURS, side, fit },
        })
    }

    /// Opens the training part. Pictures that are small enough are decoded, and were fitted in the way that is told with them.
    fn training(&self, reading: Reading) -> Result<(Opened, Option<Fit>)> {
        let refused = |reason: Option<String>| {
            reason.map_or(Ok(()), |reason| Err(Error::bad_file(self.to_string(), reason)))
        };
        let pictures = match self.part(Part::Train)?.0 {
            Opened::Data(data) => {
                refused(not_taught(data.labels(), data.classes(), &data.about))?;
                return Ok((Opened::Data(data), None));
            }
            Opened::Pictures(pictures) => pictures.with_max_bad(reading.max_bad),
        };
        refused(not_taught(&pictures.labels(), pictures.classes(), &pictures.about()))?;
        // What has been cropped or stretched is bytes again; means of squares are not, and are made anew each time.
        let fit = reading.fit.unwrap_or(Fit::Crop);
        if pictures.is_large(reading.side) || reading.whole || fit == Fit::Letterbox {
            return Ok((Opened::Pictures(pictures), None));
        }
        Ok((Opened::Data(pictures.decoded(reading.side, fit)?), Some(fit)))
    }

    /// Reads, of the training images that [`Source::parts`] makes the test images of data without a test part, those that `choose`
    /// takes, and the names of their classes. Of pictures that stay on disk no others are decoded.
    ///
    /// # Errors
    /// The errors of [`Source::parts`], and those of `choose`.
    #[cfg(feature = "cli")]
    pub(crate) fn held_out(
        &self,
        reading: Reading,
        split: Split,
        choose: &mut Choose<'_>,
    ) -> Result<(Prepared, Vec<String>)> {
        let (side, name) = (reading.side, self.to_string());
        match self.training(reading)?.0 {
            Opened::Data(data) => {
                let by: Dividing<Dataset> = (Dataset::len, Dataset::split);
                let (_, test, _) = divided(data, || Ok(None), &name, split, by)?;
                let fit = reading.fit.unwrap_or(Fit::Letterbox);
                Ok((test.prepared_of(side, fit, choose)?, test.class_names().to_vec()))
            }
            Opened::Pictures(pictures) => {
                let by: Dividing<Pictures> = (Pictures::len, Pictures::split);
                let (_, test, _) = divided(pictures, || Ok(None), &name, split, by)?;
                let test = test.split(test.len().min(split.most_test), split.held_out.1)?.1;
                let fit = reading.fit.unwrap_or(Fit::Crop);
                let images = test.prepared_of([COLOURS, side], fit, choose)?;
                Ok((images, test.class_names().to_vec()))
            }
        }
    }

    /// Returns the number of channels and of classes of the training part. Pictures are counted and not decoded; what is an array
    /// in its file is read.
    ///
    /// # Errors
    /// The errors of [`Source::parts`] that do not need a picture to be decoded.
    #[cfg(feature = "cli")]
    pub(crate) fn counted(&self) -> Result<[u32; 2]> {
        let (shape, refused) = match self.part(Part::Train)?.0 {
            Opened::Data(data) => {
                let shape = [data.channels(), data.classes()];
                (shape, not_taught(data.labels(), data.classes(), &data.about))
            }
            Opened::Pictures(pictures) => {
                let classes = pictures.classes();
                let refused = not_taught(&pictures.labels(), classes, &pictures.about());
                ([COLOURS, classes], refused)
            }
        };
        match refused {
            Some(reason) => Err(Error::bad_file(self.to_string(), reason)),
            None => Ok(shape),
        }
    }

    /// The part to test with, if the files have one.
    fn test_in_memory(&self, reading: Reading, split: Split) -> Result<Option<Dataset>> {
        let own = self.open(Part::Test)?.map(|(own, _)| match own {
            Opened::Data(own) => Ok(own),
            // Folders are in the order of their classes: the first so many would be of the first alone.
            Opened::Pictures(own) => {
                let most = own.len().min(split.most_test);
                let own = own.with_max_bad(reading.max_bad);
                let (_, drawn) = own.split(most, split.held_out.1)?;
                drawn.decoded(reading.side, reading.fit.unwrap_or(Fit::Crop))
            }
        });
        own.transpose()
    }
}

impl Parts {
    /// Divides images in memory into those for training, tests and validation, by the rules of [`Source::parts`]. `test` are
    /// the test images, if there are any; `name` is for messages.
    ///
    /// # Errors
    /// `BadFile` for labels that begin at 1, have gaps or are of one class; `Mismatch` where more is to be kept back than there
    /// is, and for sides that no image is brought to.
    pub fn of(
        train: Dataset,
        test: Option<Dataset>,
        name: &str,
        reading: Reading,
        split: Split,
    ) -> Result<Self> {
        match not_taught(train.labels(), train.classes(), &train.about) {
            Some(reason) => Err(Error::bad_file(name, reason)),
            None => Self::in_memory(train, || Ok(test), name, reading, split),
        }
    }

    /// `own` are the images to test with, if there are any: read when the training images are divided.
    fn in_memory(
        all: Dataset,
        own: impl FnOnce() -> Result<Option<Dataset>>,
        name: &str,
        reading: Reading,
        split: Split,
    ) -> Result<Self> {
        let side = reading.side;
        let prepared =
            |data: &Dataset| data.prepared_as(side, reading.fit.unwrap_or(Fit::Letterbox));
        let (checksum, class_names) = (all.checksum(), all.class_names().to_vec());
        let by: Dividing<Dataset> = (Dataset::len, Dataset::split);
        let (train, test, validation) = divided(all, own, name, split, by)?;
        let fit = reading.fit.unwrap_or(train.taught_fit(side));
        let damaged = left_out(&[train.about.clone(), test.about.clone()]);
        let validation = validation.as_ref().map(prepared).transpose()?;
        let (train, test) = (prepared(&train)?, prepared(&test)?);
        let statistics = [train.mean().to_vec(), train.std().to_vec()];
        let train = LabelledImages::Prepared(Arc::new(train));
        Ok(Self { train, statistics, test, validation, fit, checksum, class_names, damaged })
    }
}

/// The length of a set of images, and the set without so many of them, drawn by a seed, and these.
type Dividing<T> = (fn(&T) -> usize, fn(&T, usize, u64) -> Result<(T, T)>);

/// Divides images into those to train, to test and to validate with; `own` are those to test with, if the data has any.
fn divided<T>(
    all: T,
    own: impl FnOnce() -> Result<Option<T>>,
    name: &str,
    split: Split,
    (len, part): Dividing<T>,
) -> Result<(T, T, Option<T>)> {
    let apart = |from: T, (kept, seed): (Kept, u64)| match kept.of(len(&from)) {
        0 => Ok((from, None)),
        count => part(&from, count, seed).map(|(rest, kept)| (rest, Some(kept))),
    };
    let (train, held) = apart(all, split.held_out)?;
    let (test, held) = match (own()?, held) {
        (Some(own), held) => (own, held),
        (None, Some(held)) => (held, None),
        (None, None) => return Err(undivided(name)),
    };
    // Images that are held out beside a test part of the data's own are those to validate with.
    let (train, validation) = match held {
        Some(_) => (train, held),
        None => apart(train, split.validation)?,
    };
    Ok((train, test, validation))
}

fn undivided(name: &str) -> Error {
    super::class_folders::undivided(std::path::Path::new(name))
}

/// All that was not read, each sentence once.
fn left_out(sets: &[About]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in sets.iter().flat_map(|about| about.notes.iter().chain(&about.damaged)) {
        if !lines.contains(line) {
            lines.push(line.clone());
        }
    }
    lines
}
