//! Compiles the pipelines that a program needs, natively on as many threads as there are cores: most of the time goes into the
//! driver's translation of the shader, which keeps one core busy.

#[cfg(not(target_arch = "wasm32"))]
use super::Trust;
use super::context::close_scopes;
use super::counters::Counters;
use super::{Access, Dispatch, Gpu, ShaderChecks, contract};
use crate::{Error, Result, threads};
#[cfg(not(target_arch = "wasm32"))]
use std::borrow::Cow;
use std::collections::HashSet;
use std::iter::once;
use std::sync::PoisonError;

#[cfg(not(target_arch = "wasm32"))]
use std::time::Instant;
#[cfg(target_arch = "wasm32")]
use web_time::Instant;

/// The key of a compiled pipeline: the kernel's address (two crates may have kernels of one name), the bindings that hold
/// halves, the bits of its constants, and the checks it is compiled with.
pub(super) type PipelineKey = (usize, u32, Vec<(&'static str, u64)>, ShaderChecks);

fn key(dispatch: &Dispatch, checks: ShaderChecks) -> PipelineKey {
    let constants = dispatch.constants.iter().map(|&(name, value)| (name, value.to_bits()));
    (std::ptr::from_ref(dispatch.kernel).addr(), dispatch.halves, constants.collect(), checks)
}

impl Gpu {
    /// The pipeline of each launch, compiled at its first use on this device.
    pub(super) async fn pipelines_of(
        &self,
        dispatches: &[Dispatch],
    ) -> Result<Vec<wgpu::ComputePipeline>> {
        let kept = || self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        let checks = self.preferences().shader_checks;
        let keys: Vec<_> = dispatches.iter().map(|dispatch| key(dispatch, checks)).collect();
        let (mut missing, mut seen) = (Vec::new(), HashSet::new());
        for (key, dispatch) in keys.iter().zip(dispatches) {
            if !kept().contains_key(key) && seen.insert(key) {
                missing.push((key, dispatch));
            }
        }
        let began = Instant::now();
        let compiled = threads::map("compiling kernels", &missing, |(_, dispatch)| {
            let contract = contract::check(dispatch.kernel);
            let scopes = self.open_scopes();
            Ok((contract, self.pipeline(dispatch, checks), close_scopes(scopes)))
        })?;
        for ((key, dispatch), (contract, pipeline, closed)) in missing.into_iter().zip(compiled) {
            // Before what the driver says, which knows no names.
            contract?;
            self.heard(&format!("compiling {}", dispatch.kernel.name), closed).await?;
            kept().insert(key.clone(), pipeline?);
            Counters::add(&self.counters.pipelines, 1);
        }
        let took = began.elapsed().as_nanos().try_into().unwrap_or(u64::MAX);
        Counters::add(&self.counters.pipeline_nanoseconds, took);
        let of = |key| {
            let lost = || Error::bug("executor", "a pipeline was compiled and not kept");
            kept().get(key).cloned().ok_or_else(lost)
        };
        keys.iter().map(of).collect()
    }

    /// The layout comes from the binding list: one derived from the shader would drop unused bindings.
    fn pipeline(&self, dispatch: &Dispatch, checks: ShaderChecks) -> Result<wgpu::ComputePipeline> {
        let Dispatch { kernel, constants, .. } = dispatch;
        use wgpu::BufferBindingType::{Storage, Uniform};
        let buffer = |ty| wgpu::BindingType::Buffer {
            ty,
            has_dynamic_offset: false,
            min_binding_size: None,
        };
        // A shader whose struct is larger is refused, in browsers too.
        let params = wgpu::BindingType::Buffer {
            ty: Uniform,
            has_dynamic_offset: false,
            min_binding_size: (kernel.params.size as u64).try_into().ok(),
        };
        let bound = kernel.bindings.iter().map(|(_, access)| match access {
            Access::Texels => wgpu::BindingType::Texture {
                sample_type: wgpu::TextureSampleType::Float { filterable: false },
                view_dimension: wgpu::TextureViewDimension::D2,
                multisampled: false,
            },
            Access::Read => buffer(Storage { read_only: true }),
            Access::Write => buffer(Storage { read_only: false }),
        });
        let reports =
            (checks == ShaderChecks::Report).then_some(buffer(Storage { read_only: false }));
        let entry = |(binding, ty)| {
            let visibility = wgpu::ShaderStages::COMPUTE;
            wgpu::BindGroupLayoutEntry { binding, visibility, ty, count: None }
        };
        let entries: Vec<_> =
            (0..).zip(once(params).chain(bound).chain(reports)).map(entry).collect();
        let (device, label) = (&self.device, Some(kernel.name));
        let bindings = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label,
            entries: &entries,
        });
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        let module = self.module(dispatch, checks)?;
        // They are in the text that reports already.
        let constants = if checks == ShaderChecks::Report { &[][..] } else { constants };
        Ok(device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants,
                ..Default::default()
            },
            cache: self.pipeline_cache.get(),
        }))
    }

    /// The kernel's text, with the checks that it gets.
    #[cfg(not(target_arch = "wasm32"))]
    #[expect(unsafe_code, reason = "wgpu cannot know which shaders stay inside their arrays")]
    fn module(&self, dispatch: &Dispatch, checks: ShaderChecks) -> Result<wgpu::ShaderModule> {
        let Dispatch { kernel, constants, .. } = dispatch;
        let text = kernel.text_with(dispatch.halves)?;
        let source = match checks {
            ShaderChecks::Report => {
                wgpu::ShaderSource::Naga(Cow::Owned(self.reports.shader(kernel, &text, constants)?))
            }
            _ => wgpu::ShaderSource::Wgsl(text.into()),
        };
        let described = wgpu::ShaderModuleDescriptor { label: Some(kernel.name), source };
        if checks != ShaderChecks::Foreign || kernel.trust != Trust::OWN {
            return Ok(self.device.create_shader_module(described));
        }
        // SAFETY: the shader must not index out of bounds, divide an integer by zero or loop for ever. Only this crate can make
        // `Trust::OWN`, and gives it to the shaders in `shaders/` alone, at the sizes that its own ops launch them with. Their loops
        // count to a parameter. The tests of the ops, on random shapes, run with each index, texel and divisor tested
        // (`ShaderChecks::Report`; scripts/test does that in CI), and find none out of range. wgpu still validates the text, and
        // drivers that can keep accesses inside of what is bound still do.
        Ok(unsafe {
            self.device
                .create_shader_module_trusted(described, wgpu::ShaderRuntimeChecks::unchecked())
        })
    }

    /// The kernel's text; browsers add their checks.
    #[cfg(target_arch = "wasm32")]
    fn module(&self, dispatch: &Dispatch, _: ShaderChecks) -> Result<wgpu::ShaderModule> {
        let source = wgpu::ShaderSource::Wgsl(dispatch.kernel.text_with(dispatch.halves)?.into());
        let described = wgpu::ShaderModuleDescriptor { label: Some(dispatch.kernel.name), source };
        Ok(self.device.create_shader_module(described))
    }
}
