//! Networks as graph builders, their weights on the host and on the device, and checkpoints.
//!
//! A model is a list of [`Parameter`]s and a function that adds its nodes to a graph. It holds no numbers:
//! those are in a [`StateDict`] on the host or in [`DeviceWeights`], which several programs share.

mod architecture;
mod batch_size;
pub mod checkpoint;
mod convnext;
mod device;
mod efficientnet_lite;
mod extractor;
mod imported;
mod inception;
pub mod initial;
mod layers;
mod metadata;
mod names;
mod network;
pub mod onnx;
mod parameter;
mod preact_resnet;
mod pretrained;
mod resnet;
mod state_dict;
mod wide_resnet;

pub use architecture::Model;
pub use batch_size::BatchSize;
pub(crate) use batch_size::filled;
pub use checkpoint::Checkpoint;
pub use convnext::{ConvNext, ConvNextBlock};
pub use device::DeviceWeights;
pub use extractor::{Extracted, Extractor};
pub use layers::{Mode, RunningUpdate};
pub use metadata::{Activation, Metadata, Normalisation, Stem, Variant};
pub use network::Network;
pub use parameter::{Parameter, Role, Weights};
pub use preact_resnet::PreActResNet;
pub use pretrained::Pretrained;
pub use resnet::{Bottleneck, ResNet};
pub use state_dict::{StateDict, Tensor};
pub use wide_resnet::{Block, WideResNet};
// Networks as lists of layers, which readers of files make: public for tests and tools, but no part of the API.
#[doc(hidden)]
pub use {
    convnext::push_stem,
    imported::{Imported, Kind, Layer},
};
