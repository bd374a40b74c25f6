//! Keeps the buffers through which results are read back, so that they are used again: making new ones in every iteration of a
//! loop would cost more than the copies do.

use super::counters::Counters;
use super::{Gpu, buffer::create};
use std::sync::PoisonError;
use wgpu::BufferUsages;

/// Bytes that are kept, at most: losses and logits of every iteration fit many times over; a model's weights, which are read
/// once in a long while, do not stay.
const KEPT: u64 = 32 << 20;

/// The staging buffers that nobody uses, in the order in which they came back.
#[derive(Debug, Default)]
pub(super) struct Staging {
    free: Vec<wgpu::Buffer>,
    bytes: u64,
}

impl Staging {
    fn take(&mut self, class: u64) -> Option<wgpu::Buffer> {
        let place = self.free.iter().position(|buffer| buffer.size() == class)?;
        self.bytes -= class;
        Some(self.free.remove(place))
    }

    /// Keeps a buffer; the oldest one goes first.
    fn put(&mut self, buffer: wgpu::Buffer) {
        self.bytes += buffer.size();
        self.free.push(buffer);
        while self.bytes > KEPT && !self.free.is_empty() {
            self.bytes -= self.free.remove(0).size();
        }
    }
}

/// Sizes are powers of two: requests of about the same size share buffers.
fn class(size: u64) -> u64 {
    size.next_power_of_two().max(256)
}

impl Gpu {
    /// Returns a buffer of at least `size` bytes: a kept one, or else a new one.
    pub(super) fn take_staging(&self, device: &wgpu::Device, size: u64) -> wgpu::Buffer {
        let class = class(size);
        let taken = self.staging.lock().unwrap_or_else(PoisonError::into_inner).take(class);
        self.note_staging();
        taken.unwrap_or_else(|| {
            Counters::add(&self.counters.buffers, 1);
            create(device, class, BufferUsages::MAP_READ | BufferUsages::COPY_DST)
        })
    }

    /// Keeps a buffer for the next time. It has to be unmapped before.
    pub(super) fn keep_staging(&self, buffer: wgpu::Buffer) {
        self.staging.lock().unwrap_or_else(PoisonError::into_inner).put(buffer);
        self.note_staging();
    }

    fn note_staging(&self) {
        let bytes = self.staging.lock().unwrap_or_else(PoisonError::into_inner).bytes;
        self.counters.staging_bytes.store(bytes, std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn what_is_kept_is_bounded_and_counted() -> crate::Result<()> {
    let gpu = pollster::block_on(Gpu::new(&super::Options::from_env()))?;
    let words = |bytes: u64| (bytes / 4) as u32;
    pollster::block_on(async {
        let small = gpu.allocate(&[16, 20]).await?;
        let large = gpu.allocate(&[words(KEPT) / 2, words(KEPT) / 2 + 1]).await?;
        gpu.read_all(&small.iter().collect::<Vec<_>>()).await?;
        let (made, kept) = (gpu.counts().buffers, gpu.counts().staging_bytes);
        assert_eq!(kept, 2 * 256);
        // Of the same class, though of other sizes.
        gpu.read_all(&[&small[1], &small[0]]).await?;
        assert_eq!((gpu.counts().buffers, gpu.counts().staging_bytes), (made, kept));
        for buffer in &large {
            gpu.read(buffer).await?;
            assert!(gpu.counts().staging_bytes <= KEPT, "{:?}", gpu.counts());
        }
        Ok(())
    })
}
