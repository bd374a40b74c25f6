//! Compares the augmentations with pictures that torchvision and Pillow made. What is random in
//! augmentations (offsets, operations) has here the same fixed values as in tests/peers/augmentations.py, which
//! made the pictures.

#![expect(clippy::unwrap_used, reason = "clippy.toml reaches only into functions marked as tests")]

use super::augment::{crop, cut_out};
use super::auto_augment::CIFAR10_POLICY;
use super::auto_augment::Operation::{
    self, AutoContrast, Brightness, Color, Contrast, Equalize, Invert, Posterize, Rotate,
    Sharpness, ShearY, Solarize, TranslateX, TranslateY,
};
use super::decode;
use super::picture::{Bounds, Picture};
use fast_image_resize::FilterType;

const SIDE: u32 = 32;

macro_rules! reference {
    ($name:literal) => {
        decode::decode(include_bytes!(concat!("../../tests/augmentations/", $name, ".png")))
            .unwrap()
    };
}

/// Tile (row, column) of a sheet, in planes; its first `side` pixels each way.
fn tile(sheet: &Picture, row: usize, column: usize, side: u32) -> Vec<u8> {
    let (left, top) = (column as u32 * SIDE, row as u32 * SIDE);
    let bounds = Bounds { left, top, width: side, height: side };
    sheet.resized(bounds, [side, side], FilterType::Bilinear).unwrap().tile(0, 0, side)
}

fn picture() -> Vec<u8> {
    tile(&reference!("picture"), 0, 0, SIDE)
}

fn assert_same(made: &[u8], wanted: &[u8], at_most: u8, what: &str) {
    assert!(made.len() == wanted.len(), "{what}: another size");
    let differ = made.iter().zip(wanted).filter(|(a, b)| a.abs_diff(**b) > at_most);
    let most = made.iter().zip(wanted).map(|(a, b)| a.abs_diff(*b)).max();
    assert_eq!(differ.count(), 0, "{what}: values differ, by up to {most:?}");
}

#[test]
fn each_operation_to_the_bit() {
    let sheet = reference!("operations");
    let signed = [ShearY, TranslateX, TranslateY, Rotate, Brightness, Color, Contrast, Sharpness];
    let unsigned = [Posterize, Solarize, AutoContrast, Equalize, Invert];
    let mut seen = 0;
    for (row, operation) in signed.into_iter().chain(unsigned).enumerate() {
        let signs: &[bool] = if row < signed.len() { &[false, true] } else { &[false] };
        let constant = matches!(operation, AutoContrast | Equalize | Invert);
        let magnitudes: &[u8] = if constant { &[0] } else { &[1, 4, 9] };
        let all = signs.iter().flat_map(|sign| magnitudes.iter().map(move |m| (*sign, *m)));
        for (column, (negative, magnitude)) in all.enumerate() {
            let mut image = picture();
            operation.apply(magnitude, negative, &mut image, 3, SIDE).unwrap();
            let what = format!("{operation:?} {magnitude} {negative}");
            assert_same(&image, &tile(&sheet, row, column, SIDE), 0, &what);
            let all_bits = matches!(operation, Posterize) && magnitude == 1;
            assert!(all_bits || image != picture(), "{what} changes something");
            seen += 1;
        }
    }
    assert_eq!(seen, 8 * 6 + 2 * 3 + 3);
}

/// Black comes in from outside, at the largest magnitude both from before the first row or column and from behind the last. In a
/// profile with overflow checks, such as cargo's dev, this finds places that are computed of what lies outside, too.
#[test]
fn black_comes_from_outside() {
    let side = SIDE as usize;
    // 1 and more, so that 0 is from outside alone.
    let rows: Vec<u8> = (0..side * side).map(|at| (at / side) as u8 + 1).collect();
    let columns: Vec<u8> = (0..side * side).map(|at| (at % side) as u8 + 1).collect();
    // 150/331 of 32 pixels are 14.5, of which whole ones count.
    let [moved, sheared]: [fn(f64) -> f64; 2] = [|_| -14.0, |across| 0.3 * across];
    for (operation, image, by) in
        [(TranslateX, &columns, moved), (TranslateY, &rows, moved), (ShearY, &rows, sheared)]
    {
        for (negative, sign) in [(false, 1.0), (true, -1.0)] {
            let mut made = image.clone();
            operation.apply(9, negative, &mut made, 1, SIDE).unwrap();
            let wanted = (0..side * side).map(|at| {
                // A pixel lies where its middle does.
                let [x, y] = [at % side, at / side].map(|whole| whole as f64 + 0.5);
                let (along, across) = if operation == TranslateX { (x, y) } else { (y, x) };
                let from = along + sign * by(across);
                if (0.0..f64::from(SIDE)).contains(&from) { from as u8 + 1 } else { 0 }
            });
            assert_eq!(made, wanted.collect::<Vec<_>>(), "{operation:?} {negative}");
            assert!(made.contains(&0), "{operation:?} {negative}");
        }
    }
}

#[test]
fn the_policy_and_each_of_its_pairs() {
    let said = |&(operation, tenths, magnitude): &(Operation, u64, u8)| {
        format!("{operation:?} {tenths} {magnitude}")
    };
    let lines = CIFAR10_POLICY.map(|pair| pair.each_ref().map(said).join(" "));
    let wanted = include_str!("../../tests/augmentations/policy.txt");
    assert!(lines.iter().eq(wanted.lines()), "{lines:#?}");
    let sheet = reference!("policy");
    for (i, [(first, _, m1), (second, _, m2)]) in CIFAR10_POLICY.into_iter().enumerate() {
        let mut image = picture();
        first.apply(m1, false, &mut image, 3, SIDE).unwrap();
        second.apply(m2, true, &mut image, 3, SIDE).unwrap();
        assert_same(&image, &tile(&sheet, i / 5, i % 5, SIDE), 0, &format!("pair {i}"));
    }
}

#[test]
fn grey_images_and_flat_ones() {
    let mut grey: Vec<u8> = (0..=255).collect();
    Color.apply(9, false, &mut grey, 1, 16).unwrap();
    assert!(grey.iter().copied().eq(0..=255), "grey has no colour to change");
    for operation in [AutoContrast, Equalize, Contrast, Sharpness] {
        let mut flat = vec![7; 3 * 64];
        operation.apply(5, true, &mut flat, 3, 8).unwrap();
        assert_eq!(flat, [7; 3 * 64], "{operation:?}");
    }
    assert!(Invert.apply(0, false, &mut [0; 8], 2, 2).is_err());
    assert!(Invert.apply(10, false, &mut [0; 4], 1, 2).is_err());
    assert!(Invert.apply(0, false, &mut [], 1, 0).is_ok());
}

#[test]
fn crops_and_cutouts_to_the_bit() {
    let sheet = reference!("crops");
    let image: Vec<f32> = picture().into_iter().map(f32::from).collect();
    let places =
        [([-4, -4], false), ([-4, 4], true), ([0, 0], true), ([3, -1], false), ([4, 2], true)];
    for (column, (offsets, mirrored)) in places.into_iter().enumerate() {
        let mut out = vec![1.0; image.len()];
        crop(&image, SIDE, offsets, mirrored, &mut out);
        let out: Vec<u8> = out.into_iter().map(|value| value as u8).collect();
        assert_same(&out, &tile(&sheet, 0, column, SIDE), 0, &format!("crop {column}"));
    }
    let sheet = reference!("cutouts");
    for (column, middle) in [[0, 0], [31, 31], [16, 16], [5, 27], [20, 3]].into_iter().enumerate() {
        let mut out = picture();
        cut_out(&mut out, SIDE, middle, 16);
        assert_same(&out, &tile(&sheet, 0, column, SIDE), 0, &format!("cutout {column}"));
    }
}

#[test]
fn resized_crops() {
    let (wide, sheet) = (reference!("wide"), reference!("resized"));
    let boxes = [
        [0, 0, 60, 90, 32],
        [3, 11, 41, 52, 32],
        [20, 30, 12, 9, 32],
        [7, 0, 33, 40, 24],
        [59, 89, 1, 1, 32],
    ];
    for (column, [top, left, height, width, side]) in boxes.into_iter().enumerate() {
        let part = Bounds { left, top, width, height };
        let made = wide.resized(part, [side, side], FilterType::Bilinear).unwrap();
        let made = made.tile(0, 0, side);
        // Both round to bytes after the columns and again after the rows, with weights of different precision.
        assert_same(&made, &tile(&sheet, 0, column, side), 1, &format!("part {column}"));
    }
}
