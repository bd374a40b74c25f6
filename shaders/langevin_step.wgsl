// One step of stochastic gradient Langevin dynamics in place:  x = x + step * g + noise_size * noise
//
//   grid         one invocation per value, see shared/index.wgsl
//   x, g, noise  [value]
//
// Host side: src/ops/steps.rs. Appended: shared/index.wgsl.

struct Params { count: u32, step_size: f32, noise_size: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read> g: array<f32>;
@group(0) @binding(3) var<storage, read> noise: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.count { return; }
    x[i] += params.step_size * g[i] + params.noise_size * noise[i];
}
