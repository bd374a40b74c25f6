//! AutoAugment's policy for CIFAR-10 (Cubuk et al., arXiv 1805.09501) and its operations, on bytes. The results are equal, to
//! the bit, to those of torchvision's `AutoAugment(AutoAugmentPolicy.CIFAR10)` over Pillow, which takes the nearest pixel and
//! fills with zeros. `tests/peers/augmentations.py` makes the pictures that they are compared with.

use super::seed::Random;
use crate::{Error, Result};

/// A change of an image; the paper's search has more, which its policy for CIFAR-10 has no use for. A magnitude is 0 to 9; what it stands for is said with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Columns slide by up to 0.3 of their number, about the left edge.
    ShearY,
    /// Moves the image to the right by up to 150/331 of the side, in whole pixels.
    TranslateX,
    /// Moves the image down by a share of its side.
    TranslateY,
    /// Against the clock, up to 30 degrees about the middle.
    Rotate,
    /// Moves the image away from black, by a factor of 1 ± up to 0.9.
    Brightness,
    /// Moves the image away from its grey version, by such a factor.
    Color,
    /// Moves the image away from its mean grey, by such a factor.
    Contrast,
    /// Moves the image away from its smoothed version, by such a factor.
    Sharpness,
    /// Keeps the highest 8 to 4 bits of each value.
    Posterize,
    /// Inverts values above a threshold, which falls from 255 to 0 as the magnitude grows.
    Solarize,
    /// Stretches each channel to 0 to 255.
    AutoContrast,
    /// Flattens each channel's histogram.
    Equalize,
    /// 255 minus each value.
    Invert,
}

use Operation::{
    AutoContrast, Brightness, Color, Contrast, Equalize, Invert, Posterize, Rotate, Sharpness,
    ShearY, Solarize, TranslateX, TranslateY,
};

/// Operation, probability in tenths, magnitude: two after each other, one of 25 such pairs for each image.
type SubPolicy = [(Operation, u64, u8); 2];

/// The policy found on CIFAR-10 (the paper's appendix, table 7). Where the paper has no magnitude there is 0.
pub(super) const CIFAR10_POLICY: [SubPolicy; 25] = [
    [(Invert, 1, 0), (Contrast, 2, 6)],
    [(Rotate, 7, 2), (TranslateX, 3, 9)],
    [(Sharpness, 8, 1), (Sharpness, 9, 3)],
    [(ShearY, 5, 8), (TranslateY, 7, 9)],
    [(AutoContrast, 5, 0), (Equalize, 9, 0)],
    [(ShearY, 2, 7), (Posterize, 3, 7)],
    [(Color, 4, 3), (Brightness, 6, 7)],
    [(Sharpness, 3, 9), (Brightness, 7, 9)],
    [(Equalize, 6, 0), (Equalize, 5, 0)],
    [(Contrast, 6, 7), (Sharpness, 6, 5)],
    [(Color, 7, 7), (TranslateX, 5, 8)],
    [(Equalize, 3, 0), (AutoContrast, 4, 0)],
    [(TranslateY, 4, 3), (Sharpness, 2, 6)],
    [(Brightness, 9, 6), (Color, 2, 8)],
    [(Solarize, 5, 2), (Invert, 0, 0)],
    [(Equalize, 2, 0), (AutoContrast, 6, 0)],
    [(Equalize, 2, 0), (Equalize, 6, 0)],
    [(Color, 9, 9), (Equalize, 6, 0)],
    [(AutoContrast, 8, 0), (Solarize, 2, 8)],
    [(Brightness, 1, 3), (Color, 7, 0)],
    [(Solarize, 4, 5), (AutoContrast, 9, 0)],
    [(TranslateY, 9, 9), (TranslateY, 7, 9)],
    [(AutoContrast, 9, 0), (Solarize, 8, 3)],
    [(Equalize, 8, 0), (Invert, 1, 0)],
    [(TranslateY, 7, 9), (AutoContrast, 9, 0)],
];

/// Applies a random pair of the policy. Always draws the pair, then for each half whether it is applied and its sign.
///
/// # Errors
/// The errors of [`Operation::apply`].
pub(super) fn auto_augment(
    random: &mut Random,
    image: &mut [u8],
    channels: u32,
    side: u32,
) -> Result<()> {
    let chosen = random.below(CIFAR10_POLICY.len() as u64) as usize;
    for &(operation, tenths, magnitude) in CIFAR10_POLICY.get(chosen).into_iter().flatten() {
        let applied = random.uniform(0.0, 1.0) < tenths as f64 / 10.0;
        let negative = random.coin();
        if applied {
            operation.apply(magnitude, negative, image, channels, side)?;
        }
    }
    Ok(())
}

impl Operation {
    /// Changes `image`, CHW of `channels`×`side`×`side`, by a magnitude of 0 to 9. `negative` turns the direction of the
    /// first eight, and makes a factor 1 − m of 1 + m; the others have no sign.
    ///
    /// # Errors
    /// `Mismatch` for other than 1 or 3 channels, another length, and a magnitude above 9.
    pub fn apply(
        self,
        magnitude: u8,
        negative: bool,
        image: &mut [u8],
        channels: u32,
        side: u32,
    ) -> Result<()> {
        let wanted = u128::from(channels) * u128::from(side) * u128::from(side);
        if !matches!(channels, 1 | 3) || image.len() as u128 != wanted || magnitude > 9 {
            return Err(Error::mismatch(
                "AutoAugment",
                format!(
                    "{} values for an image of {channels}×{side}×{side}, and magnitude {magnitude}",
                    image.len()
                ),
                "1 or 3 channels, a value for each pixel of each, and a magnitude of 0 to 9",
            ));
        }
        if side == 0 {
            return Ok(());
        }
        let side = side as usize;
        // To the last bit as torch.linspace(0, most, 10) in f32: the results are rounded towards zero.
        let magnitude_of = |most: f64| {
            let (most, step) = (most as f32, most as f32 / 9.0);
            f64::from(match magnitude {
                0..5 => step * f32::from(magnitude),
                _ => most - step * f32::from(9 - magnitude),
            })
        };
        let sign = if negative { -1.0 } else { 1.0 };
        let plane = side * side;
        let moved = sign * magnitude_of(150.0 / 331.0 * side as f64).floor();
        let sheared = sign * magnitude_of(0.3);
        let factor = (1.0 + sign * magnitude_of(0.9)) as f32;
        match self {
            ShearY => affine(image, side, [1.0, 0.0, 0.0, sheared, 1.0, 0.0]),
            TranslateX => affine(image, side, [1.0, 0.0, -moved, 0.0, 1.0, 0.0]),
            TranslateY => affine(image, side, [1.0, 0.0, 0.0, 0.0, 1.0, -moved]),
            Rotate => affine(image, side, rotation(sign * magnitude_of(30.0), side)),
            Brightness => image.iter_mut().for_each(|value| *value = blend(0, *value, factor)),
            Color => {
                let grey = grey(image, plane);
                for channel in image.chunks_exact_mut(plane) {
                    blend_all(&grey, channel, factor);
                }
            }
            Contrast => {
                let sum: u64 = grey(image, plane).iter().map(|&value| u64::from(value)).sum();
                let mean = (sum as f64 / plane as f64 + 0.5) as u8;
                image.iter_mut().for_each(|value| *value = blend(mean, *value, factor));
            }
            Sharpness => {
                for channel in image.chunks_exact_mut(plane) {
                    blend_all(&smoothed(channel, side), channel, factor);
                }
            }
            Posterize => {
                let bits = 8 - (f64::from(magnitude) / 9.0 * 4.0).round() as u32;
                let mask = !(0xff_u8.checked_shr(bits).unwrap_or(0));
                image.iter_mut().for_each(|value| *value &= mask);
            }
            Solarize => {
                let from = 255.0 - magnitude_of(255.0);
                let turned = |value: &mut u8| {
                    if f64::from(*value) >= from {
                        *value = 255 - *value;
                    }
                };
                image.iter_mut().for_each(turned);
            }
            AutoContrast => look_up(image, plane, stretched),
            Equalize => look_up(image, plane, equalised),
            Invert => image.iter_mut().for_each(|value| *value = 255 - *value),
        }
        Ok(())
    }
}

/// Output (x, y) takes input (a x + b y + c, d x + e y + f), pixels being squares with their middle at ½, and zero from
/// outside. In 16.16 fixed point, as Pillow's nearest filter computes.
fn affine(image: &mut [u8], side: usize, [a, b, c, d, e, f]: [f64; 6]) {
    let fixed = |value: f64| (value * 65536.0 + 0.5).floor() as i64;
    let [right, down] = [[fixed(a), fixed(d)], [fixed(b), fixed(e)]];
    let start = [fixed(c + a * 0.5 + b * 0.5), fixed(f + d * 0.5 + e * 0.5)];
    let within = 0..side as i64;
    // Where each output's value lies, the same in every channel.
    let mut places = Vec::with_capacity(side * side);
    for y in within.clone() {
        for x in within.clone() {
            let at = |axis: fn(&[i64; 2]) -> i64| {
                (axis(&start) + x * axis(&right) + y * axis(&down)) >> 16
            };
            let (column, row) = (at(|&[x, _]| x), at(|&[_, y]| y));
            let inside = within.contains(&column) && within.contains(&row);
            places.push(inside.then(|| row as usize * side + column as usize));
        }
    }
    for channel in image.chunks_exact_mut(side * side) {
        let before = channel.to_vec();
        for (value, place) in channel.iter_mut().zip(&places) {
            *value = place.and_then(|place| before.get(place).copied()).unwrap_or(0);
        }
    }
}

/// Pillow's `Image.rotate` about the middle, its sines rounded to 15 digits.
fn rotation(degrees: f64, side: usize) -> [f64; 6] {
    let rounded = |value: f64| (value * 1e15).round() / 1e15;
    let (sin, cos) = (-degrees).to_radians().sin_cos();
    let (sin, cos, middle) = (rounded(sin), rounded(cos), side as f64 / 2.0);
    let c = cos * -middle + sin * -middle + middle;
    let f = -sin * -middle + cos * -middle + middle;
    [cos, sin, c, -sin, cos, f]
}

/// `from` at factor 0, `to` at 1 and beyond; rounded towards zero, as Pillow's `Image.blend`.
fn blend(from: u8, to: u8, factor: f32) -> u8 {
    let from = f32::from(from);
    (from + factor * (f32::from(to) - from)) as u8
}

fn blend_all(from: &[u8], to: &mut [u8], factor: f32) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = blend(from, *to, factor);
    }
}

/// The luma of ITU-R 601-2, rounded; of a grey image itself.
fn grey(image: &[u8], plane: usize) -> Vec<u8> {
    let mut channels = image.chunks_exact(plane);
    let (Some(red), Some(green), Some(blue)) = (channels.next(), channels.next(), channels.next())
    else {
        return image.to_vec();
    };
    let luma = |((&r, &g), &b): ((&u8, &u8), &u8)| {
        ((u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16) as u8
    };
    red.iter().zip(green).zip(blue).map(luma).collect()
}

/// The mean of 3×3 pixels in which the middle one counts five times; the border stays.
fn smoothed(plane: &[u8], side: usize) -> Vec<u8> {
    let mut smooth = plane.to_vec();
    let rows: Vec<&[u8]> = plane.chunks_exact(side).collect();
    for (three, out) in rows.windows(3).zip(smooth.chunks_exact_mut(side).skip(1)) {
        let [above, row, below] = three else { continue };
        let columns = above.windows(3).zip(row.windows(3)).zip(below.windows(3));
        for (((above, row), below), value) in columns.zip(out.iter_mut().skip(1)) {
            let all = above.iter().chain(row).chain(below);
            let sum: u32 = all.map(|&value| u32::from(value)).sum();
            let middle = row.get(1).map_or(0, |&value| u32::from(value));
            *value = ((2 * (sum + 4 * middle) + 13) / 26) as u8;
        }
    }
    smooth
}

/// Maps each channel through the table that its histogram gives.
fn look_up(image: &mut [u8], plane: usize, table: fn(&[u32; 256]) -> Option<[u8; 256]>) {
    for channel in image.chunks_exact_mut(plane) {
        let mut histogram = [0; 256];
        for &value in channel.iter() {
            if let Some(count) = histogram.get_mut(usize::from(value)) {
                *count += 1;
            }
        }
        let Some(table) = table(&histogram) else { continue };
        for value in channel {
            *value = table.get(usize::from(*value)).copied().unwrap_or(*value);
        }
    }
}

/// Returns the table of Pillow's `ImageOps.autocontrast`; None for a channel of one value.
fn stretched(histogram: &[u32; 256]) -> Option<[u8; 256]> {
    let low = histogram.iter().position(|&count| count > 0)? as f64;
    let high = histogram.iter().rposition(|&count| count > 0)? as f64;
    let scale = 255.0 / (high - low);
    let offset = -low * scale;
    (high > low).then(|| std::array::from_fn(|value| (value as f64 * scale + offset) as u8))
}

/// Returns the table of Pillow's `ImageOps.equalize`; None for a channel of one value, or nearly so.
fn equalised(histogram: &[u32; 256]) -> Option<[u8; 256]> {
    let last = histogram.iter().rev().find(|&&count| count > 0)?;
    let step = (histogram.iter().sum::<u32>() - last) / 255;
    let mut before = step / 2;
    let next = |count: &u32| {
        let value = before.checked_div(step)?.min(255) as u8;
        before += count;
        Some(value)
    };
    let table: Option<Vec<u8>> = histogram.iter().map(next).collect();
    table?.try_into().ok()
}
