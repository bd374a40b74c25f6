// Batch normalisation with given statistics:
//
//     y = (x - mean[c]) / sqrt(variance[c] + eps) * gamma[c] + beta[c]
//
//   grid     units of a plane by channels by images, as src/ops/walk.rs lays it out: a workgroup of 64 is
//            COLUMNS units wide and 64 / COLUMNS channels high, so small planes still fill it and no
//            invocation divides to find its channel
//   x, y     [image][channel][unit]; a unit is a vec4 or one pixel
//   gamma, beta, mean, variance  [channel]
//
// Subtracts the mean first: x * scale + (beta - mean * scale) cancels where the mean is large.
// Host side: src/ops/batch_norm.rs, src/ops/frozen_batch_norm.rs. Appended: shared/overflow.wgsl,
// shared/elem_*.wgsl.

override COLUMNS: u32 = 64u;

struct Params { images: u32, channels: u32, units: u32, eps: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read> gamma: array<f32>;
@group(0) @binding(3) var<storage, read> beta: array<f32>;
@group(0) @binding(4) var<storage, read> mean: array<f32>;
@group(0) @binding(5) var<storage, read> variance: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<Elem>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let left = workgroup.x * COLUMNS + lane % COLUMNS;
    let high = 64u / COLUMNS;
    for (var c = workgroup.y * high + lane / COLUMNS; c < params.channels; c += workgroups.y * high) {
        let middle = mean[c];
        let scale = gamma[c] * inverse_deviation(Elem(variance[c]), params.eps);
        let shift = beta[c];
        for (var n = workgroup.z; n < params.images; n += workgroups.z) {
            let first = (n * params.channels + c) * params.units;
            for (var i = left; i < params.units; i += workgroups.x * COLUMNS) {
                y[first + i] = (x[first + i] - middle) * scale + shift;
            }
        }
    }
}
