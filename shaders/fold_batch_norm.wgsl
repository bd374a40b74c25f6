// Turns frozen batch normalisation into a scale and a shift for each channel:
//
//     scale = gamma / sqrt(variance + eps),   shift = beta - mean * scale
//
//   grid    one invocation per channel, see shared/index.wgsl
//   gamma, beta, mean, variance  [channel]
//   affine  [2][channel]: scales, then shifts
//
// Host side: src/ops/affine.rs. Appended: shared/index.wgsl.

struct Params { channels: u32, eps: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gamma: array<f32>;
@group(0) @binding(2) var<storage, read> beta: array<f32>;
@group(0) @binding(3) var<storage, read> mean: array<f32>;
@group(0) @binding(4) var<storage, read> variance: array<f32>;
@group(0) @binding(5) var<storage, read_write> affine: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.channels { return; }
    let scale = gamma[i] * inverseSqrt(variance[i] + params.eps);
    affine[i] = scale;
    affine[params.channels + i] = beta[i] - mean[i] * scale;
}
