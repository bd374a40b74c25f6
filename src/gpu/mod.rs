//! Everything that talks to wgpu: devices, buffers, pipelines, and running recorded kernel launches (beside it only `embed` names
//! wgpu's types).

mod adapter;
#[cfg_attr(target_arch = "wasm32", path = "no_bounds.rs")]
mod bounds;
mod buffer;
mod choices;
mod choose;
mod context;
#[cfg_attr(target_arch = "wasm32", path = "no_contract.rs")]
mod contract;
mod counters;
mod executor;
#[cfg_attr(not(target_arch = "wasm32"), path = "no_fetched.rs")]
mod fetched;
#[cfg_attr(target_arch = "wasm32", path = "no_half.rs")]
mod half;
mod kernel;
mod once;
mod passed_over;
mod pipeline_cache;
mod pipelines;
mod preferences;
mod profile;
mod recording;
mod run;
mod sealed;
mod staging;
mod table;
#[cfg_attr(target_arch = "wasm32", path = "no_texels.rs")]
mod texels;
mod tuning;

pub use adapter::{Adapter, AdapterKind};
pub use buffer::Buffer;
pub use choose::{Options, adapters, required_features, required_limits};
pub use context::Gpu;
pub use counters::Counts;
pub use executor::Pace;
pub(crate) use fetched::has_all_shaders;
#[cfg(target_arch = "wasm32")]
pub use fetched::provide_shaders;
pub(crate) use kernel::uniform;
pub use kernel::{Access, Kernel, Layout, Trust};
pub use preferences::{Filtering, Lowering, Precision, Preferences, ShaderChecks, Tune};
pub use profile::Timing;
pub use recording::{Binding, BufferId, Dispatch, LaunchPart, Recording, Words};
pub use tuning::{Dropped, TuningEvent};
pub use wgpu::CommandEncoder;
// The parts that programs are made of: public for tests and tools, but no part of the API.
#[doc(hidden)]
pub use {
    choices::{Choices, Question},
    executor::Executor,
    kernel::{PART_ALIGNMENT, TEXEL_COLUMNS},
    passed_over::passed_over,
};
