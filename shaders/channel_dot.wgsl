// Product of two maps, summed for each channel over all images and pixels:  y[c] = sum of a * b
//
//   grid     one workgroup a channel, spread over x and y as in shared/index.wgsl; it is COLUMNS units
//            wide and LANES / COLUMNS images high, and strides over the rest
//   a, b     [image][channel][unit]; a unit is a vec4 or one pixel
//   y        [channel]
//
// One workgroup owns each sum and adds in a fixed order, so no float atomics are needed and bits repeat.
// Host side: src/ops/broadcast_mul.rs. Appended: shared/workgroup_sum_vec2.wgsl, shared/elem_*.wgsl.

override LANES: u32 = 64u;
override COLUMNS: u32 = 64u;

struct Params { images: u32, channels: u32, units: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Elem>;
@group(0) @binding(2) var<storage, read> b: array<Elem>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let c = workgroup.y * workgroups.x + workgroup.x;
    if c >= params.channels { return; }
    var sum = Elem(0.0);
    for (var n = lane / COLUMNS; n < params.images; n += LANES / COLUMNS) {
        let first = (n * params.channels + c) * params.units;
        for (var i = first + lane % COLUMNS; i < first + params.units; i += COLUMNS) {
            sum += a[i] * b[i];
        }
    }
    let sums = workgroup_sum_vec2(lane, vec2f(total(sum), 0.0));
    if lane == 0u { y[c] = sums.x; }
}
