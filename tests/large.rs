//! Tests large networks at full size with random weights (WRN-34-10, ResNet-50, WRN-50-4 and ConvNeXts): the number of
//! parameters, and that a forward pass works and takes the memory that was computed from shapes. The passes take minutes and up
//! to 5 GB of memory on a CPU rasteriser, so they are run by `cargo test --release --test large -- --ignored --test-threads 1`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

use lapidary::eval::Classifier;
use lapidary::gpu::{Gpu, Options};
use lapidary::model::{Activation, BatchSize, DeviceWeights, Network, WideResNet};
use pollster::block_on;
use std::time::Instant;

fn wrn(classes: u32) -> Network {
    WideResNet::new(34, 10, 3, classes, Activation::Relu, None).unwrap().into()
}

fn named(name: &str) -> Network {
    Network::named(name, 3, 1000, None).unwrap()
}

#[test]
fn parameters_are_as_many_as_published() {
    for (network, name, count) in [
        (wrn(10), "WRN-34-10", 46_160_474),
        (wrn(100), "WRN-34-10", 46_218_164),
        (named("resnet50"), "ResNet-50", 25_557_032),
        (named("wide-resnet50-4"), "WRN-50-4", 223_439_144),
        (named("convnext-small-convstem"), "ConvNeXt-S + ConvStem", 50_261_992),
        (named("convnext-base-convstem"), "ConvNeXt-B + ConvStem", 88_753_416),
        (named("convnext-large-convstem"), "ConvNeXt-L + ConvStem", 198_134_680),
        // timm's own, with patches.
        (named("convnext-tiny"), "ConvNeXt-T", 28_589_128),
        (named("convnext-large"), "ConvNeXt-L", 197_767_336),
    ] {
        assert_eq!((network.to_string().as_str(), network.count()), (name, count));
    }
}

/// One forward pass of one image gives finite logits, and the device's memory is what the plan says within a tenth.
fn forward(network: &Network, side: u32) {
    let gpu = block_on(Gpu::new(&Options::from_env())).unwrap();
    let began = Instant::now();
    let parameters = network.parameters();
    let state = network.initial(1);
    let weights = block_on(DeviceWeights::upload(&gpu, &parameters, &state)).unwrap();
    drop(state);
    let loaded = began.elapsed();
    let one = BatchSize { images: 1, side };
    let mut classifier = block_on(Classifier::new(network, &weights, one)).unwrap();
    let pixels = (network.channels() * side * side) as usize;
    let image: Vec<f32> = (0..pixels).map(|i| (i * 7 % 255) as f32 / 255.0).collect();
    let logits = block_on(classifier.logits(&image)).unwrap();
    assert_eq!(logits.len(), network.classes() as usize);
    assert!(
        logits.iter().all(|logit| logit.is_finite()) && logits.windows(2).any(|w| w[0] != w[1])
    );
    let (held, told) = (gpu.counts().bytes, classifier.summary().peak_bytes());
    println!(
        "{network} at {side}: {held} bytes on the device, {told} planned; loaded in {loaded:.1?}, all in {:.1?}",
        began.elapsed()
    );
    println!("{}", classifier.summary());
    let apart = held.abs_diff(told) as f64 / held as f64;
    assert!(apart < 0.1, "{network}: {held} bytes on the device, {told} planned");
}

#[test]
#[ignore = "minutes on a CPU rasteriser"]
fn wrn_34_10_runs() {
    forward(&wrn(10), 32);
}

#[test]
#[ignore = "minutes on a CPU rasteriser"]
fn resnet_50_runs() {
    forward(&named("resnet50"), 224);
}

#[test]
#[ignore = "minutes on a CPU rasteriser"]
fn wrn_50_4_runs() {
    forward(&named("wide-resnet50-4"), 224);
}

#[test]
#[ignore = "minutes on a CPU rasteriser"]
fn convnext_l_runs() {
    forward(&named("convnext-large-convstem"), 224);
}
