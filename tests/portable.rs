//! Translates every kernel, with every setting of its boolean constants, to the languages of the platforms: SPIR-V for Vulkan,
//! MSL for Metal, HLSL for DirectX 12. SPIR-V is checked by spirv-val (Debian: spirv-tools) where it is installed, and in CI it
//! has to be. No GPU is used; Metal's and DirectX's own compilers are not run.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test may fail so")]

use lapidary::gpu::Kernel;
use lapidary::ops::KERNELS;
use naga::back::{PipelineConstants, hlsl, msl, pipeline_constants::process_overrides, spv};
use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet};
use naga::valid::{ValidationFlags, Validator};
use naga::{Module, Scalar, ScalarKind, ShaderStage, TypeInner};
use std::process::Command;

/// A kernel with its switches set, ready to be written in another language.
struct Form {
    name: String,
    module: Module,
    info: ModuleInfo,
    subgroups: bool,
    /// Whether it multiplies cooperative matrices, which DirectX 12 has none of.
    matrices: bool,
}

/// All settings of a kernel's switches; its numbers stay what they are by default.
fn forms(kernel: &Kernel) -> Vec<Form> {
    let name = kernel.name;
    let module = naga::front::wgsl::parse_str(&kernel.text())
        .unwrap_or_else(|error| panic!("{}", error.emit_to_string_with_path(&kernel.text(), name)));
    let mut capabilities = Capabilities::empty();
    capabilities.set(Capabilities::SUBGROUP, kernel.subgroup > 0);
    // Which WebGPU has everywhere: packing and unpacking.
    capabilities.set(Capabilities::SHADER_FLOAT16_IN_FLOAT32, true);
    capabilities.set(Capabilities::SHADER_FLOAT16, kernel.text().contains("enable f16;"));
    let matrices = kernel.text().contains("enable wgpu_cooperative_matrix;");
    capabilities.set(Capabilities::COOPERATIVE_MATRIX, matrices);
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    if kernel.subgroup > 0 {
        validator.subgroup_stages(ShaderStages::COMPUTE);
        validator.subgroup_operations(SubgroupOperationSet::all());
    }
    let info = validator.validate(&module).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let is_switch = |ty| {
        let scalar = &module.types[ty].inner;
        matches!(scalar, TypeInner::Scalar(Scalar { kind: ScalarKind::Bool, .. }))
    };
    let switches: Vec<_> = module
        .overrides
        .iter()
        .filter(|(_, each)| is_switch(each.ty))
        .map(|(_, each)| each.name.clone().unwrap())
        .collect();
    let form = |setting: u32| {
        let on = |at: usize| f64::from(setting >> at & 1);
        let constants: PipelineConstants =
            switches.iter().enumerate().map(|(at, name)| (name.clone(), on(at))).collect();
        let entry = Some((ShaderStage::Compute, "main"));
        let (module, info) = process_overrides(&module, &info, entry, &constants)
            .unwrap_or_else(|error| panic!("{name} {constants:?}: {error}"));
        let name = format!("{name} {setting:b}");
        let (module, info) = (module.into_owned(), info.into_owned());
        Form { name, module, info, subgroups: kernel.subgroup > 0, matrices }
    };
    (0..1 << switches.len()).map(form).collect()
}

fn all() -> impl Iterator<Item = Form> {
    KERNELS.iter().flat_map(|kernel| forms(kernel))
}

#[test]
fn kernels_become_metal() {
    for Form { name, module, info, matrices, .. } in all() {
        // 2.1 has simdgroup functions, 2.3 simdgroup matrices.
        let lang_version = if matrices { (2, 3) } else { (2, 1) };
        let options = msl::Options { lang_version, ..Default::default() };
        let (text, told) = msl::write_string(&module, &info, &options, &Default::default())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(text.contains("kernel void main_"), "{name}: {text}");
        assert!(told.entry_point_names.iter().all(Result::is_ok), "{name}");
    }
}

#[test]
fn kernels_become_hlsl() {
    for Form { name, module, info, subgroups, .. } in all().filter(|form| !form.matrices) {
        // Wave functions came with shader model 6.0; the older one is what every Windows compiles.
        let shader_model =
            if subgroups { hlsl::ShaderModel::V6_0 } else { hlsl::ShaderModel::V5_1 };
        let options = hlsl::Options { shader_model, ..Default::default() };
        let pipeline = hlsl::PipelineOptions::default();
        let mut text = String::new();
        let told = hlsl::Writer::new(&mut text, &options, &pipeline)
            .write(&module, &info, None)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(text.contains("[numthreads("), "{name}: {text}");
        assert!(told.entry_point_names.iter().all(Result::is_ok), "{name}");
    }
}

/// As Vulkan 1.1 takes it, the least that has subgroups.
#[test]
fn kernels_become_valid_spirv() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kernel.spv");
    let there = Command::new("spirv-val").arg("--version").output().is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "CI needs spirv-val (spirv-tools)");
    if !there {
        println!("SKIPPED: no spirv-val (Debian: spirv-tools); SPIR-V is written but not judged");
    }
    for Form { name, module, info, matrices, .. } in all() {
        // Matrices want Vulkan 1.3, and a newer spirv-val than Debian's: scripts/gpu-compilers runs them.
        let lang_version = if matrices { (1, 6) } else { (1, 3) };
        let options = spv::Options { lang_version, ..Default::default() };
        let words = spv::write_vec(&module, &info, &options, None)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        if there && !matrices {
            std::fs::write(&path, bytemuck::cast_slice(&words)).unwrap();
            let mut judge = Command::new("spirv-val");
            let said = judge.args(["--target-env", "vulkan1.1"]).arg(&path).output().unwrap();
            assert!(said.status.success(), "{name}: {}", String::from_utf8_lossy(&said.stderr));
        }
    }
}
