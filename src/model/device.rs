//! A network's weights on the device, in buffers that all its attacks, samplers and classifiers share.

use super::{Parameter, StateDict, Tensor, Weights};
use crate::gpu::{Buffer, Gpu};
use crate::graph::Value;
use crate::{Error, Result};

/// Bytes of writes that may wait on the host: each has a copy there until it is submitted.
const STAGED: usize = 64 << 20;

/// A network's weights on the device, one buffer for each parameter; clones share the same memory.
///
/// Programs keep packed and folded copies of some weights; after a write here, or a replay that changes weights, they make
/// them anew before their next replay. Only a host that writes into a buffer by its own means has to say so:
/// [`Buffer::mark_written`].
#[derive(Clone, Debug)]
pub struct DeviceWeights {
    gpu: Gpu,
    buffers: Vec<(Parameter, Buffer)>,
}

impl DeviceWeights {
    /// Makes a buffer of zeros on the device for each parameter of a network: for weights that are written later, or for momentum
    /// and gradients, which start at 0.
    pub async fn zeros(gpu: &Gpu, parameters: &[Parameter]) -> Result<Self> {
        let words = parameters.iter().map(|parameter| Ok(parameter.graph_shape()?.elements()));
        let made = gpu.allocate(&words.collect::<Result<Vec<_>>>()?).await?;
        Ok(Self { gpu: gpu.clone(), buffers: parameters.iter().cloned().zip(made).collect() })
    }

    /// Copies a network's weights to the device. Err unless their names and shapes are exactly those of `parameters`.
    pub async fn upload(gpu: &Gpu, parameters: &[Parameter], weights: &StateDict) -> Result<Self> {
        weights.check(parameters)?;
        let made = Self::zeros(gpu, parameters).await?;
        made.write(weights).await?;
        Ok(made)
    }

    /// Replaces the values of all weights on the device. Err unless the names and shapes of `weights` are exactly the parameters'.
    pub async fn write(&self, weights: &StateDict) -> Result<()> {
        weights.check(&self.parameters().cloned().collect::<Vec<_>>())?;
        let mut waiting = 0;
        for (parameter, buffer) in &self.buffers {
            let data = &weights.get(&parameter.name)?.data;
            self.gpu.write(buffer, data).await?;
            waiting += size_of_val(data.as_slice());
            if waiting >= STAGED {
                self.gpu.flush().await?;
                waiting = 0;
            }
        }
        Ok(())
    }

    /// Reads all weights back from the device at once.
    pub async fn download(&self) -> Result<StateDict> {
        let buffers: Vec<_> = self.buffers.iter().map(|(_, buffer)| buffer).collect();
        let contents = self.gpu.read_all(&buffers).await?;
        let named = |(parameter, data): (&Parameter, _)| {
            Ok((parameter.name.clone(), Tensor::new(parameter.shape.clone(), data)?))
        };
        self.parameters().zip(contents).map(named).collect::<Result<_>>()
    }

    /// Returns the parameters that the buffers hold, in the model's order.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.buffers.iter().map(|(parameter, _)| parameter)
    }

    /// Returns the buffer of one parameter. Err if there is no parameter of this name.
    pub fn buffer(&self, name: &str) -> Result<&Buffer> {
        let found = self.buffers.iter().find(|(parameter, _)| parameter.name == name);
        let missing = || {
            Error::mismatch(
                "weights",
                format_args!("the name {name:?}"),
                "the name of one of the network's parameters",
            )
        };
        found.map(|(_, buffer)| buffer).ok_or_else(missing)
    }

    /// Pairs the values of a graph's weights with their buffers, as [`Program::new`](crate::lower::Program::new) takes
    /// them.
    pub fn bindings(&self, weights: &Weights) -> Result<Vec<(Value, Buffer)>> {
        weights.iter().map(|(name, value)| Ok((value, self.buffer(name)?.clone()))).collect()
    }

    /// Returns the device that the weights are on.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }
}
