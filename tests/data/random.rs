//! Tests that random streams, crops and flips, and fractal fields are fixed by the seed and have the promised distribution.

use std::collections::HashSet;

use lapidary::data::{CropFlip, Fractal, Random, fractal};

#[test]
fn random_streams_are_fixed_and_independent() {
    // The first 64 bits of ChaCha8 (block 0, nonce 0) under the key that the documentation gives, from an independent
    // Python version of RFC 8439's block function with 8 rounds. A change would break the resuming of old runs.
    assert_eq!(format!("{:016x}", Random::new(1, "purpose", 2, 3).bits()), "1b1a5d4a5a324124");
    let first = |seed, purpose, step, index| Random::new(seed, purpose, step, index).bits();
    let all = [
        first(0, "a", 0, 0),
        first(1, "a", 0, 0),
        first(0, "b", 0, 0),
        first(0, "a", 1, 0),
        first(0, "a", 0, 1),
    ];
    assert_eq!(HashSet::from(all).len(), all.len());
    let mut random = Random::new(5, "moments", 0, 0);
    let normals: Vec<f64> =
        (0..20_000).flat_map(|_| <[f64; 2]>::from(random.normal_pair())).collect();
    let mean = normals.iter().sum::<f64>() / 40_000.;
    let variance = normals.iter().map(|x| x * x).sum::<f64>() / 40_000.;
    let fourth = normals.iter().map(|x| x.powi(4)).sum::<f64>() / 40_000.;
    assert!(
        mean.abs() < 0.03 && (variance - 1.).abs() < 0.05 && (fourth - 3.).abs() < 0.4,
        "{mean} {variance} {fourth}"
    );
    let mut counts = [0; 5];
    (0..10_000).for_each(|_| counts[random.below(5) as usize] += 1);
    assert!(counts.iter().all(|count| (1800..2200).contains(count)), "{counts:?}");
    assert_eq!(random.below(0), 0);
}

#[test]
fn crop_and_flip_shift_by_up_to_the_padding() {
    // Each value is 1 + its position, so that shift and mirroring can be read off.
    let (side, padding) = (4_usize, 2_i64);
    let image: Vec<f32> = (0..2 * 16).map(|i| 1. + i as f32).collect();
    let mut seen = HashSet::new();
    for index in 0..2000 {
        let mut out = vec![f32::NAN; 32];
        let augment = CropFlip { padding: 2, flip: true };
        augment.apply(&mut Random::new(1, "crop", 0, index), &image, 2, 4, &mut out).unwrap();
        let expected = |down: i64, right: i64, flip: bool| {
            let at = |channel: usize, y: usize, x: usize| {
                let x = if flip { side - 1 - x } else { x };
                let (y, x) = (y as i64 + down, x as i64 + right);
                let inside = (0..4).contains(&y) && (0..4).contains(&x);
                if inside { image[channel * 16 + y as usize * 4 + x as usize] } else { 0. }
            };
            (0..32).map(|i| at(i / 16, i / 4 % 4, i % 4)).collect::<Vec<_>>()
        };
        let all = (-padding..=padding).flat_map(|down| {
            (-padding..=padding).flat_map(move |right| [(down, right, false), (down, right, true)])
        });
        let which: Vec<_> =
            all.filter(|&(down, right, flip)| expected(down, right, flip) == out).collect();
        assert_eq!(which.len(), 1, "exactly one shift explains {out:?}");
        seen.insert(which[0]);
    }
    assert_eq!(seen.len(), 50, "all 25 offsets, mirrored and not");
}

#[test]
fn crop_and_flip_at_the_edges() {
    assert_eq!(CropFlip::for_side(32), CropFlip { padding: 4, flip: true });
    let image = [1., 2., 3., 4.];
    let mut out = [f32::NAN; 4];
    let random = || Random::new(0, "edge", 0, 0);
    CropFlip { padding: 0, flip: false }.apply(&mut random(), &image, 1, 2, &mut out).unwrap();
    assert_eq!(out, image);
    CropFlip { padding: u32::MAX, flip: true }
        .apply(&mut random(), &image, 1, 2, &mut out)
        .unwrap();
    assert_eq!(out, [0.; 4], "far outside");
    let none = CropFlip { padding: 1, flip: true };
    assert!(none.apply(&mut random(), &image, 1, 3, &mut out).is_err());
    assert!(none.apply(&mut random(), &image, 1, 2, &mut out[..3]).is_err());
    none.apply(&mut random(), &[], 1, 0, &mut []).unwrap();
}

#[test]
fn fractals_are_pure_different_and_in_range() {
    for (channels, side) in [(1, 16), (3, 15), (3, 32)] {
        let images: Vec<_> =
            (0..50).map(|index| fractal(9, index, channels, side).unwrap()).collect();
        assert_eq!(images[7], fractal(9, 7, channels, side).unwrap());
        assert_ne!(images[7], fractal(10, 7, channels, side).unwrap());
        assert_ne!(images[7], images[8]);
        for image in &images {
            assert_eq!(image.len(), (channels * side * side) as usize);
            assert!(image.iter().all(|value| (0. ..=1.).contains(value)));
            assert!(image.iter().any(|value| *value != image[0]), "not constant");
        }
    }
    assert!(
        Fractal::new(0, 16).is_err()
            && Fractal::new(1, 0).is_err()
            && Fractal::new(1, u32::MAX).is_err()
    );
}

/// The share of each frequency in the power of the rows of fields, over 300 images; entry 0 is left at 0.
fn row_spectrum(side: usize) -> Vec<f64> {
    let maker = Fractal::new(1, side as u32).unwrap();
    let mut power = vec![0.; side / 2 + 1];
    for index in 0..300 {
        let image = maker.image(&mut Random::new(0, "spectrum", 0, index));
        for row in image.chunks_exact(side) {
            for (frequency, power) in power.iter_mut().enumerate().skip(1) {
                let wave = |x: usize| std::f64::consts::TAU * (frequency * x) as f64 / side as f64;
                let re: f64 = row
                    .iter()
                    .enumerate()
                    .map(|(x, &value)| f64::from(value) * wave(x).cos())
                    .sum();
                let im: f64 = row
                    .iter()
                    .enumerate()
                    .map(|(x, &value)| f64::from(value) * wave(x).sin())
                    .sum();
                *power += re * re + im * im;
            }
        }
    }
    power
}

#[test]
fn fractal_power_falls_with_frequency() {
    let power = row_spectrum(16);
    for pair in power[1..].windows(2) {
        assert!(pair[0] > pair[1], "{power:?}");
    }
    assert!(power[1] > 5. * power[4], "{power:?}");
}

#[test]
fn fractal_channels_are_correlated_but_not_equal() {
    let maker = Fractal::new(3, 32).unwrap();
    let mut sum = 0.;
    for index in 0..100 {
        let image = maker.image(&mut Random::new(0, "colour", 0, index));
        let (red, green) = (&image[..1024], &image[1024..2048]);
        let moment = |a: &[f32], b: &[f32]| {
            let mean = |v: &[f32]| v.iter().map(|&x| f64::from(x)).sum::<f64>() / 1024.;
            let (p, q) = (mean(a), mean(b));
            a.iter().zip(b).map(|(&x, &y)| (f64::from(x) - p) * (f64::from(y) - q)).sum::<f64>()
        };
        sum += moment(red, green) / (moment(red, red) * moment(green, green)).sqrt().max(1e-12);
    }
    assert!((0.45..0.8).contains(&(sum / 100.)), "{}", sum / 100.);
}
