//! Counts calls to the device: buffers, pipelines, submissions. Tests use the counts to assert that running a program again
//! creates nothing new.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts of what a device has created and done since it was opened: buffers, pipelines, submissions and so on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The number of buffers that the device has created.
    pub buffers: u64,
    /// The number of compute pipelines that the device has compiled.
    pub pipelines: u64,
    /// The time in nanoseconds that making pipelines took; a driver may compile later, at a kernel's first launch, uncounted.
    pub pipeline_nanoseconds: u64,
    /// The number of bind groups that the device has created.
    pub bind_groups: u64,
    /// The number of buffers that were read back to the host.
    pub readbacks: u64,
    /// The number of command buffers that were submitted to the device.
    pub submissions: u64,
    /// The bytes of all buffers that exist now.
    pub bytes: u64,
    /// The bytes of the buffers that are kept for reading results back.
    pub staging_bytes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub buffers: AtomicU64,
    pub pipelines: AtomicU64,
    pub pipeline_nanoseconds: AtomicU64,
    pub bind_groups: AtomicU64,
    pub readbacks: AtomicU64,
    pub submissions: AtomicU64,
    pub bytes: AtomicU64,
    pub staging_bytes: AtomicU64,
}

impl Counters {
    pub fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Relaxed);
    }

    pub fn counts(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Relaxed);
        Counts {
            buffers: of(&self.buffers),
            pipelines: of(&self.pipelines),
            pipeline_nanoseconds: of(&self.pipeline_nanoseconds),
            bind_groups: of(&self.bind_groups),
            readbacks: of(&self.readbacks),
            submissions: of(&self.submissions),
            bytes: of(&self.bytes),
            staging_bytes: of(&self.staging_bytes),
        }
    }
}
