//! Tests that data in the forms that users' files have is read with the right images, labels and names, or refused with the
//! reason.

mod forms;

use std::fs;
use std::io::Write;
use std::path::Path;

use image::{Rgb, RgbImage};
use lapidary::Result;
use lapidary::data::{Evaluation, Kept, Ood, Part, Parts, Reading, Source, Split};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// A `.npy` file's bytes.
pub fn npy(kind: &str, columns: bool, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    let order = if columns { "True" } else { "False" };
    let header = format!("{{'descr': '{kind}', 'fortran_order': {order}, 'shape': ({sides}), }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), bytes]
        .concat()
}

/// Bytes from 0 on.
fn pixels(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i % 251) as u8).collect()
}

pub fn longs(labels: &[i64]) -> Vec<u8> {
    npy(
        "<i8",
        false,
        &[labels.len()],
        &labels.iter().flat_map(|l| l.to_le_bytes()).collect::<Vec<_>>(),
    )
}

/// Grey images of 8×8.
fn images(count: usize) -> Vec<u8> {
    npy("|u1", false, &[count, 8, 8], &pixels(count * 64))
}

pub fn npz(path: &Path, arrays: &[(&str, Vec<u8>)]) {
    let mut archive = ZipWriter::new(fs::File::create(path).unwrap());
    for (name, bytes) in arrays {
        archive.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap();
}

fn picture(path: &Path, value: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(9, 9, Rgb([value; 3])).save(path).unwrap();
}

fn source(path: impl AsRef<Path>) -> Source {
    Source::parse(path.as_ref().to_str().unwrap()).unwrap()
}

fn split(held_out: usize) -> Split {
    Split {
        held_out: (Kept::Images(held_out), 1),
        validation: (Kept::Images(0), 0),
        most_test: 100,
    }
}

fn parts(path: impl AsRef<Path>, held_out: usize) -> Result<Parts> {
    source(path).parts(Reading::new(8, None, 0.1, &[]), split(held_out))
}

fn evaluated(path: impl AsRef<Path>, channels: u32, classes: u32) -> Result<Evaluation> {
    source(path).evaluation([channels, 8, classes], None, 0.1)
}

fn refused<T>(found: Result<T>, words: &[&str]) {
    let Err(error) = found else { panic!("not refused, {words:?} wanted") };
    let said = error.to_string();
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said:?}");
    }
}

/// Line 3.
#[test]
fn labels_that_would_make_an_empty_class_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.npz");
    let put = |labels: &[i64]| npz(&file, &[("images", images(6)), ("labels", longs(labels))]);
    put(&[1, 2, 3, 1, 2, 3]);
    refused(parts(&file, 2), &["a.npz", "1 to 3 begin at 1", "subtract 1"]);
    refused(evaluated(&file, 1, 3), &["label 3", "3 classes", "begin at 1"]);
    // With four classes nobody can know: it is told.
    let found = evaluated(&file, 1, 4).unwrap();
    assert!(found.notes.iter().any(|note| note.contains("begin at 1")), "{:?}", found.notes);
    put(&[0, 2, 4, 0, 2, 4]);
    refused(parts(&file, 2), &["labels up to 4 without 1, 3"]);
    put(&[0, 1, -1, 0, 1, 2]);
    refused(parts(&file, 2), &["-1 for image 2", "from 0 to 65535"]);
    put(&[0, 1, 9, 0, 1, 2]);
    refused(evaluated(&file, 1, 3), &["label 9", "3 classes"]);
    put(&[0, 1, 2, 0, 1, 2]);
    assert_eq!(parts(&file, 3).unwrap().train.classes(), 3);
}

/// Line 21.
#[test]
fn images_without_labels_do_not_train_as_one_class() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    npz(&at("a.npz"), &[("images", images(6)), ("names_of_files", longs(&[0; 6]))]);
    for found in [parts(at("a.npz"), 2).err(), evaluated(at("a.npz"), 1, 3).err()] {
        let said = found.unwrap().to_string();
        assert!(said.contains("no labels") && said.contains("images, names_of_files"), "{said}");
    }
    for name in ["targets", "label", "labels", "y"] {
        npz(&at("b.npz"), &[("data", images(4)), (name, longs(&[0, 1, 0, 1]))]);
        assert_eq!(parts(at("b.npz"), 2).unwrap().train.classes(), 2, "{name}");
    }
    for i in 0..4 {
        picture(&at(&format!("csv/images/{i}.png")), i);
    }
    fs::write(at("csv/labels.csv"), "0,1\n").unwrap();
    refused(parts(at("csv"), 1), &["labels.csv", "a folder for each class"]);
    refused(evaluated(at("csv"), 3, 3), &["labels.csv"]);
    refused(parts(at("csv/images"), 1), &["no labels", "a folder for each class"]);
    // They are good for what needs no labels.
    let others = Ood::parse(at("csv").to_str().unwrap()).unwrap();
    assert_eq!(
        others.open([3, 8], None, lapidary::data::Augment::None, 0.0).unwrap().len(),
        Some(4)
    );
}

/// Line 18.
#[test]
fn data_to_test_with_is_evaluated_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let labels = || longs(&[0, 1, 1]);
    for class in ["ant", "bee"] {
        for name in
            ["flat", "both/train", "both/valid", "val/val", "validation/validation", "capital/Test"]
        {
            picture(&at(&format!("{name}/{class}/1.png")), 7);
        }
        for part in ["training", "validation"] {
            picture(&at(&format!("words/{part}/{class}/1.png")), 7);
        }
    }
    npz(&at("test.npz"), &[("x_test", images(3)), ("y_test", labels())]);
    npz(&at("pair.npz"), &[("images", images(3)), ("labels", labels())]);
    npz(&at("short.npz"), &[("x", images(3)), ("y", labels())]);
    npz(
        &at("long.npz"),
        &[
            ("x_train", images(3)),
            ("y_train", labels()),
            ("x_val", images(2)),
            ("y_val", longs(&[1, 0])),
        ],
    );
    let idx = |dims: &[u32], bytes: &[u8]| {
        let dims: Vec<u8> = dims.iter().flat_map(|dim| dim.to_be_bytes()).collect();
        [&[0, 0, 8, (dims.len() / 4) as u8][..], &dims, bytes].concat()
    };
    fs::create_dir_all(at("idx")).unwrap();
    fs::write(at("idx/t10k-images-idx3-ubyte"), idx(&[2, 8, 8], &pixels(128))).unwrap();
    fs::write(at("idx/t10k-labels-idx1-ubyte"), idx(&[2], &[0, 1])).unwrap();
    for (name, channels, part, count) in [
        ("flat", 3, "all", 2),
        ("flat", 1, "all", 2),
        ("both", 3, "valid", 2),
        ("val", 3, "val", 2),
        ("validation", 3, "validation", 2),
        ("words", 3, "validation", 2),
        ("capital", 3, "Test", 2),
        ("test.npz", 1, "test", 3),
        ("pair.npz", 1, "all", 3),
        ("short.npz", 1, "all", 3),
        ("long.npz", 1, "val", 2),
        ("idx", 1, "test", 2),
        ("idx/t10k-images-idx3-ubyte", 1, "all", 2),
    ] {
        let found = evaluated(at(name), channels, 2).unwrap();
        assert_eq!((found.part.as_str(), found.images.len()), (part, count), "{name}");
        assert_eq!(found.images.classes(), 2, "{name}");
    }
    // What has nothing to learn from says so when it is to be trained on.
    refused(parts(at("validation"), 0), &["nothing in it but validation", "train"]);
    // The program prints which part it was.
    let three = at("three");
    for class in ["dress", "bag"] {
        picture(&three.join(format!("val/{class}/1.png")), 7);
    }
    let output = super::lapidary(folder.path(), &["eval", "--data", "three", "--steps", "1"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("2 images of three: its part val"), "{said}");
}

/// Lines 19 and 12.
#[test]
fn images_of_no_class_are_measured_as_they_are_and_in_batches() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ood.npz");
    npz(&file, &[("images", images(5))]);
    let all = source(&file).load(Part::Train, 8).unwrap().prepared(8).unwrap();
    let ood = Ood::parse(file.to_str().unwrap()).unwrap();
    let open = |recipe| ood.open([1, 8], None, recipe, 0.0).unwrap();
    let cropped = open(lapidary::data::Augment::CropFlip);
    let taken = |count, batch| cropped.measured(3, count, batch).unwrap().all().unwrap();
    let sorted = |images: &[f32]| {
        let mut images: Vec<Vec<u32>> =
            images.chunks(64).map(|image| image.iter().map(|v| v.to_bits()).collect()).collect();
        images.sort();
        images
    };
    // Each file's image once, as it is, however many test images there are.
    assert_eq!(sorted(&taken(1000, 64)), sorted(all.images()));
    assert_eq!(taken(5, 2), taken(5, 5), "the same in any batches");
    assert_eq!(taken(3, 2).len(), 3 * 64);
    // More than one batch may hold: 4,000 images of 3×224×224 in batches of two.
    let fields = Ood::Fractal.open([3, 224], None, lapidary::data::Augment::None, 0.0).unwrap();
    let mut many = fields.measured(0, 4000, 2).unwrap();
    assert_eq!(many.next_batch().unwrap().unwrap().len(), 2 * 3 * 224 * 224);
    assert_eq!(many.left(), 3998);
    npz(
        &folder.path().join("few.npz"),
        &[("images", images(6)), ("labels", longs(&[0, 1, 2, 3, 4, 5]))],
    );
    // The program takes several sets, and says how many images each has.
    let answer = super::answer(
        folder.path(),
        &[
            "eval",
            "--data",
            "few.npz",
            "--steps",
            "1",
            "--json",
            "--ood",
            "ood.npz",
            "--ood",
            "builtin:noise",
        ],
    );
    let told = answer["ood"].as_array().unwrap();
    assert_eq!(
        (told.len(), &told[0]["images"], &told[1]["of"]),
        (2, &5.into(), &"builtin:noise".into())
    );
    assert_eq!(answer["ood_auroc"], told[0]["auroc"]);
}

/// Line 23.
#[test]
fn a_divided_folder_keeps_its_own_test_part() {
    let folder = tempfile::tempdir().unwrap();
    for (class, value) in [("a", 10), ("b", 200)] {
        for i in 0..6 {
            picture(&folder.path().join(format!("train/{class}/{i}.png")), value);
        }
        picture(&folder.path().join(format!("test/{class}/0.png")), value + 5);
    }
    let found = parts(folder.path(), 4).unwrap();
    assert_eq!((found.train.len(), found.test.len()), (8, 2));
    assert_eq!(found.test.images()[0], 15.0 / 255.0);
    assert_eq!(found.validation.unwrap().len(), 4, "what is held out chooses");
    let undivided = parts(folder.path().join("train"), 4).unwrap();
    assert_eq!((undivided.train.len(), undivided.test.len()), (8, 4));
    assert!(undivided.validation.is_none());
}

/// Bytes that are 0 and 1 are nearly black pictures, which somebody meant otherwise; texts and numbers are no labels of one set.
#[test]
fn what_is_hardly_meant_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.npz");
    let mask = npy("|u1", false, &[2, 8, 8], &[0, 1].repeat(64));
    npz(&file, &[("images", mask), ("labels", longs(&[0, 1]))]);
    let found = evaluated(&file, 1, 2).unwrap();
    assert!(found.notes.iter().any(|note| note.contains("by 255")), "{:?}", found.notes);
    let texts = npy("|S3", false, &[2], b"catdog");
    let arrays = [
        ("x_train", images(2)),
        ("y_train", texts),
        ("x_test", images(2)),
        ("y_test", longs(&[0, 1])),
    ];
    npz(&file, &arrays);
    refused(parts(&file, 0), &["the test labels are numbers", "cat, dog"]);
    // White in one part would be another number than in the other.
    let words = |most: u16| {
        let all: Vec<u8> = (0..128_u16).flat_map(|at| (at % (most + 1)).to_le_bytes()).collect();
        npy("<u2", false, &[2, 8, 8], &all)
    };
    let mut wide = words(100);
    wide.truncate(wide.len() - 2);
    wide.extend(65_535_u16.to_le_bytes());
    let labels = longs(&[0, 1]);
    let arrays = [
        ("x_train", words(100)),
        ("y_train", labels.clone()),
        ("x_test", wide),
        ("y_test", labels),
    ];
    npz(&file, &arrays);
    refused(parts(&file, 0), &["whether 255 or 65535 is white"]);
}
