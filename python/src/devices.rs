//! Lists adapters, and keeps the open devices, which models share: one for each text that chooses an adapter, and one more where
//! half precision is asked for.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use lapidary::Result;
use lapidary::gpu::{Adapter, AdapterKind, Gpu, Options, Precision, adapters, passed_over};
use pyo3::prelude::*;

use crate::calls::{asked, blocking, wait};
use crate::errors::mismatch;

/// A processor that networks can run on: a GPU by its driver, or a rasteriser on the CPU.
#[pyclass(frozen, module = "lapidary", name = "Device")]
#[derive(Clone, Debug)]
pub struct Device {
    adapter: Adapter,
    /// The text that chooses the adapter when the device is opened.
    wanted: String,
}

#[pymethods]
impl Device {
    /// The driver's name for it.
    #[getter]
    fn name(&self) -> &str {
        &self.adapter.name
    }

    /// Vulkan, Metal, Dx12 or Gl.
    #[getter]
    fn backend(&self) -> &str {
        &self.adapter.backend
    }

    /// discrete, integrated, virtual, other or cpu.
    #[getter]
    fn kind(&self) -> String {
        format!("{:?}", self.adapter.kind).to_lowercase()
    }

    /// The driver and its version.
    #[getter]
    fn driver(&self) -> &str {
        &self.adapter.driver
    }

    /// The place on the PCI bus; empty where the driver does not say.
    #[getter]
    fn pci(&self) -> &str {
        &self.adapter.pci
    }

    /// Bytes of the largest buffer.
    #[getter]
    fn max_buffer(&self) -> u64 {
        self.adapter.max_buffer
    }

    /// Whether the device computes in half precision.
    #[getter]
    fn f16(&self) -> bool {
        self.adapter.f16
    }

    fn __repr__(&self) -> String {
        format!("<lapidary.Device {}>", self.adapter)
    }
}

impl Device {
    /// Describes an open device.
    pub fn of(gpu: &Gpu, wanted: &str) -> Self {
        Self { adapter: gpu.adapter().as_ref().clone(), wanted: wanted.to_owned() }
    }
}

/// The devices of this machine, in the order in which they are preferred.
#[pyfunction]
fn _devices(py: Python<'_>) -> PyResult<Vec<Device>> {
    let found = blocking(py, || wait(adapters(&Options::from_env())))?;
    let mut devices: Vec<Device> = Vec::new();
    for adapter in found {
        // Several interfaces, and several drivers of one interface, may list the same place on the bus: what tells an adapter apart
        // is its place among those of its interface.
        let alike = |other: &&Device| other.adapter.backend == adapter.backend;
        let place = devices.iter().filter(alike).count();
        let wanted = format!("{}:{place}", adapter.backend.to_lowercase());
        devices.push(Device { adapter, wanted });
    }
    Ok(devices)
}

/// The graphics interfaces that an adapter's name may begin with.
const INTERFACES: [&str; 4] = ["gl:", "vulkan:", "metal:", "dx12:"];

/// A name or number as one of the adapters that `_devices` lists: where the environment asks for an interface, of that.
fn listed(name: String) -> String {
    let interface = |text: &str| INTERFACES.into_iter().find(|prefix| text.starts_with(prefix));
    let from_env = Options::from_env().adapter.unwrap_or_default();
    match (interface(&name), interface(&from_env)) {
        (None, Some(prefix)) => format!("{prefix}{name}"),
        _ => name,
    }
}

/// Returns the text that chooses an adapter, from None, a Device, a number in the list, or a part of a name.
pub fn wanted(device: Option<&Bound<'_, PyAny>>) -> PyResult<String> {
    let Some(device) = device else {
        return Ok(Options::from_env().adapter.unwrap_or_default());
    };
    if let Ok(device) = device.cast::<Device>() {
        return Ok(device.get().wanted.clone());
    }
    if let Ok(name) = device.extract::<String>() {
        return Ok(listed(name));
    }
    if let Ok(number) = device.extract::<u32>() {
        return Ok(listed(number.to_string()));
    }
    let given = device.get_type().fully_qualified_name()?.to_string();
    let wanted = "a Device of lapidary.devices(), its number there, or a part of its name";
    Err(mismatch(device.py(), "device", given, wanted))
}

/// By the text that chooses an adapter, and whether half precision was asked for.
static OPEN: Mutex<BTreeMap<(String, bool), Gpu>> = Mutex::new(BTreeMap::new());

/// Returns the device of an adapter, which is opened at the first call, and again where it was lost. It computes in single
/// precision.
pub fn open(wanted: &str) -> Result<Gpu> {
    open_for(wanted, Precision::Single)
}

/// Returns the device of an adapter as [`open`] does, with the features that training in a precision uses: as the program opens
/// it.
pub fn open_for(wanted: &str, precision: Precision) -> Result<Gpu> {
    let key = (wanted.to_owned(), precision != Precision::Single);
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(gpu) = open.get(&key) {
        let gpu = gpu.current();
        return match gpu.alive() {
            Ok(()) => Ok(gpu),
            Err(_) => wait(gpu.reopen()),
        };
    }
    let adapter = Some(wanted.to_owned()).filter(|name| !name.is_empty());
    let mut options = Options { adapter, ..Options::from_env() };
    let preferences = options.preferences.clone();
    options.preferences.precision = precision;
    let gpu = wait(Gpu::new(&options))?.preferring(preferences);
    gpu.on_submission(asked);
    if gpu.adapter().kind == AdapterKind::Cpu && wanted.is_empty() {
        let adapter = gpu.adapter();
        let mut told = format!("no GPU is used: {adapter} computes on the CPU, which takes longer");
        for other in pollster::block_on(passed_over(&options)) {
            told = format!("{told}; {other}");
        }
        log("warning", &told);
    }
    gpu.on_tuning(|event| log("debug", &format!("{event:?}")));
    open.insert(key, gpu.clone());
    Ok(gpu)
}

/// Writes a line to Python's logger `lapidary`. That it cannot be logged is no reason to fail.
pub fn log(level: &str, line: &str) {
    Python::attach(|py| {
        let logger = py.import("logging").and_then(|m| m.call_method1("getLogger", ("lapidary",)));
        // Per cent signs are not to be filled in.
        _ = logger.and_then(|logger| logger.call_method1(level, ("%s", line)));
    });
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Device>()?;
    module.add_function(wrap_pyfunction!(_devices, module)?)
}
