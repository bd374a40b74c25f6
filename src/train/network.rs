//! Resolves the network that a configuration trains: that of the table `[model]`, or the one in the file `model.weights`. Training
//! and `lapidary plan`, which predicts the memory and time of training, both use this code, so that the prediction is for the
//! network that is trained.

use std::path::Path;

use super::config::{Config, ModelTable, WRN};
use super::shapes::check_stages;
use super::stages::check_shares;
use super::{read_named, zoo};
use crate::model::{Activation, Network, Normalisation, Pretrained, WideResNet};
use crate::{Error, Result};

impl Config {
    /// Returns the network of the table `[model]` for this many channels and classes; `model.weights` is not looked at.
    pub fn network(
        &self,
        [channels, classes]: [u32; 2],
        normalisation: Option<Normalisation>,
    ) -> Result<Network> {
        let ModelTable { architecture, depth, width, activation, .. } = &self.model;
        if architecture != WRN {
            return Network::named(architecture, channels, classes, normalisation);
        }
        let activation = match activation {
            super::ActivationName::Relu => Activation::Relu,
            super::ActivationName::Silu => Activation::Silu,
        };
        WideResNet::new(*depth, *width, channels, classes, activation, normalisation)
            .map(Network::from)
    }

    /// Reads the network in the file, run folder or zoo that `model.weights` names; `None` where it names none.
    pub(super) fn pretrained(&self) -> Result<Option<Pretrained>> {
        let path = Some(self.model.weights.as_str()).filter(|path| !path.is_empty());
        path.map(|path| Pretrained::from_checkpoint(read_named(path.as_ref())?)).transpose()
    }

    /// Whether `model.weights` names a network that can be read now.
    pub(crate) fn has_weights(&self) -> bool {
        let path = Path::new(&self.model.weights);
        path.exists() || zoo::name(path).is_some()
    }

    /// Returns the network that training begins with, for images of the given channels and classes, and of those assumed where
    /// none are given and `model.weights` does not say them. A file that is not there yet is not looked at.
    ///
    /// # Errors
    /// Those of reading `model.weights`, and `BadFile` where its network is for other images than those given.
    pub(crate) fn planned_network(
        &self,
        given: [Option<u32>; 2],
        assumed: [u32; 2],
    ) -> Result<Network> {
        let [channels, classes] = given;
        let or = |[a, b]: [u32; 2]| [channels.unwrap_or(a), classes.unwrap_or(b)];
        let known = if self.has_weights() { self.pretrained()? } else { None };
        let Some(Pretrained { network, .. }) = known else {
            return self.network(or(assumed), None);
        };
        self.check_images(&network, or([network.channels(), network.classes()]))?;
        Ok(network)
    }

    /// Whether the network in `model.weights` is for images of so many channels and classes.
    pub(super) fn check_images(&self, network: &Network, images: [u32; 2]) -> Result<()> {
        let [given, wanted] = [[network.channels(), network.classes()], images]
            .map(|[channels, classes]| format!("{channels} channels and {classes} classes"));
        if given == wanted {
            return Ok(());
        }
        let reason = format_args!("the network has {given}, but the training images have {wanted}");
        Err(Error::bad_file(&self.model.weights, reason))
    }
}

/// Checks before any image is read that `ranks` processes can train by this configuration, as far as shapes tell.
///
/// # Errors
/// The errors of [`check_stages`], and `BadConfig` for batches that cannot be divided so.
pub fn check_run(config: &Config, ranks: u32) -> Result<()> {
    let network = config.planned_network([None; 2], [3, 10])?;
    check_stages(config, &network)?;
    check_shares(config, &network, ranks)
}
