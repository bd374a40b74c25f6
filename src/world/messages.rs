//! The messages in which all ranks take part, by MPI's thread: sums in the order of ranks, and bytes of all to all or to rank 0.

use super::mpi::Talk;
use crate::{Error, Result};
use ::mpi::request::scope;
use ::mpi::traits::{Communicator, CommunicatorCollectives, Destination, Root, Source};

/// Values that a rank sums at once, at most: 4 MiB. More lie in a message of several such parts.
const PART: usize = 1 << 20;
/// The most bytes of a message over all ranks: MPI counts in 32 bits with a sign.
const MOST: usize = i32::MAX as usize;

impl Talk {
    /// See [`super::World::sum`]: every rank gets one part of all vectors, sums it in the order of ranks, and gives it to all.
    pub(super) fn sum(&mut self, mut values: Vec<f32>) -> Result<Vec<f32>> {
        let size = self.size;
        for block in values.chunks_mut(PART * size) {
            let part = block.len().div_ceil(size);
            let mut mine = block.to_vec();
            mine.resize(part * size, 0.0);
            let mut parts = vec![0.0f32; part * size];
            scope(|scope| {
                let request = self.comm.immediate_all_to_all_into(scope, &mine[..], &mut parts[..]);
                self.finish(request);
            });
            let (first, others) = parts.split_at_mut(part);
            for other in others.chunks(part) {
                for (sum, value) in first.iter_mut().zip(other) {
                    *sum += value;
                }
            }
            let sums = first.to_vec();
            scope(|scope| {
                let request = self.comm.immediate_all_gather_into(scope, &sums[..], &mut mine[..]);
                self.finish(request);
            });
            let length = block.len();
            block.copy_from_slice(mine.get(..length).unwrap_or_default());
        }
        Ok(values)
    }

    pub(super) fn gather(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
        let lengths = self.all_of(&(bytes.len() as u64).to_le_bytes());
        let lengths: Vec<usize> = lengths
            .as_chunks()
            .0
            .iter()
            .map(|length| u64::from_le_bytes(*length) as usize)
            .collect();
        let most = lengths.iter().copied().max().unwrap_or(0);
        if most.saturating_mul(self.size) > MOST {
            let reason = format!(
                "{most} bytes from each of {} processes are more than the {MOST} in all that MPI exchanges at once",
                self.size
            );
            return Err(Error::World(reason));
        }
        if most == 0 {
            return Ok(vec![Vec::new(); self.size]);
        }
        let mut padded = bytes.to_vec();
        padded.resize(most, 0);
        let all = self.all_of(&padded);
        let parts = all.chunks(most).zip(&lengths);
        Ok(parts.map(|(part, &length)| part.get(..length).unwrap_or(part).to_vec()).collect())
    }

    /// Gathers equally many bytes of each rank.
    fn all_of(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut all = vec![0; bytes.len() * self.size];
        scope(|scope| {
            let request = self.comm.immediate_all_gather_into(scope, bytes, &mut all[..]);
            self.finish(request);
        });
        all
    }

    /// Rank 0 takes the others' one after the other.
    pub(super) fn collect(&mut self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        if bytes.len() > MOST {
            let reason = format!(
                "a process sends {} bytes in one message; at most {MOST} are possible",
                bytes.len()
            );
            return Err(Error::World(reason));
        }
        let lengths = self.all_of(&(bytes.len() as u64).to_le_bytes());
        let lengths = lengths.as_chunks().0.iter().map(|length| u64::from_le_bytes(*length));
        if self.rank > 0 {
            if !bytes.is_empty() {
                scope(|scope| {
                    let to = self.comm.process_at_rank(0);
                    let request = to.immediate_send(scope, &bytes[..]);
                    self.finish(request);
                });
            }
            return Ok(Vec::new());
        }
        let mut all = vec![bytes];
        for (rank, length) in lengths.enumerate().skip(1) {
            let mut bytes = vec![0u8; length as usize];
            if length > 0 {
                scope(|scope| {
                    let from = self.comm.process_at_rank(rank as i32);
                    let request = from.immediate_receive_into(scope, &mut bytes[..]);
                    self.finish(request);
                });
            }
            all.push(bytes);
        }
        Ok(all)
    }

    pub(super) fn broadcast(&mut self, mut bytes: Vec<u8>) -> Result<Vec<u8>> {
        let mut length = [bytes.len() as u64];
        scope(|scope| {
            let request =
                self.comm.process_at_rank(0).immediate_broadcast_into(scope, &mut length[..]);
            self.finish(request);
        });
        bytes.resize(length[0] as usize, 0);
        for part in bytes.chunks_mut(MOST) {
            scope(|scope| {
                let request = self.comm.process_at_rank(0).immediate_broadcast_into(scope, part);
                self.finish(request);
            });
        }
        Ok(bytes)
    }
}
