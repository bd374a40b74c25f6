//! Exchanges what a training iteration computed among the processes of a run: the gradients, which are summed in one message, and
//! each process's losses and counts in another. A single process exchanges nothing, and takes no time for it.

use super::Told;
use crate::train::update::{Report, Term};
use crate::train::{Learner, Reduction, Step};
use crate::world::World;
use crate::{Error, Result};
use std::time::Instant;

/// Losses in the order in which messages have them.
const TERMS: [Term; 6] =
    [Term::CrossEntropy, Term::Bce, Term::Divergence, Term::Uniform, Term::EnergyGap, Term::R1];

/// The messages of one stage between ranks.
#[derive(Debug)]
pub(in crate::train) struct Exchange {
    pub world: World,
    /// Whether running statistics of batch norm follow the batches: rank 0's are then everybody's.
    statistics: bool,
    costs: Reduction,
}

impl Exchange {
    pub fn new(world: &World, statistics: bool) -> Self {
        Self { world: world.clone(), statistics, costs: Reduction::default() }
    }

    /// Sums the gradients over all processes; see [`Learner::sum`].
    pub async fn gradients(&mut self, learner: &Learner) -> Result<()> {
        let Reduction { bytes, read_back, sum, write_back, .. } =
            learner.sum(&self.world, self.statistics).await?;
        self.costs.bytes += bytes;
        self.costs.read_back += read_back;
        self.costs.sum += sum;
        self.costs.write_back += write_back;
        Ok(())
    }

    /// Collects what all processes' pieces of a batch reported, in the order of the batch.
    pub fn told(&mut self, mine: Vec<Told>) -> Result<Vec<Told>> {
        if !self.world.is_shared() {
            return Ok(mine);
        }
        let began = Instant::now();
        let bytes = mine.iter().flat_map(encode).collect::<Vec<u8>>();
        let all = self.world.gather(bytes)?;
        self.costs.sum += began.elapsed().as_secs_f64();
        let mut told = Vec::new();
        for part in &all {
            let mut rest = part.as_slice();
            while !rest.is_empty() {
                let what = "another process sent results of an iteration that cannot be decoded";
                let wrong = || Error::bug("training", what);
                told.push(decode(&mut rest).ok_or_else(wrong)?);
            }
        }
        Ok(told)
    }

    /// Adds to an iteration's numbers the bytes and seconds of messages since the iteration before.
    pub fn fill(&mut self, step: &mut Step, seconds: f64) {
        if self.world.is_shared() {
            let mut costs = std::mem::take(&mut self.costs);
            costs.share = costs.seconds() / seconds.max(1e-9);
            step.reduction = Some(costs);
        }
    }
}

/// Little-endian words: the losses' bits and whether they are there, then counted lists.
fn encode(told: &Told) -> Vec<u8> {
    let Told { report, right, images, samples } = told;
    let mut words = vec![*right, *images];
    for term in TERMS {
        let value = report.terms.get(&term);
        words.extend([u32::from(value.is_some()), value.map_or(0, |value| value.to_bits())]);
    }
    for list in [&report.joint, samples] {
        words.push(list.len() as u32);
        words.extend(list.iter().map(|value| value.to_bits()));
    }
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

fn decode(bytes: &mut &[u8]) -> Option<Told> {
    let mut word = || -> Option<u32> {
        let (four, rest) = bytes.split_first_chunk::<4>()?;
        *bytes = rest;
        Some(u32::from_le_bytes(*four))
    };
    let (right, images) = (word()?, word()?);
    let mut report = Report::default();
    for term in TERMS {
        let (is_there, bits) = (word()?, word()?);
        if is_there != 0 {
            report.terms.insert(term, f32::from_bits(bits));
        }
    }
    let mut list = || -> Option<Vec<f32>> {
        let length = word()?;
        (0..length).map(|_| word().map(f32::from_bits)).collect()
    };
    report.joint = list()?;
    let samples = list()?;
    Some(Told { report, right, images, samples })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_piece_tells_comes_through() {
        let mut report = Report { joint: vec![1.0, -0.0, f32::NAN], ..Report::default() };
        report.terms.insert(Term::Bce, 0.25);
        report.terms.insert(Term::R1, f32::INFINITY);
        let told = Told { report, right: 3, images: 4, samples: vec![0.5; 5] };
        let twice = [encode(&told), encode(&told)].concat();
        let mut rest = twice.as_slice();
        for _ in 0..2 {
            let read = decode(&mut rest).unwrap();
            assert_eq!((read.right, read.images, &read.samples), (3, 4, &told.samples));
            assert_eq!(read.report.terms, told.report.terms);
            let bits = |list: &[f32]| list.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&read.report.joint), bits(&told.report.joint));
        }
        assert!(rest.is_empty());
        assert!(decode(&mut &twice[..40]).is_none());
    }
}
