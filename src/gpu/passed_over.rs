//! Finds out why a machine's GPU was not chosen, for the message that says so when a CPU computes in its place.

use super::Options;
#[cfg(not(target_arch = "wasm32"))]
use super::choose::{computes, enumerate};

/// Lists GPUs of this machine that [`adapters`](super::adapters) does not list for these options, with a sentence for each:
/// what its driver lacks, or that no driver serves it. It loads the drivers once more, with unsafe ones among them, so it
/// takes a moment. OpenGL is not asked, because that prints. In a browser the list is empty.
#[cfg(not(target_arch = "wasm32"))]
pub async fn passed_over(options: &Options) -> Vec<String> {
    use wgpu::{Backends, DeviceType, InstanceFlags};
    let enabled = wgpu::Instance::enabled_backend_features();
    let all = Backends::PRIMARY & enabled;
    if all.is_empty() {
        return Vec::new();
    }
    let usual = enumerate(options.backends() & enabled, InstanceFlags::empty()).await;
    let identity = |adapter: &wgpu::Adapter| {
        let info = adapter.get_info();
        (info.name, info.backend)
    };
    let usual: Vec<_> = usual.iter().map(identity).collect();
    let conformant = enumerate(all, InstanceFlags::empty()).await;
    let conformant: Vec<_> = conformant.iter().map(identity).collect();
    let every = enumerate(all, InstanceFlags::ALLOW_UNDERLYING_NONCOMPLIANT_ADAPTER).await;
    let mut seen = Vec::new();
    let mut told = Vec::new();
    for adapter in &every {
        let info = adapter.get_info();
        seen.push(format!("{:04x}:{:04x}", info.vendor, info.device));
        let of = identity(adapter);
        if info.device_type == DeviceType::Cpu || usual.contains(&of) && computes(adapter) {
            continue;
        }
        let why = if !computes(adapter) {
            "it cannot run compute shaders"
        } else if !conformant.contains(&of) {
            "its driver does not conform to the interface's standard"
        } else {
            "WGPU_BACKEND leaves it out"
        };
        told.push(format!("{} ({:?}) is passed over: {why}", info.name, info.backend));
    }
    told.extend(without_driver(&seen));
    told
}

/// Returns an empty list, as a web page is given one adapter.
#[cfg(target_arch = "wasm32")]
pub async fn passed_over(_options: &Options) -> Vec<String> {
    Vec::new()
}

/// GPUs on the PCI bus that no driver answered for, where Linux lists them.
#[cfg(not(target_arch = "wasm32"))]
fn without_driver(seen: &[String]) -> Vec<String> {
    /// The PCI vendor numbers of GPUs; displays of virtual machines have other numbers and cannot compute.
    const VENDORS: [(&str, &str); 3] = [("1002", "AMD"), ("10de", "NVIDIA"), ("8086", "Intel")];
    /// The environment variables that hide a driver from Vulkan's loader.
    const HIDING: [&str; 4] = [
        "VK_DRIVER_FILES",
        "VK_ICD_FILENAMES",
        "VK_LOADER_DRIVERS_SELECT",
        "VK_LOADER_DRIVERS_DISABLE",
    ];
    let devices = std::fs::read_dir("/sys/bus/pci/devices").into_iter().flatten().flatten();
    let mut told = Vec::new();
    for device in devices {
        let read = |name: &str| {
            let text = std::fs::read_to_string(device.path().join(name)).unwrap_or_default();
            text.trim().trim_start_matches("0x").to_owned()
        };
        let (class, vendor) = (read("class"), read("vendor"));
        let known = VENDORS.iter().find(|(number, _)| *number == vendor);
        let id = format!("{vendor}:{}", read("device"));
        // Class 3 is display controllers.
        let (true, Some((_, maker)), false) = (class.starts_with("03"), known, seen.contains(&id))
        else {
            continue;
        };
        let place = device.file_name().to_string_lossy().into_owned();
        let hiding = HIDING.iter().find(|key| std::env::var_os(key).is_some());
        let why = hiding.map_or("OpenGL may have one (--adapter gl:)".into(), |key| {
            format!("${key} may hide one")
        });
        told.push(format!(
            "a GPU of {maker}'s at {place} ({id}) is passed over: no Vulkan driver serves it; {why}"
        ));
    }
    told
}
