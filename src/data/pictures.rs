//! A list of pictures in files or archives, each found by its number. Nothing is read or decoded before it is asked for; pictures
//! that cannot be read are counted, listed and left out.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::about::About;
use super::checksum::Checksum;
use super::class_map::Classes;
use super::dataset::{Dataset, MAX_SIDE, balanced, check_labels};
use super::evaluation::Choose;
use super::fit::Fit;
use super::picture::Picture;
use super::places::{All, Places};
use super::prepared::Prepared;
use crate::{Error, Result, threads};

/// A list of pictures of any size in files or archives, with one label each.
#[derive(Clone)]
pub struct Pictures {
    all: Arc<All>,
    /// The numbers of the pictures in this selection, if it is not all.
    chosen: Option<Arc<[u32]>>,
}

impl Pictures {
    /// The share of pictures that may be damaged by default: one in ten.
    pub const MAX_BAD: f64 = 0.1;

    /// Puts places and labels together: one label each, below `classes`, or none at all.
    pub(super) fn new(
        origin: &Path,
        places: Places,
        labels: Vec<u32>,
        about: About,
        classes: u32,
    ) -> Result<Self> {
        let failed = |error: &dyn fmt::Display| Error::bad_file(origin, error);
        let (count, labelled) = (places.len(), labels.len());
        if count == 0 || u32::try_from(count).is_err() || (labelled != 0 && labelled != count) {
            let reason = format_args!(
                "there are {count} pictures and {labelled} labels, but 1 to 2^32 - 1 pictures are needed, and a label for all or none"
            );
            return Err(failed(&reason));
        }
        check_labels("pictures", &labels, classes).map_err(|error| failed(&error))?;
        let (damaged, max_bad) = (Mutex::default(), Self::MAX_BAD);
        let origin = origin.to_owned();
        let all = All { origin, places, labels, classes, about, max_bad, damaged };
        Ok(Self { all: Arc::new(all), chosen: None })
    }

    /// Sets the share (below 1) or number (from 1 on) of pictures that may be damaged.
    #[must_use]
    pub(super) fn with_max_bad(mut self, max_bad: f64) -> Self {
        // Before anything is shared, so there is no copy.
        if let Some(all) = Arc::get_mut(&mut self.all) {
            all.max_bad = max_bad;
        }
        self
    }

    /// Returns the number of pictures, damaged ones included.
    pub fn len(&self) -> usize {
        self.chosen.as_ref().map_or(self.all.places.len(), |chosen| chosen.len())
    }

    /// Returns false: there is always a picture.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of classes; all labels are below it.
    pub fn classes(&self) -> u32 {
        self.all.classes
    }

    /// Returns the names of the classes, by label; empty where the files have none.
    pub fn class_names(&self) -> &[String] {
        &self.all.about.class_names
    }

    /// Whether each picture lies in a file of its own.
    pub(super) fn are_files(&self) -> bool {
        matches!(self.all.places, Places::Files(_))
    }

    /// Returns whether the pictures have labels; without labels all count as of class 0.
    pub fn has_labels(&self) -> bool {
        self.all.about.unlabelled.is_none()
    }

    /// Describes the pictures, and those that could not be read so far.
    pub(super) fn about(&self) -> About {
        About { damaged: self.damaged(), ..self.all.about.clone() }
    }

    /// Decodes picture `index` in its own size, turned upright, with white behind transparent pixels: red, green and blue planes
    /// in \[0, 1\], with the numbers of rows and columns.
    ///
    /// # Errors
    /// `BadFile` where it cannot be read: there is no other in its place.
    pub fn view(&self, index: u32) -> Result<(Vec<f32>, [u32; 2])> {
        let read = self.all.read(self.number(index)?);
        let picture = read.map_err(|reason| Error::bad_file(&self.all.origin, reason))?;
        Ok((picture.to_unit(), [picture.height(), picture.width()]))
    }

    /// Reads the encoded bytes of picture `index`.
    ///
    /// # Errors
    /// `BadFile` where they cannot be read.
    pub fn bytes(&self, index: u32) -> Result<Vec<u8>> {
        let bytes = self.all.bytes(self.number(index)?);
        bytes.map_err(|reason| Error::bad_file(&self.all.origin, reason))
    }

    /// Returns the labels of this selection.
    pub(super) fn labels(&self) -> Vec<u32> {
        let numbers = (0..self.len() as u32).filter_map(|index| self.number(index).ok());
        numbers.map(|number| self.all.label(number)).collect()
    }

    /// Returns one sentence, with the file's path, for each picture that could not be read so far.
    pub fn damaged(&self) -> Vec<String> {
        self.lock().values().cloned().collect()
    }

    /// Decodes picture `index` or, if that is damaged, the next sound one, and its label, so that a batch stays whole and
    /// the same whoever makes it.
    ///
    /// # Errors
    /// `BadFile` where more are damaged than may be, and for a file that has gone.
    pub(super) fn sound(&self, index: u32) -> Result<(Picture, u32)> {
        let count = self.len() as u32;
        for other in (index..count).chain(0..index.min(count)) {
            let number = self.number(other)?;
            if self.lock().contains_key(&number) {
                continue;
            }
            match self.all.read(number) {
                Ok(picture) => return Ok((picture, self.all.label(number))),
                // A disk that has gone and comes back would otherwise leave other batches behind than one that stays.
                Err(_) if let Some(path) = self.all.gone(number) => {
                    return Err(Error::bad_file(
                        path,
                        "it was there when the pictures were listed, and is gone now",
                    ));
                }
                Err(reason) => drop(self.lock().insert(number, reason)),
            }
            self.check_damage()?;
        }
        Err(Error::bad_file(&self.all.origin, format!("none of its {count} pictures can be read")))
    }

    /// Decodes all pictures, turned upright, with white behind transparent pixels and fitted to `side` by `fit`, on as many threads
    /// as the machine has cores. Values are rounded to bytes, which changes nothing for cropped or stretched pictures: their
    /// values are bytes already.
    ///
    /// # Errors
    /// `BadFile` where more are damaged than may be; `Mismatch` for a side that is not within 1 to 4096.
    pub fn decoded(&self, side: u32, fit: Fit) -> Result<Dataset> {
        let (images, labels) = self.each([3, side], fit)?;
        let pixels = images.iter().map(|value| (value * 255.0).round() as u8).collect();
        let mut all = Dataset::new(3, side, side, self.classes(), pixels, labels)?;
        all.about = About { damaged: self.damaged(), ..self.all.about.clone() };
        Ok(all)
    }

    /// Decodes all pictures for a network of `channels` (1 or 3) and `side`, without rounding values to bytes.
    ///
    /// # Errors
    /// The errors of [`Pictures::decoded`], and `Mismatch` for other channels and for more than 8 GiB.
    pub fn prepared(&self, [channels, side]: [u32; 2], fit: Fit) -> Result<Prepared> {
        let (images, labels) = self.each([channels, side], fit)?;
        Prepared::from_f32(channels, side, self.classes(), images, labels)
    }

    /// Decodes only those pictures that `choose` takes. It chooses among all that are not known to be damaged, and again where one of
    /// its choice turns out to be so.
    ///
    /// # Errors
    /// The errors of [`Pictures::prepared`], for the chosen ones, and those of `choose`.
    pub(super) fn prepared_of(
        &self,
        size: [u32; 2],
        fit: Fit,
        choose: &mut Choose<'_>,
    ) -> Result<Prepared> {
        let classes = Classes { names: self.class_names(), count: self.classes() };
        let mut decoded = BTreeMap::new();
        loop {
            let mut sound = self.numbers()?;
            sound.retain(|number| !self.lock().contains_key(number));
            let labels: Vec<u32> = sound.iter().map(|&number| self.all.label(number)).collect();
            let places = choose(classes, &labels)?;
            let chosen = || places.iter().filter_map(|&place| sound.get(place).copied());
            let new: Vec<u32> = chosen().filter(|number| !decoded.contains_key(number)).collect();
            if new.is_empty() {
                let labels = chosen().map(|number| self.all.label(number)).collect();
                let images = chosen().filter_map(|number| decoded.remove(&number)).flatten();
                let [channels, side] = size;
                return Prepared::from_f32(channels, side, classes.count, images.collect(), labels);
            }
            let squares = new.iter().zip(self.squares(&new, size, fit)?);
            decoded.extend(squares.filter_map(|(&number, square)| Some((number, square?))));
        }
    }

    /// Returns all sound pictures, fitted, one after the other, and their labels.
    fn each(&self, size: [u32; 2], fit: Fit) -> Result<(Vec<f32>, Vec<u32>)> {
        let numbers = self.numbers()?;
        let squares = self.squares(&numbers, size, fit)?;
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        for (number, square) in numbers.iter().zip(squares) {
            if let Some(square) = square {
                images.extend(square);
                labels.push(self.all.label(*number));
            }
        }
        Ok((images, labels))
    }

    /// Decodes the pictures of these numbers and fits them; none in the place of one that is damaged.
    fn squares(
        &self,
        numbers: &[u32],
        [channels, side]: [u32; 2],
        fit: Fit,
    ) -> Result<Vec<Option<Vec<f32>>>> {
        if !(1..=MAX_SIDE).contains(&side) {
            return Err(Error::mismatch(
                "pictures",
                format!("side {side}, to which they are fitted"),
                format!("a side of 1 to {MAX_SIDE} pixels"),
            ));
        }
        let read = |&number: &u32| {
            let square = self.all.read(number).and_then(|picture| {
                let fitted = picture.fitted(channels, side, fit);
                fitted.map_err(|error| self.all.described(number, &error))
            });
            square.map_err(|reason| drop(self.lock().insert(number, reason))).ok()
        };
        let squares = threads::map("decoding pictures", numbers, |number| Ok(read(number)))?;
        self.check_damage()?;
        Ok(squares)
    }

    /// Splits off `held_out` pictures, drawn evenly by class as `seed` says ([`Dataset::split`]). Returns (the others, held out).
    ///
    /// # Errors
    /// `Mismatch` where `held_out` is more than there are.
    pub fn split(&self, held_out: usize, seed: u64) -> Result<(Self, Self)> {
        let numbers = self.numbers()?;
        let labels: Vec<u32> = numbers.iter().map(|&number| self.all.label(number)).collect();
        let held = balanced(&labels, self.classes(), held_out, seed)?;
        let part = |wanted: bool| {
            let numbers = numbers.iter().zip(&held).filter(|&(_, &held)| held == wanted);
            let chosen = numbers.map(|(&number, _)| number).collect();
            Self { all: Arc::clone(&self.all), chosen: Some(chosen) }
        };
        Ok((part(false), part(true)))
    }

    /// Returns at most `count` of the pictures, evenly spaced.
    #[must_use]
    pub fn sample(&self, count: usize) -> Self {
        let (count, len) = (count.min(self.len()), self.len() as u64);
        let index = |i: usize| (i as u64 * len / count.max(1) as u64) as u32;
        let chosen = (0..count).filter_map(|i| self.number(index(i)).ok()).collect();
        Self { all: Arc::clone(&self.all), chosen: Some(chosen) }
    }

    /// Computes a fingerprint of the pictures, by which a run recognises its data, from their names below the folder, file sizes
    /// and labels. It does not read their contents, which might take days.
    ///
    /// # Errors
    /// `BadFile` where a file has gone.
    pub fn checksum(&self) -> Result<u64> {
        let All { origin, places, labels, .. } = &*self.all;
        let size = |path: &Path| {
            let found = std::fs::metadata(path).map_err(|error| Error::bad_file(path, error))?;
            Ok::<_, Error>(found.len())
        };
        let file = |sum: Checksum, path: &Path| {
            let name = path.strip_prefix(origin).unwrap_or_else(|_| Path::new(""));
            let name = name.components().flat_map(|part| {
                let part = part.as_os_str().to_string_lossy().into_owned();
                part.into_bytes().into_iter().chain([0])
            });
            Ok::<_, Error>(sum.feed(name).feed(size(path)?.to_le_bytes()))
        };
        let mut sum = Checksum::new().feed(labels.iter().flat_map(|label| label.to_le_bytes()));
        match places {
            Places::Files(files) => {
                for path in files {
                    sum = file(sum, path)?;
                }
            }
            Places::Ranges { files, ranges, head } => {
                for path in files {
                    sum = file(sum, path)?;
                }
                let lengths = ranges.iter().flat_map(|(_, _, length)| length.to_le_bytes());
                sum = sum.feed(head.iter().copied()).feed(lengths);
            }
            Places::Zipped { file: path, entries } => {
                let lengths = entries.iter().flat_map(|entry| entry.size.to_le_bytes());
                sum = file(sum, path)?.feed(lengths);
            }
            #[cfg(feature = "parquet")]
            Places::Held { files, held } => {
                for path in files {
                    sum = file(sum, path)?;
                }
                let lengths = held.iter().flat_map(|(_, bytes)| (bytes.len() as u64).to_le_bytes());
                sum = sum.feed(lengths);
            }
            Places::TinyImages { file: path, .. } => sum = file(sum, path)?,
        }
        Ok(sum.value())
    }

    fn numbers(&self) -> Result<Vec<u32>> {
        (0..self.len() as u32).map(|index| self.number(index)).collect()
    }

    fn number(&self, index: u32) -> Result<u32> {
        let found = match &self.chosen {
            Some(chosen) => chosen.get(index as usize).copied(),
            None => Some(index).filter(|&index| (index as usize) < self.len()),
        };
        found.ok_or_else(|| {
            Error::mismatch(
                "pictures",
                format!("picture {index} (counted from 0)"),
                format!("a number below {}, the number of pictures", self.len()),
            )
        })
    }

    fn check_damage(&self) -> Result<()> {
        let (damaged, all) = (self.lock(), self.all.places.len());
        let most = match self.all.max_bad {
            share if share < 1.0 => (share * all as f64) as usize,
            number => number as usize,
        };
        let (count, first) = (damaged.len(), damaged.values().next());
        match first {
            Some(first) if count > most || count >= all => {
                let reason = format!(
                    "{count} of {all} pictures cannot be read, but data.max_bad allows at most {most}; the first is {first}"
                );
                Err(Error::bad_file(&self.all.origin, reason))
            }
            _ => Ok(()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, String>> {
        // Each change of the list is one insertion, so it is whole whatever happened to a thread.
        self.all.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pictures {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "Pictures({} in {} classes, {})",
            self.len(),
            self.classes(),
            self.all.origin.display()
        )
    }
}
