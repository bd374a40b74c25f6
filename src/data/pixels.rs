//! Turns an array's numbers into pixels: bytes, and the numbers as they are where bytes would not hold them.

use super::npy::Numbers;

/// Whether whole numbers are above 255, so that 65,535 is white; None for other numbers.
pub(super) fn is_wide(numbers: &Numbers) -> Option<bool> {
    match numbers {
        Numbers::I64(all) => Some(all.iter().any(|&value| value > 255)),
        _ => None,
    }
}

/// Values as bytes, and as they are where bytes would not hold them.
pub(super) struct Pixels {
    pub bytes: Vec<u8>,
    pub exact: Option<Vec<f32>>,
    /// A note for the user about the value range that was assumed.
    pub note: Option<String>,
}

impl Pixels {
    /// Makes pixels of numbers, by the range that they lie in: bytes, whole numbers up to 255 or 65,535, or floating-point
    /// numbers in \[0, 1\] or whole ones up to 255. Err, with the reason, for other numbers.
    pub fn new(numbers: Numbers) -> std::result::Result<Self, String> {
        let values: Vec<f32> = match numbers {
            Numbers::U8(bytes) => {
                let most = bytes.iter().max().copied().unwrap_or(0);
                // Masks, and what was divided by 255 and cut to whole numbers.
                let note = (most == 1).then(|| {
                    "its pixels are 0 or 1 of 255, so nearly black: multiply them by 255?"
                        .to_owned()
                });
                return Ok(Self { bytes, exact: None, note });
            }
            Numbers::I64(all) => {
                let (low, high) = all.iter().fold((0, 0), |(l, h), &v| (v.min(l), v.max(h)));
                let most = if high > 255 { 65_535 } else { 255 };
                if low < 0 || high > most {
                    return Err(format!(
                        "their values are whole numbers from {low} to {high}, but pixels are 0 to 255, or 0 to 65535"
                    ));
                }
                if most == 255 {
                    let bytes = all.iter().map(|&v| v as u8).collect();
                    return Ok(Self { bytes, exact: None, note: None });
                }
                all.iter().map(|&value| (value as f64 / 65_535.0) as f32).collect()
            }
            Numbers::F64(all) => all.iter().map(|&value| value as f32).collect(),
            Numbers::F32(all) => all,
        };
        let (low, high) = values.iter().fold((0.0_f32, 0.0_f32), |(l, h), &v| (v.min(l), v.max(h)));
        let finite = values.iter().all(|value| value.is_finite());
        if finite
            && low >= 0.0
            && high > 1.0
            && high <= 255.0
            && values.iter().all(|v| v.fract() == 0.0)
        {
            let bytes = values.iter().map(|&v| v as u8).collect();
            return Ok(Self { bytes, exact: None, note: None });
        }
        if !finite || low < 0.0 || high > 1.0 {
            let given = if finite {
                format!("numbers from {low} to {high}")
            } else {
                "numbers that are not finite".into()
            };
            return Err(format!(
                "their values are {given}, but pixels are in [0, 1], or whole numbers up to 255: undo the normalisation of these images"
            ));
        }
        let bytes: Vec<u8> = values.iter().map(|value| (value * 255.0).round() as u8).collect();
        let held = |(value, &byte): (&f32, &u8)| (value - f32::from(byte) / 255.0).abs() < 1e-6;
        let exact = (!values.iter().zip(&bytes).all(held)).then_some(values);
        Ok(Self { bytes, exact, note: None })
    }

    /// Reorders pixels of all channels (HWC) into planes (CHW).
    pub fn planes(self, channels: usize, plane: usize) -> Self {
        Self {
            bytes: planes(&self.bytes, channels, plane),
            exact: self.exact.map(|values| planes(&values, channels, plane)),
            note: self.note,
        }
    }
}

fn planes<T: Copy>(values: &[T], channels: usize, plane: usize) -> Vec<T> {
    let of_image = |image: &'_ [T]| -> Vec<T> {
        let of = |c| image.iter().skip(c).step_by(channels).copied();
        (0..channels).flat_map(of).collect()
    };
    values.chunks_exact((plane * channels).max(1)).flat_map(of_image).collect()
}
