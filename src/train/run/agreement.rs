//! Lets the processes of a run take decisions together, such as when to stop. A single process decides alone, without waiting.

use super::{Run, tell};
use crate::model::{Checkpoint, StateDict};
use crate::train::state::{self, STATE_FILE};
use crate::train::{Event, Flow};
use crate::{Error, Result};

impl Run<'_, '_> {
    /// Checks that all ranks train the same thing. Err in all of them otherwise: another configuration, other data or
    /// another program would give sums of what does not belong together.
    pub(super) fn agree(&self) -> Result<()> {
        let facts = |(key, value): (String, toml::Value)| (key, value.to_string());
        let table = crate::train::config::flatten(&self.config.to_table()?);
        let ood = self.material.ood.checksum().map_or("none".into(), |sum| format!("{sum:016x}"));
        let mut all = vec![
            ("the network".to_owned(), self.learner.model.to_string()),
            ("the checksum of data.train".to_owned(), format!("{:016x}", self.material.checksum)),
            ("the checksum of data.ood".to_owned(), ood),
        ];
        all.extend(table.into_iter().map(facts));
        // Each machine may have as many cores as it has.
        all.retain(|(key, _)| key != "data.threads");
        let all: Vec<_> = all.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        self.world.agree(&all)
    }

    /// Tells an event; whether any rank's observer wants to stop, which then all do at once. Takes over rank 0's clock.
    pub(super) fn told(&mut self, event: &Event) -> Result<Flow> {
        let stop = tell(self.folder, self.observer, event)? == Flow::Stop;
        let minutes = self.minutes_here();
        let mut message = vec![u8::from(stop)];
        message.extend(minutes.to_le_bytes());
        let mut stops = false;
        for (rank, told) in self.world.gather(message)?.iter().enumerate() {
            let Some((&[stop], minutes)) = told.split_first_chunk::<1>() else { continue };
            stops |= stop != 0;
            if let (0, Ok(minutes)) = (rank, minutes.try_into()) {
                self.minutes = f64::from_le_bytes(minutes);
            }
        }
        Ok(if stops { Flow::Stop } else { Flow::Continue })
    }

    fn minutes_here(&self) -> f64 {
        (self.seconds_before + self.began.elapsed().as_secs_f64()) / 60.0
    }

    /// Makes all ranks count training time from rank 0's, before the first iteration.
    pub(super) fn settle_minutes(&mut self) -> Result<()> {
        let bytes = self.world.broadcast(self.minutes_here().to_le_bytes().to_vec())?;
        self.minutes = bytes.try_into().map_or(0.0, f64::from_le_bytes);
        Ok(())
    }

    /// Makes running out of memory common to all ranks: if one rank runs out, the result is `Ok(Err(OutOfMemory))` in
    /// all.
    pub(super) fn all_fit<T>(&self, made: Result<T>) -> Result<Result<T>> {
        match made {
            Err(Error::OutOfMemory(doing)) => {
                self.world.any(true)?;
                Ok(Err(Error::OutOfMemory(doing)))
            }
            Err(other) => Err(other),
            Ok(made) => Ok(match self.world.any(false)? {
                true => Err(Error::OutOfMemory(
                    "a training stage does not fit in another process of the run".into(),
                )),
                false => Ok(made),
            }),
        }
    }

    /// Lines of all ranks, each once, in the order of ranks.
    pub(super) fn of_all(&self, lines: Vec<String>) -> Result<Vec<String>> {
        if !self.world.is_shared() {
            return Ok(lines);
        }
        let mut all: Vec<String> = Vec::new();
        for bytes in self.world.gather(lines.join("\n").into_bytes())? {
            for line in String::from_utf8_lossy(&bytes).lines() {
                if !all.iter().any(|known| known == line) {
                    all.push(line.to_owned());
                }
            }
        }
        Ok(all)
    }

    /// The state that all ranks go on from, or none where a number of any is not finite. Adapters of different vendors round the
    /// optimiser's steps differently; so at each checkpoint all take over rank 0's state where theirs is another.
    pub(super) async fn same(
        &mut self,
        taken: Option<[Checkpoint; 2]>,
    ) -> Result<Option<[Checkpoint; 2]>> {
        if !self.world.is_shared() {
            return Ok(taken);
        }
        let sum = taken.as_ref().map(|[_, state]| checksum(&state.weights));
        let message = sum.map_or(Vec::new(), |sum| sum.to_le_bytes().to_vec());
        let all = self.world.gather(message)?;
        if all.iter().any(Vec::is_empty) {
            return Ok(None);
        }
        if all.windows(2).all(|pair| pair.first() == pair.last()) {
            return Ok(taken);
        }
        let state = taken.as_ref().map(|[_, state]| state);
        let bytes = match state.filter(|_| self.world.is_first()) {
            Some(state) => state.to_bytes()?,
            None => Vec::new(),
        };
        let bytes = self.world.broadcast(bytes)?;
        if !self.world.is_first() {
            let path = self.folder.path().join(STATE_FILE);
            let (learner, memory) = (&mut self.learner, &mut self.memory);
            state::restore(learner, memory, &path, &bytes).await?;
        }
        Ok(taken)
    }
}

fn checksum(weights: &StateDict) -> u32 {
    let mut hash = crc32fast::Hasher::new();
    for (name, tensor) in weights.iter() {
        hash.update(name.as_bytes());
        hash.update(bytemuck::cast_slice(&tensor.data));
    }
    hash.finalize()
}
