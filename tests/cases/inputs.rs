//! Tests that labels beyond the classes, values outside a pixel's range and logits that are not finite are refused or
//! reported.

use crate::lapidary;
use crate::made::{demo, gpu, images};
use lapidary::Error;
use lapidary::attack::{
    AnyAttack, Apgd, Attack, Divergence, Fab, Langevin, MomentumPgd, Objective, Pgd, Settings,
    Square, Start,
};
use lapidary::embed;
use lapidary::eval::{AutoAttack, Classifier, UnderPgd};
use lapidary::model::{
    Activation, BatchSize, Checkpoint, ConvNext, DeviceWeights, Network, ResNet, StateDict, Stem,
    WideResNet,
};
use lapidary::ops::Norm;
use pollster::block_on;
use tempfile::tempdir;

const SIZE: BatchSize = BatchSize { images: 3, side: 16 };

/// Every attack, and what is embedded, refuses what it would get a wrong number from, and says which image it is.
#[test]
fn labels_and_pixels_out_of_range() {
    let (model, weights) = demo();
    let (x, labels) = images(3);
    let with = |value: f32| {
        let mut x = x.clone();
        x[2 * 256 + 7] = value;
        x
    };
    let all: [Settings; 7] = [
        Pgd::default().into(),
        MomentumPgd::default().into(),
        Divergence::default().into(),
        Apgd::new(Norm::L2, 0.5, Objective::DlrTargeted).into(),
        Fab::default().into(),
        Square::default().into(),
        Langevin::default().into(),
    ];
    for settings in all {
        let mut attack = block_on(AnyAttack::new(&model, &weights, SIZE, settings)).unwrap();
        let mut refused = |start: Start, words: &[&str]| {
            let said = block_on(attack.start(&start)).unwrap_err().to_string();
            assert!(words.iter().all(|word| said.contains(word)), "{settings:?}: {said}");
        };
        let targets = Some(&[1, 2, 3][..]);
        let good = Start { targets, ..Start::new(&x, &labels) };
        refused(Start { labels: &[0, 10, 1], ..good }, &["label 10 of image 1", "0 to 9"]);
        refused(Start { targets: Some(&[0, 1, 11]), ..good }, &["target 11 of image 2"]);
        refused(Start { images: &with(f32::NAN), ..good }, &["NaN in image 2"]);
        refused(Start { images: &with(f32::INFINITY), ..good }, &["inf in image 2"]);
        if !matches!(settings, Settings::Langevin(_)) {
            refused(Start { images: &with(1.5), ..good }, &["1.5 in image 2", "[0, 1]"]);
        }
        refused(Start { labels: &labels[..2], ..good }, &["2 labels"]);
        block_on(attack.start(&good)).unwrap();
    }

    let mut sampler =
        block_on(embed::Sampler::of(&model, &weights, SIZE).steps(1).build()).unwrap();
    let said = block_on(sampler.start(&x, &[0, 1, 10])).unwrap_err().to_string();
    assert!(said.contains("label 10 of image 2"), "{said}");
    assert!(block_on(sampler.start(&with(-0.1), &labels)).is_err());
    let mut classifier =
        block_on(embed::HostClassifier::of(&model, &weights, SIZE).build()).unwrap();
    assert!(block_on(classifier.write(&with(f32::NAN))).is_err());
}

/// Logits that overflow are nobody's class 0: an error with the image's number, also among attacked images and in the program.
#[test]
fn non_finite_logits() {
    // The last layer times so much: logits of ordinary images stay finite with 1e12, and none do with 1e38.
    let with = |factor: f32| {
        let mut checkpoint = Checkpoint::read("data/fashion-demo/model.safetensors").unwrap();
        let network = Network::from_checkpoint(&checkpoint).unwrap();
        let layers = network.parameters();
        let last = layers.iter().rfind(|parameter| parameter.shape.len() == 2).unwrap();
        let mut tensor = checkpoint.weights.get(&last.name).unwrap().clone();
        tensor.data.iter_mut().for_each(|value| *value *= factor);
        checkpoint.weights.insert(last.name.clone(), tensor);
        (network, checkpoint)
    };
    let (model, checkpoint) = with(1e12);
    let parameters = model.parameters();
    let weights = block_on(DeviceWeights::upload(gpu(), &parameters, &checkpoint.weights)).unwrap();
    let (mut x, labels) = images(5);
    x[3 * 256..4 * 256].fill(1e30);
    let mut classifier = block_on(Classifier::new(&model, &weights, SIZE)).unwrap();
    let error = block_on(classifier.logits(&x)).unwrap_err();
    assert!(matches!(error, Error::NonFinite { image: 3, .. }), "{error}");
    assert!(error.to_string().contains("image 3"), "{error}");
    let mut under = block_on(UnderPgd::new(&model, &weights, SIZE, Pgd::default())).unwrap();
    assert!(matches!(
        block_on(under.measure(&x, &labels, |_| Ok(()))),
        Err(Error::NonFinite { image: 3, .. })
    ));
    let auto = AutoAttack::standard(Norm::L2, 0.5);
    assert!(matches!(
        block_on(auto.run(&model, &weights, (&x, &labels), 16, None, |_| Ok(()))),
        Err(Error::NonFinite { image: 3, .. })
    ));

    let folder = tempdir().unwrap();
    let file = folder.path().join("large.safetensors");
    with(1e38).1.write(&file).unwrap();
    for command in [&["eval"][..], &["attack", "--count", "8"]] {
        let output = lapidary(folder.path(), &[command, &["large.safetensors"]].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        assert!(said.contains("not finite") && said.contains("image "), "{command:?}: {said}");
    }
}

/// Activations that overflow inside of a network, where rectifiers, pools and normalisations could make numbers of them again:
/// the logits are not finite, and nobody is credited with an accuracy.
#[test]
fn activations_that_overflow_are_not_hidden() {
    let wide = |activation| WideResNet::new(10, 1, 1, 10, activation, None).unwrap().into();
    let networks: [(Network, f32); 6] = [
        (wide(Activation::Relu), 1e38),
        (wide(Activation::Silu), 1e38),
        (wide(Activation::LeakyRelu), 1e38),
        (ResNet::new([1; 4], [16; 4], 64, 1, 10, None).unwrap().into(), 1e38),
        (ConvNext::new([1; 4], [16; 4], Stem::Patch, 1, 10, None).unwrap().into(), 1e38),
        // Finite, but for a variance.
        (ConvNext::new([1; 4], [16; 4], Stem::Patch, 1, 10, None).unwrap().into(), 1e25),
    ];
    let side = 32;
    let pixels: Vec<f32> =
        (0..2 * side * side).map(|i| (i * 7919 % 1009) as f32 / 1009.0).collect();
    for (network, factor) in networks {
        let parameters = network.parameters();
        let mut state = network.initial(1);
        let size = BatchSize { images: 2, side };
        let logits = |state: &StateDict| {
            let weights = block_on(DeviceWeights::upload(gpu(), &parameters, state)).unwrap();
            let mut classifier = block_on(Classifier::new(&network, &weights, size)).unwrap();
            block_on(classifier.logits(&pixels))
        };
        assert!(logits(&state).unwrap().iter().all(|logit| logit.is_finite()), "{network}");
        let first = parameters.iter().find(|parameter| parameter.shape.len() == 4).unwrap();
        let mut tensor = state.get(&first.name).unwrap().clone();
        tensor.data.iter_mut().for_each(|value| *value = value.signum() * factor);
        state.insert(first.name.clone(), tensor);
        let error = logits(&state).unwrap_err();
        assert!(matches!(error, Error::NonFinite { .. }), "{network} times {factor}: {error}");
    }
}

/// Pictures that do not fit a binding together go through one after another.
#[test]
fn large_pictures_are_classified_in_smaller_batches() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["a.png", "b.png", "c.png"];
    for (value, name) in (0..).zip(names) {
        let picture = image::GrayImage::from_pixel(20, 20, image::Luma([90 * value]));
        picture.save(folder.path().join(name)).unwrap();
    }
    let arguments = [&["classify", "--side", "1024", "--top", "1", "--json"], &names[..]].concat();
    let told = crate::answer(folder.path(), &arguments);
    assert_eq!(told.as_array().unwrap().len(), 3, "{told}");
}
