//! Tests that batches depend on seed and step alone, also when several threads make them ahead.

use std::collections::HashSet;
use std::sync::Arc;

use crate::assert_says;
use lapidary::data::{
    Augment, BatchSource, Fractal, Loader, Ood, OodImages, Part, Prepared, fashion,
};

/// `count` images of one pixel, each of its own value, each with its number as label.
fn numbered(count: u32) -> Arc<Prepared> {
    let images = (0..count).map(|i| i as f32 / count as f32).collect();
    Arc::new(Prepared::from_f32(1, 1, count, images, (0..count).collect()).unwrap())
}

#[test]
fn each_epoch_has_every_image_once_and_its_own_order() {
    let (images, batch_size) = (23_u32, 5);
    let source =
        BatchSource::images("test", 1, batch_size, numbered(images), Augment::None).unwrap();
    let read: Vec<u32> = (0..46).flat_map(|step| source.batch(step).unwrap().labels).collect();
    let epochs: Vec<&[u32]> = read.chunks(images as usize).collect();
    assert_eq!(epochs.len(), 10);
    for epoch in &epochs {
        assert_eq!(epoch.iter().collect::<HashSet<_>>().len(), images as usize);
    }
    assert!(epochs.windows(2).all(|pair| pair[0] != pair[1]));
    let batch = source.batch(4).unwrap();
    assert!(
        batch.images.iter().zip(&batch.labels).all(|(&value, &label)| value == label as f32 / 23.)
    );
}

#[test]
fn a_batch_may_hold_several_epochs() {
    let source = BatchSource::images("test", 1, 10, numbered(3), Augment::None).unwrap();
    let labels: Vec<u32> = (0..3).flat_map(|step| source.batch(step).unwrap().labels).collect();
    assert!(
        labels.chunks_exact(3).all(|epoch| epoch.iter().sum::<u32>() == 3 && epoch.contains(&0))
    );
}

#[test]
fn names_and_seeds_give_different_batches() {
    let source = |name, seed| {
        BatchSource::images(name, seed, 8, numbered(100), Augment::None).unwrap().batch(0).unwrap()
    };
    assert_ne!(source("generation", 0), source("classification", 0));
    assert_ne!(source("generation", 0), source("generation", 1));
    assert_eq!(source("generation", 0), source("generation", 0));
}

#[test]
fn batch_sources_refuse_nonsense() {
    assert!(BatchSource::images("x", 0, 0, numbered(3), Augment::None).is_err());
    assert!(BatchSource::images("x", 0, usize::MAX, numbered(3), Augment::None).is_err());
    assert!(BatchSource::fractal("x", 0, 1 << 20, Fractal::new(1, 32).unwrap()).is_err());
    let source = BatchSource::images("x", 0, 2, numbered(3), Augment::None).unwrap();
    assert_says(&source.batch(u64::MAX).unwrap_err().to_string(), &["18446744073709551615"]);
    assert!(Loader::new(vec![source], 0, 1, 0).is_err());
    assert!(Loader::new(Vec::new(), 0, 0, 1).is_err());
    assert!(Loader::new(Vec::new(), 0, usize::MAX, 1).is_err());
}

pub(crate) fn ood(text: &str) -> lapidary::Result<OodImages> {
    Ood::parse(text)?.open([1, 16], None, Augment::CropFlip, 0.0)
}

/// The sources of stage 2: images for generation and classification, and out-of-distribution images.
fn stage2_sources() -> Vec<BatchSource> {
    let images = Arc::new(fashion::load(Part::Train).unwrap().prepared(16).unwrap());
    let augment = Augment::CropFlip;
    vec![
        BatchSource::images("generation", 5, 17, Arc::clone(&images), augment).unwrap(),
        BatchSource::images("classification", 5, 17, images, augment).unwrap(),
        ood("builtin:fractal").unwrap().batches("ood", 5, 17).unwrap(),
    ]
}

#[test]
fn threads_and_resuming_change_nothing() {
    let sources = stage2_sources();
    assert_eq!(sources[2].shape(), [17, 1, 16, 16]);
    // 3,000 images in batches of 17: steps 170 to 180 straddle two epochs.
    let (first, steps) = (170, 12);
    let wanted: Vec<Vec<_>> = (first..first + steps)
        .map(|step| sources.iter().map(|s| s.batch(step).unwrap()).collect())
        .collect();
    assert!(wanted[0][2].labels.is_empty() && wanted[0][0] != wanted[0][1]);
    for (threads, depth) in [(1, 1), (1, 4), (3, 3), (3, 8)] {
        let mut loader = Loader::new(stage2_sources(), first, depth, threads).unwrap();
        for batches in &wanted {
            assert_eq!(&loader.next_batches().unwrap(), batches, "{threads} threads");
        }
        assert_eq!(loader.step(), first + steps);
    }
    let mut resumed = Loader::new(stage2_sources(), first + 7, 4, 2).unwrap();
    assert_eq!(resumed.next_batches().unwrap(), wanted[7]);
}

#[test]
fn loader_ends_with_the_numbers() {
    let source = BatchSource::images("x", 0, 1, numbered(3), Augment::None).unwrap();
    let mut loader = Loader::new(vec![source], u64::MAX - 2, 2, 2).unwrap();
    assert!(loader.next_batches().is_ok() && loader.next_batches().is_ok());
    for _ in 0..4 {
        assert!(loader.next_batches().is_err());
    }
}

#[test]
fn shares_of_a_batch_are_its_images() {
    let mixed = || ood("2*builtin:fractal + 1*builtin:noise").unwrap();
    let others = || mixed().batches("ood", 5, 17).unwrap();
    for step in [0, 170, 176] {
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        for share in [0..6, 6..12, 12..17] {
            for (at, whole) in stage2_sources().into_iter().chain([others()]).enumerate() {
                let part = whole.of_batch(share.clone()).unwrap();
                assert_eq!((part.batch_size(), part.shape()[0]), (share.len(), share.len()));
                images.resize(4, Vec::new());
                labels.resize(4, Vec::new());
                let batch = part.batch(step).unwrap();
                images[at].extend(batch.images);
                labels[at].extend(batch.labels);
            }
        }
        for (at, whole) in stage2_sources().into_iter().chain([others()]).enumerate() {
            let batch = whole.batch(step).unwrap();
            assert!(batch.images == images[at] && batch.labels == labels[at], "{whole:?}");
        }
    }
    for wrong in [3..3, 10..18] {
        let message = stage2_sources().remove(0).of_batch(wrong).unwrap_err().to_string();
        assert!(message.contains("the batch's 17 images"), "{message}");
    }
}
