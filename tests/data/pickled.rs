//! Tests reading CIFAR's version for Python: batches as Python 2 wrote them, and in every pickle protocol of Python 3. The script
//! `tests/peers/pickles.py` made the files of Python 3. With `LAPIDARY_PICKLED=DIR` the tests read those in DIR, which the script
//! has made anew: `scripts/peers` runs them so.

use std::fs;
use std::path::PathBuf;

use lapidary::data::{Dataset, Part, Source};

use crate::hostile::{alone, damaged};
use crate::{assert_says, gzip};

/// The files that `tests/peers/pickles.py` made.
fn made(name: &str) -> Vec<u8> {
    let committed = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cases/pickled");
    let folder = std::env::var_os("LAPIDARY_PICKLED").map_or_else(committed, PathBuf::from);
    fs::read(folder.join(name)).unwrap()
}

/// Bytes that count up modulo 251.
fn pixels(count: usize) -> Vec<u8> {
    (0..count).map(|place| (place % 251) as u8).collect()
}

/// A batch as the authors' files have it: protocol 2 of Python 2, whose strings are bytes.
fn old(labels: &[u8], data: &[u8], key: &str) -> Vec<u8> {
    let text = |text: &str| [b"U", &[text.len() as u8][..], text.as_bytes()].concat();
    let rows = (data.len() / 3072) as u8;
    let all: Vec<u8> = labels.iter().flat_map(|&label| [b'K', label]).collect();
    [
        b"\x80\x02}q\x01(",
        &text("batch_label")[..],
        b"q\x02",
        &text("training batch 1 of 5"),
        b"q\x03",
        &text(key),
        b"q\x04]q\x05(",
        &all,
        b"e",
        &text("data"),
        b"q\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85q\x09",
        &text("b"),
        b"q\x0a\x87q\x0bRq\x0c(K\x01K",
        &[rows],
        b"M\x00\x0c\x86q\x0dcnumpy\ndtype\nq\x0e",
        &text("u1"),
        b"K\x00K\x01\x87q\x0fRq\x10(K\x03",
        &text("|"),
        b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x11b\x89T",
        &(data.len() as u32).to_le_bytes(),
        data,
        b"q\x12tq\x13bu.",
    ]
    .concat()
}

fn names(key: &str, names: &[&str]) -> Vec<u8> {
    let text = |text: &str| [b"U", &[text.len() as u8][..], text.as_bytes()].concat();
    let all: Vec<u8> = names.iter().flat_map(|name| text(name)).collect();
    [&b"\x80\x02}"[..], &text(key), b"](", &all, b"es."].concat()
}

fn load(path: PathBuf, part: Part) -> lapidary::Result<Dataset> {
    Source::parse(path.to_str().unwrap()).unwrap().load(part, 32)
}

#[test]
fn batches_for_python_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let put = |name: &str, bytes: &[u8]| {
        fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        fs::write(at(name), bytes).unwrap();
    };
    let ten =
        ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
    let batch = |first: u8| old(&[first, 9, 0], &pixels(3 * 3072), "labels");
    let mut files: Vec<(String, Vec<u8>)> =
        (1..=5).map(|number| (format!("data_batch_{number}"), batch(number))).collect();
    files.push(("test_batch".into(), old(&[7], &pixels(3072), "labels")));
    files.push(("batches.meta".into(), names("label_names", &ten)));
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in &files {
        put(&format!("ten/cifar-10-batches-py/{name}"), bytes);
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        let name = format!("cifar-10-batches-py/{name}");
        archive.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    put("cifar-10-python.tar.gz", &gzip(&archive.into_inner().unwrap()));
    for path in ["ten", "ten/cifar-10-batches-py", "cifar-10-python.tar.gz"] {
        let train = load(at(path), Part::Train).unwrap();
        let labels: Vec<u32> = (1..=5).flat_map(|first| [first, 9, 0]).collect();
        assert_eq!((train.labels(), train.classes()), (&labels[..], 10), "{path}");
        assert_eq!(train.class_names(), ten, "{path}");
        assert_eq!(train.pixels()[..9216], pixels(9216), "{path}");
        assert_eq!(load(at(path), Part::Test).unwrap().labels(), [7], "{path}");
    }

    put("hundred/train", &old(&[99, 3], &pixels(2 * 3072), "fine_labels"));
    put("hundred/meta", &names("coarse_label_names", &["fish"]));
    let reason = load(at("hundred"), Part::Train).unwrap_err().to_string();
    assert_says(&reason, &["hundred", "meta", "no key fine_label_names"]);
    let hundred: Vec<String> = (0..100).map(|class| format!("class {class}")).collect();
    let hundred: Vec<&str> = hundred.iter().map(String::as_str).collect();
    put("hundred/meta", &names("fine_label_names", &hundred));
    let train = load(at("hundred"), Part::Train).unwrap();
    assert_eq!((train.labels(), train.classes()), (&[99, 3][..], 100));
}

/// A folder of ten batches that are all this one.
fn folder_of(batch: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for number in 1..=5 {
        fs::write(folder.path().join(format!("data_batch_{number}")), batch).unwrap();
    }
    folder
}

#[test]
fn every_protocol_of_python_is_read() {
    for name in ["protocol_2", "protocol_3", "protocol_4", "protocol_5", "columns"] {
        let folder = folder_of(&made(name));
        let train = load(folder.path().into(), Part::Train).unwrap();
        assert_eq!(train.labels()[..4], [3, 1, 0, 2], "{name}");
        assert_eq!(train.pixels()[..4 * 3072], pixels(4 * 3072), "{name}");
    }
}

#[test]
fn batches_that_are_none_are_refused() {
    let good = old(&[1, 2], &pixels(2 * 3072), "labels");
    let changed = |from: &[u8], to: &[u8]| {
        let place = good.windows(from.len()).position(|bytes| bytes == from).unwrap();
        [&good[..place], to, &good[place + from.len()..]].concat()
    };
    for (bytes, words) in [
        (old(&[1, 10], &pixels(2 * 3072), "labels"), &["label of image 1 is 10", "below 10"][..]),
        (old(&[1], &pixels(2 * 3072), "labels"), &["1 labels for 2 images"]),
        (old(&[1, 2], &pixels(2 * 3072), "fine"), &["no key labels"]),
        (changed(b"U\x02u1", b"U\x02O8"), &["objects"]),
        (changed(b"U\x02u1", b"U\x02f4"), &["6144 bytes", "needs 24576"]),
        (changed(b"cnumpy\ndtype\n", b"cos\nsystem\n"), &["forbidden", "os.system"]),
        (changed(b"M\x00\x0c", b"M\xff\xff"), &["6144 bytes"]),
        (b"\x80\x02]q\x01.".to_vec(), &["the pickle is a list, but has to be a dict"]),
        (b"not a pickle".to_vec(), &["not a pickle"]),
    ] {
        let folder = folder_of(&bytes);
        let reason = load(folder.path().into(), Part::Train).unwrap_err().to_string();
        assert_says(&reason, &[&["data_batch_1"], words].concat());
    }
}

#[test]
fn damaged_batches_are_refused_or_read() {
    alone("pickled::damaged_batches_are_refused_or_read", 128 << 20, || {
        let good = old(&[1, 2], &pixels(2 * 3072), "labels");
        // All beginnings of what is before the pixels, and some of these.
        for length in (0..400).chain((400..good.len()).step_by(97)) {
            let folder = folder_of(&good[..length]);
            assert!(load(folder.path().into(), Part::Train).is_err(), "{length} bytes");
        }
        let kinds = [good, made("protocol_2"), made("protocol_5")];
        damaged(&kinds, |bytes, _| {
            let folder = folder_of(bytes);
            drop(load(folder.path().into(), Part::Train));
        });
    });
}
