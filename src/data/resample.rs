//! Resizes images to the size of a feature extractor, in floating point, as the protocols of Fréchet distances ask: nothing
//! is rounded to bytes on the way.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::F32;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use super::picture::LARGEST;
use crate::{Error, Result};

/// The interpolation by which an image is resized for a feature extractor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// Bilinear interpolation of the two nearest pixels in each direction, also where an image is shrunk (PyTorch's `interpolate`
    /// without `antialias`).
    Bilinear,
    /// Bicubic interpolation by Keys' cubic with a = -0.5, antialiased where an image is shrunk (Pillow's bicubic of mode `F`).
    Bicubic,
}

/// Resizes planes of `height`×`width` values to `side`×`side`, without keeping their aspect ratio.
///
/// # Errors
/// `Mismatch` where the values are no whole planes, or a side is 0 or above 16,384.
pub fn resample(
    planes: &[f32],
    [height, width]: [u32; 2],
    side: u32,
    sampling: Interpolation,
) -> Result<Vec<f32>> {
    let plane = height as usize * width as usize;
    let sized = [height, width, side].iter().all(|length| (1..=LARGEST).contains(length));
    if !sized || !planes.len().is_multiple_of(plane) {
        return Err(Error::mismatch(
            "resampling",
            format!(
                "{} values in planes of {height}×{width}, to be resized to {side}×{side}",
                planes.len()
            ),
            format!("whole planes, and sides of 1 to {LARGEST}"),
        ));
    }
    let algorithm = match sampling {
        Interpolation::Bilinear => ResizeAlg::Interpolation(FilterType::Bilinear),
        Interpolation::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
    };
    let options = ResizeOptions::new().resize_alg(algorithm);
    let failed = |error: &dyn std::fmt::Display| Error::bug("resampling", error);
    let (mut resizer, mut made) = (Resizer::new(), Vec::new());
    for plane in planes.chunks_exact(plane) {
        let values: Vec<F32> = plane.iter().map(|&value| F32::new(value)).collect();
        let from = TypedImageRef::new(width, height, &values).map_err(|error| failed(&error))?;
        let mut to = TypedImage::<F32>::new(side, side);
        resizer.resize_typed(&from, &mut to, &options).map_err(|error| failed(&error))?;
        made.extend(to.pixels().iter().map(|pixel| pixel.0));
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pytorch_and_pillow_make_of_a_ramp() {
        let ramp: Vec<f32> = (0..64).map(|i| (i % 8) as f32).collect();
        let row = |side, sampling| {
            resample(&ramp, [8, 8], side, sampling).unwrap()[..side as usize].to_vec()
        };
        // torch.nn.functional.interpolate(torch.arange(8.), mode "bilinear", to 2): the middles of values 1, 2 and 5, 6.
        assert_eq!(row(2, Interpolation::Bilinear), [1.5, 5.5]);
        // Pillow's formula, worked out by hand: the cubic stretched fourfold about 2, cut off at the edge and made to sum to 1.
        let cubic = row(2, Interpolation::Bicubic);
        let wanted = [1.680_062_7, 5.319_937];
        assert!(
            cubic.iter().zip(wanted).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-5),
            "{cubic:?}"
        );
        assert_eq!(row(8, Interpolation::Bicubic), ramp[..8]);
        assert!(resample(&ramp, [8, 7], 2, Interpolation::Bilinear).is_err());
        assert!(resample(&ramp, [8, 8], 0, Interpolation::Bilinear).is_err());
    }
}
