//! Keeps a network's weights and compiled programs on one GPU: forward passes and gradients for each batch size that was used.

use lapidary::eval::{Classifier, InputGradient, Of};
use lapidary::gpu::Gpu;
use lapidary::model::{BatchSize, DeviceWeights, Network, Pretrained};
use lapidary::{Error, Result};

use crate::calls::wait;
use crate::devices;

/// Programs of each kind that are kept for the next call: one for each size of batch and image.
const KEPT: usize = 4;

/// A network's weights and programs on a device, made anew after the device was lost.
#[derive(Debug)]
pub struct Ready {
    pub gpu: Gpu,
    pub weights: DeviceWeights,
    classifiers: Vec<(BatchSize, Classifier)>,
    gradients: Vec<((BatchSize, Of), InputGradient)>,
    /// The weights on this device and on others of a CPU rasteriser, for work that falls into parts.
    lanes: Vec<DeviceWeights>,
}

impl Ready {
    /// Opens the device and uploads the network's weights.
    pub fn new(pretrained: &Pretrained, wanted: &str) -> Result<Self> {
        let gpu = devices::open(wanted)?;
        let weights = wait(pretrained.upload(&gpu))?;
        Ok(Self { gpu, weights, classifiers: Vec::new(), gradients: Vec::new(), lanes: Vec::new() })
    }

    /// Returns the weights on each device that parts of the work may go to.
    pub fn lanes(&mut self, pretrained: &Pretrained) -> Result<&[DeviceWeights]> {
        if self.lanes.is_empty() {
            let gpus = wait(self.gpu.side_by_side())?;
            let upload = |gpu| wait(pretrained.upload(gpu));
            self.lanes = gpus.iter().map(upload).collect::<Result<_>>()?;
        }
        Ok(&self.lanes)
    }

    /// Returns the classifier for batches of this size, which is made if there is none.
    pub fn classifier(&mut self, network: &Network, size: BatchSize) -> Result<&mut Classifier> {
        let make = || wait(Classifier::new(network, &self.weights, size));
        kept(&mut self.classifiers, size, make)
    }

    /// Returns the gradient of a kind for batches of this size, which is made if there is none.
    pub fn gradient(
        &mut self,
        network: &Network,
        size: BatchSize,
        of: Of,
    ) -> Result<&mut InputGradient> {
        let make = || wait(InputGradient::new(network, &self.weights, size, of));
        kept(&mut self.gradients, (size, of), make)
    }
}

/// Returns the entry for a key and marks it as used last; the oldest entry is dropped where there are too many.
fn kept<K: PartialEq, V>(
    all: &mut Vec<(K, V)>,
    key: K,
    make: impl FnOnce() -> Result<V>,
) -> Result<&mut V> {
    let found = all.iter().position(|(other, _)| *other == key);
    let entry = match found {
        Some(place) => all.remove(place),
        None => {
            // Before another is made, for its memory.
            if all.len() >= KEPT {
                all.remove(0);
            }
            (key, make()?)
        }
    };
    all.push(entry);
    let last = all.last_mut().map(|(_, value)| value);
    last.ok_or_else(|| Error::mismatch("model", "an empty cache", "the entry just added"))
}
