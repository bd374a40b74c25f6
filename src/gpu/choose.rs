//! Lists the adapters of this machine and picks the one that was asked for.

use super::{Adapter, Precision, Preferences, ShaderChecks};
use crate::{Error, Result};

/// Options for opening a device: which adapter, and the preferences for programs on it.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The adapter to open: a number in the list of adapters, a part of a name, or a place on the PCI bus. `None` takes the first
    /// of [`adapters`].
    pub adapter: Option<String>,
    /// The graphics interfaces in which adapters are looked for; `None` for Vulkan, Metal and DirectX 12. OpenGL has to be asked
    /// for, here or in [`Options::adapter`]: it has no subgroups, and looking for its adapters prints messages.
    pub backends: Option<wgpu::Backends>,
    /// Whether to open the device with WebGPU's default limits and no features, as a careful host app would.
    pub minimal: bool,
    /// Whether to ask for the adapter that saves battery power. For browsers, which do not list adapters by name.
    pub low_power: bool,
    /// The preferences for programs that are made on the device.
    pub preferences: Preferences,
}

/// The prefixes of an adapter's name that restrict it to one interface.
const BACKENDS: [(&str, wgpu::Backends); 4] = [
    ("gl:", wgpu::Backends::GL),
    ("vulkan:", wgpu::Backends::VULKAN),
    ("metal:", wgpu::Backends::METAL),
    ("dx12:", wgpu::Backends::DX12),
];

/// The prefix of a name that would otherwise be read as a number.
const NAME: &str = "name:";

impl Options {
    /// Reads options from the environment: the adapter in `LAPIDARY_ADAPTER`, or else wgpu's own variables, the name in
    /// `WGPU_ADAPTER_NAME` and the interfaces in `WGPU_BACKEND`. An empty variable counts as not set.
    /// `LAPIDARY_SHADER_CHECKS` sets the [`ShaderChecks`]: `all` or `report`; any other value leaves the default.
    pub fn from_env() -> Self {
        let named = |key: &str| std::env::var(key).ok().filter(|value| !value.is_empty());
        let wgpus = || named("WGPU_ADAPTER_NAME").map(|name| format!("{NAME}{name}"));
        let adapter = named("LAPIDARY_ADAPTER").or_else(wgpus);
        let backends = named("WGPU_BACKEND").map(|list| wgpu::Backends::from_comma_list(&list));
        let shader_checks = match named("LAPIDARY_SHADER_CHECKS").as_deref() {
            Some("all") => ShaderChecks::All,
            Some("report") => ShaderChecks::Report,
            _ => ShaderChecks::Foreign,
        };
        let preferences = Preferences { shader_checks, ..Preferences::default() };
        Self { adapter, backends, preferences, ..Self::default() }
    }

    /// Returns the index of the adapter that these options ask for.
    ///
    /// A number is a place in the list. All else is a text: an adapter's place on the PCI bus, its PCI numbers, or a part of its
    /// name, in any case, as `llvmpipe`; the first that fits is taken. `name:` goes before a part of a name that is all digits;
    /// `gl:`, `vulkan:`, `metal:` or `dx12:` before any of these, or nothing, look among that interface's adapters.
    ///
    /// # Errors
    /// `NoAdapter` where none fits, with the list.
    pub fn choose(&self, adapters: &[Adapter]) -> Result<usize> {
        let wanted = self.adapter.as_deref().map_or("", without_backend);
        let listed = || {
            let one = |(i, adapter): (usize, &Adapter)| format!("{i}: {adapter}");
            adapters.iter().enumerate().map(one).collect::<Vec<_>>().join(", ")
        };
        let missing = || {
            Error::NoAdapter(format!(
                "{wanted:?}, which was asked for, fits none of [{}]",
                listed()
            ))
        };
        if adapters.is_empty() {
            return Err(none_at_all(self));
        }
        if !wanted.is_empty() && wanted.bytes().all(|byte| byte.is_ascii_digit()) {
            let place = wanted.parse().ok().filter(|&place: &usize| place < adapters.len());
            return place.ok_or_else(missing);
        }
        let text = wanted.strip_prefix(NAME).unwrap_or(wanted).to_lowercase();
        let exact = |adapter: &Adapter| [&adapter.pci, &adapter.id].contains(&&text);
        let place = adapters.iter().position(|adapter| !text.is_empty() && exact(adapter));
        let named =
            || adapters.iter().position(|adapter| adapter.name.to_lowercase().contains(&text));
        place.or_else(named).ok_or_else(missing)
    }

    /// Returns the options for process `local` (from 0) of the processes on this machine, which share its adapters. If
    /// [`Options::adapter`] is a name, they share all adapters with that name; if it is `None`, all adapters of the first one's
    /// kind; if it is a number or a position on the PCI bus, all take that adapter.
    ///
    /// # Errors
    /// The errors of [`Options::choose`].
    pub async fn for_rank(&self, local: usize) -> Result<Self> {
        let mut options = self.clone();
        if let Some(list) = self.adapter.as_deref().filter(|list| list.contains(',')) {
            let names: Vec<_> = list.split(',').map(str::trim).collect();
            options.adapter = names.get(local % names.len().max(1)).map(|&name| name.to_owned());
            return Ok(options);
        }
        let found = adapters(self).await?;
        let fitting = self.fitting(&found)?;
        if let Some(place) = fitting.get(local % fitting.len().max(1)) {
            let wanted = self.adapter.as_deref().unwrap_or_default();
            let prefix = wanted.strip_suffix(without_backend(wanted)).unwrap_or_default();
            options.adapter = Some(format!("{prefix}{place}"));
        }
        Ok(options)
    }

    /// The places of all adapters that fit as well as the chosen one.
    fn fitting(&self, adapters: &[Adapter]) -> Result<Vec<usize>> {
        let chosen = self.choose(adapters)?;
        let wanted = self.adapter.as_deref().map_or("", without_backend);
        let text = wanted.strip_prefix(NAME).unwrap_or(wanted).to_lowercase();
        let is_number = !wanted.is_empty() && wanted.bytes().all(|byte| byte.is_ascii_digit());
        let Some(first) = adapters.get(chosen) else { return Ok(vec![chosen]) };
        if is_number || first.pci == text && !text.is_empty() {
            return Ok(vec![chosen]);
        }
        let alike = |adapter: &Adapter| match text.is_empty() {
            true => adapter.kind == first.kind,
            false => adapter.name.to_lowercase().contains(&text) || adapter.id == text,
        };
        Ok((0..adapters.len()).filter(|&at| adapters.get(at).is_some_and(alike)).collect())
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn backends(&self) -> wgpu::Backends {
        let wanted = self.adapter.as_deref().unwrap_or_default();
        let prefixed = BACKENDS.iter().find(|(prefix, _)| wanted.starts_with(prefix));
        let named = prefixed.map(|&(_, backends)| backends).or(self.backends);
        named.unwrap_or(wgpu::Backends::PRIMARY) & wgpu::Instance::enabled_backend_features()
    }
}

fn without_backend(wanted: &str) -> &str {
    let stripped = BACKENDS.iter().find_map(|(prefix, _)| wanted.strip_prefix(prefix));
    stripped.unwrap_or(wanted)
}

/// Returns the optional wgpu features that kernels make use of and that this adapter has; a device works without any of them.
pub fn required_features(adapter: &wgpu::Adapter) -> wgpu::Features {
    use wgpu::Features;
    let used = Features::SUBGROUP
        | Features::TIMESTAMP_QUERY
        | Features::SHADER_F16
        | Features::PIPELINE_CACHE;
    used & adapter.features()
}

/// Returns the features for cooperative matrices, if kernels with them are asked for and the adapter has them: wgpu calls
/// them experimental, so a device is opened with them only if half precision was asked for.
pub(super) fn cooperative_features(
    adapter: &wgpu::Adapter,
    preferences: &Preferences,
) -> wgpu::Features {
    let asked = preferences.precision != Precision::Single && cfg!(not(target_arch = "wasm32"));
    let matrices = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
    if asked { matrices & adapter.features() } else { wgpu::Features::empty() }
}

/// Returns the limits to open a device with: those that WebGPU guarantees, which suffice, but buffers as large as this adapter
/// allows, which larger networks and batches need.
pub fn required_limits(adapter: &wgpu::Adapter) -> wgpu::Limits {
    let most = adapter.limits();
    wgpu::Limits {
        max_buffer_size: most.max_buffer_size,
        max_storage_buffer_binding_size: most.max_storage_buffer_binding_size,
        max_storage_buffers_per_shader_stage: most.max_storage_buffers_per_shader_stage,
        ..Default::default()
    }
}

/// Lists the adapters of this machine in the order of preference: discrete GPUs before integrated ones before CPUs. Of `options`
/// only the graphics interfaces count.
pub async fn adapters(options: &Options) -> Result<Vec<Adapter>> {
    Ok(list(options).await?.iter().map(described).collect())
}

fn described(adapter: &wgpu::Adapter) -> Adapter {
    let matrices = adapter.cooperative_matrix_properties();
    Adapter::new(&adapter.get_info(), adapter.features(), &adapter.limits(), &matrices)
}

/// The adapter that `options` name.
pub(super) async fn chosen(options: &Options) -> Result<wgpu::Adapter> {
    let found = list(options).await?;
    let place = options.choose(&found.iter().map(described).collect::<Vec<_>>())?;
    found.into_iter().nth(place).ok_or_else(|| Error::NoAdapter("none found".into()))
}

/// Returns the error for a machine without any adapter.
fn none_at_all(options: &Options) -> Error {
    if let Some(mib) = short_address_space() {
        let reason = format!(
            "this process is limited to {mib} MiB of address space (ulimit -v), too little memory for a driver to load"
        );
        return Error::Gpu { doing: "loading the drivers".into(), reason };
    }
    Error::NoAdapter(match options.backends {
        Some(backends) => {
            let names: Vec<_> = backends.iter_names().map(|(name, _)| name).collect();
            format!(
                "none found on {}, the backends that WGPU_BACKEND or the program asks for",
                names.join(", ")
            )
        }
        None => "none found".into(),
    })
}

/// MiB of address space that this process may have, where that is so little that drivers do not load.
fn short_address_space() -> Option<u64> {
    /// The memory, in bytes, above which the number of threads is not limited: Mesa's lavapipe alone loads 200 MiB of
    /// libraries and gives each of its threads a stack.
    const ENOUGH: u64 = 8 << 30;
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find(|line| line.starts_with("Max address space"))?;
    let soft: u64 = line.split_whitespace().nth(3)?.parse().ok()?;
    (soft < ENOUGH).then_some(soft >> 20)
}

#[cfg(not(target_arch = "wasm32"))]
async fn list(options: &Options) -> Result<Vec<wgpu::Adapter>> {
    let backends = options.backends();
    if backends.is_empty() {
        // Instance::new() panics in this case.
        return Err(Error::NoAdapter(
            "wgpu has none of the backends that were asked for on this platform".into(),
        ));
    }
    let mut found = enumerate(backends, wgpu::InstanceFlags::empty()).await;
    // Some of OpenGL's cannot compute.
    found.retain(computes);
    found.sort_by_key(|adapter| described(adapter).kind);
    Ok(found)
}

#[cfg(not(target_arch = "wasm32"))]
pub(super) async fn enumerate(
    backends: wgpu::Backends,
    more: wgpu::InstanceFlags,
) -> Vec<wgpu::Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backends;
    descriptor.flags |= more;
    wgpu::Instance::new(descriptor).enumerate_adapters(backends).await
}

#[cfg(not(target_arch = "wasm32"))]
pub(super) fn computes(adapter: &wgpu::Adapter) -> bool {
    let flags = adapter.get_downlevel_capabilities().flags;
    flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::AdapterKind;

    fn two_alike_and_a_cpu() -> Vec<Adapter> {
        let of = |kind, name: &str, pci: &str, id: &str| Adapter {
            name: name.into(),
            pci: pci.into(),
            id: id.into(),
            ..Adapter::imaginary(kind)
        };
        vec![
            of(AdapterKind::Discrete, "NVIDIA GeForce RTX 4090", "0000:01:00.0", "10de:2684"),
            of(AdapterKind::Discrete, "NVIDIA GeForce RTX 4090", "0000:41:00.0", "10de:2684"),
            of(AdapterKind::Cpu, "llvmpipe (LLVM 15.0.6, 256 bits)", "", "10005:0000"),
        ]
    }

    fn choose(wanted: &str) -> Result<usize> {
        let options = Options { adapter: Some(wanted.into()), ..Options::default() };
        options.choose(&two_alike_and_a_cpu())
    }

    #[test]
    fn ranks_share_out_what_fits() {
        for (wanted, places) in [
            ("", vec![0, 1]),
            ("4090 ", vec![]),
            ("rtx", vec![0, 1]),
            ("10de:2684", vec![0, 1]),
            ("0000:41:00.0", vec![1]),
            ("1", vec![1]),
            ("llvmpipe", vec![2]),
            ("gl:", vec![0, 1]),
        ] {
            let options = Options { adapter: Some(wanted.into()), ..Options::default() };
            let found = options.fitting(&two_alike_and_a_cpu()).unwrap_or_default();
            assert_eq!(found, places, "{wanted}");
        }
        let list = Options { adapter: Some("a, b,c".into()), ..Options::default() };
        let of = |local| pollster::block_on(list.for_rank(local)).unwrap().adapter.unwrap();
        assert_eq!([0, 1, 2, 3].map(of), ["a", "b", "c", "a"]);
    }

    #[test]
    fn a_number_is_a_number_and_text_is_text() {
        for (wanted, place) in [
            ("0", 0),
            ("1", 1),
            ("2", 2),
            ("name:256", 2),
            ("name:4090", 0),
            ("rtx 4090", 0),
            ("LLVMpipe", 2),
            ("256 bits", 2),
            ("0000:41:00.0", 1),
            ("10de:2684", 0),
            ("vulkan:1", 1),
            ("vulkan:llvmpipe", 2),
            ("", 0),
            ("gl:", 0),
        ] {
            assert_eq!(choose(wanted).unwrap(), place, "{wanted}");
        }
        for wanted in ["5", "256", "4090", "0000:42:00.0", "99999999999999999999", "radeon"] {
            let error = choose(wanted).unwrap_err().to_string();
            assert!(error.contains(wanted) && error.contains("1: NVIDIA"), "{error}");
        }
    }
}
