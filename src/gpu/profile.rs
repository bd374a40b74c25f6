//! Measures the GPU time of each kernel launch of a program, from timestamps that the device writes between passes.

use super::LaunchPart;
use super::executor::{Executor, Step};
use crate::{Error, Result};
use std::sync::Arc;
use wgpu::BufferUsages;

/// Launches that one query set times: WebGPU's 4,096 queries, two a launch.
const PART: usize = 2048;

/// The GPU time of one kernel launch. Copies of its buffers to textures are not counted.
#[derive(Clone, Debug)]
pub struct Timing {
    /// The name of the kernel that was launched.
    pub kernel: &'static str,
    /// The number of workgroups in x, y and z.
    pub grid: [u32; 3],
    /// The launch's time in milliseconds, the median over the repetitions.
    pub milliseconds: f64,
    /// The number of floating-point operations of the launch.
    pub flops: u64,
    /// The bytes that the launch must at least read and write: each binding once.
    pub bytes: u64,
    /// The node of the graph and the layer of the model that the launch belongs to, where known.
    pub part: Option<Arc<LaunchPart>>,
}

impl Executor {
    /// Returns the median GPU time of each launch over `repetitions` runs of the program, each launch in a pass of its own. Err
    /// if the device has no timestamps.
    pub async fn profile(&self, repetitions: u32) -> Result<Vec<Timing>> {
        let adapter = self.gpu.adapter();
        if !adapter.timestamps {
            let (given, wanted) = ("no timestamps".into(), "a timestamp query".into());
            return Err(Error::MissingLimit { adapter: adapter.name.clone(), given, wanted });
        }
        self.refresh().await?;
        let mut samples = vec![Vec::new(); self.steps.len()];
        for _ in 0..repetitions {
            let mut samples = samples.iter_mut();
            for steps in self.parts().into_iter().flat_map(|part| part.chunks(PART)) {
                for (milliseconds, sample) in
                    self.time_each(steps).await?.into_iter().zip(&mut samples)
                {
                    sample.push(milliseconds);
                }
            }
        }
        let timing = |(step, mut sample): (&Step, Vec<f64>)| {
            sample.sort_by(f64::total_cmp);
            let milliseconds = sample.get(sample.len() / 2).copied().unwrap_or(f64::NAN);
            let Step { name: kernel, grid, flops, bytes, .. } = *step;
            Timing { kernel, grid, milliseconds, flops, bytes, part: step.part.clone() }
        };
        Ok(self.steps.iter().zip(samples).map(timing).collect())
    }

    /// Milliseconds of each of at most [`PART`] launches.
    async fn time_each(&self, steps: &[Step]) -> Result<Vec<f64>> {
        let count = steps.len() as u32 * 2;
        let results = self.gpu.allocate(&[count * 2]).await?;
        let [results] = &results[..] else { return Ok(Vec::new()) };
        let submit = |device: &wgpu::Device| {
            let label = Some("profile");
            let ty = wgpu::QueryType::Timestamp;
            let set = device.create_query_set(&wgpu::QuerySetDescriptor { label, ty, count });
            let resolved = device.create_buffer(&wgpu::BufferDescriptor {
                label,
                size: u64::from(count) * 8,
                usage: BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            });
            let mut encoder = device.create_command_encoder(&Default::default());
            for (i, step) in (0..).zip(steps) {
                let Step { copies, pipeline, bindings, grid: [x, y, z], .. } = step;
                copies.iter().for_each(|copy| copy.record(&mut encoder));
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label,
                    timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                        query_set: &set,
                        beginning_of_pass_write_index: Some(2 * i),
                        end_of_pass_write_index: Some(2 * i + 1),
                    }),
                });
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, bindings, &[]);
                pass.dispatch_workgroups(*x, *y, *z);
            }
            encoder.resolve_query_set(&set, 0..count, &resolved, 0);
            encoder.copy_buffer_to_buffer(&resolved, 0, &results.raw, 0, resolved.size());
            self.gpu.queue.submit([encoder.finish()]);
        };
        self.gpu.checked("profiling", submit).await?;
        let words = self.gpu.read(results).await?;
        let tick =
            |low: &f32, high: &f32| u64::from(low.to_bits()) | u64::from(high.to_bits()) << 32;
        let period = f64::from(self.gpu.queue.get_timestamp_period());
        let milliseconds = |pair: &[f32]| match pair {
            [a, b, c, d] => tick(c, d).saturating_sub(tick(a, b)) as f64 * period * 1e-6,
            _ => f64::NAN,
        };
        Ok(words.chunks_exact(4).map(milliseconds).collect())
    }
}
