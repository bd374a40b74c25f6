//! Tests reading idx files: which are accepted, and which errors damaged ones give.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::{assert_says, gzip, idx};
use lapidary::data::{idx_from_bytes, read_idx};
use proptest::prelude::*;

fn idx_error(bytes: &[u8]) -> String {
    idx_from_bytes("some/file", bytes).unwrap_err().to_string()
}

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
        &["some/file", "begins with the bytes 50 4b 03 04", "00 00 08"],
    );
    assert_says(&idx_error(&[0, 0, 0x0d, 1, 0, 0, 0, 0]), &["0x0d", "byte 2", "u8"]);
    assert_says(&idx_error(&[0, 0, 8, 9]), &["rank 9", "byte 3"]);
    assert_says(&idx_error(&[0, 0, 8, 0]), &["rank 0", "byte 3"]);
    assert_says(&idx_error(&[]), &["header", "byte 0"]);
    assert_says(&idx_error(&good[..10]), &["header", "byte 8"]);
    assert_says(&idx_error(&good[..16]), &["ends at byte 16", "4 elements", "[2, 3] = 6"]);
    let mut long = good.clone();
    long.push(0);
    assert_says(&idx_error(&long), &["more bytes after byte 18", "6 elements"]);
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
    assert_says(&idx_error(&wrong_sum), &["some/file", "damaged at byte 308"]);
    let mut trailing = good;
    trailing.extend(b"rubbish");
    assert!(idx_from_bytes("x", &trailing).is_err());
}

#[test]
fn huge_claims_and_bombs_cost_little() {
    assert_says(
        &idx_error(&idx(&[1 << 20, 1 << 20], &[])),
        &["1048576, 1048576", "more than the 4294967296 elements"],
    );
    assert_says(&idx_error(&idx(&[u32::MAX; 4], &[])), &["at most"]);
    // Within the cap, and yet not there.
    assert_says(&idx_error(&idx(&[4 << 20, 1 << 10], &[1, 2])), &["2 elements", "= 4294967296"]);
    // 200 MB of zeros where the header says 4: reading ends at the fifth.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&idx(&[4], &[])).unwrap();
    for _ in 0..200 {
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
    }
    assert_says(&idx_error(&encoder.finish().unwrap()), &["more bytes after byte 12"]);
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
