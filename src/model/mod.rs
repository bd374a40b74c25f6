//! Networks as graph builders, their weights on the host and on the device, and checkpoints.
//!
//! A model is a list of [`Parameter`]s and a function that adds its nodes to a graph. It holds no numbers:
//! those are in a [`StateDict`] on the host or in [`DeviceWeights`], which several programs share.

pub mod checkpoint;
mod device;
pub mod initial;
mod metadata;
pub mod onnx;
mod parameter;
mod state_dict;
mod wide_resnet;

pub use checkpoint::Checkpoint;
pub use device::DeviceWeights;
pub use metadata::{Activation, Metadata, Normalisation};
pub use parameter::{Parameter, Role, Weights};
pub use state_dict::{StateDict, Tensor};
pub use wide_resnet::{Block, Mode, RunningUpdate, WideResNet};
