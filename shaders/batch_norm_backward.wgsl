// Batch normalisation with the batch's statistics, derivative for x. With  n = (x - mean) * inv_std  and
// means over all images and pixels of a channel:
//
//     dx = gamma * inv_std * (dy - mean(dy) - n * mean(dy * n))
//
//   grid     units of a plane by channels by images, as src/ops/walk.rs lays it out: a workgroup of 64 is
//            COLUMNS units wide and 64 / COLUMNS channels high, so small planes still fill it and no
//            invocation divides to find its channel
//   dy, x, dx  [image][channel][unit]; a unit is a vec4 or one pixel
//   gamma, mean, variance  [channel]; with MASK gamma is [scale, shift][channel] of the whole normalisation, and dy
//            counts where x * scale + shift is above 0
//   dgamma, dbeta  [channel]: sums of dy * n and of dy, from batch_norm_weights.wgsl
//
// Host side: src/ops/batch_norm.rs. Appended: shared/elem_*.wgsl.

override COLUMNS: u32 = 64u;
override MASK: bool = false;

struct Params { images: u32, channels: u32, units: u32, eps: f32, inv_count: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<Elem>;
@group(0) @binding(2) var<storage, read> x: array<Elem>;
@group(0) @binding(3) var<storage, read> gamma: array<f32>;
@group(0) @binding(4) var<storage, read> mean: array<f32>;
@group(0) @binding(5) var<storage, read> variance: array<f32>;
@group(0) @binding(6) var<storage, read> dgamma: array<f32>;
@group(0) @binding(7) var<storage, read> dbeta: array<f32>;
@group(0) @binding(8) var<storage, read_write> dx: array<Elem>;

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
        let inv_std = inverseSqrt(variance[c] + params.eps);
        var scale = gamma[c];
        var shift = 0.0;
        if MASK { shift = gamma[params.channels + c]; } else { scale *= inv_std; }
        let dy_mean = dbeta[c] * params.inv_count;
        let slope = dgamma[c] * params.inv_count * inv_std;
        for (var n = workgroup.z; n < params.images; n += workgroups.z) {
            let first = (n * params.channels + c) * params.units;
            for (var i = left; i < params.units; i += workgroups.x * COLUMNS) {
                var d = dy[first + i];
                let value = x[first + i];
                if MASK { d = select(Elem(0.0), d, value * scale + shift > Elem(0.0)); }
                dx[first + i] = (d - dy_mean - (value - middle) * slope) * scale;
            }
        }
    }
}
