//! The images of a run: what is trained on and what is evaluated on.

use super::Config;
use super::config::{Model, WRN};
use crate::data::{Augment, Images, Parts, Prepared, Reading, Source};
use crate::model::{Activation, Checkpoint, Network, Normalisation, StateDict, WideResNet};
use crate::{Error, Result};
use std::sync::Arc;

/// Prepared images of both parts.
#[derive(Clone, Debug)]
pub struct Material {
    /// Trained on.
    pub train: Images,
    /// Evaluated on: the test images, or the training images that `data.held_out` keeps back.
    pub test: Arc<Prepared>,
    /// Of the source's training images, for the run's record.
    pub checksum: u64,
    /// What the classes are called, by label; empty where the data does not say.
    pub class_names: Vec<String>,
    /// Files that could not be read and are left out, a sentence each.
    pub damaged: Vec<String>,
    normalisation: Normalisation,
    /// What `model.weights` holds.
    start: Option<(Network, StateDict)>,
}

impl Material {
    /// Reads and prepares what the configuration names.
    pub fn load(config: &Config) -> Result<Self> {
        let data = &config.data;
        let augments = [Augment::parse(&data.classify)?, Augment::parse(&data.real)?];
        let reading = Reading::new(data.side, data.max_bad, &augments);
        let (held_out, most_test) = (data.held_out as usize, config.evaluate.images as usize);
        let source = Source::parse(&data.train)?;
        let parts = source.parts(reading, held_out, config.seed, most_test)?;
        let Parts { train, statistics: [mean, std], test, checksum, class_names, damaged } = parts;
        let path = &config.model.weights;
        let start = if path.is_empty() { None } else { Some(start(path, &train)?) };
        let (test, normalisation) = (Arc::new(test), Normalisation { mean, std });
        Ok(Self { train, test, checksum, class_names, damaged, normalisation, start })
    }

    /// The network that `model.weights` holds, or else the configuration's for these images, which are normalised by the
    /// training images' mean and deviation.
    pub fn model(&self, config: &Config) -> Result<Network> {
        if let Some((network, _)) = &self.start {
            return Ok(network.clone());
        }
        let (images, normalisation) = (&self.train, Some(self.normalisation.clone()));
        let (channels, classes) = (images.channels(), images.classes());
        let Model { architecture, depth, width, activation, .. } = &config.model;
        if architecture != WRN {
            return Network::named(architecture, channels, classes, normalisation);
        }
        let activation = match activation {
            super::Activation::Relu => Activation::Relu,
            super::Activation::Silu => Activation::Silu,
        };
        WideResNet::new(*depth, *width, channels, classes, activation, normalisation)
            .map(Network::from)
    }

    /// What training begins with: `model.weights`, or else random weights.
    pub fn weights(&self, model: &Network, seed: u64) -> StateDict {
        self.start.as_ref().map_or_else(|| model.initial(seed), |(_, weights)| weights.clone())
    }
}

/// A network for such images from a file.
fn start(path: &str, images: &Images) -> Result<(Network, StateDict)> {
    let checkpoint = Checkpoint::read(path)?;
    let network = Network::from_checkpoint(&checkpoint)?;
    if !checkpoint.metadata.tells_normalisation() {
        let reason =
            "it does not say how images are normalised: `lapidary convert` writes that into a copy";
        return Err(Error::bad_file(path, reason));
    }
    let [given, wanted] =
        [[network.channels(), network.classes()], [images.channels(), images.classes()]]
            .map(|[channels, classes]| format!("{channels} channels and {classes} classes"));
    if given != wanted {
        let reason = format_args!("a network of {given}, but the training images have {wanted}");
        return Err(Error::bad_file(path, reason));
    }
    Ok((network, checkpoint.weights))
}
