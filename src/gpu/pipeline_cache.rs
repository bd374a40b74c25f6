//! Pipelines that are kept from one start of a program to the next, where the driver can: on Vulkan. Where they are kept is
//! the host's matter; the library takes bytes and gives bytes.

use super::Gpu;
use super::sealed::{seal, unseal};
use crate::Result;

/// Of wgpu, as Cargo.lock has it: the bytes are its own format.
const WGPU: &str = "30.0.1";

impl Gpu {
    /// What results that are kept hold for: adapter, driver, this library's version and wgpu's.
    pub fn fingerprint(&self) -> String {
        let adapter = self.adapter();
        let own = env!("CARGO_PKG_VERSION");
        format!("{adapter}; {}; lapidary {own}; wgpu {WGPU}", adapter.driver)
    }

    /// From now on compiles through the driver's cache, which begins with what [`Gpu::pipelines`] gave at some other
    /// time. True if that was of use: whatever else is given, cut off, damaged or of another adapter, driver or version,
    /// is ignored and costs time alone. To be called once, before the first [`Executor`](super::Executor) is made; without
    /// wgpu's `PIPELINE_CACHE`, and a second time, it does nothing.
    pub async fn keep_pipelines(&self, kept: Option<&[u8]>) -> Result<bool> {
        if !self.device.features().contains(wgpu::Features::PIPELINE_CACHE)
            || self.pipeline_cache.get().is_some()
        {
            return Ok(false);
        }
        let key = self.pipelines_key();
        let data = kept.and_then(|kept| unseal(&key, kept));
        let make = |device: &wgpu::Device| make(device, data);
        let made = self.checked("making a pipeline cache", make).await?;
        // Another thread's cache is as good.
        Ok(self.pipeline_cache.set(made).is_ok() && data.is_some())
    }

    /// What is to be kept: all pipelines made so far, and those that [`Gpu::keep_pipelines`] was given. `None` without
    /// it, and where the driver gives nothing.
    pub fn pipelines(&self) -> Option<Vec<u8>> {
        let data = self.pipeline_cache.get()?.get_data()?;
        Some(seal(&self.pipelines_key(), &data))
    }

    fn pipelines_key(&self) -> String {
        format!("pipelines; {}", self.fingerprint())
    }
}

#[expect(unsafe_code, reason = "wgpu cannot know where the bytes come from")]
fn make(device: &wgpu::Device, data: Option<&[u8]>) -> wgpu::PipelineCache {
    let descriptor =
        wgpu::PipelineCacheDescriptor { label: Some("pipelines"), data, fallback: true };
    // SAFETY: the data has to come from `PipelineCache::get_data`. It passed `unseal`, so it is, byte for byte by length
    // and CRC-32, what `Gpu::pipelines` sealed, which takes it from nowhere else; and the key holds that to the same
    // adapter, driver and wgpu. Somebody who seals other bytes on purpose where the host keeps them could as well change
    // the program that lies there. wgpu and the driver check headers of their own beside that.
    unsafe { device.create_pipeline_cache(&descriptor) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wgpu_is_the_one_that_is_built() {
        let lock = include_str!("../../Cargo.lock");
        assert!(lock.contains(&format!("name = \"wgpu\"\nversion = \"{WGPU}\"")));
    }
}
