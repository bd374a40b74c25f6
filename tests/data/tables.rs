//! Tests Parquet tables as dataset hubs export them. The script `tests/peers/tables.py` made the files. With `LAPIDARY_TABLES=DIR` the
//! tests read those in DIR, which the script has made anew: `scripts/peers` runs them so.

use std::fs;
use std::path::PathBuf;

use lapidary::Result;
use lapidary::data::{Dataset, Part, Source};

use crate::assert_says;
use crate::hostile::{alone, damaged};

fn table(name: &str) -> PathBuf {
    let committed = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cases/tables");
    std::env::var_os("LAPIDARY_TABLES").map_or_else(committed, PathBuf::from).join(name)
}

fn load(path: PathBuf, part: Part) -> Result<Dataset> {
    Source::parse(path.to_str().unwrap()).unwrap().load(part, 8)
}

/// A picture's red is 80 times its label.
fn check(data: &Dataset, count: u32, name: &str) {
    let labels: Vec<u32> = (0..count).map(|row| row % 3).collect();
    assert_eq!((data.len(), data.channels(), data.classes()), (count as usize, 3, 3), "{name}");
    assert_eq!(data.labels(), labels, "{name}");
    for (row, label) in labels.iter().enumerate() {
        let image = data.image(row).unwrap();
        let red = i32::from(image[0]) - 80 * *label as i32;
        assert!(
            red.abs() < 6 && image[64].abs_diff(10) < 6 && image[128].abs_diff(20) < 6,
            "{name} {row}"
        );
    }
}

#[test]
fn tables_of_hubs_are_read() {
    // Two shards, of which the second begins at label 0 again; snappy, gzip and LZ4.
    let train = load(table("hub"), Part::Train).unwrap();
    assert_eq!(train.labels(), [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]);
    assert_eq!(train.class_names(), ["ant", "bee", "cat"]);
    check(&load(table("hub"), Part::Test).unwrap(), 5, "test");
    assert_eq!(load(table("hub"), Part::Test).unwrap().class_names(), ["ant", "bee", "cat"]);
    // zstd in pages of both versions.
    check(&load(table("zstd.parquet"), Part::Train).unwrap(), 6, "zstd");
    // Groups of three rows in pages of the second version; bytes without a structure; texts.
    for name in ["img.parquet", "plain.parquet", "zstd2.parquet"] {
        check(&load(table(name), Part::Train).unwrap(), 7, name);
    }
    let texts = load(table("texts.parquet"), Part::Train).unwrap();
    check(&texts, 6, "texts");
    assert_eq!(texts.class_names(), ["ant", "bee", "cat"]);
    // One folder a part, as converted tables lie.
    let folder = tempfile::tempdir().unwrap();
    for part in ["train", "validation"] {
        fs::create_dir(folder.path().join(part)).unwrap();
        fs::copy(table("img.parquet"), folder.path().join(part).join("0000.parquet")).unwrap();
    }
    check(&load(folder.path().into(), Part::Test).unwrap(), 7, "validation");
    check(&load(folder.path().into(), Part::Train).unwrap(), 7, "train");
}

#[test]
fn tables_that_are_none_are_refused() {
    let refused = |path: PathBuf, words: &[&str]| {
        assert_says(&load(path, Part::Train).unwrap_err().to_string(), words);
    };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("no.parquet"), b"PAR1 and nothing").unwrap();
    refused(at("no.parquet"), &["no.parquet"]);
    fs::create_dir(at("test")).unwrap();
    fs::copy(table("img.parquet"), at("test/0000.parquet")).unwrap();
    fs::remove_file(at("no.parquet")).unwrap();
    refused(folder.path().into(), &["for testing only"]);
    // Pictures that train nothing are good for what needs no labels.
    let unlabelled = load(table("unlabelled.parquet"), Part::Train).unwrap();
    assert_eq!((unlabelled.len(), unlabelled.classes()), (6, 1));
    // A page that says it unpacks to 2 GiB: 0x15 and its size are the second field of its header.
    let bytes = fs::read(table("plain.parquet")).unwrap();
    let mut changed = bytes.clone();
    assert_eq!(bytes[4..7], [0x15, 0x00, 0x15]);
    let end = 7 + bytes[7..].iter().position(|byte| byte & 0x80 == 0).unwrap();
    changed[7..end].fill(0xff);
    changed[end] = 0x7e;
    fs::write(at("page.parquet"), changed).unwrap();
    assert!(load(at("page.parquet"), Part::Train).is_err());
}

#[test]
fn damaged_tables_are_refused_or_read() {
    alone("tables::damaged_tables_are_refused_or_read", 512 << 20, || {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let names =
            ["img.parquet", "plain.parquet", "texts.parquet", "zstd.parquet", "zstd2.parquet"];
        let kinds = names.map(|name| fs::read(table(name)).unwrap());
        for bytes in &kinds {
            // All beginnings of small ones.
            for length in (0..bytes.len()).step_by(1 + bytes.len() / 4000) {
                fs::write(&path, &bytes[..length]).unwrap();
                assert!(load(path.clone(), Part::Train).is_err(), "{length} bytes");
            }
        }
        damaged(&kinds, |bytes, _| {
            fs::write(&path, bytes).unwrap();
            drop(load(path.clone(), Part::Train));
        });
    });
}
