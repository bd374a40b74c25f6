//! Compares the results of a kernel that tuning may choose with those of the plain kernel, on data that kernels often get wrong.

use super::tune::Ready;
use super::{Shape, Trial};
use crate::Result;
use crate::gpu::Gpu;

/// The test data of a trial's inputs, which always have zeros of both signs among them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Data {
    /// Numbers in [-1, 1), at the borders too.
    Usual,
    /// Inputs that change from replay to replay have outermost rows and columns a thousand times as large as any usual
    /// number, and the rest goes down to 2^-24.
    Borders,
    /// The inputs that change are about 2^-20 in size.
    Tiny,
}

const ALL: [Data; 3] = [Data::Usual, Data::Borders, Data::Tiny];

impl Data {
    /// Returns test numbers for an input, the same for the same seed.
    pub fn numbers(self, shape: Shape, changes: bool, seed: u32) -> Vec<f32> {
        let [_, _, height, width] = shape.sides();
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        let mut number = |place: u32| {
            let (bits, sort) = (random(), random());
            let usual = bits as f32 / (1 << 23) as f32 - 1.0;
            let (row, column) = (place / width % height, place % width);
            let border = [row, column].contains(&0) || row + 1 == height || column + 1 == width;
            match (self, changes) {
                _ if sort % 8 == 0 => 0.0_f32.copysign(usual),
                (Self::Usual, _) | (_, false) => usual,
                (Self::Borders, true) if border => 1024.0_f32.copysign(usual) + usual,
                (Self::Borders, true) => usual * 0.5_f32.powi((sort / 8 % 25) as i32),
                (Self::Tiny, true) => usual * 0.5_f32.powi(20),
            }
        };
        (0..shape.elements()).map(&mut number).collect()
    }
}

/// The plain kernel's results, made when they are first asked for.
#[derive(Debug, Default)]
pub(super) struct Oracle(Vec<Vec<Vec<f32>>>);

impl Oracle {
    /// Compares a candidate kernel's results with the plain kernel's, and returns what is wrong with them, if anything.
    pub async fn judge(
        &mut self,
        gpu: &Gpu,
        trial: &Trial,
        plain: &Ready,
        candidate: &Ready,
        bound: f32,
    ) -> Result<Option<String>> {
        for (i, data) in ALL.into_iter().enumerate() {
            if self.0.len() <= i {
                self.0.push(plain.results(gpu, trial, data).await?);
            }
            let given = candidate.results(gpu, trial, data).await?;
            let wanted = self.0.get(i).map_or(&[][..], |results| results);
            for (given, wanted) in given.iter().zip(wanted) {
                if let Some(what) = difference(given, wanted, bound) {
                    return Ok(Some(what));
                }
            }
        }
        Ok(None)
    }
}

/// Describes a difference beyond the bound. Where the plain result is not finite, any result passes.
fn difference(given: &[f32], wanted: &[f32], bound: f32) -> Option<String> {
    let finite = wanted.iter().filter(|value| value.is_finite());
    let most = finite.fold(0.0_f32, |most, value| most.max(value.abs()));
    let mut worst = 0.0_f32;
    for (given, wanted) in given.iter().zip(wanted).filter(|(_, wanted)| wanted.is_finite()) {
        if !given.is_finite() {
            return Some(format!("it computes {given} where the plain kernel computes {wanted}"));
        }
        worst = worst.max((given - wanted).abs());
    }
    (worst > bound * most).then(|| {
        let share = worst / most;
        format!(
            "it differs from the plain kernel by {share:.1e} of the largest result, {bound:.1e} is allowed"
        )
    })
}
