//! Tests damaged and malicious files: they are refused or read, without a panic or a hang, and within a bound on memory. The
//! memory is measured in a process of its own, in which no other test takes any.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use image::{DynamicImage, ImageFormat, RgbaImage};
use lapidary::data::{Fit, Part, Source, photograph};

/// Tells a process that it is the one which measures.
const ALONE: &str = "LAPIDARY_TEST_ALONE";

/// Runs `test` in a process of its own, which may not take more than `most` bytes.
pub(crate) fn alone(test: &str, most: u64, run: impl FnOnce()) {
    if std::env::var_os(ALONE).is_none() {
        let program = std::env::current_exe().unwrap();
        let output = Command::new(program)
            .args(["--exact", test, "--nocapture"])
            .env(ALONE, "1")
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        said.lines()
            .filter(|line| line.contains(" damaged files"))
            .for_each(|line| println!("{line}"));
        return;
    }
    run();
    // Where the system does not tell, the bound is not checked.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let most_held = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    if let Some(held) =
        most_held.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
    {
        assert!(held * 1024 < most, "{held} KiB");
    }
}

fn encoded(format: ImageFormat) -> Vec<u8> {
    let picture = RgbaImage::from_fn(13, 9, |x, y| {
        image::Rgba([x as u8 * 19, y as u8 * 28, 7, 200 + x as u8])
    });
    let picture = DynamicImage::from(picture);
    let picture = match format {
        ImageFormat::Jpeg | ImageFormat::Bmp => picture.into_rgb8().into(),
        _ => picture,
    };
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn npy(shape: &str, bytes: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({shape}), }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), bytes]
        .concat()
}

fn zipped(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A sound file of each kind, by a name that tells which.
fn sound() -> Vec<(&'static str, Vec<u8>)> {
    let pixels: Vec<u8> = (0..=255).collect();
    let png = encoded(ImageFormat::Png);
    let mut shard = tar::Builder::new(Vec::new());
    for (name, bytes) in
        [("a".repeat(120) + ".png", png.clone()), ("a".repeat(120) + ".cls", b"1".to_vec())]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        shard.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    vec![
        ("a.jpg", encoded(ImageFormat::Jpeg)),
        ("a.webp", encoded(ImageFormat::WebP)),
        ("a.gif", encoded(ImageFormat::Gif)),
        ("a.bmp", encoded(ImageFormat::Bmp)),
        ("a.tiff", encoded(ImageFormat::Tiff)),
        ("a.npy", npy("4, 8, 8", &pixels)),
        (
            "a.npz",
            zipped(&[("x.npy", npy("4, 8, 8", &pixels)), ("y.npy", npy("4", &[0, 1, 1, 0]))]),
        ),
        ("a.zip", zipped(&[("cat/1.png", png.clone()), ("dog/1.png", png.clone())])),
        ("a.tar", shard.into_inner().unwrap()),
        ("train-images-idx3-ubyte.gz", crate::gzip(&crate::idx(&[4, 8, 8], &pixels))),
        ("a.png", png),
    ]
}

fn read(path: &Path) -> lapidary::Result<usize> {
    let name = path.file_name().unwrap().to_str().unwrap();
    if ["npy", "npz", "zip", "tar", "gz"].iter().any(|end| name.ends_with(end)) {
        let labels = path.with_file_name("train-labels-idx1-ubyte");
        fs::write(labels, crate::idx(&[4], &[0, 1, 1, 0])).unwrap();
        return Source::parse(path.to_str().unwrap())?.load(Part::Train, 8).map(|all| all.len());
    }
    photograph(path, 3, 8, Fit::Letterbox).map(|image| image.len())
}

/// Sound files with random damage from a fixed seed, for the time that `LAPIDARY_FUZZ_SECONDS` says: each has to be read or refused
/// within ten seconds. `read` is told which of the files it was.
pub(crate) fn damaged(sound: &[Vec<u8>], mut read: impl FnMut(&[u8], usize)) {
    let seconds = std::env::var("LAPIDARY_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(3));
    let mut state = 20_u64;
    let mut below = |end: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % end.max(1)
    };
    let mut tried = 0;
    while Instant::now() < until {
        let which = below(sound.len());
        let mut bytes = sound[which].clone();
        for _ in 0..=below(6) {
            let at = below(bytes.len());
            match below(5) {
                0 => bytes.truncate(at.max(1)),
                1 => bytes[at] = [0, 0xff, 0x7f, 0x80][below(4)],
                2 if at + 4 <= bytes.len() => bytes[at..at + 4].fill(0xff),
                3 => {
                    let part = bytes[at..bytes.len().min(at + 32)].to_vec();
                    bytes.extend(part);
                }
                _ => bytes[at] ^= 1 << below(8),
            }
        }
        let began = Instant::now();
        read(&bytes, which);
        assert!(began.elapsed() < Duration::from_secs(10), "file {which}");
        tried += 1;
    }
    println!("{tried} damaged files");
    assert!(tried > 100, "{tried}");
}

#[test]
fn damaged_files_are_refused_or_read() {
    // Two threads decode at a time, each within a GiB.
    alone("hostile::damaged_files_are_refused_or_read", 1 << 30, || {
        let folder = tempfile::tempdir().unwrap();
        let mut files = sound();
        if let Ok(end) = std::env::var("LAPIDARY_FUZZ_KIND") {
            files.retain(|(name, _)| name.ends_with(&end));
            assert!(!files.is_empty(), "no file here ends with {end}");
        }
        for (name, bytes) in &files {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            assert!(read(&path).is_ok(), "{name}: {:?}", read(&path));
            // All beginnings: the files are small.
            assert!(bytes.len() < 10_000, "{name}: {} bytes", bytes.len());
            for length in 0..bytes.len() {
                fs::write(&path, &bytes[..length]).unwrap();
                drop(read(&path));
            }
        }
        let all: Vec<Vec<u8>> = files.iter().map(|(_, bytes)| bytes.clone()).collect();
        damaged(&all, |bytes, which| {
            let path = folder.path().join(files[which].0);
            fs::write(&path, bytes).unwrap();
            drop(read(&path));
        });
    });
}

/// Holes of files, what unpacks a thousandfold, and headers that promise much.
#[test]
fn small_files_do_not_fill_memory() {
    alone("hostile::small_files_do_not_fill_memory", 700 << 20, || {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let refused = |name: &str, word: &str| {
            let said = read(&at(name)).unwrap_err().to_string();
            assert!(said.contains(name) && said.contains(word), "{said}");
        };
        let sparse = |name: &str, start: &[u8]| {
            let mut file = fs::File::create(at(name)).unwrap();
            file.write_all(start).unwrap();
            file.set_len(start.len() as u64 + (3 << 30)).unwrap();
        };
        sparse("hole.npy", &npy("3145728, 32, 32", &[]));
        refused("hole.npy", "at most");
        sparse("hole-images-idx3-ubyte", &crate::idx(&[3 << 20, 32, 32], &[]));
        let said = Source::parse(at("hole-images-idx3-ubyte").to_str().unwrap()).unwrap();
        assert!(said.load(Part::Train, 8).unwrap_err().to_string().contains("at most"));
        fs::write(
            at("bomb-images-idx3-ubyte.gz"),
            crate::gzip(&crate::idx(&[1 << 20, 32, 32], &[0; 1 << 20])),
        )
        .unwrap();
        refused("bomb-images-idx3-ubyte.gz", "at most");
        let mut archive = zip::ZipWriter::new(fs::File::create(at("bomb.npz")).unwrap());
        archive.start_file("x.npy", zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(&npy("300, 1024, 1024", &[])).unwrap();
        for _ in 0..300 {
            archive.write_all(&[0; 1 << 20]).unwrap();
        }
        archive.finish().unwrap();
        refused("bomb.npz", "x:");
        // A picture of one pixel with a colour profile of 64 MB, and one that says it has 16,384 by 16,384.
        let mut png = Cursor::new(Vec::new());
        image::GrayImage::new(1, 1).write_to(&mut png, ImageFormat::Png).unwrap();
        let png = png.into_inner();
        let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&vec![0; 64 << 20]).unwrap();
        let chunk = |kind: &[u8], data: &[u8]| {
            let body = [kind, data].concat();
            let sum = crc32fast::hash(&body).to_be_bytes();
            [&(data.len() as u32).to_be_bytes()[..], &body, &sum].concat()
        };
        let profile = chunk(b"iCCP", &[b"x\0\0", &packed.finish().unwrap()[..]].concat());
        fs::write(at("profile.png"), [&png[..33], &profile, &png[33..]].concat()).unwrap();
        drop(read(&at("profile.png")));
        let header =
            [&16_384_u32.to_be_bytes()[..], &16_384_u32.to_be_bytes(), &[16, 6, 0, 0, 0]].concat();
        fs::write(at("large.png"), [&png[..8], &chunk(b"IHDR", &header), &png[33..]].concat())
            .unwrap();
        assert!(read(&at("large.png")).is_err());
    });
}

/// Line 27 of what is no file at all.
#[cfg(unix)]
#[test]
fn pipes_and_devices_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    assert!(Command::new("mkfifo").arg(at("pipe.png")).status().unwrap().success());
    for name in [
        "zero.png",
        "zero.npz",
        "zero.npy",
        "zero.tar",
        "zero.tar.gz",
        "zero.zip",
        "zero-images-idx3-ubyte.gz",
    ] {
        std::os::unix::fs::symlink("/dev/zero", at(name)).unwrap();
    }
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("train-labels-idx1-ubyte") {
            continue;
        }
        let said = read(&path).unwrap_err().to_string();
        assert!(said.contains("a pipe, a socket or a device"), "{said}");
    }
}
