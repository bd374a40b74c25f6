//! Makes all random numbers on the host: an independent ChaCha8 stream for each (seed, purpose, step, index).

use std::f64::consts::TAU;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::checksum::Checksum;

/// A stream of random numbers that is determined by a seed, a purpose, a step and an index.
///
/// ChaCha8's 256-bit key is four little-endian words: the run's seed, the FNV-1a hash of the purpose, the step (or epoch),
/// the index within it. Whoever wants numbers names its purpose, such as `"generation/augment"`, and keeps no state between
/// steps: a run resumed at step k draws what the unbroken run draws there, with any number of threads.
#[derive(Clone, Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// Makes the stream of random numbers for `index` in `step` and for `purpose`.
    pub fn new(seed: u64, purpose: &str, step: u64, index: u64) -> Self {
        let words = [seed, Checksum::new().feed(purpose.bytes()).value(), step, index];
        let mut key = [0; 32];
        for (bytes, word) in key.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Draws 64 uniform bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Draws a number uniform in `[low, high)`, from 53 random bits.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * ((self.bits() >> 11) as f64 / (1_u64 << 53) as f64)
    }

    /// Draws a whole number uniform in `0..bound`; 0 for bound 0. The bias of the widening multiplication is below
    /// `bound` / 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// Returns true or false with equal probability.
    pub fn coin(&mut self) -> bool {
        self.bits() >> 63 == 1
    }

    /// Draws two independent numbers with mean 0 and variance 1 (Box and Muller 1958).
    pub fn normal_pair(&mut self) -> (f64, f64) {
        // 1 − u is never 0, so the logarithm is finite.
        let radius = (-2.0 * (1.0 - self.uniform(0.0, 1.0)).ln()).sqrt();
        let (sin, cos) = self.uniform(0.0, TAU).sin_cos();
        (radius * cos, radius * sin)
    }

    /// Puts the items in random order (Fisher and Yates); each order is equally likely.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}
