//! Tests data sets of every format, written here as their makers write them: what is read, in which order, and which errors damaged
//! ones give.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use crate::{assert_says, gzip};
use image::{ImageFormat, RgbImage};
use lapidary::data::{Augment, Kept, Ood, Part, Reading, Source, Split};

pub fn source(path: &Path) -> Source {
    Source::parse(path.to_str().unwrap()).unwrap()
}

/// So many held out by a seed, none for validation.
pub fn split(held_out: usize, seed: u64, most_test: usize) -> Split {
    Split { held_out: (Kept::Images(held_out), seed), validation: (Kept::Images(0), 0), most_test }
}

/// Returns the error of reading a part.
fn error(path: &Path, part: Part) -> String {
    source(path).load(part, 8).unwrap_err().to_string()
}

/// A smooth picture that differs from others of another number.
pub fn picture(number: u32, width: u32, height: u32) -> RgbImage {
    let value = |x: u32, y: u32, c: u32| ((x * 5 + y * (3 + c) + number * 37 + c * 60) % 200) as u8;
    RgbImage::from_fn(width, height, |x, y| image::Rgb([0, 1, 2].map(|c| value(x, y, c))))
}

pub fn encoded(image: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn tar(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    archive.into_inner().unwrap()
}

// ---- CIFAR

/// Records of labels and an image whose values count up from the first label.
fn records(labels: &[&[u8]]) -> Vec<u8> {
    let image = |first: u8| (0..3072_u32).map(move |i| (i / 12) as u8 ^ first);
    labels.iter().flat_map(|labels| labels.iter().copied().chain(image(labels[0]))).collect()
}

pub fn cifar10() -> Vec<(String, Vec<u8>)> {
    let batch = |i: u8| (format!("data_batch_{i}.bin"), records(&[&[i], &[9 - i]]));
    let mut files: Vec<_> = (1..=5).rev().map(batch).collect();
    files.push(("test_batch.bin".into(), records(&[&[7]])));
    let names = "airplane automobile bird cat deer dog frog horse ship truck".replace(' ', "\n");
    files.push(("batches.meta.txt".into(), format!("{names}\n\n").into_bytes()));
    files
}

#[test]
fn cifar10_from_the_folder_and_from_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("cifar-10-batches-bin");
    fs::create_dir(&inner).unwrap();
    let mut packed = Vec::new();
    for (name, bytes) in cifar10() {
        fs::write(inner.join(&name), &bytes).unwrap();
        packed.push((format!("cifar-10-batches-bin/{name}"), bytes));
    }
    let packed: Vec<_> =
        packed.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let archive = folder.path().join("cifar-10-binary.tar.gz");
    fs::write(&archive, gzip(&tar(&packed))).unwrap();
    let mut sums = Vec::new();
    for place in [folder.path(), &inner, &archive] {
        let train = source(place).load(Part::Train, 32).unwrap();
        assert_eq!(train.labels(), [1, 8, 2, 7, 3, 6, 4, 5, 5, 4]);
        assert_eq!(
            [train.channels(), train.height(), train.width(), train.classes()],
            [3, 32, 32, 10]
        );
        assert_eq!(train.class_names()[9], "truck");
        let first = train.image(1).unwrap();
        assert_eq!([first[0], first[12], first[3071]], [8, 1 ^ 8, 255 ^ 8]);
        assert_eq!(source(place).load(Part::Test, 32).unwrap().labels(), [7]);
        sums.push(train.checksum());
    }
    assert!(sums.iter().all(|sum| *sum == sums[0]));

    fs::remove_file(inner.join("data_batch_3.bin")).unwrap();
    assert_says(&error(&inner, Part::Train), &["data_batch_3.bin", "not there"]);
    fs::write(inner.join("test_batch.bin"), [0; 3074]).unwrap();
    assert_says(&error(&inner, Part::Test), &["test_batch.bin", "3074 bytes", "3073"]);
    fs::write(inner.join("test_batch.bin"), records(&[&[3], &[10]])).unwrap();
    assert_says(&error(&inner, Part::Test), &["label at byte 3073 is 10", "below 10"]);
    let whole = fs::read(&archive).unwrap();
    fs::write(&archive, &whole[..whole.len() - 20]).unwrap();
    assert_says(&error(&archive, Part::Train), &["cifar-10-binary.tar.gz"]);
    let python = tar(&[("cifar-10-batches-py/data_batch_1", vec![1])]);
    fs::write(&archive, gzip(&python)).unwrap();
    assert_says(&error(&archive, Part::Train), &["data_batch_1", "not a pickle"]);
    fs::write(&archive, gzip(&tar(&[("a.txt", vec![1])]))).unwrap();
    assert_says(&error(&archive, Part::Train), &["data_batch_5.bin", "train.bin"]);
}

#[test]
fn cifar100_has_its_fine_label_second() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("train.bin"), records(&[&[3, 99], &[19, 0]])).unwrap();
    fs::write(folder.path().join("test.bin"), records(&[&[0, 42]])).unwrap();
    let train = source(folder.path()).load(Part::Train, 32).unwrap();
    assert_eq!((train.labels(), train.classes()), (&[99, 0][..], 100));
    assert_eq!(train.image(0).unwrap()[0], 3);
    assert!(train.class_names().is_empty());
    assert_eq!(source(folder.path()).load(Part::Test, 32).unwrap().labels(), [42]);
    fs::write(folder.path().join("test.bin"), records(&[&[0, 42], &[0, 100]])).unwrap();
    assert_says(&error(folder.path(), Part::Test), &["label at byte 3075 is 100", "below 100"]);
}

// ---- pictures

/// A pack of small JPEG pictures, whose common beginning is written once.
pub fn jpeg_pack(folder: &Path) {
    let jpegs: Vec<_> = (0..6).map(|i| encoded(&picture(i, 8, 8), ImageFormat::Jpeg)).collect();
    let common = (0..jpegs[0].len()).find(|&i| jpegs.iter().any(|jpeg| jpeg[i] != jpegs[0][i]));
    let head = common.unwrap() - 2;
    fs::write(folder.join("head.bin"), &jpegs[0][..head]).unwrap();
    let pack = |which: &[(usize, u8)]| -> Vec<u8> {
        let record = |&(i, label): &(usize, u8)| {
            let body = &jpegs[i][head..];
            [&[label], &(body.len() as u16).to_le_bytes()[..], body].concat()
        };
        which.iter().flat_map(record).collect()
    };
    fs::write(folder.join("train.jpgs"), pack(&[(0, 2), (1, 0), (2, 1), (3, 0)])).unwrap();
    fs::write(folder.join("test.jpgs"), pack(&[(4, 1), (5, 0)])).unwrap();
}

#[test]
fn a_pack_of_small_jpegs() {
    let folder = tempfile::tempdir().unwrap();
    jpeg_pack(folder.path());
    let train = source(folder.path()).load(Part::Train, 8).unwrap();
    assert_eq!((train.labels(), train.classes()), (&[2, 0, 1, 0][..], 3));
    let test = source(folder.path()).load(Part::Test, 8).unwrap();
    assert_eq!((test.labels(), test.classes()), (&[1, 0][..], 3));
    // At its own size a picture is the decoder's, pixel for pixel.
    let jpeg = image::load_from_memory(&encoded(&picture(4, 8, 8), ImageFormat::Jpeg)).unwrap();
    let red: Vec<u8> = jpeg.to_rgb8().pixels().map(|pixel| pixel.0[0]).collect();
    assert_eq!(test.image(0).unwrap()[..64], red);
    let file = folder.path().join("train.jpgs");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    assert_says(&error(folder.path(), Part::Train), &["train.jpgs", "ends at byte", "record 4"]);
    fs::write(&file, &whole[..2]).unwrap();
    assert_says(&error(folder.path(), Part::Train), &["train.jpgs", "ends at byte 2"]);
}

pub fn shard(first: u32) -> Vec<u8> {
    let jpeg = |i: u32| encoded(&picture(first + i, 20 + i, 14), ImageFormat::Jpeg);
    tar(&[
        ("d/0.jpg", jpeg(0)),
        ("d/0.cls", format!("{}\n", first % 3).into_bytes()),
        ("d/0.json", b"{}".to_vec()),
        ("d/1.cls", b"2".to_vec()),
        ("d/1.jpg", jpeg(1)),
    ])
}

#[test]
fn shards_follow_their_names() {
    let folder = tempfile::tempdir().unwrap();
    for (name, first) in [("b-000001.tar", 4), ("a-000000.tar", 0), ("c.tar", 7)] {
        fs::write(folder.path().join(name), shard(first)).unwrap();
    }
    let read = source(folder.path()).load(Part::Train, 8).unwrap();
    assert_eq!((read.labels(), read.classes()), (&[0, 2, 1, 2, 1, 2][..], 3));
    let one = source(&folder.path().join("b-000001.tar")).load(Part::Train, 8).unwrap();
    assert_eq!([one.image(0), one.image(1)], [read.image(2), read.image(3)]);
    assert_says(&error(folder.path(), Part::Test), &["not divided", "data.held_out"]);
    let file = folder.path().join("c.tar");
    fs::write(&file, tar(&[("9.cls", b"cat".to_vec())])).unwrap();
    assert_says(&error(folder.path(), Part::Train), &["c.tar", "9.cls", "\"cat\""]);
    fs::write(&file, tar(&[("9.png", encoded(&picture(0, 4, 4), ImageFormat::Png))])).unwrap();
    assert_says(&error(folder.path(), Part::Train), &["c.tar", "9 has no label"]);
    assert_says(&error(&file, Part::Test), &["not divided"]);
    // Without any labels they serve as out-of-distribution images, and for nothing else.
    let ood = Ood::parse(file.to_str().unwrap()).unwrap();
    assert!(ood.open([3, 8], None, Augment::CropFlip, 0.0).unwrap().batches("x", 0, 2).is_ok());
    let parts = source(&file).parts(Reading::new(8, None, 0.1, &[]), split(1, 0, 1));
    assert_says(&parts.unwrap_err().to_string(), &["no labels"]);
}

#[test]
fn tiny_images_lie_column_by_column() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tiny_images.bin");
    let value = |image: usize, channel: usize, x: usize, y: usize| {
        (image * 90 + channel * 50 + x + 3 * y % 17) as u8
    };
    let mut bytes = Vec::new();
    for image in 0..2 {
        for channel in 0..3 {
            let columns = (0..32).flat_map(|x| (0..32).map(move |y| (x, y)));
            bytes.extend(columns.map(|(x, y)| value(image, channel, x, y)));
        }
    }
    fs::write(&file, &bytes).unwrap();
    let read = source(&file).load(Part::Train, 32).unwrap();
    assert_eq!((read.len(), read.labels()), (2, &[0, 0][..]));
    for (channel, x, y) in [(0, 0, 0), (0, 31, 0), (1, 3, 20), (2, 31, 31)] {
        assert_eq!(read.image(1).unwrap()[(channel * 32 + y) * 32 + x], value(1, channel, x, y));
    }
    fs::write(&file, &bytes[1..]).unwrap();
    assert_says(&error(&file, Part::Train), &["6143 bytes", "3072"]);
}

#[test]
fn tiles_of_a_sheet() {
    let folder = tempfile::tempdir().unwrap();
    let sheet = picture(1, 24, 16);
    fs::write(folder.path().join("a.png"), encoded(&sheet, ImageFormat::Png)).unwrap();
    let name = |side: &str| format!("tiles:{side}:{}", folder.path().display());
    let source = Source::parse(&name("8")).unwrap();
    assert_eq!(source.to_string(), name("8"));
    let read = source.load(Part::Train, 8).unwrap();
    assert_eq!((read.len(), read.height(), read.classes()), (6, 8, 1));
    for (tile, x, y, c) in [(0, 0, 0, 0), (2, 7, 3, 1), (4, 5, 7, 2)] {
        let pixel = sheet.get_pixel(tile % 3 * 8 + x, tile / 3 * 8 + y);
        let at = (c * 64 + y * 8 + x) as usize;
        assert_eq!(read.image(tile as usize).unwrap()[at], pixel.0[c as usize]);
    }
    let other = Source::parse(&name("7")).unwrap().load(Part::Train, 8).unwrap_err();
    assert_says(&other.to_string(), &["a.png", "24×16", "tiles of 7"]);
    for bad in ["tiles:0:x", "tiles:8:", "tiles:x", "tiles:99999:x"] {
        assert_says(&Source::parse(bad).unwrap_err().to_string(), &[bad, "tiles:32:some/path"]);
    }
}

// ---- NumPy's files

fn npy(kind: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), bytes].concat()
}

fn npz(path: &Path, arrays: &[(&str, Vec<u8>)]) {
    let mut archive = zip::ZipWriter::new(fs::File::create(path).unwrap());
    for (name, bytes) in arrays {
        let options = zip::write::SimpleFileOptions::default();
        archive.start_file(format!("{name}.npy"), options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap();
}

#[test]
fn numpys_arrays_in_every_order() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let bytes: Vec<u8> = (0..36).collect();
    // Two images of 2 rows and 3 columns in three channels, then of 3 rows and 2 columns.
    let last = npy("|u1", "2, 2, 3, 3", &bytes);
    let first = npy("|u1", "2, 3, 3, 2", &bytes);
    let grey = npy("|u1", "6, 3, 2", &bytes);
    let long =
        |labels: &[i64]| -> Vec<u8> { labels.iter().flat_map(|l| l.to_le_bytes()).collect() };
    npz(&at("train.npz"), &[("images", last.clone()), ("labels", npy("<i8", "2", &long(&[0, 4])))]);
    npz(&at("test.npz"), &[("arr_0", last.clone()), ("arr_1", npy("|u1", "2, 1", &[1, 2]))]);
    let train = source(folder.path()).load(Part::Train, 8).unwrap();
    assert_eq!((train.labels(), train.classes()), (&[0, 4][..], 5));
    assert_eq!([train.channels(), train.height(), train.width()], [3, 2, 3]);
    assert_eq!(train.image(1).unwrap()[..7], [18, 21, 24, 27, 30, 33, 19]);
    let test = source(folder.path()).load(Part::Test, 8).unwrap();
    assert_eq!((test.labels(), test.classes()), (&[1, 2][..], 5));

    let both =
        [("x_train", first), ("y_train", npy("|u1", "2", &[0, 1])), ("x_test", grey.clone())];
    npz(&at("both.npz"), &both);
    let train = source(&at("both.npz")).load(Part::Train, 8).unwrap();
    assert_eq!(train.image(1).unwrap()[..7], [18, 19, 20, 21, 22, 23, 24]);
    let test = source(&at("both.npz")).load(Part::Test, 8).unwrap();
    assert_eq!((test.len(), test.channels(), test.classes()), (6, 1, 2));

    fs::write(at("some-images.npy"), grey).unwrap();
    let alone = source(&at("some-images.npy")).load(Part::Train, 8).unwrap();
    assert_eq!((alone.labels(), alone.classes()), (&[0; 6][..], 1));
    fs::write(at("some-labels.npy"), npy("|u1", "6", &[0, 1, 2, 2, 1, 0])).unwrap();
    assert_eq!(source(&at("some-images.npy")).load(Part::Train, 8).unwrap().classes(), 3);

    assert_says(&error(&at("some-images.npy"), Part::Test), &["not divided"]);
    npz(&at("train.npz"), &[("pictures", last.clone())]);
    assert_says(&error(folder.path(), Part::Train), &["train.npz", "arrays pictures", "x, images"]);
    npz(&at("train.npz"), &[("images", npy("<f4", "1", &[0; 4]))]);
    assert_says(&error(folder.path(), Part::Train), &["images of shape [1]", "[N, H, W, C]"]);
    npz(
        &at("train.npz"),
        &[("images", last.clone()), ("labels", npy("<i8", "2", &long(&[0, -1])))],
    );
    assert_says(
        &error(folder.path(), Part::Train),
        &["labels with the value -1 for image 1", "from 0 to 65535"],
    );
    npz(&at("train.npz"), &[("images", last), ("labels", npy("|u1", "1", &[0]))]);
    assert_says(&error(folder.path(), Part::Train), &["train.npz", "2 images and 1 labels"]);
}

#[test]
fn what_is_no_data_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    fs::write(&file, "of no matter").unwrap();
    assert_says(
        &error(&file, Part::Train),
        &["notes.txt", "images cannot be read from a file of this kind", "tar shards"],
    );
    assert_says(&error(folder.path(), Part::Train), &["nothing in it can be read"]);
}
