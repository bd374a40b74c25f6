//! Reads the images that evaluation uses, as a network takes them: the test part, or all images where there is no such part. Also
//! reads images in their own sizes and without labels, for evaluations that compare sets of images.

use super::class_folders::every_picture;
use super::class_map::Classes;
use super::dataset::{Dataset, Part};
use super::fit::Fit;
use super::labels::{not_judged, unusual};
use super::pictures::Pictures;
use super::prepared::Prepared;
use super::source::{Opened, Source};
use crate::{Error, Result};

/// Chooses images by the classes of all and the label of each: returns their places, in increasing order.
pub(crate) type Choose<'a> = dyn FnMut(Classes<'_>, &[u32]) -> Result<Vec<usize>> + 'a;

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
    /// `max_bad` of the pictures may be damaged, and more are an error: a share of all if below 1, a number from 1 on.
    ///
    /// # Errors
    /// The errors of [`Source::load`]; `BadFile` where labels are missing or beyond the classes, or arrays have other channels.
    pub fn evaluation(&self, size: [u32; 3], fit: Option<Fit>, max_bad: f64) -> Result<Evaluation> {
        self.evaluation_of(size, fit, max_bad, &mut |_, labels| Ok((0..labels.len()).collect()))
    }

    /// Reads the images that [`Source::evaluation`] reads, and decodes and fits only those that `choose` takes of them.
    ///
    /// # Errors
    /// The errors of [`Source::evaluation`], and those of `choose`.
    pub(crate) fn evaluation_of(
        &self,
        [channels, side, classes]: [u32; 3],
        fit: Option<Fit>,
        max_bad: f64,
        choose: &mut Choose<'_>,
    ) -> Result<Evaluation> {
        let mut labels = Vec::new();
        let mut choose = |classes: Classes<'_>, of: &[u32]| {
            labels = of.to_vec();
            choose(classes, of)
        };
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
                let fit = fit.unwrap_or(Fit::Letterbox);
                (data.prepared_of(side, fit, &mut choose)?, data.about)
            }
            Opened::Pictures(pictures) => {
                let pictures = pictures.with_max_bad(max_bad);
                if let Some(reason) = not_judged(&pictures.labels(), classes, &pictures.about()) {
                    return Err(refused(reason));
                }
                let fit = fit.unwrap_or(Fit::usual(channels));
                let images = pictures.prepared_of([channels, side], fit, &mut choose)?;
                (images, pictures.about())
            }
        };
        let mut notes = [about.notes.clone(), about.damaged.clone()].concat();
        let known = images.classes().max(labels.iter().max().map_or(0, |label| label + 1));
        notes.extend(unusual(&labels, known, &about));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_chosen_is_decoded() {
        let folder = tempfile::tempdir().unwrap();
        let file =
            |at: usize| folder.path().join(["cat", "dog"][at / 6]).join(format!("{at:02}.png"));
        let whole = |at: usize| {
            std::fs::create_dir_all(file(at).parent().unwrap()).unwrap();
            image::RgbImage::from_pixel(8, 8, image::Rgb([20 * at as u8; 3]))
                .save(file(at))
                .unwrap();
        };
        let damage = |at: usize| std::fs::write(file(at), b"no picture").unwrap();
        (0..12).for_each(whole);
        let source = Source::parse(folder.path().to_str().unwrap()).unwrap();
        let size = [3, 8, 2];
        let all = source.evaluation(size, None, 0.0).unwrap().images;
        let same = |found: &Prepared, places: &[usize]| {
            assert_eq!(found.len(), places.len());
            for (at, &place) in places.iter().enumerate() {
                assert_eq!(found.image(at), all.image(place), "{place}");
                assert_eq!(found.labels()[at], all.labels()[place], "{place}");
            }
        };

        let places = [1, 4, 7, 9];
        (0..12).filter(|at| !places.contains(at)).for_each(damage);
        let found = source.evaluation_of(size, None, 0.0, &mut |classes, labels| {
            assert_eq!((classes.names.len(), labels), (2, all.labels()));
            Ok(places.to_vec())
        });
        same(&found.unwrap().images, &places);

        // It is chosen again from those that are not known to be damaged.
        (0..12).for_each(whole);
        damage(10);
        let found = source.evaluation_of(size, None, 1.0, &mut |_, labels| {
            Ok((labels.len() - 4..labels.len()).collect())
        });
        let found = found.unwrap();
        same(&found.images, &[7, 8, 9, 11]);
        assert_eq!(found.notes.len(), 1, "the damaged one: {:?}", found.notes);
    }
}
