//! Translates WGSL to SPIR-V with the options that wgpu 30 gives naga for a Vulkan device.

use crate::kernels::Entry;
use anyhow::{Result, anyhow};
use naga::back::pipeline_constants::process_overrides;
use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, ShaderStage};

/// The properties of a driver that decide how shaders are translated.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// SPIR-V 1.6 rather than 1.5.
    pub vulkan_1_3: bool,
    /// Whether the driver checks bounds of buffers itself (VK_EXT_robustness2), so that shaders need not.
    pub robust_buffers: bool,
    /// Whether the driver checks bounds of images itself.
    pub robust_images: bool,
    /// With the checks that wgpu adds to shaders which it does not trust, as browsers do; natively lapidary's go without.
    pub checked: bool,
}

/// A kernel as a driver gets it.
pub struct Module {
    pub words: Vec<u32>,
    /// Binding numbers and the kinds of what they hold.
    pub bindings: Vec<(u32, Kind)>,
    /// Invocations of a workgroup.
    pub invocations: u32,
}

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Uniform,
    Storage,
    Texture,
}

pub fn translate(entry: &Entry, target: Target) -> Result<Module> {
    let module = naga::front::wgsl::parse_str(&entry.text)
        .map_err(|error| anyhow!(error.emit_to_string(&entry.text)))?;
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::all());
    validator
        .subgroup_stages(ShaderStages::COMPUTE)
        .subgroup_operations(SubgroupOperationSet::all());
    let info = validator.validate(&module)?;
    let constants = entry.constants.iter().map(|(name, &value)| (name.clone(), value)).collect();
    let stage = Some((ShaderStage::Compute, "main"));
    let (module, info) = process_overrides(&module, &info, stage, &constants)?;
    let policy = |checked| match checked {
        true => BoundsCheckPolicy::Restrict,
        false => BoundsCheckPolicy::Unchecked,
    };
    let checked = target.checked;
    let options = spv::Options {
        lang_version: if target.vulkan_1_3 { (1, 6) } else { (1, 5) },
        flags: spv::WriterFlags::LABEL_VARYINGS | spv::WriterFlags::FORCE_POINT_SIZE,
        bounds_check_policies: BoundsCheckPolicies {
            index: policy(checked),
            buffer: policy(checked && !target.robust_buffers),
            image_load: policy(checked && !target.robust_images),
            binding_array: BoundsCheckPolicy::Unchecked,
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::Native,
        force_loop_bounding: checked,
        emit_int_div_checks: checked,
        use_storage_input_output_16: false,
        ..Default::default()
    };
    let stage =
        spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".into() };
    let words = spv::write_vec(&module, &info, &options, Some(&stage))?;
    let bound = module.global_variables.iter().filter_map(|(_, variable)| {
        let kind = match variable.space {
            AddressSpace::Uniform => Kind::Uniform,
            AddressSpace::Storage { .. } => Kind::Storage,
            _ => Kind::Texture,
        };
        Some((variable.binding.as_ref()?.binding, kind))
    });
    let entries = module.entry_points.iter();
    let invocations = entries.map(|entry| entry.workgroup_size.iter().product()).next();
    Ok(Module { words, bindings: bound.collect(), invocations: invocations.unwrap_or(1) })
}
