//! Tests that the same images are read from every form that data come in: arrays, folders of classes, zip archives, idx
//! files.

use std::fs;
use std::io::{Cursor, Write};

use image::{ImageFormat, Rgb, RgbImage};
use lapidary::data::Part;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{evaluated, images, longs, npy, npz, parts, picture, pixels, refused, source};

/// Line 25.
#[test]
fn sums_are_reached() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    npz(&at("a.npz"), &[("images", images(4)), ("labels", longs(&[0, 1, 0, 1]))]);
    let whole = fs::read(at("a.npz")).unwrap();
    let load = |name: &str| source(at(name)).load(Part::Train, 8);
    let right = load("a.npz").unwrap();
    for at_byte in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at_byte] ^= 1;
        fs::write(at("a.npz"), flipped).unwrap();
        // A name that is another, or a time of writing, is no damage to what is read.
        if let Ok(found) = load("a.npz") {
            assert_eq!(found.pixels(), right.pixels(), "byte {at_byte}");
        }
    }
    // CIFAR's archive, whose own sum comes after all that is looked at.
    let record = |label: u8| [&[label][..], &pixels(3072)].concat();
    let mut archive = tar::Builder::new(Vec::new());
    for i in 1..=5 {
        let bytes = record(i % 10);
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        let name = format!("cifar-10-batches-bin/data_batch_{i}.bin");
        archive.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&archive.into_inner().unwrap()).unwrap();
    let whole = packed.finish().unwrap();
    fs::write(at("c.tar.gz"), &whole).unwrap();
    let right = load("c.tar.gz").unwrap();
    for at_byte in (10..whole.len()).step_by(7).chain(whole.len() - 8..whole.len()) {
        let mut flipped = whole.clone();
        flipped[at_byte] ^= 4;
        fs::write(at("c.tar.gz"), flipped).unwrap();
        if let Ok(found) = load("c.tar.gz") {
            assert_eq!(found, right, "byte {at_byte}");
        }
    }
    // A shard that has been cut off between two of its files.
    let mut shard = tar::Builder::new(Vec::new());
    let mut png = Cursor::new(Vec::new());
    RgbImage::from_pixel(8, 8, Rgb([9; 3])).write_to(&mut png, ImageFormat::Png).unwrap();
    for i in 0..3 {
        for (kind, bytes) in [("png", png.get_ref().clone()), ("cls", vec![b'0' + i])] {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            shard.append_data(&mut header, format!("{i}.{kind}"), &bytes[..]).unwrap();
        }
    }
    let whole = shard.into_inner().unwrap();
    for length in (0..whole.len() - 1024).step_by(512) {
        fs::write(at("s.tar"), &whole[..length]).unwrap();
        assert!(parts(at("s.tar"), 1).is_err(), "{length}");
    }
    fs::write(at("s.tar"), &whole).unwrap();
    assert_eq!(source(at("s.tar")).load(Part::Train, 8).unwrap().len(), 3);
}

/// Issue 20: arrays of any type and order.
#[test]
fn arrays_of_any_type_and_order_are_the_same_images() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.npz");
    let (count, plane) = (4, 6 * 7);
    let bytes = pixels(count * plane * 3);
    let rows = &[count, 6, 7, 3];
    let put =
        |images: Vec<u8>, labels: Vec<u8>| npz(&file, &[("images", images), ("labels", labels)]);
    let load = || source(&file).load(Part::Train, 8).unwrap();
    put(npy("|u1", false, rows, &bytes), longs(&[0, 1, 0, 1]));
    let right = load();
    assert_eq!((right.channels(), right.height(), right.width()), (3, 6, 7));
    let wide = |to: &dyn Fn(u8) -> Vec<u8>| bytes.iter().flat_map(|&b| to(b)).collect::<Vec<_>>();
    let float = |b: u8| f32::from(b) / 255.0;
    for (kind, data) in [
        ("<i4", wide(&|b| i32::from(b).to_le_bytes().into())),
        (">i2", wide(&|b| i16::from(b).to_be_bytes().into())),
        ("<u8", wide(&|b| u64::from(b).to_le_bytes().into())),
        (">f4", wide(&|b| float(b).to_be_bytes().into())),
        ("<f8", wide(&|b| (f64::from(b) / 255.0).to_le_bytes().into())),
        ("<f4", wide(&|b| f32::from(b).to_le_bytes().into())),
    ] {
        put(npy(kind, false, rows, &data), longs(&[0, 1, 0, 1]));
        assert_eq!(load(), right, "{kind}");
    }
    // Half precision does not hold them exactly, and what it holds is kept beside the bytes.
    let halves = wide(&|b| half::f16::from_f32(float(b)).to_le_bytes().into());
    put(npy("<f2", false, rows, &halves), longs(&[0, 1, 0, 1]));
    assert_eq!((load().pixels(), load().labels()), (right.pixels(), right.labels()));
    // By columns: the first index runs fastest.
    let mut columns = vec![0; bytes.len()];
    for (at, &byte) in bytes.iter().enumerate() {
        let (c, x, y, n) = (at % 3, at / 3 % 7, at / 21 % 6, at / 126);
        columns[n + count * (y + 6 * (x + 7 * c))] = byte;
    }
    put(npy("|u1", true, rows, &columns), longs(&[0, 1, 0, 1]));
    assert_eq!(load(), right);
    // Planes.
    let mut planes = Vec::new();
    for i in 0..count {
        planes.extend_from_slice(right.image(i).unwrap());
    }
    put(npy("|u1", false, &[count, 3, 6, 7], &planes), longs(&[0, 1, 0, 1]));
    assert_eq!(load(), right);
    // Where the shape does not tell, somebody has to.
    put(npy("|u1", false, &[2, 3, 5, 3], &pixels(90)), longs(&[0, 1]));
    refused(source(&file).load(Part::Train, 8), &["may be the channels", "nchw:PATH", "nhwc:PATH"]);
    let told = |layout: &str| {
        let data = source(format!("{layout}:{}", file.display())).load(Part::Train, 8).unwrap();
        (data.height(), data.width())
    };
    assert_eq!((told("nchw"), told("nhwc")), ((5, 3), (3, 5)));
    // Normalised values are no pixels.
    put(npy("<f4", false, &[1, 1, 1], &(-2.5_f32).to_le_bytes()), longs(&[0]));
    refused(source(&file).load(Part::Train, 8), &["numbers from -2.5 to 0", "[0, 1]"]);
    // Labels as texts, and in rows of one.
    let names = ["dog", "ant", "dog", "b10"].map(|name| format!("{name:\0<4}"));
    put(images(4), npy("|S4", false, &[4], names.concat().as_bytes()));
    let found = load();
    assert_eq!(
        (found.class_names(), found.labels()),
        (&["ant", "b10", "dog"].map(str::to_owned)[..], &[2, 0, 2, 1][..])
    );
    let wide =
        names.concat().chars().flat_map(|char| u32::from(char).to_le_bytes()).collect::<Vec<_>>();
    put(images(4), npy("<U4", false, &[4], &wide));
    assert_eq!(load(), found);
    put(
        images(2),
        npy("<f4", false, &[2, 2], &[0.0_f32, 1.0, 1.0, 0.0].map(f32::to_le_bytes).concat()),
    );
    assert_eq!(load().labels(), [1, 0]);
    put(images(2), npy("|O", false, &[2], &[0; 16]));
    refused(source(&file).load(Part::Train, 8), &["labels", "objects"]);
}

/// Issue 20: floating-point images keep what bytes cannot hold.
#[test]
fn floating_point_images_are_evaluated_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.npz");
    let values: Vec<f32> = (0..128).map(|i| i as f32 / 1000.0).collect();
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    npz(&file, &[("images", npy("<f4", false, &[2, 1, 8, 8], &bytes)), ("labels", longs(&[0, 1]))]);
    assert_eq!(evaluated(&file, 1, 2).unwrap().images.images(), values);
}

/// Issue 20: class folders with all that lies in them.
#[test]
fn class_folders_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (i, name) in [
        "cat/persian/1.png",
        "cat/2.webp",
        "dog/a/b/3.bmp",
        "dog/4.gif",
        "dog/.hidden.png",
        ".git/x/5.png",
        "__MACOSX/cat/6.png",
    ]
    .iter()
    .enumerate()
    {
        picture(&at(&format!("nested/{name}")), i as u8);
    }
    fs::create_dir_all(at("nested/empty")).unwrap();
    for name in ["cat/notes.txt", "dog/.DS_Store", "cat/clip.mp4"] {
        fs::write(at(&format!("nested/{name}")), "x").unwrap();
    }
    let found = parts(at("nested"), 2).unwrap();
    assert_eq!(
        (found.train.len() + found.test.len(), found.class_names.as_slice()),
        (4, &["cat", "dog"].map(str::to_owned)[..])
    );
    let said = found.damaged.join("\n");
    assert!(
        said.contains("left out 1 folder without pictures") && said.contains("empty"),
        "{said}"
    );
    assert!(said.contains("left out 2 files other than PNG"), "{said}");
    // A class whose pictures are all of a format that is not read is no empty folder: its class would be missing.
    fs::create_dir_all(at("phone/cup")).unwrap();
    fs::write(at("phone/cup/IMG_1.HEIC"), "x").unwrap();
    for class in ["cat", "dog"] {
        picture(&at(&format!("phone/{class}/1.png")), 1);
    }
    let said = source(at("phone")).load(Part::Train, 8).unwrap_err().to_string();
    assert!(said.contains("\"cup\"") && said.contains("IMG_1.HEIC"), "{said}");
    // Numbers in their order, accents in one form.
    for name in ["10", "9", "e\u{301}t\u{e9}"] {
        picture(&at(&format!("names/{name}/1.png")), 1);
    }
    let names = source(at("names")).load(Part::Train, 8).unwrap();
    assert_eq!(names.class_names(), ["9", "10", "\u{e9}t\u{e9}"]);
    // Lists beside the folders are honoured.
    fs::write(at("names/classes.txt"), "10\n\u{e9}t\u{e9}\n9\n").unwrap();
    let listed = source(at("names")).load(Part::Train, 8).unwrap();
    assert_eq!(listed.class_names(), ["10", "\u{e9}t\u{e9}", "9"]);
    fs::remove_file(at("names/classes.txt")).unwrap();
    fs::write(at("names/class_to_idx.json"), "{\"9\": 2, \"10\": 1, \"\u{e9}t\u{e9}\": 0}")
        .unwrap();
    let listed = source(at("names")).load(Part::Train, 8).unwrap();
    assert_eq!(listed.class_names(), ["\u{e9}t\u{e9}", "10", "9"]);
    fs::write(at("names/class_to_idx.json"), "{\"9\": 7}").unwrap();
    refused(source(at("names")).load(Part::Train, 8), &["numbers the class names from 0 on"]);
    fs::write(at("names/class_to_idx.json"), "{\"9\": 0}").unwrap();
    refused(source(at("names")).load(Part::Train, 8), &["\"10\"", "not listed in"]);
    // A class that is not tested is no fault; one that is not learnt is.
    for name in ["train/cat", "train/dog", "test/dog"] {
        picture(&at(&format!("missing/{name}/1.png")), 1);
    }
    assert_eq!(parts(at("missing"), 0).unwrap().test.labels(), [1]);
    let found = evaluated(at("missing"), 3, 2).unwrap();
    assert!(found.notes.iter().any(|note| note.contains("\"cat\"")), "{:?}", found.notes);
    picture(&at("missing/test/cow/1.png"), 1);
    refused(parts(at("missing"), 0), &["\"cow\"", "cat, dog"]);
    refused(parts(at("nosuch"), 0), &["nosuch"]);
}

/// Issue 20: the same folder in a zip archive.
#[test]
fn a_zip_of_class_folders_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut archive = ZipWriter::new(fs::File::create(at("a.zip")).unwrap());
    for (i, name) in ["cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"].iter().enumerate() {
        picture(&at(&format!("plain/{name}")), 20 * i as u8);
        let bytes = fs::read(at(&format!("plain/{name}"))).unwrap();
        // Some programs part folders by backslashes.
        let packed = format!("photos/{name}");
        let packed = if i < 2 { packed } else { packed.replace('/', "\\") };
        archive.start_file(packed, SimpleFileOptions::default()).unwrap();
        archive.write_all(&bytes).unwrap();
        archive
            .start_file(format!("__MACOSX/photos/{name}"), SimpleFileOptions::default())
            .unwrap();
    }
    archive.finish().unwrap();
    let [zipped, plain] =
        ["a.zip", "plain"].map(|name| source(at(name)).load(Part::Train, 8).unwrap());
    assert_eq!(zipped, plain);
    let whole = fs::read(at("a.zip")).unwrap();
    for byte in (0..whole.len()).step_by(5) {
        let mut flipped = whole.clone();
        flipped[byte] ^= 2;
        fs::write(at("b.zip"), flipped).unwrap();
        // One picture of four is more than may be damaged; another name is another class, and no damage.
        if let Ok(found) = source(at("b.zip")).load(Part::Train, 8) {
            let sorted = |pixels: &[u8]| {
                let mut images: Vec<Vec<u8>> = pixels.chunks(192).map(<[u8]>::to_vec).collect();
                images.sort();
                images
            };
            assert!(
                sorted(found.pixels()).iter().all(|image| sorted(plain.pixels()).contains(image)),
                "byte {byte}"
            );
        }
    }
}

/// Issue 20: names with a dot, as some mirrors have them.
#[test]
fn idx_files_with_a_dot_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let images = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 8, 0, 0, 0, 8][..], &pixels(128)].concat();
    for part in ["train", "t10k"] {
        fs::write(at(&format!("{part}-images.idx3-ubyte")), &images).unwrap();
        fs::write(at(&format!("{part}-labels.idx1-ubyte")), [0, 0, 8, 1, 0, 0, 0, 2, 0, 1])
            .unwrap();
    }
    let found = parts(folder.path(), 0).unwrap();
    assert_eq!((found.train.len(), found.test.labels()), (2, &[0, 1][..]));
}
