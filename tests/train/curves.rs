//! Tests what a run writes for other tools: TensorBoard's event files and log.csv, read by parsers in this file, are compared with
//! the run's log.

use crate::common::own_gpu;
use lapidary::train::{Config, Event, Flow, Material, RunFolder, Step, train};
use std::collections::BTreeMap;
use std::path::Path;

/// CRC-32C, bit by bit: the reversed polynomial of RFC 3720.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
        }
    }
    !crc
}

/// The records of a file, whose checksums are compared with their data.
fn records(mut bytes: &[u8]) -> Vec<&[u8]> {
    let masked = |bytes| ((crc32c(bytes) >> 15) | (crc32c(bytes) << 17)).wrapping_add(0xa282_ead8);
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_at(8);
        assert_eq!(word(&rest[..4]), masked(length));
        let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
        let (data, rest) = rest[4..].split_at(length);
        assert_eq!(word(&rest[..4]), masked(data));
        records.push(data);
        bytes = &rest[4..];
    }
    records
}

/// A field's number, and its value: of numbers the bits.
#[derive(Debug)]
enum Field<'a> {
    Bits(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    number
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let fixed = |size: usize| {
            let mut word = [0; 8];
            word[..size].copy_from_slice(&bytes[..size]);
            u64::from_le_bytes(word)
        };
        let field = match key & 7 {
            0 => Field::Bits(varint(&mut bytes)),
            2 => {
                let (data, rest) = {
                    let length = varint(&mut bytes) as usize;
                    bytes.split_at(length)
                };
                bytes = rest;
                Field::Bytes(data)
            }
            kind => {
                let size = if kind == 1 { 8 } else { 4 };
                let bits = fixed(size);
                bytes = &bytes[size..];
                Field::Bits(bits)
            }
        };
        fields.push((key >> 3, field));
    }
    fields
}

fn bytes<'a>(all: &[(u64, Field<'a>)], number: u64) -> Option<&'a [u8]> {
    all.iter().find_map(|(field, value)| match value {
        Field::Bytes(bytes) if *field == number => Some(*bytes),
        _ => None,
    })
}

fn bits(all: &[(u64, Field<'_>)], number: u64) -> u64 {
    let found = all.iter().find_map(|(field, value)| match value {
        Field::Bits(bits) if *field == number => Some(*bits),
        _ => None,
    });
    found.unwrap_or(0)
}

/// Scalars by tag and step, images by tag and step, and the hyperparameters' bytes.
#[derive(Default)]
struct Seen {
    scalars: BTreeMap<(String, u64), f32>,
    images: BTreeMap<(String, u64), Vec<u8>>,
    hyperparameters: Vec<u8>,
}

fn read(run: &Path) -> Seen {
    let mut seen = Seen::default();
    for entry in std::fs::read_dir(run.join("tensorboard")).unwrap() {
        let file = std::fs::read(entry.unwrap().path()).unwrap();
        let all = records(&file);
        assert_eq!(bytes(&fields(all[0]), 3), Some(&b"brain.Event:2"[..]));
        for record in all {
            let event = fields(record);
            assert!(f64::from_bits(bits(&event, 1)) > 1.6e9, "a wall time");
            let step = bits(&event, 2);
            for (_, value) in fields(bytes(&event, 5).unwrap_or_default()) {
                let Field::Bytes(value) = value else { panic!("{value:?}") };
                let value = fields(value);
                let tag = String::from_utf8(bytes(&value, 1).unwrap().to_vec()).unwrap();
                if let Some(image) = bytes(&value, 4) {
                    let image = fields(image);
                    assert_eq!((bits(&image, 1), bits(&image, 2), bits(&image, 3)), (32, 32, 3));
                    seen.images.insert((tag, step), bytes(&image, 4).unwrap().to_vec());
                } else if let Some(metadata) = bytes(&value, 9) {
                    assert_eq!(tag, "_hparams_/session_start_info");
                    let plugin = fields(bytes(&fields(metadata), 1).unwrap());
                    assert_eq!(bytes(&plugin, 1), Some(&b"hparams"[..]));
                    seen.hyperparameters = bytes(&plugin, 2).unwrap().to_vec();
                } else {
                    seen.scalars.insert((tag, step), f32::from_bits(bits(&value, 2) as u32));
                }
            }
        }
    }
    seen
}

#[test]
fn events_and_table_have_what_the_log_has() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let sets = ["data.side=8", "stage1.iterations=2", "stage2.iterations=3"];
    let config = Config::preset("fashion-tiny").unwrap().with(&sets).unwrap();
    let material = Material::load(&config).unwrap();
    let gpu = own_gpu();
    // Stopped once, so that there are two files of events.
    for stop_at in [3, usize::MAX] {
        let mut run = match RunFolder::is_begun(&out) {
            true => RunFolder::resume(&out, &config).unwrap(),
            false => RunFolder::create(&out, &config).unwrap(),
        };
        let mut over = 0;
        let mut observer = |event: &Event| {
            over += usize::from(matches!(event, Event::Step(_)));
            Ok(if over == stop_at { Flow::Stop } else { Flow::Continue })
        };
        pollster::block_on(train(&gpu, &config, &material, &mut run, &mut observer)).unwrap();
    }
    let log = RunFolder::read_log(&out).unwrap();
    let steps: Vec<&Step> = log
        .iter()
        .filter_map(|event| if let Event::Step(step) = event { Some(step) } else { None })
        .collect();
    assert_eq!(steps.len(), 5);

    let seen = read(&out);
    let mut expected = BTreeMap::new();
    for step in &steps {
        let numbers = [
            ("loss_ce", step.loss_ce),
            ("loss_bce", step.loss_bce),
            ("accuracy", step.accuracy),
            ("auc", step.auc),
            ("t", step.t.map(|t| t as f32)),
            ("learning_rate", step.learning_rate),
            ("images_per_second", step.images_per_second),
            ("seconds", step.seconds),
            ("wait_share", step.wait_share),
        ];
        for (name, value) in numbers {
            let tag = format!("{}/{name}", step.phase);
            expected.extend(value.map(|value| ((tag, step.iteration), value)));
        }
    }
    assert_eq!(seen.scalars, expected);
    assert!(!seen.images.is_empty());
    for ((tag, _), png) in &seen.images {
        assert_eq!(tag, "stage2/contrastive");
        assert!(png.starts_with(b"\x89PNG"));
    }
    for text in ["stage1.learning_rate", "stage2.alpha", "objective", "dat", "fashion-tiny"] {
        let found = seen.hyperparameters.windows(text.len()).any(|w| w == text.as_bytes());
        assert!(found, "{text}");
    }

    let table = std::fs::read_to_string(out.join("log.csv")).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 6);
    let column = |name: &str| rows[0].iter().position(|head| *head == name).unwrap();
    for (row, step) in rows[1..].iter().zip(steps) {
        assert_eq!(row.len(), rows[0].len());
        assert_eq!(row[column("phase")], step.phase.name());
        assert_eq!(row[column("iteration")].parse(), Ok(step.iteration));
        assert_eq!(row[column("loss_ce")].parse().ok(), step.loss_ce);
        assert_eq!(row[column("auc")].parse().ok(), step.auc);
    }
}
