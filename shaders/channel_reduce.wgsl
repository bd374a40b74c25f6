// Sums each channel over all images and pixels, or the product of two feature maps if the constant PRODUCT is true:
//
//     y[c] = sum of a,  sum of a * b
//
//   grid     one workgroup a channel, see shared/index.wgsl; it is COLUMNS units wide and LANES / COLUMNS images high,
//            and strides over the rest
//   a, b     [image][channel][unit]; a unit is a vec4 or one pixel. Without PRODUCT b is not read
//   y        [channel]
//
// One workgroup owns each sum and adds in a fixed order, so no float atomics are needed and bits repeat.
// Host side: src/ops/broadcast.rs. Appended: shared/index.wgsl, shared/workgroup_sum_vec2.wgsl, shared/elem_*.wgsl.

override LANES: u32 = 64u;
override COLUMNS: u32 = 64u;
override PRODUCT: bool = false;

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
    let c = flat_group(workgroup, workgroups);
    if c >= params.channels { return; }
    var sum = Elem(0.0);
    for (var n = lane / COLUMNS; n < params.images; n += LANES / COLUMNS) {
        let first = (n * params.channels + c) * params.units;
        for (var i = first + lane % COLUMNS; i < first + params.units; i += COLUMNS) {
            if PRODUCT { sum += a[i] * b[i]; } else { sum += a[i]; }
        }
    }
    let sums = workgroup_sum_vec2(lane, vec2f(total(sum), 0.0));
    if lane == 0u { y[c] = sums.x; }
}
