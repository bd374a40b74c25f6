//! Device buffers that several compiled programs share: weights, optimiser moments, averages, images under attack.

use super::{Gpu, counters::Counters};
use crate::{Error, Result};
use futures_channel::oneshot;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wgpu::BufferUsages;

/// A device buffer of 4-byte words; clones share the same memory.
#[derive(Clone, Debug)]
pub struct Buffer {
    pub(super) raw: wgpu::Buffer,
    words: u32,
    written: Arc<AtomicU64>,
    counted: Arc<Counted>,
}

/// Bytes on the device's account, taken off when it goes.
#[derive(Debug)]
pub(super) struct Counted {
    counters: Arc<Counters>,
    bytes: u64,
}

impl Counted {
    pub fn new(gpu: &Gpu, bytes: u64) -> Self {
        Counters::add(&gpu.counters.bytes, bytes);
        Self { counters: gpu.counters.clone(), bytes }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counters.bytes.fetch_sub(self.bytes, Relaxed);
    }
}

impl Buffer {
    /// Returns the number of 4-byte words in the buffer.
    pub fn words(&self) -> u32 {
        self.words
    }

    /// Returns how often the buffer was written.
    pub(super) fn times_written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// Marks the contents as changed, so that programs compute anew, before they run next, what they have kept from the old
    /// contents, such as packed weights. The library's own writes and programs do this by themselves; this is for hosts that
    /// write through [`Buffer::raw`].
    pub fn mark_written(&self) {
        self.written.fetch_add(1, Relaxed);
    }

    /// Err, in the name of `user`, if this lies on another device.
    pub(super) fn expect_on(&self, gpu: &Gpu, user: &'static str) -> Result<()> {
        if Arc::ptr_eq(&self.counted.counters, &gpu.counters) {
            return Ok(());
        }
        let given = format_args!("a buffer of {} words on another device", self.words);
        Err(Error::mismatch(user, given, "a buffer that this Gpu allocated (a word is 4 bytes)"))
    }

    /// Returns the underlying wgpu buffer, for host apps that draw or copy its contents.
    pub fn raw(&self) -> &wgpu::Buffer {
        &self.raw
    }
}

impl Gpu {
    /// Allocates buffers, one for each number of 4-byte words in `words`, filled with zeros. Err if memory is short.
    pub async fn allocate(&self, words: &[u32]) -> Result<Vec<Buffer>> {
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
        let total: u64 = words.iter().map(|&count| padded(count)).sum();
        let most = self.adapter().max_buffer;
        if let Some(&large) = words.iter().find(|&&count| u64::from(count) * 4 > most) {
            let given = u64::from(large) * 4;
            let doing = format!(
                "a buffer of {given} bytes is needed, but this adapter allows at most {most}"
            );
            return Err(Error::OutOfMemory(doing));
        }
        let all = |device: &wgpu::Device| -> Vec<_> {
            words.iter().map(|&count| create(device, padded(count), usage)).collect()
        };
        let raw = self.checked(&format!("allocating {total} bytes"), all).await?;
        Counters::add(&self.counters.buffers, words.len() as u64);
        let counted = |(raw, &words): (wgpu::Buffer, &u32)| Buffer {
            raw,
            words,
            written: Arc::default(),
            counted: Arc::new(Counted::new(self, padded(words))),
        };
        Ok(raw.into_iter().zip(words).map(counted).collect())
    }

    /// Makes a device buffer that holds these values.
    pub async fn upload<T: bytemuck::Pod>(&self, values: &[T]) -> Result<Buffer> {
        let words = u32::try_from(size_of_val(values) / 4).map_err(|_| {
            Error::mismatch(
                "Gpu::upload",
                format_args!("{} values", values.len()),
                "less than 16 GiB of values",
            )
        })?;
        let made = self.allocate(&[words]).await?.pop();
        let buffer =
            made.ok_or_else(|| Error::bug("Gpu::upload", "the allocation made no buffer"))?;
        self.write(&buffer, values).await?;
        Ok(buffer)
    }

    /// Replaces all values of a buffer; the next submission of work sees them.
    pub async fn write<T: bytemuck::Pod>(&self, buffer: &Buffer, values: &[T]) -> Result<()> {
        buffer.expect_on(self, "Gpu::write")?;
        let (given, wanted) = (size_of_val(values) as u64, u64::from(buffer.words) * 4);
        if given != wanted {
            let wanted = format_args!("{wanted} bytes, the buffer's size");
            return Err(Error::mismatch("Gpu::write", format_args!("{given} bytes"), wanted));
        }
        let write = |_: &_| self.queue.write_buffer(&buffer.raw, 0, bytemuck::cast_slice(values));
        buffer.mark_written();
        self.checked("writing a buffer", write).await
    }

    /// Reads the f32 values of a buffer, after all work submitted so far has run.
    pub async fn read(&self, buffer: &Buffer) -> Result<Vec<f32>> {
        let mut values = self.read_all(&[buffer]).await?;
        values
            .pop()
            .ok_or_else(|| Error::bug("Gpu::read", "one buffer was asked for and none was read"))
    }

    /// Reads the values of several buffers, with one submission and one wait for all.
    ///
    /// Natively this waits for the device on the calling thread. In a browser `poll` returns at once
    /// and the future sleeps until the page's event loop reports the mapping.
    pub async fn read_all(&self, buffers: &[&Buffer]) -> Result<Vec<Vec<f32>>> {
        self.expect_no_reports().await?;
        self.read_unreported(buffers).await
    }

    /// Reads buffers, whatever kernels reported.
    pub(super) async fn read_unreported(&self, buffers: &[&Buffer]) -> Result<Vec<Vec<f32>>> {
        buffers.iter().try_for_each(|buffer| buffer.expect_on(self, "Gpu::read"))?;
        let doing = "reading buffers back";
        let failed =
            |error: &dyn Display| Error::Gpu { doing: doing.into(), reason: error.to_string() };
        let mut waiting = Vec::new();
        let copy = |device: &wgpu::Device| {
            let sizes: Vec<_> = buffers.iter().map(|buffer| u64::from(buffer.words) * 4).collect();
            let ready: Vec<_> =
                sizes.iter().map(|&size| (self.take_staging(device, size), size)).collect();
            let mut encoder = device.create_command_encoder(&Default::default());
            for (source, (target, size)) in buffers.iter().zip(&ready) {
                encoder.copy_buffer_to_buffer(&source.raw, 0, target, 0, *size);
            }
            self.queue.submit([encoder.finish()]);
            for (target, size) in &ready {
                let (sender, mapped) = oneshot::channel();
                // A receiver that is gone means the caller dropped this future: nobody to tell.
                target.map_async(wgpu::MapMode::Read, ..*size, |result| drop(sender.send(result)));
                waiting.push(mapped);
            }
            ready
        };
        let ready = self.checked(doing, copy).await?;
        Counters::add(&self.counters.readbacks, 1);
        self.poll(wgpu::PollType::wait_indefinitely())?;
        let mut read = Vec::new();
        for ((target, size), mapped) in ready.into_iter().zip(waiting) {
            // What can be wrong with a mapping was checked above: it fails where the device is lost, and in a
            // browser before the device itself says so.
            let lost = |reason: String| {
                self.notify_lost(&reason);
                Error::DeviceLost(reason)
            };
            let result = mapped.await.map_err(|_| lost("a buffer's mapping was dropped".into()))?;
            result.map_err(|error| lost(format!("{doing}: {error}")))?;
            let view = target.get_mapped_range(..size).map_err(|error| failed(&error))?;
            // Not cast_slice: in a browser the view is a byte vector without f32 alignment.
            read.push(bytemuck::pod_collect_to_vec(&view));
            drop(view);
            target.unmap();
            self.keep_staging(target);
        }
        Ok(read)
    }
}

/// Returns the bytes of a buffer: whole vec4s, so that element-wise kernels need no scalar tail. Nothing else reads the
/// bytes after the last word.
fn padded(words: u32) -> u64 {
    u64::from(words).next_multiple_of(4) * 4
}

pub(super) fn create(device: &wgpu::Device, size: u64, usage: BufferUsages) -> wgpu::Buffer {
    let label = None;
    device.create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false })
}
