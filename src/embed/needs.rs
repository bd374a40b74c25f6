//! Lists and checks the limits that a wgpu device lent by another app must have; optional features of wgpu are not needed.

use crate::gpu::Gpu;
use crate::{Error, Result};
use std::fmt;

/// A limit of a wgpu device that is too low for the library's kernels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The limit's name in wgpu, such as `max_storage_buffers_per_shader_stage`.
    pub name: &'static str,
    /// The limit that the device has.
    pub given: u64,
    /// The limit that kernels need at least.
    pub wanted: u64,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { name, given, wanted } = self;
        write!(f, "{name} is {given}, but {wanted} is needed")
    }
}

/// Lists the limits of `device` that are too low; empty if it has WebGPU's default limits for compute shaders.
pub fn check(device: &wgpu::Device) -> Vec<Missing> {
    let (given, least) = (device.limits(), wgpu::Limits::default());
    // What kernels do not use may be whatever it is.
    let needed = wgpu::Limits {
        max_bind_groups: 1,
        max_uniform_buffers_per_shader_stage: 4,
        max_storage_buffers_per_shader_stage: least.max_storage_buffers_per_shader_stage,
        max_uniform_buffer_binding_size: least.max_uniform_buffer_binding_size,
        max_storage_buffer_binding_size: least.max_storage_buffer_binding_size,
        max_buffer_size: least.max_buffer_size,
        min_uniform_buffer_offset_alignment: least.min_uniform_buffer_offset_alignment,
        max_compute_workgroup_storage_size: least.max_compute_workgroup_storage_size,
        max_compute_invocations_per_workgroup: least.max_compute_invocations_per_workgroup,
        max_compute_workgroup_size_x: least.max_compute_workgroup_size_x,
        max_compute_workgroup_size_y: least.max_compute_workgroup_size_y,
        max_compute_workgroup_size_z: least.max_compute_workgroup_size_z,
        max_compute_workgroups_per_dimension: least.max_compute_workgroups_per_dimension,
        ..given.clone()
    };
    let mut missing = Vec::new();
    needed.check_limits_with_fail_fn(&given, false, |name, wanted, given| {
        missing.push(Missing { name, given, wanted });
    });
    missing
}

/// Checks that the device has what kernels need. Err with all of [`check`]'s list, if there is one.
pub(super) fn expect(gpu: &Gpu) -> Result<()> {
    let missing = check(gpu.device());
    if missing.is_empty() {
        return Ok(());
    }
    let list = |value: fn(&Missing) -> u64| {
        let each = missing.iter().map(|each| format!("{} of {}", each.name, value(each)));
        each.collect::<Vec<_>>().join(", ")
    };
    let (given, wanted) = (list(|each| each.given), list(|each| each.wanted));
    Err(Error::MissingLimit { adapter: gpu.adapter().name.clone(), given, wanted })
}
