//! Tests that the program, from files, and the web page, from pixels, crop and resize pictures to a network's square input with
//! equal results.

use std::fs;
use std::path::Path;

use image::codecs::{gif::GifEncoder, png::PngEncoder};
use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat, RgbaImage};
use lapidary::data::{Fit, fit_rgba, photograph};

/// Colours that differ everywhere; transparent to the left where `clear`.
fn colours(width: u32, height: u32, clear: bool) -> RgbaImage {
    RgbaImage::from_fn(width, height, |x, y| {
        let alpha = if clear && x < width / 3 { (x * 40) as u8 } else { 255 };
        image::Rgba([(x * 7) as u8, (y * 11) as u8, (x * y % 251) as u8, alpha])
    })
}

/// The same picture on grey paper: three equal colours.
fn grey(width: u32, height: u32) -> RgbaImage {
    RgbaImage::from_fn(width, height, |x, y| {
        let value = (x * 5 + y * 3) as u8;
        image::Rgba([value, value, value, 255])
    })
}

/// EXIF data of one entry: that a picture is to be turned.
fn turned_by(orientation: u8) -> Vec<u8> {
    [&b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"[..], &[orientation, 0, 0, 0, 0, 0, 0, 0]]
        .concat()
}

/// Ten files and the pixels that each shows.
fn odd_files(folder: &Path) -> Vec<(String, RgbaImage)> {
    let mut files = Vec::new();
    let mut put = |name: &str, shown: RgbaImage, bytes: Vec<u8>| {
        fs::write(folder.join(name), bytes).unwrap();
        files.push((name.to_owned(), shown));
    };
    let encoded = |picture: DynamicImage, format| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    let rgb = |picture: &RgbaImage| DynamicImage::from(picture.clone()).into_rgb8();
    let (wide, tall, clear) =
        (colours(70, 33, false), colours(20, 57, false), colours(41, 40, true));
    put("wide.png", wide.clone(), encoded(rgb(&wide).into(), ImageFormat::Png));
    put("tall.bmp", tall.clone(), encoded(rgb(&tall).into(), ImageFormat::Bmp));
    put("clear.webp", clear.clone(), encoded(clear.clone().into(), ImageFormat::WebP));
    put("clear.tiff", clear.clone(), encoded(clear.into(), ImageFormat::Tiff));
    // What a file is shows in it, not in its name.
    put("really_a_bmp.jpg", tall.clone(), encoded(rgb(&tall).into(), ImageFormat::Bmp));
    let drawn = grey(28, 28);
    let luma = DynamicImage::from(drawn.clone()).into_luma8();
    put("grey.png", drawn, encoded(luma.into(), ImageFormat::Png));
    let deep = image::ImageBuffer::<image::Rgb<u16>, _>::from_fn(30, 30, |x, y| {
        image::Rgb([x, y, x + y].map(|value| 257 * value as u16))
    });
    let shown =
        RgbaImage::from_fn(30, 30, |x, y| image::Rgba([x as u8, y as u8, (x + y) as u8, 255]));
    put("deep.png", shown, encoded(deep.into(), ImageFormat::Png));
    let long = colours(5000, 3, false);
    put("long.png", long.clone(), encoded(rgb(&long).into(), ImageFormat::Png));
    // Few colours, so that a palette holds them.
    let few = RgbaImage::from_fn(16, 12, |x, y| {
        image::Rgba([(x / 4 * 80) as u8, (y / 4 * 80) as u8, 0, 255])
    });
    let mut gif = Vec::new();
    let mut encoder = GifEncoder::new(&mut gif);
    for picture in [few.clone(), colours(16, 12, false)] {
        encoder.encode_frame(image::Frame::new(picture)).unwrap();
    }
    drop(encoder);
    put("moving.gif", few, gif);
    // Stored lying, to be turned clockwise by 90 degrees.
    let upright = colours(24, 40, false);
    let lying = rgb(&image::imageops::rotate270(&upright));
    let mut bytes = Vec::new();
    let mut encoder = PngEncoder::new(&mut bytes);
    encoder.set_exif_metadata(turned_by(6)).unwrap();
    encoder.write_image(&lying, 40, 24, ExtendedColorType::Rgb8).unwrap();
    put("turned.png", upright, bytes);
    files
}

/// Line 7: the program's reading of ten odd files, and the page's of the pixels that a browser makes of them, to the bit.
#[test]
fn page_and_program_take_the_same_numbers_from_ten_odd_files() {
    let folder = tempfile::tempdir().unwrap();
    let files = odd_files(folder.path());
    assert_eq!(files.len(), 10);
    for (name, shown) in &files {
        for fit in [Fit::Crop, Fit::Letterbox, Fit::Stretch] {
            for (channels, side) in [(1, 16), (3, 16), (3, 32)] {
                let size = [shown.width(), shown.height()];
                let page = fit_rgba(shown, size, channels, side, fit).unwrap();
                let program = photograph(&folder.path().join(name), channels, side, fit).unwrap();
                assert_eq!(page, program, "{name} {fit} {channels} channels at {side}");
            }
        }
    }
}

/// Line 7: three pictures that look alike give the same logits, whatever lies under what is not seen; a picture to be turned
/// gives those of the turned one. By the program.
#[test]
fn pictures_that_look_alike_have_the_same_logits() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let leg = |x: u32, y: u32| (12..36).contains(&x) && y > 4 && !(x.abs_diff(24) < 3 && y > 20);
    for (name, hidden) in [("white", [255; 3]), ("green", [0, 255, 0]), ("black", [0; 3])] {
        let seen = RgbaImage::from_fn(48, 48, |x, y| match leg(x, y) {
            true => image::Rgba([90, 30, 30, 255]),
            false => image::Rgba([hidden[0], hidden[1], hidden[2], 0]),
        });
        seen.save(folder.join(format!("{name}.png"))).unwrap();
    }
    let upright =
        image::GrayImage::from_fn(48, 64, |x, y| image::Luma([220 * u8::from(leg(x, y))]));
    upright.save(folder.join("upright.png")).unwrap();
    let lying = image::imageops::rotate270(&upright);
    let mut bytes = Vec::new();
    let mut encoder = PngEncoder::new(&mut bytes);
    encoder.set_exif_metadata(turned_by(6)).unwrap();
    encoder.write_image(&lying, 64, 48, ExtendedColorType::L8).unwrap();
    fs::write(folder.join("turned.png"), bytes).unwrap();
    let names = ["white.png", "green.png", "black.png", "upright.png", "turned.png"];
    let answers = super::answer(folder, &[&["classify", "--json"][..], &names].concat());
    let logits = |i: usize| &answers[i]["logits"];
    assert_eq!(logits(0), logits(1));
    assert_eq!(logits(0), logits(2));
    assert_eq!(logits(3), logits(4));
    assert_ne!(logits(0), logits(3));
    // How a picture is fitted can be asked for, and counts.
    let cropped = super::answer(folder, &["classify", "--json", "--fit", "crop", "upright.png"]);
    assert_ne!(&cropped[0]["logits"], logits(3));
}

/// Line 7, issue 20: inks, where there are four of them, as Adobe's programs write them.
#[test]
fn printers_jpegs_have_their_colours() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/pictures");
    for (name, wanted) in [
        ("red_rgb.jpg", [1.0, 0.0, 0.0]),
        ("red_cmyk.jpg", [1.0, 0.0, 0.0]),
        ("red_ycck.jpg", [1.0, 0.0, 0.0]),
        ("white_cmyk.jpg", [1.0; 3]),
        ("white_ycck.jpg", [1.0; 3]),
    ] {
        let read = photograph(&folder.join(name), 3, 8, Fit::Crop).unwrap();
        for (plane, wanted) in read.chunks(64).zip(wanted) {
            let apart = plane.iter().map(|value: &f32| (value - wanted).abs());
            let off = apart.max_by(f32::total_cmp).unwrap();
            assert!(off < 0.02, "{name}: {off} from {wanted}");
        }
    }
}
