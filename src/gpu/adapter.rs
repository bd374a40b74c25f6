//! Describes an adapter: its kind, limits and features, for choosing kernels and for messages. `choose.rs` lists adapters and
//! picks one.

/// The kind of processor behind an adapter (a graphics card, a CPU and so on), by which kernels are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdapterKind {
    /// A graphics card with its own memory.
    Discrete,
    /// A GPU that shares the CPU's memory.
    Integrated,
    /// A share of a GPU in a virtual machine.
    Virtual,
    /// A processor of unknown kind; browsers do not say which it is.
    Other,
    /// A rasteriser on the CPU, as Mesa's lavapipe and SwiftShader.
    Cpu,
}

/// The description of an adapter: what its hardware and driver can do. What the user prefers is in
/// [`Preferences`](super::Preferences).
#[derive(Clone, Debug)]
pub struct Adapter {
    /// The driver's name for the adapter, such as the GPU's model; empty in browsers.
    pub name: String,
    /// The name and version of the adapter's driver.
    pub driver: String,
    /// The graphics interface: Vulkan, Metal, Dx12, Gl or BrowserWebGpu.
    pub backend: String,
    /// The kind of processor, such as a graphics card or a CPU.
    pub kind: AdapterKind,
    /// The adapter's place on the PCI bus, such as `0000:01:00.0`, which tells two alike apart; empty where the driver does
    /// not say.
    pub pci: String,
    /// The PCI numbers of vendor and device, for example `10de:2684`; drivers without hardware have numbers of their own.
    pub id: String,
    /// The number of invocations in a subgroup; `None` where it is not fixed or subgroup operations do not work.
    pub subgroup: Option<u32>,
    /// Whether the device can write timestamps between compute passes, which profiling needs.
    pub timestamps: bool,
    /// Whether shaders can compute in half precision (WGSL's `enable f16;`).
    pub f16: bool,
    /// The side, 16 or 8, of the cooperative matrices ("tensor cores") that multiply half-precision numbers and add up in single
    /// precision. `None` where the hardware has none, where subgroups are not of a fixed size, and for a device that was opened
    /// without them, as it is unless half precision is asked for ([`Preferences`](super::Preferences)).
    pub cooperative: Option<u32>,
    /// The size of the largest storage binding in bytes.
    pub max_binding: u64,
    /// The size of the largest buffer in bytes.
    pub max_buffer: u64,
    /// The number of storage buffers that a compute stage can bind.
    pub storage_buffers: u32,
}

impl Adapter {
    pub(super) fn new(
        info: &wgpu::AdapterInfo,
        features: wgpu::Features,
        limits: &wgpu::Limits,
        matrices: &[wgpu::CooperativeMatrixProperties],
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
            pci: info.device_pci_bus_id.to_lowercase(),
            id: format!("{:04x}:{:04x}", info.vendor, info.device),
            subgroup: subgroups.then_some(info.subgroup_min_size),
            timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
            f16: features.contains(wgpu::Features::SHADER_F16),
            cooperative: cooperative(features, matrices).filter(|_| subgroups),
            max_binding: limits.max_storage_buffer_binding_size,
            max_buffer: limits.max_buffer_size,
            storage_buffers: limits.max_storage_buffers_per_shader_stage,
        }
    }

    /// Makes the description of an adapter that has only what WebGPU guarantees, to find out which kernels would run on such an
    /// adapter without having one.
    pub fn imaginary(kind: AdapterKind) -> Self {
        let limits = wgpu::Limits::default();
        Self {
            name: "imaginary".into(),
            driver: String::new(),
            backend: "none".into(),
            kind,
            pci: String::new(),
            id: String::new(),
            subgroup: None,
            timestamps: false,
            f16: false,
            cooperative: None,
            max_binding: limits.max_storage_buffer_binding_size,
            max_buffer: limits.max_buffer_size,
            storage_buffers: limits.max_storage_buffers_per_shader_stage,
        }
    }

    /// Makes the description of a common graphics card, with subgroups of 32, half precision, and bindings of 2 GiB, to find out
    /// which kernels would run on one without having it.
    pub fn imaginary_gpu(kind: AdapterKind) -> Self {
        Self {
            name: "a GPU as most are".into(),
            subgroup: Some(32),
            timestamps: true,
            f16: true,
            max_binding: 2 << 30,
            max_buffer: 4 << 30,
            ..Self::imaginary(kind)
        }
    }
}

/// Returns the side of the largest cooperative matrices that the adapter has and kernels are written for.
fn cooperative(
    features: wgpu::Features,
    matrices: &[wgpu::CooperativeMatrixProperties],
) -> Option<u32> {
    use wgpu::{CooperativeScalarType as Scalar, Features};
    let needed = Features::EXPERIMENTAL_COOPERATIVE_MATRIX | Features::SHADER_F16;
    let has = |side: &u32| {
        matrices.iter().any(|matrix| {
            let sides = [matrix.m_size, matrix.n_size, matrix.k_size];
            sides == [*side; 3] && (matrix.ab_type, matrix.cr_type) == (Scalar::F16, Scalar::F32)
        })
    };
    [16, 8].into_iter().find(has).filter(|_| features.contains(needed))
}

impl std::fmt::Display for Adapter {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let name = if self.name.is_empty() { "unnamed adapter" } else { &self.name };
        write!(f, "{name} ({}, {:?})", self.backend, self.kind)
    }
}
