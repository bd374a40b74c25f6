//! Tests folders of idx files and of pictures: what is refused as a set of images, how a set is split, and how `builtin:` sets
//! are named.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use crate::batches::ood;
use crate::{assert_says, gzip, idx};
use lapidary::data::{Augment, Dataset, Kept, Ood, Part, Reading, Source, Split, fashion};

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
    assert_says(&error(Part::Train), &["train-labels", "2 labels", "3 images", "train-images"]);
    write_part(folder.path(), "t10k", &idx(&[3, 1, 1], &[0; 3]), &idx(&[3], &[0, 1, 7]));
    assert_says(
        &error(Part::Test),
        &["t10k-labels", "label 7 of image 2 at byte 10", "has to be below 2"],
    );
    write_part(folder.path(), "train", &idx(&[3, 1], &[0; 3]), &idx(&[3], &[0; 3]));
    assert_says(&error(Part::Train), &["train-images", "2 dimensions", "has to have 3"]);
    write_part(folder.path(), "train", &idx(&[3, 1, 1], &[0; 3]), &idx(&[3, 1], &[0; 3]));
    assert_says(&error(Part::Train), &["train-labels", "2 dimensions", "has to have 1"]);
    write_part(folder.path(), "train", &idx(&[1, 5000, 1], &[0; 5000]), &idx(&[1], &[0]));
    assert_says(&error(Part::Train), &["1×5000×1", "4096"]);
}

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
    assert_says(
        &error(Part::Train),
        &["nothing in it can be read", "a folder of pictures for each class"],
    );
    picture(&at("train/cat/1.png"), [9, 9], grey);
    assert_says(&error(Part::Test), &["not divided", "data.held_out"]);
    picture(&at("train/dog/1.png"), [9, 9], grey);
    picture(&at("test/dog/1.png"), [9, 9], grey);
    assert_eq!(load(Part::Train).unwrap().labels(), [0, 1]);
    let test = load(Part::Test).unwrap();
    assert_eq!((test.class_names(), test.labels()), (&["cat".into(), "dog".into()][..], &[1][..]));
    picture(&at("test/cow/1.png"), [9, 9], grey);
    assert_says(&error(Part::Test), &["\"cow\" in test", "is not among", "cat, dog"]);
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
    let three_channels = Ood::Images(Source::Fashion).open([3, 16], None, Augment::CropFlip, 0.0);
    assert_says(&three_channels.unwrap_err().to_string(), &["1 channels", "3"]);
    let fashion = ood("builtin:fashion").unwrap();
    assert_eq!(fashion.batches("ood", 0, 4).unwrap().shape(), [4, 1, 16, 16]);
}

/// Images that are held out beside a test part are those to validate with, and no more are taken from training.
#[test]
fn held_out_images_beside_a_test_part_validate() {
    let split = |held_out| Split {
        held_out: (Kept::Share(held_out), 0),
        validation: (Kept::Images(30), 1),
        most_test: 1000,
    };
    for (held_out, validated) in [(0.2, 600), (0.0, 30)] {
        let source = Source::parse("builtin:fashion").unwrap();
        let parts = source.parts(Reading::new(16, None, 0.0, &[]), split(held_out)).unwrap();
        assert_eq!(parts.validation.map(|images| images.len()), Some(validated));
        assert_eq!((parts.train.len(), parts.test.len()), (3000 - validated, 1000));
    }
}
