//! Tests streams of batches over data sets of every format: the same from any step by any number of threads, and past damaged
//! pictures.

use std::fs;
use std::path::{Path, PathBuf};

use crate::assert_says;
use crate::formats::{cifar10, encoded, jpeg_pack, picture, shard, source, split};
use image::ImageFormat;
use lapidary::data::{Augment, Batch, BatchSource, Fit, LabelledImages, Loader, Ood, Reading};

fn class_folders(folder: &Path) {
    for i in 0..12_u32 {
        let class = folder.join(["ant", "bee", "cow"][i as usize % 3]);
        fs::create_dir_all(&class).unwrap();
        let bytes = encoded(&picture(i, 24 + 3 * i, 40 - i), ImageFormat::Jpeg);
        fs::write(class.join(format!("{i:02}.jpg")), bytes).unwrap();
    }
}

/// A source of each kind that training can read, each with an augmentation.
fn every_source(folder: &Path) -> Vec<BatchSource> {
    let [photos, shards, tiny, pack, cifar] =
        ["photos", "shards", "tiny.bin", "pack", "cifar"].map(|name| folder.join(name));
    if !photos.exists() {
        for folder in [&photos, &shards, &pack, &cifar] {
            fs::create_dir(folder).unwrap();
        }
        class_folders(&photos);
        fs::write(shards.join("0.tar"), shard(0)).unwrap();
        fs::write(shards.join("1.tar"), shard(4)).unwrap();
        fs::write(&tiny, (0..3072 * 5).map(|i| (i * i / 7 % 251) as u8).collect::<Vec<_>>())
            .unwrap();
        jpeg_pack(&pack);
        for (name, bytes) in cifar10() {
            fs::write(cifar.join(name), bytes).unwrap();
        }
    }
    let recipes = ["none", "crop-flip", "cifar", "resized-crop", "centre"];
    let mut all = Vec::new();
    let mut number = 0;
    for path in [&photos, &shards, &pack, &cifar] {
        for recipe in recipes {
            let augment = Augment::parse(recipe).unwrap();
            // Whole pictures stay on disk; all others are few enough to lie in memory.
            let reading =
                Reading { whole: recipe != "none", ..Reading::new(16, None, 0.1, &[augment]) };
            let parts = source(path).parts(reading, split(2, 3, 2)).unwrap();
            assert_eq!(parts.statistics[0].len(), 3);
            number += 1;
            let name = format!("{recipe} {number}");
            all.push(BatchSource::images(&name, 3, 5, parts.train, augment).unwrap());
        }
    }
    let mixture = format!("2*builtin:fractal + 1*{} + builtin", tiny.display());
    assert!(Ood::parse(&mixture).is_err());
    let mixture = format!("2*builtin:fractal + 1*{} + 0.5*builtin:noise", tiny.display());
    for text in [tiny.to_str().unwrap(), "builtin:noise", &mixture] {
        let ood = Ood::parse(text).unwrap();
        assert_eq!(Ood::parse(&ood.to_string()).unwrap(), ood);
        let augment = Augment::ResizedCrop;
        all.push(ood.open([3, 16], None, augment, 0.1).unwrap().batches("ood", 3, 5).unwrap());
    }
    all
}

#[test]
fn batches_are_the_same_from_any_step_by_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let sources = every_source(folder.path());
    let wanted: Vec<Vec<Batch>> =
        (3..9).map(|step| sources.iter().map(|one| one.batch(step).unwrap()).collect()).collect();
    for batch in wanted.iter().flatten() {
        assert!(batch.images.iter().all(|value| (0.0..=1.0).contains(value)));
    }
    for threads in [1, 2, 4] {
        for first in [3, 6] {
            let sources = every_source(folder.path());
            let mut loader = Loader::new(sources, first, 4, threads).unwrap();
            for batches in &wanted[first as usize - 3..] {
                assert!(&loader.next_batches().unwrap() == batches, "{threads} threads");
            }
            assert!(loader.waited().as_nanos() > 0);
        }
    }
}

#[test]
fn each_image_comes_once_an_epoch_and_each_time_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    class_folders(folder.path());
    let reading = Reading { side: 8, fit: None, max_bad: 0.1, whole: true };
    let LabelledImages::Pictures { pictures, side: 8, .. } =
        source(folder.path()).parts(reading, split(2, 0, 9)).unwrap().train
    else {
        panic!("on disk")
    };
    assert_eq!(pictures.len(), 10);
    let batch = |augment| {
        let (pictures, fit) = (pictures.clone(), Fit::Crop);
        let images = LabelledImages::Pictures { pictures, channels: 3, side: 8, fit };
        let source = BatchSource::images("x", 1, 10, images, augment).unwrap();
        [source.batch(0).unwrap(), source.batch(1).unwrap()]
    };
    let sorted = |batch: &Batch| {
        let mut images: Vec<Vec<u32>> = batch
            .images
            .chunks(192)
            .map(|image| image.iter().map(|v| v.to_bits()).collect())
            .collect();
        images.sort();
        images
    };
    let [first, second] = batch(Augment::None);
    assert_eq!(sorted(&first), sorted(&second));
    assert_ne!(first, second);
    for augment in [Augment::CropFlip, Augment::Cifar, Augment::ResizedCrop, Augment::Centre] {
        let [first, second] = batch(augment);
        assert_ne!(sorted(&first), sorted(&second), "{augment}");
        assert_eq!(Augment::parse(&augment.to_string()).unwrap(), augment);
    }
    assert_says(
        &Augment::parse("auto").unwrap_err().to_string(),
        &["\"auto\"", "cifar, resized-crop"],
    );
}

#[test]
fn a_mixture_has_its_shares() {
    let noise = Ood::parse("3*builtin:noise + 1*builtin:fractal").unwrap();
    let batch = noise.open([1, 8], None, Augment::None, 0.0).unwrap().batches("x", 0, 400).unwrap();
    let batch = batch.batch(0).unwrap();
    assert!(batch.labels.is_empty());
    // Neighbours in noise have nothing to do with each other.
    let is_noise = |image: &&[f32]| {
        let steps: f32 = image.windows(2).map(|pair| (pair[0] - pair[1]).abs()).sum();
        steps / 63.0 > 0.25
    };
    let count = batch.images.chunks(64).filter(is_noise).count();
    assert!((260..350).contains(&count), "{count} of 400");
    for text in
        ["builtin:noise + builtin:fractal", "0*builtin:noise + 1*x", "1*x + inf*y", "a*x + 1*y"]
    {
        assert!(Ood::parse(text).is_err(), "{text}");
    }
    assert_eq!(Ood::parse("a+b").unwrap().to_string(), "a+b", "a path may have a plus");
}

#[test]
fn damaged_pictures_on_disk_are_passed_over_listed_and_limited() {
    let folder = tempfile::tempdir().unwrap();
    class_folders(folder.path());
    let paths: Vec<PathBuf> =
        ["ant/03.jpg", "cow/11.jpg"].map(|name| folder.path().join(name)).into();
    let read = |max_bad| {
        let reading = Reading { side: 8, fit: None, max_bad, whole: true };
        source(folder.path()).parts(reading, split(3, 1, 3)).map(|parts| parts.train)
    };
    let batches = |images: LabelledImages| {
        let source = BatchSource::images("x", 0, 9, images, Augment::CropFlip)?;
        (0..3).map(|step| source.batch(step)).collect::<lapidary::Result<Vec<_>>>()
    };
    let whole = batches(read(0.0).unwrap()).unwrap();
    for path in &paths {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    }
    let images = read(2.0).unwrap();
    let now = batches(images.clone()).unwrap();
    assert!(now.iter().all(|batch| batch.labels.len() == 9) && now != whole);
    assert_eq!(now, batches(read(0.2).unwrap()).unwrap(), "the same ones stand in");
    assert_eq!(images.damaged().len(), 2);
    assert_says(&images.damaged().join(" "), &["03.jpg", "11.jpg"]);
    for max_bad in [0.0, 0.1, 1.0] {
        let error = read(max_bad).and_then(batches).unwrap_err().to_string();
        assert_says(&error, &["2 of 12", "data.max_bad"]);
    }
    let error = read(0.0).and_then(batches).unwrap_err().to_string();
    assert_says(&error, &["at most 0"]);
}

/// Out-of-distribution pictures are read once for all streams, in memory or on disk, and have an identity and a limit too.
#[test]
fn damaged_ood_pictures_are_listed_and_limited() {
    let folder = tempfile::tempdir().unwrap();
    class_folders(folder.path());
    let mixture = format!("1*builtin:noise + 3*{}", folder.path().display());
    let open =
        |text: &str, augment, max_bad| Ood::parse(text)?.open([3, 8], None, augment, max_bad);
    let draw = |text: &str, augment, max_bad| {
        let ood = open(text, augment, max_bad)?;
        let batches = ood.batches("x", 0, 30)?;
        let drawn = (0..3).map(|step| batches.batch(step)).collect::<lapidary::Result<Vec<_>>>()?;
        Ok::<_, lapidary::Error>((drawn, ood.checksum(), ood.damaged()))
    };
    let alone = folder.path().to_str().unwrap();
    let on_disk = Augment::parse("resized-crop").unwrap();
    for augment in [Augment::CropFlip, on_disk] {
        let (_, checksum, damaged) = draw(alone, augment, 0.0).unwrap();
        assert!(checksum.is_some() && damaged.is_empty());
    }
    assert_eq!(draw("builtin:noise", on_disk, 0.0).unwrap().1, None);
    let before = [alone, &mixture].map(|text| draw(text, on_disk, 0.0).unwrap().1);
    for name in ["ant/03.jpg", "cow/11.jpg"] {
        let bytes = fs::read(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name), &bytes[..bytes.len() / 2]).unwrap();
    }
    for text in [alone, &mixture] {
        for augment in [Augment::CropFlip, on_disk] {
            let (drawn, checksum, damaged) = draw(text, augment, 2.0).unwrap();
            assert_eq!((drawn.len(), damaged.len()), (3, 2), "{damaged:?}");
            assert_says(&damaged.join(" "), &["03.jpg", "11.jpg"]);
            assert!(!before.contains(&checksum));
            let error = draw(text, augment, 0.1).unwrap_err().to_string();
            assert_says(&error, &["2 of 12", "data.max_bad"]);
        }
    }
    // A picture that is gone since it was listed is not damaged: it may come back.
    let ood = open(alone, on_disk, 0.9).unwrap();
    fs::rename(folder.path().join("bee"), folder.path().join("wasp")).unwrap();
    let error = ood.batches("x", 0, 30).unwrap().batch(0).unwrap_err().to_string();
    assert_says(&error, &["bee", "is gone now"]);
}
