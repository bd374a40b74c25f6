//! Measures a device's peak speed, with a kernel of multiplications in registers and one that copies memory.

use super::elementwise;
use super::walk::kernel;
use crate::Result;
use crate::gpu::{Executor, Gpu, Kernel, Recording, uniform};
use std::collections::BTreeMap;
use std::time::Duration;

uniform! {
    struct Params { vectors: u32, rounds: u32, scale: f32 }
}

/// The kernel that measures the peak speed of arithmetic, by many multiplications whose result it writes.
pub static KERNEL: Kernel = kernel!("peak", ["index"], Params, [mut y]);

/// The floating-point operations of one invocation in a round.
const EACH: u64 = 192;
/// Invocations: enough for every core of a large GPU.
const VECTORS: u32 = 1 << 18;
/// Words that are copied: more than caches hold.
const COPIED: u32 = 1 << 24;
/// A shorter launch tells more of launching than of working.
const LEAST: Duration = Duration::from_millis(5);

/// The peak speeds of a device that [`peak`] measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// The floating-point operations of 32-bit numbers in a second, a multiplication with an addition being two.
    pub flops: f64,
    /// The bytes that the device reads and writes in a second.
    pub bytes: f64,
}

impl Peak {
    /// Returns the higher of both measurements, for each peak.
    pub fn better(self, other: Self) -> Self {
        Self { flops: self.flops.max(other.flops), bytes: self.bytes.max(other.bytes) }
    }
}

/// Measures the peak speeds of a device's arithmetic and memory, in about a second. The difference to a kernel's own speed is
/// what it leaves unused.
pub async fn peak(gpu: &Gpu) -> Result<Peak> {
    let mut rounds = 2;
    let flops = loop {
        let mut recording = Recording::new(gpu.adapter().clone());
        let y = recording.buffer(4 * VECTORS);
        let params = Params { vectors: VECTORS, rounds, scale: 0.5 };
        let grid = Recording::grid(VECTORS, 64);
        recording.dispatch(&KERNEL, &[], params, &[y], grid)?;
        let took = replay(gpu, &recording).await?;
        if took >= LEAST || rounds >= 1 << 17 {
            break (u64::from(VECTORS) * u64::from(rounds) * EACH) as f64 / took.as_secs_f64();
        }
        rounds *= 4;
    };
    let mut recording = Recording::new(gpu.adapter().clone());
    let [x, y] = [(); 2].map(|()| recording.buffer(COPIED));
    let grid = Recording::grid(COPIED / 4, 64);
    recording.dispatch(
        &elementwise::COPY,
        &[],
        elementwise::Params { vectors: COPIED / 4 },
        &[x, y],
        grid,
    )?;
    let took = replay(gpu, &recording).await?;
    Ok(Peak { flops, bytes: 8.0 * f64::from(COPIED) / took.as_secs_f64() })
}

async fn replay(gpu: &Gpu, recording: &Recording) -> Result<Duration> {
    let executor = Executor::new(gpu, recording, &BTreeMap::new()).await?;
    Ok(executor.measure().await?.replay.max(Duration::from_nanos(1)))
}
