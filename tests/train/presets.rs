//! Tests every training preset on small stand-ins for its data sets, in the same file layout: the data are read, the network is
//! made, and batches of labelled, real and out-of-distribution images are drawn. For the small presets, what an iteration costs
//! on the adapter is worked out, too.

use crate::common::own_gpu;
use lapidary::data::{Augment, BatchSource};
use lapidary::model::Role;
use lapidary::train::{Config, Material, plans, preset_names};
use std::fs;
use std::path::Path;

/// Networks above it take more memory and time than a test has.
const PLANNED: usize = 1_000_000;

/// Records of CIFAR's binary files.
fn records(count: u8, label: impl Fn(u8) -> Vec<u8>) -> Vec<u8> {
    let image = |seed: u8| (0..3072_u32).map(move |i| (i * u32::from(seed) / 7 % 251) as u8);
    (0..count).flat_map(|i| label(i).into_iter().chain(image(i + 1))).collect()
}

fn pictures(folder: &Path, count: u32) {
    for i in 0..count {
        let class = folder.join(format!("n{}", i % 2));
        fs::create_dir_all(&class).unwrap();
        let pixel = |x, y| image::Rgb([x * i, y * 3, x ^ y].map(|value| value as u8));
        image::RgbImage::from_fn(240, 256, pixel).save(class.join(format!("{i}.jpg"))).unwrap();
    }
}

/// Under the names that the presets have.
fn data(here: &Path) {
    let [ten, hundred, imagenet, openimages] =
        ["cifar-10", "cifar-100", "imagenet", "openimages"].map(|name| here.join(name));
    for folder in [&ten, &hundred] {
        fs::create_dir_all(folder).unwrap();
    }
    for i in 1..=5 {
        let batch = records(40, |i| vec![i % 10]);
        fs::write(ten.join(format!("data_batch_{i}.bin")), batch).unwrap();
    }
    fs::write(ten.join("test_batch.bin"), records(20, |i| vec![i % 10])).unwrap();
    fs::write(hundred.join("train.bin"), records(200, |i| vec![i % 20, i % 100])).unwrap();
    fs::write(hundred.join("test.bin"), records(20, |i| vec![0, i])).unwrap();
    pictures(&imagenet.join("train"), 10);
    pictures(&imagenet.join("val"), 4);
    pictures(&openimages, 4);
    let cut = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/fashion-mnist-cut");
    fs::create_dir(here.join("fashion-mnist")).unwrap();
    for entry in fs::read_dir(cut).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "gz") {
            fs::copy(&path, here.join("fashion-mnist").join(path.file_name().unwrap())).unwrap();
        }
    }
}

#[test]
fn every_preset_reads_its_data_and_makes_its_network() {
    let folder = tempfile::tempdir().unwrap();
    data(folder.path());
    let gpu = own_gpu();
    let at = |name: &str| match name.strip_prefix("data/") {
        Some(name) => folder.path().join(name).display().to_string(),
        None => name.to_owned(),
    };
    let mut planned = 0;
    for name in preset_names() {
        let preset = Config::preset(name).unwrap();
        let [train, ood] = [&preset.data.train, &preset.data.ood].map(|name| at(name));
        let files = [format!("data.train={train}"), format!("data.ood={ood}")];
        // The stand-ins are fewer than what is kept from training; public classifiers are hundreds of megabytes.
        let small = ["model.weights=".to_owned(), format!("validate.images={}", 0.2)];
        let config = preset.with(&[files, small].concat()).unwrap();
        let material = Material::load(&config).unwrap_or_else(|error| panic!("{name}: {error}"));
        let model = material.model(&config).unwrap();
        let validates = config.validate.every > 0;
        // Only the demo and its test do without: the others choose their best weights by images that they keep apart.
        assert_eq!(validates, !["fashion-demo", "fashion-tiny"].contains(&name), "{name}");
        assert!(preset.validate.images > 0.0, "{name} judges by its test images");
        assert_eq!(material.validation.len() == material.test.len(), !validates, "{name}");

        let channels = material.train.channels();
        let side = config.data.side as usize;
        for recipe in [&config.data.classify, &config.data.real] {
            let augment = Augment::parse(recipe).unwrap();
            let images = material.train.clone();
            let batches = BatchSource::images(recipe, config.seed, 3, images, augment).unwrap();
            let batch = batches.batch(0).unwrap();
            assert_eq!(batch.images.len(), 3 * channels as usize * side * side, "{name}");
            assert!(batch.labels.iter().all(|label| *label < model.classes()), "{name}");
        }
        let others = material.ood.batches("ood", config.seed, 3).unwrap().batch(0).unwrap();
        assert_eq!(others.images.len(), 3 * channels as usize * side * side, "{name}");
        assert!(model.parameters().iter().any(|each| each.role == Role::Weight));
        if model.count() < PLANNED {
            let stages = usize::from(config.stage1.schedule.iterations > 0)
                + usize::from(config.stage2_iterations() > 0);
            let plans = pollster::block_on(plans(&gpu, &config, &material)).unwrap();
            assert_eq!(plans.len(), 2 * stages, "{name}");
            planned += 1;
        }
    }
    assert_eq!(planned, 8, "Fashion's");
}
