//! Measures how fast batches are read and augmented: `cargo bench --bench loader [THREADS]`, by default with as many threads
//! as cores. It makes two sets of images itself: images of CIFAR's size with its classification augmentation, and 256-pixel
//! crops of JPEG photographs on disk. No GPU is used.
#![allow(clippy::print_stdout, reason = "a bench")]

use std::fs;
use std::io::Write;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use image::RgbImage;
use lapidary::data::{
    Augment, BatchSource, Dataset, Fractal, Kept, Loader, Random, Reading, Source, Split,
};
use lapidary::{Error, Result};

const SECONDS: f64 = 4.0;

fn main() -> Result<()> {
    let given = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = given.unwrap_or(cores);
    println!("{threads} threads on {cores} cores");

    let mut random = Random::new(0, "bench", 0, 0);
    let fields = Fractal::new(3, 32)?;
    let mut pixels = Vec::new();
    for _ in 0..5000 {
        pixels.extend(fields.image(&mut random).iter().map(|value| (value * 255.0) as u8));
    }
    let labels = (0..5000).map(|i| i % 10).collect();
    let images = Arc::new(Dataset::new(3, 32, 32, 10, pixels, labels)?.prepared(32)?);
    for augment in [Augment::None, Augment::CropFlip, Augment::Cifar] {
        let source = BatchSource::images("bench", 0, 128, Arc::clone(&images), augment)?;
        measure(&format!("32 pixels in memory, {augment}"), source, threads)?;
    }

    // As large as ImageNet's pictures mostly are; 640 kB of random fields are harder to decode than photographs.
    let folder = std::env::temp_dir().join(format!("lapidary-bench-{}", std::process::id()));
    let written = photographs(&folder);
    let path = folder.to_string_lossy().into_owned();
    let outcome = written.and_then(|bytes| {
        println!("photographs of 500×375, {} kB each", bytes / 1000);
        for augment in [Augment::ResizedCrop, Augment::Centre] {
            let reading = Reading { whole: true, ..Reading::new(256, None, 0.0, &[augment]) };
            let split = Split {
                held_out: (Kept::Images(2), 0),
                validation: (Kept::Images(0), 0),
                most_test: 2,
            };
            let train = Source::parse(&path)?.parts(reading, split)?.train;
            let source = BatchSource::images("bench", 0, 16, train, augment)?;
            measure(&format!("256 pixels from JPEG, {augment}"), source, threads)?;
        }
        Ok(())
    });
    drop(fs::remove_dir_all(&folder));
    outcome
}

fn measure(what: &str, source: BatchSource, threads: usize) -> Result<()> {
    let size = source.batch_size();
    let mut loader = Loader::new(vec![source], 0, threads.max(4), threads)?;
    loader.next_batches()?;
    let (began, mut images) = (Instant::now(), 0);
    while began.elapsed().as_secs_f64() < SECONDS {
        images += loader.next_batches()?.len() * size;
    }
    let rate = images as f64 / began.elapsed().as_secs_f64();
    println!("{what}: {rate:.0} images/s, {:.0} a thread", rate / threads as f64);
    Ok(())
}

/// 64 of them in two classes; returns the bytes of one.
fn photographs(folder: &Path) -> Result<usize> {
    let failed = |error: &dyn std::fmt::Display| Error::bad_file(folder, error);
    let fields = Fractal::new(3, 500)?;
    let mut bytes = 0;
    for i in 0..64_u64 {
        let field = fields.image(&mut Random::new(0, "photograph", 0, i % 8));
        let value = |x: u32, y: u32, c: u32| {
            field.get((c * 500 * 500 + y * 500 + x) as usize).map_or(0, |v| (v * 255.0) as u8)
        };
        let image =
            RgbImage::from_fn(500, 375, |x, y| image::Rgb([0, 1, 2].map(|c| value(x, y, c))));
        let mut jpeg = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 90);
        image.write_with_encoder(encoder).map_err(|error| failed(&error))?;
        let class = folder.join((i % 2).to_string());
        fs::create_dir_all(&class).map_err(|error| failed(&error))?;
        let file = fs::File::create(class.join(format!("{i}.jpg")));
        file.and_then(|mut file| file.write_all(&jpeg)).map_err(|error| failed(&error))?;
        bytes = jpeg.len();
    }
    Ok(bytes)
}
