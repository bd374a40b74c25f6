//! Sums gradients over the processes of a run, between [`Update`](super::Update), which computes them, and [`Learner::step`],
//! which uses them.

use super::Learner;
use crate::gpu::Buffer;
use crate::model::Role;
use crate::world::World;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// The bytes and seconds of exchanging gradients between processes in one iteration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reduction {
    /// The bytes of gradients, and of running statistics that go with them: a process sends and receives about twice as many.
    #[serde(rename = "reduce_bytes")]
    pub bytes: u64,
    /// The seconds from the device's last kernel until the gradients were in main memory.
    #[serde(rename = "reduce_read_back")]
    pub read_back: f64,
    /// The seconds of exchanging messages, waiting for slower processes included.
    #[serde(rename = "reduce_sum")]
    pub sum: f64,
    /// The seconds from the end of the exchange until the summed gradients were handed to the device.
    #[serde(rename = "reduce_write_back")]
    pub write_back: f64,
    /// The share of the iteration that reading, exchanging and writing gradients took.
    #[serde(rename = "reduce_share")]
    pub share: f64,
}

impl Reduction {
    /// Returns the seconds of reading, exchanging and writing gradients together.
    pub fn seconds(&self) -> f64 {
        self.read_back + self.sum + self.write_back
    }
}

impl Learner {
    /// Replaces the gradients by their sums over all processes, added up in the order of ranks: one message, whatever the number
    /// of weights. With `statistics`, all processes also get rank 0's running statistics of batch norm. With a single process
    /// nothing happens.
    ///
    /// # Errors
    /// The device's errors, and those of [`World::sum`].
    pub async fn sum(&self, world: &World, statistics: bool) -> Result<Reduction> {
        if !world.is_shared() {
            return Ok(Reduction::default());
        }
        let gpu = self.live.gpu();
        gpu.wait().await?;
        let began = Instant::now();
        let buffers = self.summed(statistics)?;
        let sources: Vec<_> = buffers.iter().map(|(buffer, _)| *buffer).collect();
        let parts = gpu.read_all(&sources).await?;
        let mut flat = Vec::with_capacity(sources.iter().map(|each| each.words() as usize).sum());
        for (part, (_, of_first)) in parts.into_iter().zip(&buffers) {
            // Zeros leave rank 0's bits as they are.
            match *of_first && !world.is_first() {
                true => flat.resize(flat.len() + part.len(), 0.0),
                false => flat.extend(part),
            }
        }
        let read = Instant::now();
        let bytes = size_of_val(flat.as_slice()) as u64;
        let summed = world.sum(flat)?;
        let sent = Instant::now();
        let mut rest = summed.as_slice();
        for buffer in sources {
            let Some((part, after)) = rest.split_at_checked(buffer.words() as usize) else {
                let given = summed.len();
                let what = format_args!(
                    "the run's processes summed {given} gradients, fewer than each of them has"
                );
                return Err(Error::bug("sum of gradients", what));
            };
            rest = after;
            gpu.write(buffer, part).await?;
        }
        Ok(Reduction {
            bytes,
            read_back: (read - began).as_secs_f64(),
            sum: (sent - read).as_secs_f64(),
            write_back: sent.elapsed().as_secs_f64(),
            share: 0.0,
        })
    }

    /// Lists the buffers to sum, each with whether rank 0's values alone count.
    fn summed(&self, statistics: bool) -> Result<Vec<(&Buffer, bool)>> {
        let Self { gradients, live, .. } = self;
        let mut buffers = Vec::new();
        for parameter in gradients.parameters() {
            buffers.push((gradients.buffer(&parameter.name)?, false));
        }
        let running = live.parameters().filter(|parameter| parameter.role == Role::Statistic);
        for parameter in running.filter(|_| statistics) {
            buffers.push((live.buffer(&parameter.name)?, true));
        }
        Ok(buffers)
    }
}
