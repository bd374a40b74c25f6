// Running statistics of batch normalisation, in place:
//
//     running_mean     <- (1 - momentum) * running_mean + momentum * mean
//     running_variance <- (1 - momentum) * running_variance + momentum * variance * unbiased,  unbiased = n / (n - 1)
//     for statistics of n values a channel
//
//   grid  one invocation per channel, see shared/index.wgsl
//   mean, variance, running_mean, running_variance  [channel]
//
// Host side: src/ops/batch_norm.rs. Appended: shared/index.wgsl.

struct Params { channels: u32, momentum: f32, unbiased: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> mean: array<f32>;
@group(0) @binding(2) var<storage, read> variance: array<f32>;
@group(0) @binding(3) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(4) var<storage, read_write> running_variance: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.channels { return; }
    let keep = 1.0 - params.momentum;
    running_mean[i] = keep * running_mean[i] + params.momentum * mean[i];
    running_variance[i] =
        keep * running_variance[i] + params.momentum * params.unbiased * variance[i];
}
