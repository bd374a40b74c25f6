//! Loads all images of a training run: for training, validation and test, and out-of-distribution images.

use super::Config;
use super::config::Data;
#[cfg(feature = "cli")]
use crate::data::Choose;
use crate::data::{
    Augment, Classes, Dataset, Fit, Kept, LabelledImages, OodImages, Parts, Prepared, Reading,
    Source, Split,
};
use crate::eval::drawn;
use crate::model::{Network, Normalisation, Pretrained, StateDict};
use crate::{Error, Result};
use std::sync::Arc;

/// A constant that makes the seed of the validation split differ from that of the held-out one.
const VALIDATION: u64 = 0x7661_6c69_6461_7465;

/// The images of a training run, read and prepared.
#[derive(Clone, Debug)]
pub struct Material {
    /// The training images.
    pub train: LabelledImages,
    /// The images that are evaluated on: the test images, or the training images that `data.held_out` keeps back.
    pub test: Arc<Prepared>,
    /// The images by which the best weights are chosen: the training images that `validate.images` keeps back, or else those that
    /// are evaluated on.
    pub validation: Arc<Prepared>,
    /// The out-of-distribution images, from which contrastive images and samples start.
    pub ood: OodImages,
    /// The fingerprint of the training images, for the run's record.
    pub checksum: u64,
    /// How images of another size are fitted to the network's, as its file will say.
    pub fit: Fit,
    /// The names of the classes, by label; empty where the data has none.
    pub class_names: Vec<String>,
    damaged: Vec<String>,
    normalisation: Normalisation,
    /// The network and weights of the file `model.weights`.
    start: Option<(Network, StateDict)>,
}

impl Material {
    /// Reads and prepares the images that the configuration names.
    pub fn load(config: &Config) -> Result<Self> {
        let source = Source::parse(&config.data.train)?;
        Self::new(config, |reading, split| source.parts(reading, split))
    }

    /// Loads a run's images with labelled images in memory in place of those that `data.train` names; `test` are the test
    /// images, if there are any.
    pub fn of(config: &Config, train: Dataset, test: Option<Dataset>) -> Result<Self> {
        Self::new(config, |reading, split| {
            Parts::of(train, test, &config.data.train, reading, split)
        })
    }

    /// Makes a single grey image, of as many channels and classes as the run's images, in the place of these: enough for what
    /// depends on shapes alone. Pictures are counted and not decoded, and out-of-distribution images are not looked at.
    #[cfg(feature = "cli")]
    pub(crate) fn stand_in(config: &Config) -> Result<Self> {
        let [channels, classes] = Source::parse(&config.data.train)?.counted()?;
        let side = config.data.side;
        let mut few = config.clone();
        few.data.ood = "builtin:noise".into();
        // Of classes without names.
        few.model.classes = "as-given".into();
        Self::new(&few, |reading, _| {
            let words = crate::graph::Shape::square(1, channels, side)?.elements() as usize;
            let one = Prepared::from_f32(channels, side, classes, vec![0.5; words], vec![0])?;
            let of_channels = |value| vec![value; channels as usize];
            Ok(Parts {
                train: Arc::new(one.clone()).into(),
                statistics: [of_channels(0.5), of_channels(0.25)],
                test: one,
                validation: None,
                fit: reading.fit.unwrap_or(Fit::Crop),
                checksum: 0,
                class_names: Vec::new(),
                damaged: Vec::new(),
            })
        })
    }

    /// Reads, of the images that were held out for tests of data without a test part, those that `choose` takes, and the names of
    /// their classes.
    #[cfg(feature = "cli")]
    pub(crate) fn held_out(
        config: &Config,
        choose: &mut Choose<'_>,
    ) -> Result<(Prepared, Vec<String>)> {
        let (reading, split) = asked(config, config.pretrained()?.as_ref())?;
        Source::parse(&config.data.train)?.held_out(reading, split, choose)
    }

    fn new(config: &Config, parts: impl FnOnce(Reading, Split) -> Result<Parts>) -> Result<Self> {
        let data = &config.data;
        let pretrained = config.pretrained()?;
        let (reading, split) = asked(config, pretrained.as_ref())?;
        let parts = parts(reading, split)?;
        let Parts { train, statistics: [mean, std], test, validation, .. } = parts;
        let Parts { fit, checksum, class_names, damaged, .. } = parts;
        // As the network's file will say it, so that whoever reads that brings the same images to its side in the same way.
        let ood = Data { fit: fit.to_string(), ..data.clone() }.open_ood(train.channels())?;
        let start = match pretrained {
            Some(from) => Some(start(config, from, &train, &class_names)?),
            None => None,
        };
        let (test, normalisation) = (Arc::new(test), Normalisation { mean, std });
        let validation = validation.map_or_else(|| Arc::clone(&test), Arc::new);
        Ok(Self {
            train,
            test,
            validation,
            ood,
            checksum,
            fit,
            class_names,
            damaged,
            normalisation,
            start,
        })
    }

    /// Returns sentences about files that could not be read so far and are left out: those of labelled images, then those of
    /// out-of-distribution images.
    pub fn damaged(&self) -> [Vec<String>; 2] {
        let mut labelled = self.damaged.clone();
        let later = self.train.damaged();
        labelled.extend(later.into_iter().filter(|line| !self.damaged.contains(line)));
        [labelled, self.ood.damaged()]
    }

    /// Returns the places of the validation images that are measured: all that were kept from training for it, or at most `most`
    /// test images.
    pub(super) fn validated(&self, most: usize) -> Vec<usize> {
        let kept = !Arc::ptr_eq(&self.validation, &self.test);
        drawn(self.validation.labels(), if kept { self.validation.len() } else { most })
    }

    /// Returns the network that `model.weights` names, or else a network as the configuration describes it, which normalises its
    /// input by the training images' mean and deviation.
    pub fn model(&self, config: &Config) -> Result<Network> {
        if let Some((network, _)) = &self.start {
            return Ok(network.clone());
        }
        let normalisation = Some(self.normalisation.clone());
        config.network([self.train.channels(), self.train.classes()], normalisation)
    }

    /// Returns the initial weights: those of `model.weights`, or else random ones.
    pub fn weights(&self, model: &Network, seed: u64) -> StateDict {
        self.start.as_ref().map_or_else(|| model.initial(seed), |(_, weights)| weights.clone())
    }
}

/// How the configuration has labelled images read and divided; `pretrained` is the network of its `model.weights`.
fn asked(config: &Config, pretrained: Option<&Pretrained>) -> Result<(Reading, Split)> {
    let (data, seed) = (&config.data, config.seed);
    let augments = [Augment::parse(&data.classify)?, Augment::parse(&data.real)?];
    // Weights go on with images that come to their side as those did which they have seen.
    let known = pretrained.and_then(|known| known.checkpoint.metadata.fit.as_deref());
    let fit = data.fit()?.map_or_else(|| known.map(Fit::parse).transpose(), |fit| Ok(Some(fit)))?;
    let split = Split {
        held_out: (Kept::from_number(data.held_out), seed),
        validation: (config.validate.kept(), seed ^ VALIDATION),
        most_test: config.evaluate.images as usize,
    };
    Ok((Reading::new(data.side, fit, data.max_bad, &augments), split))
}

/// A network for such images from a file, its logits in the order of the images' classes.
fn start(
    config: &Config,
    pretrained: Pretrained,
    images: &LabelledImages,
    names: &[String],
) -> Result<(Network, StateDict)> {
    let map = config.model.class_map()?;
    let known = pretrained.class_names().unwrap_or_default().to_vec();
    let Pretrained { network, checkpoint } = pretrained;
    config.check_images(&network, [images.channels(), images.classes()])?;
    let of = |names| Classes { names, count: network.classes() };
    let found = map.relabelling(of(names), of(&known));
    let labels = found.map_err(|error| Error::bad_file(&config.model.weights, error))?.labels;
    let weights = network.with_classes(checkpoint.weights, &labels)?;
    Ok((network, weights))
}
