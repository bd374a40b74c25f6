//! Tests that settings which were once accepted and changed nothing, or the wrong thing, do what they say or are refused.

use std::path::Path;

use crate::reading::{longs, npy, npz};
use crate::runs::small;
use lapidary::data::{Fit, OodImages};
use lapidary::train::{Data, Material};

/// An archive of `count` colour images with labels of two classes.
fn colours(path: &Path, count: usize, [height, width]: [usize; 2]) {
    let bytes = (0..count * height * width * 3).map(|i| (i * i % 251) as u8).collect::<Vec<_>>();
    let images = npy("|u1", false, &[count, height, width, 3], &bytes);
    let labels: Vec<i64> = (0..count as i64).map(|i| i % 2).collect();
    npz(path, &[("images", images), ("labels", longs(&labels))]);
}

/// With an empty `data.fit` training once put zeros around arrays of `data.ood`, and what reads the network's file cropped them.
#[test]
fn images_of_no_class_come_to_the_side_as_the_networks_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let [train, ood] = ["train", "ood"].map(|name| folder.path().join(format!("{name}.npz")));
    colours(&train, 8, [8, 8]);
    colours(&ood, 4, [12, 20]);
    let [from, others] = [("train", &train), ("ood", &ood)]
        .map(|(key, path)| format!("data.{key}={}", path.display()));
    let config = small(&["data.held_out=2", &from, &others]);
    let material = Material::load(&config).unwrap();
    assert_eq!(material.fit, Fit::Crop);
    let of = |images: &OodImages| images.measured(0, 4, 4).unwrap().all().unwrap();
    let fitted = |fit: Fit| {
        let data = Data { fit: fit.to_string(), ..config.data.clone() };
        of(&data.open_ood(3).unwrap())
    };
    assert_eq!(of(&material.ood), fitted(material.fit));
    assert_ne!(of(&material.ood), fitted(Fit::Letterbox));
}
