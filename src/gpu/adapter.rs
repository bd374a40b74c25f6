//! Which adapters there are, which one is taken, and what kernels may know about it.

use super::Preferences;
use crate::{Error, Result};

/// The sort of processor behind an adapter; kernels are chosen by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdapterKind {
    /// A graphics card of its own.
    Discrete,
    /// A GPU that shares the CPU's memory.
    Integrated,
    /// A share of a GPU in a virtual machine.
    Virtual,
    /// Unknown, as in browsers.
    Other,
    /// A rasteriser on the CPU, as Mesa's lavapipe and SwiftShader.
    Cpu,
}

/// An adapter as kernels and people see it: what the hardware and its driver can do. What the user wants of it is in
/// [`Preferences`].
#[derive(Clone, Debug)]
pub struct Adapter {
    /// The driver's name for it; empty in browsers.
    pub name: String,
    /// Driver and its version.
    pub driver: String,
    /// Vulkan, Metal, Dx12, Gl or BrowserWebGpu.
    pub backend: String,
    /// What sort of processor it is.
    pub kind: AdapterKind,
    /// Invocations in a subgroup where that number is fixed and subgroup operations work.
    pub subgroup: Option<u32>,
    /// Whether timestamps can be written between passes.
    pub timestamps: bool,
    /// Whether `enable f16;` works.
    pub f16: bool,
    /// Bytes of the largest storage binding.
    pub max_binding: u64,
    /// Bytes of the largest buffer.
    pub max_buffer: u64,
    /// Storage buffers a compute stage can bind.
    pub storage_buffers: u32,
}

impl Adapter {
    pub(super) fn new(
        info: &wgpu::AdapterInfo,
        features: wgpu::Features,
        limits: &wgpu::Limits,
    ) -> Self {
        let fixed = info.subgroup_min_size == info.subgroup_max_size;
        let subgroups = features.contains(wgpu::Features::SUBGROUP) && fixed;
        Self {
            name: info.name.clone(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            backend: format!("{:?}", info.backend),
            kind: match info.device_type {
                wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
                wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
                wgpu::DeviceType::VirtualGpu => AdapterKind::Virtual,
                wgpu::DeviceType::Cpu => AdapterKind::Cpu,
                wgpu::DeviceType::Other => AdapterKind::Other,
            },
            subgroup: subgroups.then_some(info.subgroup_min_size),
            timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
            f16: features.contains(wgpu::Features::SHADER_F16),
            max_binding: limits.max_storage_buffer_binding_size,
            max_buffer: limits.max_buffer_size,
            storage_buffers: limits.max_storage_buffers_per_shader_stage,
        }
    }

    /// One that has what WebGPU guarantees and no more: to see what would run on such an adapter without having it.
    pub fn imaginary(kind: AdapterKind) -> Self {
        let limits = wgpu::Limits::default();
        Self {
            name: "imaginary".into(),
            driver: String::new(),
            backend: "none".into(),
            kind,
            subgroup: None,
            timestamps: false,
            f16: false,
            max_binding: limits.max_storage_buffer_binding_size,
            max_buffer: limits.max_buffer_size,
            storage_buffers: limits.max_storage_buffers_per_shader_stage,
        }
    }
}

impl std::fmt::Display for Adapter {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let name = if self.name.is_empty() { "unnamed adapter" } else { &self.name };
        write!(f, "{name} ({}, {:?})", self.backend, self.kind)
    }
}

/// How to open a device.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Part of the adapter's name, in any case, as `llvmpipe` or `swiftshader`; or its number in
    /// [`adapters`]. `None` takes the first: discrete GPUs before integrated ones before CPUs. After `gl:`, among
    /// the adapters of OpenGL, which are taken in no other way.
    pub adapter: Option<String>,
    /// Ask for WebGPU's default limits and no features, as a careful host app would.
    pub minimal: bool,
    /// In a browser, which names no adapters: ask for the one that spares the battery.
    pub low_power: bool,
    /// What is asked of programs on it.
    pub preferences: Preferences,
}

impl Options {
    /// The adapter named by the environment variable `LAPIDARY_ADAPTER`, if that is set and not empty.
    pub fn from_env() -> Self {
        let adapter = std::env::var("LAPIDARY_ADAPTER").ok().filter(|name| !name.is_empty());
        Self { adapter, ..Self::default() }
    }
}

/// Features that kernels have a use for and this adapter has; none of them must be there.
pub fn required_features(adapter: &wgpu::Adapter) -> wgpu::Features {
    use wgpu::Features;
    let used = Features::SUBGROUP
        | Features::TIMESTAMP_QUERY
        | Features::SHADER_F16
        | Features::PIPELINE_CACHE;
    used & adapter.features()
}

/// Limits to ask for: WebGPU's guaranteed ones, which suffice, and of buffers as much as this adapter has,
/// which larger networks and batches need.
pub fn required_limits(adapter: &wgpu::Adapter) -> wgpu::Limits {
    let most = adapter.limits();
    wgpu::Limits {
        max_buffer_size: most.max_buffer_size,
        max_storage_buffer_binding_size: most.max_storage_buffer_binding_size,
        max_storage_buffers_per_shader_stage: most.max_storage_buffers_per_shader_stage,
        ..Default::default()
    }
}

/// All adapters in the order of preference. OpenGL's are left out: it has no subgroups and probing it prints.
pub async fn adapters() -> Result<Vec<Adapter>> {
    let described = |adapter: &wgpu::Adapter| {
        Adapter::new(&adapter.get_info(), adapter.features(), &adapter.limits())
    };
    Ok(list(&Options::default()).await?.iter().map(described).collect())
}

/// Before the name of an adapter of OpenGL's.
const GL: &str = "gl:";

/// The adapter that `options` name.
pub(super) async fn choose(options: &Options) -> Result<wgpu::Adapter> {
    let found = list(options).await?;
    let names: Vec<_> = found.iter().map(|adapter| adapter.get_info().name).collect();
    let Some(wanted) = &options.adapter else {
        return found.into_iter().next().ok_or_else(|| Error::NoAdapter("none found".into()));
    };
    let wanted = wanted.strip_prefix(GL).unwrap_or(wanted);
    let number = wanted.parse::<usize>().ok();
    let fits = |(i, name): (usize, &String)| {
        number == Some(i) || name.to_lowercase().contains(&wanted.to_lowercase())
    };
    let place = names.iter().enumerate().position(fits);
    let missing = || Error::NoAdapter(format!("{wanted:?} is none of {names:?}"));
    place.and_then(|i| found.into_iter().nth(i)).ok_or_else(missing)
}

#[cfg(not(target_arch = "wasm32"))]
async fn list(options: &Options) -> Result<Vec<wgpu::Adapter>> {
    let gl = options.adapter.as_ref().is_some_and(|wanted| wanted.starts_with(GL));
    let wanted = if gl { wgpu::Backends::GL } else { wgpu::Backends::PRIMARY };
    let backends = wanted & wgpu::Instance::enabled_backend_features();
    if backends.is_empty() {
        // Instance::new() panics in this case.
        return Err(Error::NoAdapter("wgpu has no backend for this platform".into()));
    }
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backends;
    let mut found = wgpu::Instance::new(descriptor).enumerate_adapters(backends).await;
    let kind = |adapter: &wgpu::Adapter| {
        Adapter::new(&adapter.get_info(), adapter.features(), &adapter.limits()).kind
    };
    found.sort_by_key(kind);
    Ok(found)
}

/// A page is given one adapter and no list.
#[cfg(target_arch = "wasm32")]
async fn list(options: &Options) -> Result<Vec<wgpu::Adapter>> {
    let options = wgpu::RequestAdapterOptions {
        power_preference: match options.low_power {
            true => wgpu::PowerPreference::LowPower,
            false => wgpu::PowerPreference::HighPerformance,
        },
        ..Default::default()
    };
    let adapter = wgpu::Instance::default().request_adapter(&options).await;
    Ok(vec![adapter.map_err(|error| Error::NoAdapter(error.to_string()))?])
}
