// All derivatives of a frozen batch normalisation with a rectifier,  y = max(x * scale[c] + shift[c], 0),  in one pass:
//
//     d = dy where x * scale + shift is above 0, else 0;   dx = d * scale
//     dgamma[c] = sum of d * (x - mean) / sqrt(variance + eps),   dbeta[c] = sum of d
//
//   grid     one workgroup a channel, see shared/index.wgsl; it is COLUMNS units
//            wide and LANES / COLUMNS images high, and strides over the rest
//   dy, x, dx  [image][channel][unit]; a unit is a vec4 or one pixel
//   affine   [scale, shift][channel];   mean, variance, dgamma, dbeta  [channel]
//
// Host side: src/ops/affine.rs. Appended: shared/index.wgsl, shared/workgroup_sum_vec2.wgsl, shared/elem_*.wgsl.

override LANES: u32 = 64u;
override COLUMNS: u32 = 64u;

struct Params { images: u32, channels: u32, units: u32, eps: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<Elem>;
@group(0) @binding(2) var<storage, read> x: array<Elem>;
@group(0) @binding(3) var<storage, read> affine: array<f32>;
@group(0) @binding(4) var<storage, read> mean: array<f32>;
@group(0) @binding(5) var<storage, read> variance: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<Elem>;
@group(0) @binding(7) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(8) var<storage, read_write> dbeta: array<f32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let c = flat_group(workgroup, workgroups);
    if c >= params.channels { return; }
    let scale = affine[c];
    let shift = affine[params.channels + c];
    let middle = mean[c];
    var products = Elem(0.0);
    var sum = Elem(0.0);
    for (var n = lane / COLUMNS; n < params.images; n += LANES / COLUMNS) {
        let first = (n * params.channels + c) * params.units;
        for (var i = first + lane % COLUMNS; i < first + params.units; i += COLUMNS) {
            let value = x[i];
            let d = select(Elem(0.0), dy[i], value * scale + shift > Elem(0.0));
            dx[i] = d * scale;
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
