//! Tests that distances between sets of pictures take every picture of a folder, also in subfolders, each in its own size, format
//! and colours, and that a distance is never negative.

use std::fs;
use std::path::Path;

use image::{DynamicImage, RgbImage};
use lapidary::data::{Interpolation, Random, Source, Viewed, resample};
use lapidary::eval::{Features, Gaussian};
use lapidary::graph::{Graph, Shape};
use lapidary::lower::Program;
use lapidary::model::{Checkpoint, Extractor, StateDict, Tensor};
use lapidary::ops::{Filter, Resize};
use pollster::block_on;

/// A colourful picture, smooth enough for JPEG to lose little.
pub fn photo(number: u32, width: u32, height: u32) -> RgbImage {
    let wave = |x: u32, by: u32| (f64::from(x * (number + by)) / 40.0).sin() * 100.0 + 128.0;
    RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([wave(x, 1), wave(y, 2), wave(x + y, 3)].map(|value| value as u8))
    })
}

pub fn put(path: &Path, picture: impl Into<DynamicImage>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture.into().save(path).unwrap();
}

/// EfficientNet-Lite0 with random weights.
pub fn extractor(path: &Path) {
    let mut weights = StateDict::default();
    for (number, parameter) in (0..).zip(Extractor::EfficientNetLite0.parameters()) {
        let mut random = Random::new(1, "extractor", 0, number);
        let fan = parameter.shape.iter().skip(1).product::<usize>().max(1);
        let data = match parameter.name.rsplit('.').next() {
            Some("running_var") => vec![1.0; parameter.count()],
            Some("weight") if parameter.shape.len() > 1 => {
                let scale = (3.0 / fan as f64).sqrt();
                (0..parameter.count()).map(|_| random.uniform(-scale, scale) as f32).collect()
            }
            Some("weight") => vec![1.0; parameter.count()],
            _ => vec![0.0; parameter.count()],
        };
        weights.insert(parameter.name.clone(), Tensor { shape: parameter.shape.clone(), data });
    }
    let checkpoint = Checkpoint { weights, source: "made".into(), ..Checkpoint::default() };
    checkpoint.write(path).unwrap();
}

#[test]
fn a_folder_is_all_its_pictures_each_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for number in 0..4 {
        let (width, height) = (60 + number, 64);
        let picture = photo(number, width, height);
        put(&at(&format!("png/{number}.png")), picture.clone());
        let name = ["mixed/0.png", "mixed/deep/1.jpg", "mixed/deep/er/2.webp", "mixed/3.BMP"];
        put(&at(name[number as usize]), picture.clone());
        // The first is grey, and the others stay coloured.
        let first = DynamicImage::from(picture.clone()).into_luma8();
        let shown = if number == 0 { DynamicImage::from(first) } else { picture.into() };
        put(&at(&format!("greyfirst/{number}.png")), shown);
    }
    let Viewed::Pictures(seen) =
        Source::parse(at("greyfirst").to_str().unwrap()).unwrap().viewed().unwrap()
    else {
        panic!("pictures")
    };
    let (planes, size) = seen.view(2).unwrap();
    assert_eq!(size, [64, 62]);
    assert_ne!(planes[..64 * 62], planes[64 * 62..2 * 64 * 62]);

    extractor(&at("lite0.safetensors"));
    let answer = |arguments: &[&str]| {
        let fixed =
            ["eval", "generation", "--extractor", "lite0.safetensors", "--json", "--cache", "seen"];
        super::answer(folder.path(), &[&fixed[..], arguments].concat())
    };
    let told = answer(&["mixed", "--reference", "png"]);
    assert_eq!((&told["samples"]["images"], &told["reference"]["images"]), (&4.into(), &4.into()));
    assert!(told["samples"]["sizes"].as_str().unwrap().contains("60×64"), "{told}");
    assert_eq!(
        (&told["protocol"], told["resize"].as_str().unwrap().contains("224")),
        (&"lite0".into(), true)
    );
    assert!(told["notes"][0].as_str().unwrap().contains("fewer than 2048"), "{told}");
    let lossy = told["distance"].as_f64().unwrap();
    let grey = answer(&["greyfirst", "--reference", "png"])["distance"].as_f64().unwrap();
    assert!((0.0..0.1 * grey).contains(&lossy), "{lossy} {grey}");
    let other = super::lapidary(
        folder.path(),
        &[
            "eval",
            "generation",
            "png",
            "--extractor",
            "lite0.safetensors",
            "--protocol",
            "clean-fid",
        ],
    );
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(!other.status.success() && said.contains("clean-fid"), "{said}");
}

/// Resizing on the CPU gives what the device's op gives, which is compared with PyTorch's numbers elsewhere.
#[test]
fn both_protocols_resize_as_the_device_does() {
    let gpu = super::made::gpu();
    let (height, width) = (37, 53);
    let mut random = Random::new(2, "resize", 0, 0);
    let image: Vec<f32> =
        (0..3 * height * width).map(|_| random.uniform(0.0, 1.0) as f32).collect();
    for side in [20, 61] {
        for (sampling, filter, antialias) in [
            (Interpolation::Bilinear, Filter::Bilinear, false),
            (Interpolation::Bicubic, Filter::Bicubic, true),
        ] {
            let mut graph = Graph::default();
            let x = graph.input(Shape::new(1, 3, height, width).unwrap());
            let y = Resize { height: side, width: side, filter, antialias }
                .push(&mut graph, x)
                .unwrap();
            let mut program = block_on(Program::new(gpu, &graph, &[y], &[x], &[])).unwrap();
            block_on(program.write(x, &image)).unwrap();
            block_on(program.run(1, |_| Ok(()))).unwrap();
            let wanted = block_on(program.read(y)).unwrap();
            let made = resample(&image, [height, width], side, sampling).unwrap();
            let apart = made.iter().zip(&wanted).map(|(a, b)| (a - b).abs());
            // What is not a number is the largest of all here, and nothing to `f32::max`.
            let off = apart.max_by(f32::total_cmp).unwrap();
            assert!(made.len() == wanted.len() && off < 2e-5, "{sampling:?} to {side}: {off}");
        }
    }
}

/// Line 31.
#[test]
fn a_distance_is_never_below_zero() {
    let mut random = Random::new(3, "features", 0, 0);
    let rows: Vec<f32> = (0..40 * 64).map(|_| random.uniform(0.0, 1.0) as f32).collect();
    let own = Gaussian::of(&Features::new(rows, 64).unwrap()).unwrap();
    let distance = own.distance(&own).unwrap();
    assert!(distance.is_sign_positive() && distance < 1e-9, "{distance}");
    assert!(!format!("{distance:.4}").starts_with('-'));
}
