//! The images of a run: what is trained on and what is evaluated on.

use super::Config;
use super::config::{Model, WRN};
use crate::data::{Part, Prepared, Source};
use crate::model::{Activation, Checkpoint, Network, Normalisation, StateDict, WideResNet};
use crate::{Error, Result};
use std::sync::Arc;

/// Tells the seed of the validation split from that of the held-out one.
const VALIDATION: u64 = 0x7661_6c69_6461_7465;

/// Prepared images of both parts.
#[derive(Clone, Debug)]
pub struct Material {
    /// Trained on.
    pub train: Arc<Prepared>,
    /// Evaluated on: the test images, or the training images that `data.held_out` keeps back.
    pub test: Arc<Prepared>,
    /// What the best weights are chosen by: the training images that `validate.images` keeps back, or else those that are
    /// evaluated on.
    pub validation: Arc<Prepared>,
    /// Of the source's training images, for the run's record.
    pub checksum: u64,
    /// What the classes are called, by label; empty where the data does not say.
    pub class_names: Vec<String>,
    /// Files that could not be read and are left out, a sentence each.
    pub damaged: Vec<String>,
    /// What `model.weights` holds.
    start: Option<(Network, StateDict)>,
}

impl Material {
    /// Reads and prepares what the configuration names.
    pub fn load(config: &Config) -> Result<Self> {
        let source = Source::parse(&config.data.train)?;
        let side = config.data.side;
        let all = source.load(Part::Train, side)?;
        let checksum = all.checksum();
        let (class_names, mut damaged) = (all.class_names().to_vec(), all.damaged().to_vec());
        let held_out = config.data.held_out as usize;
        let (train, test) = match held_out {
            0 => {
                let test = source.load(Part::Test, side)?;
                damaged.extend_from_slice(test.damaged());
                (all, test)
            }
            count => all.split(count, config.seed)?,
        };
        let (train, validation) = match config.validate.images as usize {
            0 => (train, None),
            count => {
                let (train, kept) = train.split(count, config.seed ^ VALIDATION)?;
                (train, Some(Arc::new(kept.prepared(side)?)))
            }
        };
        let (train, test) = (train.prepared(side)?, test.prepared(side)?);
        let path = &config.model.weights;
        let start = if path.is_empty() { None } else { Some(start(path, &train)?) };
        let (train, test) = (Arc::new(train), Arc::new(test));
        let validation = validation.unwrap_or_else(|| Arc::clone(&test));
        Ok(Self { train, test, validation, checksum, class_names, damaged, start })
    }

    /// The network that `model.weights` holds, or else the configuration's for these images, which are normalised by the
    /// training images' mean and deviation.
    pub fn model(&self, config: &Config) -> Result<Network> {
        if let Some((network, _)) = &self.start {
            return Ok(network.clone());
        }
        let images = &self.train;
        let normalisation =
            Some(Normalisation { mean: images.mean().to_vec(), std: images.std().to_vec() });
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
fn start(path: &str, images: &Prepared) -> Result<(Network, StateDict)> {
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
