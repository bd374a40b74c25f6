//! Initial weights of a network that is trained from scratch: a pure function of the seed, the same bits on every machine.
//!
//! He et al. 2015 (arXiv 1502.01852), as `kaiming_normal_(mode="fan_out", nonlinearity="relu")`, for
//! convolutions, PyTorch's default for linear layers, the identity for batch normalisation.

use super::{Parameter, StateDict, Tensor};
use std::f64::consts::{LN_2, SQRT_2};

/// Returns initial weights for training from scratch; a tensor's numbers depend on the seed and its name alone.
///
/// Convolutions: normal with variance 2 / (O H W). Linear: uniform in ±1/sqrt(I), bias 0. Batch
/// normalisation: gamma and running variance 1, beta and running mean 0.
pub fn initial(parameters: &[Parameter], seed: u64) -> StateDict {
    filled(parameters, seed, draw)
}

/// Draws initial weights for a ConvNeXt, as timm and the paper (arXiv 2201.03545, table 5) do: convolutions and linear layers
/// normal with deviation 0.02, biases 0, layer norms the identity, layer scales 1e-6.
pub fn small(parameters: &[Parameter], seed: u64) -> StateDict {
    filled(parameters, seed, |parameter, random| match parameter.shape[..] {
        [_] if parameter.name.ends_with("gamma") => vec![1e-6; parameter.count()],
        [_] => draw(parameter, random),
        _ => (0..parameter.count()).map(|_| (0.02 * random.normal()) as f32).collect(),
    })
}

fn filled(
    parameters: &[Parameter],
    seed: u64,
    draw: impl Fn(&Parameter, &mut Random) -> Vec<f32>,
) -> StateDict {
    let filled = |parameter: &Parameter| {
        let (name, shape) = (parameter.name.clone(), parameter.shape.clone());
        let data = draw(parameter, &mut Random::new(seed, &name));
        (name, Tensor { shape, data })
    };
    parameters.iter().map(filled).collect()
}

fn draw(parameter: &Parameter, random: &mut Random) -> Vec<f32> {
    let count = parameter.count();
    match parameter.shape[..] {
        [outputs, _inputs, height, width] => {
            let deviation = (2.0 / (outputs * height * width) as f64).sqrt();
            (0..count).map(|_| (deviation * random.normal()) as f32).collect()
        }
        [_outputs, inputs] => {
            let most = 1.0 / (inputs as f64).sqrt();
            (0..count).map(|_| (most * random.symmetric()) as f32).collect()
        }
        _ => {
            let one =
                parameter.name.ends_with(".weight") || parameter.name.ends_with(".running_var");
            vec![if one { 1.0 } else { 0.0 }; count]
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): 64 bits of state are plenty for weights, and it needs no crate.
struct Random(u64);

impl Random {
    /// Makes the stream of random numbers of one tensor, from the seed and the tensor's name mixed as FNV-1a does.
    fn new(seed: u64, name: &str) -> Self {
        let bytes = seed.to_le_bytes().into_iter().chain(name.bytes());
        Self(bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }))
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Uniform in [-1, 1), from 53 bits.
    fn symmetric(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// Mean 0, variance 1, by Marsaglia's polar method: no sine, and the logarithm is our own.
    fn normal(&mut self) -> f64 {
        loop {
            let (a, b) = (self.symmetric(), self.symmetric());
            let square = a * a + b * b;
            if square > 0.0 && square < 1.0 {
                return a * (-2.0 * ln(square) / square).sqrt();
            }
        }
    }
}

/// The natural logarithm of a normal positive number, by operations whose rounding IEEE 754 fixes: the
/// last bits of the system's own differ from machine to machine.
fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as f64 - 1023.0;
    let mut mantissa = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    if mantissa > SQRT_2 {
        mantissa /= 2.0;
        exponent += 1.0;
    }
    // 2 atanh(z) with |z| below 0.172: z^23 / 23 is below 1e-18.
    let z = (mantissa - 1.0) / (mantissa + 1.0);
    let series = (0..11).rev().fold(0.0, |sum, k| sum * z * z + 1.0 / f64::from(2 * k + 1));
    exponent * LN_2 + 2.0 * z * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_right() {
        for x in [1e-300, 3e-7, 0.1, 0.707, 0.99999, 1.0, 1.5, 7.0] {
            assert!((ln(x) - x.ln()).abs() <= 4e-16 * x.ln().abs(), "{x}: {} {}", ln(x), x.ln());
        }
    }

    #[test]
    fn moments_are_those_asked_for() {
        let mut random = Random::new(7, "conv");
        let values: Vec<f64> = (0..100_000).map(|_| random.normal()).collect();
        let moment = |power| values.iter().map(|value| value.powi(power)).sum::<f64>() / 1e5;
        assert!(
            moment(1).abs() < 0.02 && (moment(2) - 1.0).abs() < 0.02,
            "{} {}",
            moment(1),
            moment(2)
        );
        assert!((moment(4) - 3.0).abs() < 0.1, "{}", moment(4));
    }
}
