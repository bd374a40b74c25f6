// Batch normalisation, derivatives for gamma and beta, with sums over all images and pixels of a channel:
//
//     dgamma[c] = sum of dy * (x - mean) / sqrt(variance + eps),   dbeta[c] = sum of dy
//
//   grid     one workgroup a channel, see shared/index.wgsl; it is COLUMNS units
//            wide and LANES / COLUMNS images high, and strides over the rest
//   dy, x    [image][channel][unit]; a unit is a vec4 or one pixel
//   mean, variance, dgamma, dbeta  [channel]
//   affine   [scale, shift][channel], read only with MASK: dy counts where x * scale + shift is above 0
//
// One workgroup owns each sum and adds in a fixed order, so no float atomics are needed and bits repeat.
// Host side: src/ops/batch_norm.rs. Appended: shared/index.wgsl, shared/workgroup_sum_vec2.wgsl, shared/elem_*.wgsl.

override LANES: u32 = 64u;
override COLUMNS: u32 = 64u;
override MASK: bool = false;

struct Params { images: u32, channels: u32, units: u32, eps: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<Elem>;
@group(0) @binding(2) var<storage, read> x: array<Elem>;
@group(0) @binding(3) var<storage, read> mean: array<f32>;
@group(0) @binding(4) var<storage, read> variance: array<f32>;
@group(0) @binding(5) var<storage, read> affine: array<f32>;
@group(0) @binding(6) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(7) var<storage, read_write> dbeta: array<f32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let c = flat_group(workgroup, workgroups);
    if c >= params.channels { return; }
    let middle = mean[c];
    var scale = 0.0;
    var shift = 0.0;
    if MASK {
        scale = affine[c];
        shift = affine[params.channels + c];
    }
    var products = Elem(0.0);
    var sum = Elem(0.0);
    for (var n = lane / COLUMNS; n < params.images; n += LANES / COLUMNS) {
        let first = (n * params.channels + c) * params.units;
        for (var i = first + lane % COLUMNS; i < first + params.units; i += COLUMNS) {
            var d = dy[i];
            let value = x[i];
            if MASK { d = select(Elem(0.0), d, value * scale + shift > Elem(0.0)); }
            products += d * (value - middle);
            sum += d;
        }
    }
    let sums = workgroup_sum_vec2(lane, vec2f(total(products), total(sum)));
    if lane == 0u {
        dgamma[c] = sums.x * inverseSqrt(variance[c] + params.eps);
        dbeta[c] = sums.y;
    }
}
