//! Reads the images that evaluation uses, as a network takes them: the test part, or all images where there is no such part.

use super::class_folders::every_picture;
use super::dataset::{Dataset, Part};
use super::fit::Fit;
use super::labels::{not_judged, unusual};
use super::pictures::Pictures;
use super::prepared::Prepared;
use super::source::{Opened, Source};
use crate::{Error, Result};

/// Images without labels: of one size in memory, or pictures of any size in files.
#[derive(Clone, Debug)]
pub enum Viewed {
    /// Images of one size, in memory.
    Images(Dataset),
    /// Pictures of various sizes, in files.
    Pictures(Pictures),
}

/// Test images with labels, prepared for a network that is evaluated on them.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The images in the size and range that the network takes.
    pub images: Prepared,
    /// The names of the classes, by label; empty where the files have none.
    pub class_names: Vec<String>,
    /// The name of the part that was read, such as `test`; `all` where the files have no parts.
    pub part: String,
    /// One sentence for each picture or kind of file that was left out, for values that look mistaken, and for classes without
    /// images.
    pub notes: Vec<String>,
}

impl Source {
    /// Reads the test images (the part `test`, `testing`, `val`, `valid` or `validation`), or all images where there is no such
    /// part, for a network of `channels`, `side` and `classes`. They are fitted by `fit`; `None` letterboxes arrays, and pictures
    /// for a network of one channel, and crops pictures for any other. Pictures become grey or coloured as the network is.
    /// `max_bad` of the pictures may be damaged: a share of all if below 1, a number from 1 on.
    ///
    /// # Errors
    /// The errors of [`Source::load`]; `BadFile` where labels are missing or beyond the classes, or arrays have other channels.
    pub fn evaluation(
        &self,
        [channels, side, classes]: [u32; 3],
        fit: Option<Fit>,
        max_bad: f64,
    ) -> Result<Evaluation> {
        let (opened, part) = match self.open(Part::Test)? {
            Some(found) => found,
            None => self.part(Part::Train)?,
        };
        let refused = |reason: String| Error::bad_file(self.to_string(), reason);
        let (images, about) = match opened {
            Opened::Data(data) => {
                if let Some(reason) = not_judged(data.labels(), classes, &data.about) {
                    return Err(refused(reason));
                }
                if data.channels() != channels {
                    let given = format!(
                        "the images have {} channels, but the network takes {channels}",
                        data.channels()
                    );
                    return Err(refused(given));
                }
                (data.prepared_as(side, fit.unwrap_or(Fit::Letterbox))?, data.about)
            }
            Opened::Pictures(pictures) => {
                let pictures = pictures.with_max_bad(max_bad);
                if let Some(reason) = not_judged(&pictures.labels(), classes, &pictures.about()) {
                    return Err(refused(reason));
                }
                let fit = fit.unwrap_or(Fit::usual(channels));
                (pictures.prepared([channels, side], fit)?, pictures.about())
            }
        };
        let mut notes = [about.notes.clone(), about.damaged.clone()].concat();
        let known = images.classes().max(images.labels().iter().max().map_or(0, |label| label + 1));
        notes.extend(unusual(images.labels(), known, &about));
        Ok(Evaluation { images, class_names: about.class_names, part, notes })
    }

    /// Reads images without their labels: the training part if there are parts, or the test part where there is no other. A
    /// folder of pictures gives all pictures in it.
    ///
    /// # Errors
    /// The errors of [`Source::load`].
    pub fn viewed(&self) -> Result<Viewed> {
        Ok(match (self, self.any()?.0) {
            (_, Opened::Data(data)) => Viewed::Images(data),
            (Self::Path(path), Opened::Pictures(pictures)) if pictures.are_files() => {
                Viewed::Pictures(every_picture(path)?)
            }
            (_, Opened::Pictures(pictures)) => Viewed::Pictures(pictures),
        })
    }

    /// Returns whether the files have a test part.
    ///
    /// # Errors
    /// The errors of [`Source::load`].
    pub fn is_divided(&self) -> Result<bool> {
        Ok(self.open(Part::Test)?.is_some())
    }
}
