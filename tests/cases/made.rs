//! Makes the networks, images and devices that the tests of this folder share.

pub use crate::common::gpu;
use lapidary::data::{Part, Source};
use lapidary::model::{Checkpoint, DeviceWeights, Network};
use pollster::block_on;

/// The network that is built in, for grey images of 16 pixels.
pub fn demo() -> (Network, DeviceWeights) {
    let checkpoint = Checkpoint::read("data/fashion-demo/model.safetensors").unwrap();
    let model = Network::from_checkpoint(&checkpoint).unwrap();
    let parameters = model.parameters();
    let weights = block_on(DeviceWeights::upload(gpu(), &parameters, &checkpoint.weights)).unwrap();
    (model, weights)
}

/// The first test images that are built in, at 16 pixels, and their labels.
pub fn images(count: usize) -> (Vec<f32>, Vec<u32>) {
    let test = Source::parse("builtin:fashion").unwrap().load(Part::Test, 16).unwrap();
    let test = test.prepared(16).unwrap();
    (test.images()[..count * 256].to_vec(), test.labels()[..count].to_vec())
}
