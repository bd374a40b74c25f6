//! Compiles the pipelines of a recording, natively on as many threads as there are cores: most of the time is a driver's
//! reading of the shader, which keeps one core busy.

use super::context::close_scopes;
use super::counters::Counters;
use super::{Access, Dispatch, Gpu, contract};
use crate::{Error, Result, threads};
use std::collections::HashSet;
use std::iter::once;
use std::sync::PoisonError;

#[cfg(not(target_arch = "wasm32"))]
use std::time::Instant;
#[cfg(target_arch = "wasm32")]
use web_time::Instant;

/// A kernel's address, as two crates may have kernels of one name, and the bits of its constants.
pub(super) type PipelineKey = (usize, Vec<(&'static str, u64)>);

fn key(dispatch: &Dispatch) -> PipelineKey {
    let constants = dispatch.constants.iter().map(|&(name, value)| (name, value.to_bits()));
    (std::ptr::from_ref(dispatch.kernel).addr(), constants.collect())
}

impl Gpu {
    /// The pipeline of each launch, compiled at its first use on this device.
    pub(super) async fn pipelines_of(
        &self,
        dispatches: &[Dispatch],
    ) -> Result<Vec<wgpu::ComputePipeline>> {
        let kept = || self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        let keys: Vec<_> = dispatches.iter().map(key).collect();
        let (mut missing, mut seen) = (Vec::new(), HashSet::new());
        for (key, dispatch) in keys.iter().zip(dispatches) {
            if !kept().contains_key(key) && seen.insert(key) {
                missing.push((key, dispatch));
            }
        }
        let began = Instant::now();
        let cache = self.pipeline_cache.get();
        let compiled = threads::map("compiling kernels", &missing, |(_, dispatch)| {
            let contract = contract::check(dispatch.kernel);
            let scopes = self.open_scopes();
            Ok((contract, pipeline(&self.device, dispatch, cache), close_scopes(scopes)))
        })?;
        for ((key, dispatch), (contract, pipeline, closed)) in missing.into_iter().zip(compiled) {
            // Before what the driver says, which knows no names.
            contract?;
            self.heard(&format!("compiling {}", dispatch.kernel.name), closed).await?;
            kept().insert(key.clone(), pipeline);
            Counters::add(&self.counters.pipelines, 1);
        }
        let took = began.elapsed().as_nanos().try_into().unwrap_or(u64::MAX);
        Counters::add(&self.counters.pipeline_nanoseconds, took);
        let of = |key| {
            kept().get(key).cloned().ok_or_else(|| Error::mismatch("executor", "no pipeline", 1))
        };
        keys.iter().map(of).collect()
    }
}

/// The layout comes from the binding list: one derived from the shader would drop unused bindings.
fn pipeline(
    device: &wgpu::Device,
    dispatch: &Dispatch,
    cache: Option<&wgpu::PipelineCache>,
) -> wgpu::ComputePipeline {
    let Dispatch { kernel, constants, .. } = dispatch;
    use wgpu::BufferBindingType::{Storage, Uniform};
    let buffer =
        |ty| wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
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
    let entry = |(binding, ty)| {
        let visibility = wgpu::ShaderStages::COMPUTE;
        wgpu::BindGroupLayoutEntry { binding, visibility, ty, count: None }
    };
    let entries: Vec<_> = (0..).zip(once(params).chain(bound)).map(entry).collect();
    let label = Some(kernel.name);
    let bindings = device
        .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
    let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label,
        bind_group_layouts: &[Some(&bindings)],
        immediate_size: 0,
    });
    let source = wgpu::ShaderSource::Wgsl(kernel.text().into());
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label, source });
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label,
        layout: Some(&layout),
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions { constants, ..Default::default() },
        cache,
    })
}
