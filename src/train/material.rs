//! The images of a run: what is trained on and what is evaluated on.

use super::Config;
use super::config::{Model, WRN};
use crate::Result;
use crate::data::{Part, Prepared, Source};
use crate::model::{Activation, Network, Normalisation, WideResNet};
use std::sync::Arc;

/// Prepared images of both parts.
#[derive(Clone, Debug)]
pub struct Material {
    /// Trained on.
    pub train: Arc<Prepared>,
    /// Evaluated on: the test images, or the training images that `data.held_out` keeps back.
    pub test: Arc<Prepared>,
    /// Of the source's training images, for the run's record.
    pub checksum: u64,
}

impl Material {
    /// Reads and prepares what the configuration names.
    pub fn load(config: &Config) -> Result<Self> {
        let source = Source::parse(&config.data.train)?;
        let all = source.load(Part::Train)?;
        let checksum = all.checksum();
        let held_out = config.data.held_out as usize;
        let (train, test) = match held_out {
            0 => (all, source.load(Part::Test)?),
            count => all.split(count, config.seed)?,
        };
        let side = config.data.side;
        let (train, test) = (train.prepared(side)?, test.prepared(side)?);
        Ok(Self { train: Arc::new(train), test: Arc::new(test), checksum })
    }

    /// The configuration's network for these images, which are normalised by the training images' mean
    /// and deviation.
    pub fn model(&self, config: &Config) -> Result<Network> {
        let images = &self.train;
        let normalisation =
            Some(Normalisation { mean: images.mean().to_vec(), std: images.std().to_vec() });
        let (channels, classes) = (images.channels(), images.classes());
        let Model { architecture, depth, width, activation } = &config.model;
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
}
