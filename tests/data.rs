//! The data layer through its public paths: hostile files, exact preparation, and batches that are pure functions of a step.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy.toml reaches only into functions marked as tests, not their helpers"
)]

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use lapidary::data::{
    Augment, BatchSource, CropFlip, Dataset, Fractal, Loader, Ood, Part, Prepared, Random, Source,
    fashion, fractal, idx_from_bytes, read_idx,
};
use proptest::prelude::*;

fn idx(dims: &[u32], elements: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    bytes.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
    bytes.extend(elements);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn idx_error(bytes: &[u8]) -> String {
    idx_from_bytes("some/file", bytes).unwrap_err().to_string()
}

/// Asserts that a message names all these.
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

// ---- idx files

#[test]
fn idx_is_read_by_content_not_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = idx(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
    for (name, content) in [("plain.gz", bytes.clone()), ("zipped", gzip(&bytes))] {
        fs::write(folder.path().join(name), content).unwrap();
        let read = read_idx(folder.path().join(name)).unwrap();
        assert_eq!((read.dims, read.bytes), (vec![2, 1, 3], vec![1, 2, 3, 4, 5, 6]));
    }
}

#[test]
fn idx_errors_say_what_and_where() {
    let good = idx(&[2, 3], &[7; 6]);
    assert_says(
        &idx_error(b"PK\x03\x04 and more"),
        &["some/file", "50 4b 03 04", "byte 0", "00 00 08"],
    );
    assert_says(&idx_error(&[0, 0, 0x0d, 1, 0, 0, 0, 0]), &["0x0d", "byte 2", "u8"]);
    assert_says(&idx_error(&[0, 0, 8, 9]), &["rank 9", "byte 3"]);
    assert_says(&idx_error(&[0, 0, 8, 0]), &["rank 0", "byte 3"]);
    assert_says(&idx_error(&[]), &["header", "byte 0"]);
    assert_says(&idx_error(&good[..10]), &["header", "byte 8"]);
    assert_says(&idx_error(&good[..16]), &["ends at byte 16", "4 elements", "[2, 3] = 6 wanted"]);
    let mut long = good.clone();
    long.push(0);
    assert_says(&idx_error(&long), &["goes on after byte 18", "6 elements"]);
    assert_says(
        &read_idx("/not/there").unwrap_err().to_string(),
        &["/not/there", "cannot be opened"],
    );
    assert!(read_idx(std::env::temp_dir()).is_err(), "a folder");
}

#[test]
fn gzip_errors() {
    let good = gzip(&idx(&[300], &(0..300).map(|i| (i * i % 251) as u8).collect::<Vec<_>>()));
    assert!(idx_from_bytes("x", &good).is_ok());
    for len in [2, 11, 40, good.len() / 2, good.len() - 9, good.len() - 4, good.len() - 1] {
        assert!(idx_from_bytes("x", &good[..len]).is_err(), "{len} of {} bytes", good.len());
    }
    let mut wrong_sum = good.clone();
    let at = good.len() - 8;
    wrong_sum[at] ^= 1;
    assert_says(&idx_error(&wrong_sum), &["some/file", "breaks at byte 308"]);
    let mut trailing = good;
    trailing.extend(b"rubbish");
    assert!(idx_from_bytes("x", &trailing).is_err());
}

#[test]
fn huge_claims_and_bombs_cost_little() {
    assert_says(
        &idx_error(&idx(&[1 << 20, 1 << 20], &[])),
        &["1048576, 1048576", "at most 4294967296"],
    );
    assert_says(&idx_error(&idx(&[u32::MAX; 4], &[])), &["at most"]);
    // Within the cap, and yet not there.
    assert_says(
        &idx_error(&idx(&[4 << 20, 1 << 10], &[1, 2])),
        &["2 elements", "4294967296 wanted"],
    );
    // 200 MB of zeros where the header says 4: reading ends at the fifth.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&idx(&[4], &[])).unwrap();
    for _ in 0..200 {
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
    }
    assert_says(&idx_error(&encoder.finish().unwrap()), &["goes on after byte 12"]);
}

proptest! {
    #[test]
    fn any_bytes_are_an_array_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64), zip in any::<bool>(), head in 0_u8..5) {
        let mut file = if head > 0 { vec![0, 0, 8, head] } else { Vec::new() };
        file.extend(bytes);
        if let Ok(read) = idx_from_bytes("x", &if zip { gzip(&file) } else { file }) {
            prop_assert_eq!(read.dims.iter().map(|&dim| dim as usize).product::<usize>(), read.bytes.len());
        }
    }
}

// ---- folders and data sets

fn write_part(folder: &Path, stem: &str, images: &[u8], labels: &[u8]) {
    fs::write(folder.join(format!("{stem}-images-idx3-ubyte")), images).unwrap();
    fs::write(folder.join(format!("{stem}-labels-idx1-ubyte.gz")), gzip(labels)).unwrap();
}

#[test]
fn folder_gives_both_parts_the_training_classes() {
    let folder = tempfile::tempdir().unwrap();
    write_part(
        folder.path(),
        "train",
        &idx(&[3, 1, 2], &[1, 2, 3, 4, 5, 6]),
        &idx(&[3], &[0, 4, 1]),
    );
    write_part(folder.path(), "t10k", &idx(&[1, 1, 2], &[9, 8]), &idx(&[1], &[2]));
    let train = Dataset::from_idx_folder(folder.path(), Part::Train).unwrap();
    let test =
        Source::parse(folder.path().to_str().unwrap()).unwrap().load(Part::Test, 16).unwrap();
    assert_eq!(
        (train.len(), train.classes(), train.channels(), train.height(), train.width()),
        (3, 5, 1, 1, 2)
    );
    assert_eq!(
        (test.len(), test.classes(), test.labels(), test.image(0)),
        (1, 5, &[2][..], Some(&[9, 8][..]))
    );
    assert_eq!(train.image(2), Some(&[5, 6][..]));
    assert_eq!(train.image(3), None);
    assert_eq!(train.image(usize::MAX), None);
}

#[test]
fn folder_errors() {
    let folder = tempfile::tempdir().unwrap();
    let error = |part| Dataset::from_idx_folder(folder.path(), part).unwrap_err().to_string();
    assert_says(&error(Part::Train), &["train-images-idx3-ubyte.gz", "neither"]);
    write_part(folder.path(), "train", &idx(&[3, 1, 1], &[0; 3]), &idx(&[2], &[0, 1]));
    assert_says(&error(Part::Train), &["train-labels", "2 labels", "3 wanted", "train-images"]);
    write_part(folder.path(), "t10k", &idx(&[3, 1, 1], &[0; 3]), &idx(&[3], &[0, 1, 7]));
    assert_says(
        &error(Part::Test),
        &["t10k-labels", "label 7 of image 2 at byte 10", "below 2 wanted"],
    );
    write_part(folder.path(), "train", &idx(&[3, 1], &[0; 3]), &idx(&[3], &[0; 3]));
    assert_says(&error(Part::Train), &["train-images", "rank 2", "rank 3"]);
    write_part(folder.path(), "train", &idx(&[3, 1, 1], &[0; 3]), &idx(&[3, 1], &[0; 3]));
    assert_says(&error(Part::Train), &["train-labels", "rank 2", "rank 1"]);
    write_part(folder.path(), "train", &idx(&[1, 5000, 1], &[0; 5000]), &idx(&[1], &[0]));
    assert_says(&error(Part::Train), &["1×5000×1", "4096"]);
}

// ---- class folders

/// A picture of one colour whose middle square is of another.
fn picture(path: &Path, [width, height]: [u32; 2], [around, middle]: [[u8; 3]; 2]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let short = width.min(height);
    let (left, top) = ((width - short) / 2, (height - short) / 2);
    let inside = |x, y| (left..left + short).contains(&x) && (top..top + short).contains(&y);
    let colour = |x, y| image::Rgb(if inside(x, y) { middle } else { around });
    image::RgbImage::from_fn(width, height, colour).save(path).unwrap();
}

#[test]
fn photographs_are_cropped_and_shrunk() {
    let folder = tempfile::tempdir().unwrap();
    let (green, blue) = ([0, 255, 0], [0, 0, 255]);
    picture(&folder.path().join("sea/b.png"), [90, 30], [green, blue]);
    picture(&folder.path().join("meadow/a.JPG"), [40, 64], [blue, green]);
    picture(&folder.path().join("meadow/.hidden.png"), [8, 8], [blue, blue]);
    fs::write(folder.path().join("meadow/notes.txt"), "of no matter").unwrap();
    let source = Source::parse(folder.path().to_str().unwrap()).unwrap();
    let read = source.load(Part::Train, 8).unwrap();
    assert_eq!((read.len(), read.channels(), read.height(), read.width()), (2, 3, 8, 8));
    assert_eq!(
        (read.class_names(), read.labels()),
        (&["meadow".into(), "sea".into()][..], &[0, 1][..])
    );
    assert!(read.damaged().is_empty());
    // A pixel at the crop's edge may have taken in a little of what lies beside it, a JPEG is a little off everywhere.
    let planes = |image: usize| {
        let planes: Vec<_> = read.image(image).unwrap().chunks(64).collect();
        planes
            .iter()
            .map(|plane| plane.iter().map(|&value| u32::from(value)).sum::<u32>() / 64)
            .collect::<Vec<_>>()
    };
    let [meadow, sea] = [planes(0), planes(1)];
    assert!(meadow[0] < 5 && meadow[1] > 240 && meadow[2] < 20, "{meadow:?}");
    assert!(sea[0] < 5 && sea[1] < 20 && sea[2] > 240, "{sea:?}");
    let held_out = read.split(1, 0).unwrap().1;
    assert_eq!(held_out.class_names(), read.class_names());
}

#[test]
fn class_folders_are_divided_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    let load = |part| Dataset::from_class_folders(folder.path(), part, 8);
    let error = |part| load(part).unwrap_err().to_string();
    let grey = [[90; 3]; 2];
    assert_says(&error(Part::Train), &["nothing that is known", "a folder of PNG and JPEG"]);
    picture(&at("train/cat/1.png"), [9, 9], grey);
    assert_says(&error(Part::Test), &["not divided", "data.held_out"]);
    picture(&at("train/dog/1.png"), [9, 9], grey);
    picture(&at("test/dog/1.png"), [9, 9], grey);
    assert_eq!(load(Part::Train).unwrap().labels(), [0, 1]);
    assert_says(&error(Part::Test), &["cat", "no PNG or JPEG"]);
    picture(&at("test/cat/1.png"), [9, 9], grey);
    assert_eq!(load(Part::Test).unwrap().class_names(), ["cat", "dog"]);
    fs::create_dir(at("test/cow")).unwrap();
    assert_says(&error(Part::Test), &["\"cow\"", "is not in", "train"]);
    let error = Dataset::from_class_folders(folder.path(), Part::Train, 0).unwrap_err();
    assert_says(&error.to_string(), &["side 0", "4096"]);
}

#[test]
fn a_few_damaged_pictures_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let at = |i: usize| folder.path().join(format!("{}/{i:02}.png", ["a", "b"][i % 2]));
    for i in 0..20 {
        picture(&at(i), [9, 9], [[i as u8; 3]; 2]);
    }
    let whole = fs::read(at(7)).unwrap();
    fs::write(at(7), &whole[..whole.len() / 2]).unwrap();
    fs::write(at(12), "no picture").unwrap();
    let read = Dataset::from_class_folders(folder.path(), Part::Train, 8).unwrap();
    assert_eq!((read.len(), read.damaged().len()), (18, 2));
    assert_says(&read.damaged()[0], &["12.png"]);
    assert_says(&read.damaged()[1], &["07.png"]);
    assert_eq!(read.image(6).unwrap()[0], 14, "images and labels stay together");
    assert_eq!(read.labels(), [vec![0; 9], vec![1; 9]].concat());
    fs::write(at(3), "").unwrap();
    let error = Dataset::from_class_folders(folder.path(), Part::Train, 8).unwrap_err();
    assert_says(&error.to_string(), &["3 of 20", "at most 2", "12.png"]);
}

// ---- data sets

#[test]
fn data_set_refuses_what_does_not_fit() {
    let error = |channels, pixels: usize, labels: &[u32]| {
        Dataset::new(channels, 2, 2, 3, vec![0; pixels], labels.to_vec()).unwrap_err().to_string()
    };
    assert_says(&error(0, 0, &[]), &["0×2×2"]);
    assert_says(&error(1, 7, &[0, 1]), &["7 pixels", "2 labels", "8"]);
    assert_says(&error(1, 8, &[0, 3]), &["label 3", "image 1", "below 3"]);
    assert!(Dataset::new(1, 1, 1, u32::MAX, vec![], vec![]).is_err(), "memory for each class");
}

#[test]
fn embedded_set_is_balanced() {
    for (part, each) in [(Part::Train, 300), (Part::Test, 100)] {
        let data = fashion::load(part).unwrap();
        assert_eq!((data.len(), data.classes(), data.channels()), (10 * each, 10, 1));
        assert_eq!((data.height(), data.width()), (28, 28));
        for class in 0..10 {
            assert_eq!(data.labels().iter().filter(|&&label| label == class).count(), each);
        }
    }
    let train = Source::parse("builtin:fashion").unwrap().load(Part::Train, 16).unwrap();
    // The first labels of the official training file: ankle boot, T-shirt, T-shirt, dress, T-shirt, pullover, sneaker.
    assert_eq!(train.labels()[..7], [9, 0, 0, 3, 0, 2, 7]);
    assert_eq!(fashion::CLASS_NAMES[9], "ankle boot");
    // What run records say of it; the same from a few lines of Python over the idx files.
    assert_eq!(format!("{:016x}", train.checksum()), "d31450cfb0f9c63b");
}

#[test]
fn checksum_sees_shape_labels_and_pixels() {
    let sum = |height, width, classes, pixel, label| {
        Dataset::new(1, height, width, classes, vec![pixel, 0, 0, 0], vec![label])
            .unwrap()
            .checksum()
    };
    let all = [
        sum(2, 2, 3, 0, 0),
        sum(1, 4, 3, 0, 0),
        sum(2, 2, 4, 0, 0),
        sum(2, 2, 3, 1, 0),
        sum(2, 2, 3, 0, 1),
    ];
    assert_eq!(HashSet::from(all).len(), all.len());
    assert_eq!(all[0], sum(2, 2, 3, 0, 0));
}

#[test]
fn split_is_balanced_disjoint_and_complete() {
    // Each image is its own number, so that it can be recognised.
    let pixels: Vec<u8> = (0..200_u8).collect();
    let labels: Vec<u32> = (0..200).map(|i| if i < 120 { i % 2 } else { 2 }).collect();
    let data = Dataset::new(1, 1, 1, 4, pixels, labels).unwrap();
    let (rest, held) = data.split(50, 7).unwrap();
    let count =
        |data: &Dataset, class| data.labels().iter().filter(|&&label| label == class).count();
    assert_eq!([0, 1, 2, 3].map(|class| count(&held, class)), [15, 15, 20, 0]);
    assert_eq!(rest.len(), 150);
    for part in [&rest, &held] {
        assert!(part.pixels().is_sorted(), "file order is kept");
        for (pixel, label) in part.pixels().iter().zip(part.labels()) {
            assert_eq!(data.labels()[usize::from(*pixel)], *label);
        }
    }
    let mut all = [rest.pixels(), held.pixels()].concat();
    all.sort_unstable();
    assert_eq!(all, data.pixels());
    assert_eq!(data.split(50, 7).unwrap(), (rest, held.clone()));
    assert_ne!(data.split(50, 8).unwrap().1, held);
    assert!(data.split(0, 0).unwrap().1.is_empty());
    assert!(data.split(200, 0).unwrap().0.is_empty());
    assert_says(&data.split(201, 0).unwrap_err().to_string(), &["201", "at most 200"]);
}

// ---- preparation

#[test]
fn preparation_by_hand() {
    // 3×2 in a square of 4: one row of zeros below, one column on each side; then means of 2×2.
    let data = Dataset::new(1, 3, 2, 1, vec![255, 0, 51, 102, 204, 255], vec![0]).unwrap();
    let two = data.prepared(2).unwrap();
    assert_eq!(two.images(), [(255. + 51.) / 1020., 102. / 1020., 204. / 1020., 255. / 1020.]);
    let four = data.prepared(4).unwrap();
    let expected = [0, 255, 0, 0, 0, 51, 102, 0, 0, 204, 255, 0, 0, 0, 0, 0]
        .map(|pixel: u8| f32::from(pixel) / 255.);
    assert_eq!(four.images(), expected);
    assert_eq!(data.prepared(1).unwrap().images(), [867. / 255. / 9.]);
    assert!(data.prepared(0).is_err() && data.prepared(5000).is_err());
    assert!(data.split(1, 0).unwrap().0.prepared(2).is_err(), "no images");
}

#[test]
fn fashion_at_16_is_padded_to_32_and_averaged() {
    let data = fashion::load(Part::Test).unwrap();
    let prepared = data.prepared(16).unwrap();
    assert_eq!(
        (prepared.side(), prepared.channels(), prepared.classes(), prepared.len()),
        (16, 1, 10, 1000)
    );
    assert_eq!(prepared.labels(), data.labels());
    let (from, to) = (data.image(5).unwrap(), prepared.image(5).unwrap());
    let pixel = |y: usize, x: usize| f32::from(from[(2 * y - 2) * 28 + 2 * x - 2]);
    for (y, x) in [(1, 1), (7, 8), (14, 14)] {
        let corner = (2 * y - 2) * 28 + 2 * x - 2;
        let sum = pixel(y, x)
            + f32::from(from[corner + 1])
            + f32::from(from[corner + 28])
            + f32::from(from[corner + 29]);
        assert_eq!(to[y * 16 + x], sum / 1020.);
    }
    assert!(
        to[..16].iter().all(|&value| value == 0.) && to[15 * 16..].iter().all(|&value| value == 0.)
    );
    assert!(prepared.images().iter().all(|value| (0. ..=1.).contains(value)));
    assert_eq!(prepared.image(1000), None);
}

#[test]
fn statistics_are_per_channel() {
    let images = vec![0., 0.5, 1., 1., 0.5, 1., 1., 1.];
    let prepared = Prepared::from_f32(4, 1, 2, images, vec![0, 1]).unwrap();
    assert_eq!(prepared.mean(), [0.25, 0.75, 1., 1.]);
    assert_eq!(prepared.std(), [0.25, 0.25, 1., 1.], "1 where a channel is constant");
}

#[test]
fn user_values_are_checked() {
    let error = |value: f32| {
        let mut images = vec![0.5; 3 * 4];
        images[2 * 4 + 1] = value;
        Prepared::from_f32(1, 2, 2, images, vec![0, 1, 0]).unwrap_err().to_string()
    };
    assert_says(&error(f32::NAN), &["NaN in image 2", "[0,1]"]);
    assert_says(&error(f32::INFINITY), &["inf in image 2"]);
    assert_says(&error(-0.25), &["-0.25 in image 2"]);
    assert_says(&error(1.5), &["1.5 in image 2"]);
    assert!(Prepared::from_f32(1, 2, 2, vec![0.; 3], vec![0]).is_err());
    assert!(Prepared::from_f32(1, 2, 2, vec![0.; 4], vec![2]).is_err());
    assert!(Prepared::from_f32(1, 2, 2, vec![], vec![]).is_err());
}

// ---- random numbers, augmentation, fractals

#[test]
fn random_streams_are_fixed_and_independent() {
    // The first 64 bits of ChaCha8 (block 0, nonce 0) under the key that the documentation gives, from an independent
    // Python version of RFC 8439's block function with 8 rounds. A change would break the resuming of old runs.
    assert_eq!(format!("{:016x}", Random::new(1, "purpose", 2, 3).bits()), "1b1a5d4a5a324124");
    let first = |seed, purpose, step, index| Random::new(seed, purpose, step, index).bits();
    let all = [
        first(0, "a", 0, 0),
        first(1, "a", 0, 0),
        first(0, "b", 0, 0),
        first(0, "a", 1, 0),
        first(0, "a", 0, 1),
    ];
    assert_eq!(HashSet::from(all).len(), all.len());
    let mut random = Random::new(5, "moments", 0, 0);
    let normals: Vec<f64> =
        (0..20_000).flat_map(|_| <[f64; 2]>::from(random.normal_pair())).collect();
    let mean = normals.iter().sum::<f64>() / 40_000.;
    let variance = normals.iter().map(|x| x * x).sum::<f64>() / 40_000.;
    let fourth = normals.iter().map(|x| x.powi(4)).sum::<f64>() / 40_000.;
    assert!(
        mean.abs() < 0.03 && (variance - 1.).abs() < 0.05 && (fourth - 3.).abs() < 0.4,
        "{mean} {variance} {fourth}"
    );
    let mut counts = [0; 5];
    (0..10_000).for_each(|_| counts[random.below(5) as usize] += 1);
    assert!(counts.iter().all(|count| (1800..2200).contains(count)), "{counts:?}");
    assert_eq!(random.below(0), 0);
}

#[test]
fn crop_and_flip_shift_by_up_to_the_padding() {
    // Each value is 1 + its position, so that shift and mirroring can be read off.
    let (side, padding) = (4_usize, 2_i64);
    let image: Vec<f32> = (0..2 * 16).map(|i| 1. + i as f32).collect();
    let mut seen = HashSet::new();
    for index in 0..2000 {
        let mut out = vec![f32::NAN; 32];
        let augment = CropFlip { padding: 2, flip: true };
        augment.apply(&mut Random::new(1, "crop", 0, index), &image, 2, 4, &mut out).unwrap();
        let expected = |down: i64, right: i64, flip: bool| {
            let at = |channel: usize, y: usize, x: usize| {
                let x = if flip { side - 1 - x } else { x };
                let (y, x) = (y as i64 + down, x as i64 + right);
                let inside = (0..4).contains(&y) && (0..4).contains(&x);
                if inside { image[channel * 16 + y as usize * 4 + x as usize] } else { 0. }
            };
            (0..32).map(|i| at(i / 16, i / 4 % 4, i % 4)).collect::<Vec<_>>()
        };
        let all = (-padding..=padding).flat_map(|down| {
            (-padding..=padding).flat_map(move |right| [(down, right, false), (down, right, true)])
        });
        let which: Vec<_> =
            all.filter(|&(down, right, flip)| expected(down, right, flip) == out).collect();
        assert_eq!(which.len(), 1, "exactly one shift explains {out:?}");
        seen.insert(which[0]);
    }
    assert_eq!(seen.len(), 50, "all 25 offsets, mirrored and not");
}

#[test]
fn crop_and_flip_at_the_edges() {
    assert_eq!(CropFlip::for_side(32), CropFlip { padding: 4, flip: true });
    let image = [1., 2., 3., 4.];
    let mut out = [f32::NAN; 4];
    let random = || Random::new(0, "edge", 0, 0);
    CropFlip { padding: 0, flip: false }.apply(&mut random(), &image, 1, 2, &mut out).unwrap();
    assert_eq!(out, image);
    CropFlip { padding: u32::MAX, flip: true }
        .apply(&mut random(), &image, 1, 2, &mut out)
        .unwrap();
    assert_eq!(out, [0.; 4], "far outside");
    let none = CropFlip { padding: 1, flip: true };
    assert!(none.apply(&mut random(), &image, 1, 3, &mut out).is_err());
    assert!(none.apply(&mut random(), &image, 1, 2, &mut out[..3]).is_err());
    none.apply(&mut random(), &[], 1, 0, &mut []).unwrap();
}

#[test]
fn fractals_are_pure_different_and_in_range() {
    for (channels, side) in [(1, 16), (3, 15), (3, 32)] {
        let images: Vec<_> =
            (0..50).map(|index| fractal(9, index, channels, side).unwrap()).collect();
        assert_eq!(images[7], fractal(9, 7, channels, side).unwrap());
        assert_ne!(images[7], fractal(10, 7, channels, side).unwrap());
        assert_ne!(images[7], images[8]);
        for image in &images {
            assert_eq!(image.len(), (channels * side * side) as usize);
            assert!(image.iter().all(|value| (0. ..=1.).contains(value)));
            assert!(image.iter().any(|value| *value != image[0]), "not constant");
        }
    }
    assert!(
        Fractal::new(0, 16).is_err()
            && Fractal::new(1, 0).is_err()
            && Fractal::new(1, u32::MAX).is_err()
    );
}

/// The share of each frequency in the power of the rows of fields, over 300 images; entry 0 is left at 0.
fn row_spectrum(side: usize) -> Vec<f64> {
    let maker = Fractal::new(1, side as u32).unwrap();
    let mut power = vec![0.; side / 2 + 1];
    for index in 0..300 {
        let image = maker.image(&mut Random::new(0, "spectrum", 0, index));
        for row in image.chunks_exact(side) {
            for (frequency, power) in power.iter_mut().enumerate().skip(1) {
                let wave = |x: usize| std::f64::consts::TAU * (frequency * x) as f64 / side as f64;
                let re: f64 = row
                    .iter()
                    .enumerate()
                    .map(|(x, &value)| f64::from(value) * wave(x).cos())
                    .sum();
                let im: f64 = row
                    .iter()
                    .enumerate()
                    .map(|(x, &value)| f64::from(value) * wave(x).sin())
                    .sum();
                *power += re * re + im * im;
            }
        }
    }
    power
}

#[test]
fn fractal_power_falls_with_frequency() {
    let power = row_spectrum(16);
    for pair in power[1..].windows(2) {
        assert!(pair[0] > pair[1], "{power:?}");
    }
    assert!(power[1] > 5. * power[4], "{power:?}");
}

#[test]
fn fractal_channels_are_correlated_but_not_equal() {
    let maker = Fractal::new(3, 32).unwrap();
    let mut sum = 0.;
    for index in 0..100 {
        let image = maker.image(&mut Random::new(0, "colour", 0, index));
        let (red, green) = (&image[..1024], &image[1024..2048]);
        let moment = |a: &[f32], b: &[f32]| {
            let mean = |v: &[f32]| v.iter().map(|&x| f64::from(x)).sum::<f64>() / 1024.;
            let (p, q) = (mean(a), mean(b));
            a.iter().zip(b).map(|(&x, &y)| (f64::from(x) - p) * (f64::from(y) - q)).sum::<f64>()
        };
        sum += moment(red, green) / (moment(red, red) * moment(green, green)).sqrt().max(1e-12);
    }
    assert!((0.45..0.8).contains(&(sum / 100.)), "{}", sum / 100.);
}

// ---- batches and threads

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

/// What stage 2 reads: generation, classification and out-of-distribution images.
fn stage2_sources() -> Vec<BatchSource> {
    let images = Arc::new(fashion::load(Part::Train).unwrap().prepared(16).unwrap());
    let augment = Augment::CropFlip;
    vec![
        BatchSource::images("generation", 5, 17, Arc::clone(&images), augment).unwrap(),
        BatchSource::images("classification", 5, 17, images, augment).unwrap(),
        Ood::parse("builtin:fractal").unwrap().batches("ood", 5, 17, 1, 16).unwrap(),
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
fn names_of_data() {
    assert_eq!(Source::parse("builtin:fashion").unwrap(), Source::Fashion);
    assert_eq!(Source::parse("some/folder").unwrap().to_string(), "some/folder");
    assert_eq!(Ood::parse("builtin:fractal").unwrap().to_string(), "builtin:fractal");
    assert_eq!(Ood::parse("builtin:fashion").unwrap(), Ood::Images(Source::Fashion));
    assert_says(
        &Source::parse("builtin:fractal").unwrap_err().to_string(),
        &["data", "builtin:fractal", "folder"],
    );
    assert_says(
        &Ood::parse("builtin:x").unwrap_err().to_string(),
        &["ood", "builtin:x", "builtin:fractal"],
    );
    assert!(Source::parse("").is_err());
    assert!(Source::parse("/not/there").unwrap().load(Part::Train, 16).is_err());
    let three_channels = Ood::Images(Source::Fashion).batches("ood", 0, 4, 3, 16);
    assert_says(&three_channels.unwrap_err().to_string(), &["1 channels", "3"]);
    assert_eq!(
        Ood::Images(Source::Fashion).batches("ood", 0, 4, 1, 16).unwrap().shape(),
        [4, 1, 16, 16]
    );
}
