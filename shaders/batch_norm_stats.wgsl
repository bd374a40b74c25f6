// Mean and variance of each channel over all images and pixels; the variance divides by their number.
//
//   grid     one workgroup a channel, see shared/index.wgsl; it is COLUMNS units
//            wide and LANES / COLUMNS images high, and strides over the rest
//   x        [image][channel][unit]; a unit is a vec4 or one pixel
//   mean, variance  [channel]
//
// Two passes over x, because E[x^2] - mean^2 cancels badly in f32; the second also corrects the first's
// rounding (Chan, Golub and LeVeque 1983, "corrected two-pass").
// Host side: src/ops/batch_norm.rs. Appended: shared/index.wgsl, shared/workgroup_sum_vec2.wgsl, shared/elem_*.wgsl.

override LANES: u32 = 64u;
override COLUMNS: u32 = 64u;

struct Params { images: u32, channels: u32, units: u32, inv_count: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read_write> mean: array<f32>;
@group(0) @binding(3) var<storage, read_write> variance: array<f32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let c = flat_group(workgroup, workgroups);
    if c >= params.channels { return; }
    var sum = Elem(0.0);
    for (var n = lane / COLUMNS; n < params.images; n += LANES / COLUMNS) {
        let first = (n * params.channels + c) * params.units;
        for (var i = first + lane % COLUMNS; i < first + params.units; i += COLUMNS) {
            sum += x[i];
        }
    }
    let middle = workgroup_sum_vec2(lane, vec2f(total(sum), 0.0)).x * params.inv_count;

    var rest = Elem(0.0);
    var squares = Elem(0.0);
    for (var n = lane / COLUMNS; n < params.images; n += LANES / COLUMNS) {
        let first = (n * params.channels + c) * params.units;
        for (var i = first + lane % COLUMNS; i < first + params.units; i += COLUMNS) {
            let d = x[i] - middle;
            rest += d;
            squares += d * d;
        }
    }
    let sums = workgroup_sum_vec2(lane, vec2f(total(rest), total(squares))) * params.inv_count;
    if lane == 0u {
        mean[c] = middle + sums.x;
        variance[c] = max(sums.y - sums.x * sums.x, 0.0);
    }
}
