//! Keeps compiled pipelines from one start of a program to the next, where the driver supports it (Vulkan). The library takes and
//! gives bytes; the program that uses it decides where they are stored.

use super::Gpu;
use super::sealed::{seal, unseal};
use crate::Result;

/// The version of wgpu in this repository's Cargo.lock, whose own format the bytes have. A program with a Cargo.lock of
/// its own may be built with a later 30.x, whose own header in the bytes then says so.
const WGPU: &str = "30.0.1";

impl Gpu {
    /// Returns a text that names the adapter, its driver, and the versions of this library and of wgpu: compiled pipelines and
    /// results of tuning are valid for the same text only.
    pub fn fingerprint(&self) -> String {
        let adapter = self.adapter();
        let own = env!("CARGO_PKG_VERSION");
        format!("{adapter}; {}; lapidary {own}; wgpu {WGPU}", adapter.driver)
    }

    /// Gives the driver's cache of compiled pipelines the bytes that [`Gpu::pipelines`] returned at another time, and compiles
    /// through that cache from now on. Returns true if the bytes were used: bytes that are cut off, damaged or of another
    /// adapter, driver or version are ignored and cost only time. To be called once, before the first
    /// [`Executor`](super::Executor) is made; without wgpu's `PIPELINE_CACHE`, and a second time, it does nothing.
    ///
    /// # Safety
    /// Drivers take such bytes for their own: what is sealed rightly must come from [`Gpu::pipelines`] of a program that is
    /// trusted as this one is. Its key and CRC-32 find damage and other versions, not bytes that somebody made up; so they
    /// must have lain where nobody but the program's user can write.
    #[expect(
        unsafe_code,
        reason = "a driver believes the bytes; only the caller knows where they come from"
    )]
    pub async unsafe fn keep_pipelines(&self, kept: Option<&[u8]>) -> Result<bool> {
        if !self.device.features().contains(wgpu::Features::PIPELINE_CACHE)
            || self.pipeline_cache.get().is_some()
        {
            return Ok(false);
        }
        let key = self.pipelines_key();
        let data = kept.and_then(|kept| unseal(&key, kept));
        // SAFETY: as this function's.
        let make = |device: &wgpu::Device| unsafe { make(device, data) };
        let made = self.checked("making a pipeline cache", make).await?;
        // Another thread's cache is as good.
        Ok(self.pipeline_cache.set(made).is_ok() && data.is_some())
    }

    /// Returns the bytes of the pipeline cache: all pipelines made so far, and those given to [`Gpu::keep_pipelines`]. `None`
    /// where there is no cache or the driver gives no bytes.
    pub fn pipelines(&self) -> Option<Vec<u8>> {
        let data = self.pipeline_cache.get()?.get_data()?;
        Some(seal(&self.pipelines_key(), &data))
    }

    fn pipelines_key(&self) -> String {
        format!("pipelines; {}", self.fingerprint())
    }
}

/// # Safety
/// As [`Gpu::keep_pipelines`].
#[expect(unsafe_code, reason = "wgpu cannot know where the bytes come from")]
unsafe fn make(device: &wgpu::Device, data: Option<&[u8]>) -> wgpu::PipelineCache {
    let descriptor =
        wgpu::PipelineCacheDescriptor { label: Some("pipelines"), data, fallback: true };
    // SAFETY: the data has to come from `PipelineCache::get_data`. It passed `unseal`, so it is what `Gpu::pipelines`
    // sealed, which takes it from nowhere else, for the same adapter and driver; or somebody made it up, which the caller
    // says is not so. wgpu and the driver check headers of their own beside that.
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
