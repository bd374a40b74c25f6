//! The value types of options that several commands have: norms, radii and step sizes, and ways to fit pictures to a square.

use clap::ValueEnum;

use crate::data::Fit;
use crate::ops::Norm;
use crate::train::fraction;

/// The norms of images' changes ([`Norm`]) by their usual names, which say enough in the help.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum NormName {
    L2,
    Linf,
}

impl From<NormName> for Norm {
    fn from(name: NormName) -> Self {
        match name {
            NormName::L2 => Self::L2,
            NormName::Linf => Self::Linf,
        }
    }
}

/// Parses the name of a way to fit pictures to a network.
pub fn fit(text: &str) -> Result<Fit, String> {
    Fit::parse(text).map_err(|_| {
        "expected crop, letterbox or stretch, a way to fit pictures to a square".into()
    })
}

pub fn length(text: &str) -> Result<f64, String> {
    fraction(text)
        .filter(|number| (0.0..=1e6).contains(number))
        .ok_or_else(|| "expected a number from 0 to 1000000, such as 0.5 or 8/255".into())
}

/// Parses a radius above 0.
pub fn radius(text: &str) -> Result<f64, String> {
    length(text)
        .and_then(|eps| if eps > 0.0 { Ok(eps) } else { Err("expected a number above 0".into()) })
}
