// Scales each image's row of the derivative for the logits by a power of two, so that its largest entry lies between 128 and
// 256: derivatives that are computed from it in half precision then do not vanish. The scaling is exact.
//
//     y[n][k] = x[n][k] * 2^e[n],  back[n] = 2^-e[n]
//
//   grid  one workgroup an image, see shared/index.wgsl
//   x, y  [image][class]
//   back  [image]
//
// With WHOLE all rows share one e, by the largest entry of all. A row of zeros, or one that is not finite, keeps its scale.
//
// Host side: src/ops/level.rs. Appended: shared/index.wgsl, shared/workgroup_max_vec2.wgsl, shared/overflow.wgsl,
// shared/elem_f32.wgsl.

override LANES: u32 = 64u;
override WHOLE: bool = false;

struct Params { images: u32, classes: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> back: array<f32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = flat_group(workgroup, workgroups);
    if image >= params.images { return; }
    let own = image * params.classes;
    let first = select(own, 0u, WHOLE);
    let end = select(own, (params.images - 1u) * params.classes, WHOLE) + params.classes;
    var most = 0.0;
    var lost = false;
    for (var i = first + lane; i < end; i += LANES) {
        most = max(most, abs(x[i]));
        lost = lost || overflowed(x[i]);
    }
    let all = workgroup_max_vec2(lane, vec2f(most, select(0.0, 1.0, lost)));
    // The exponent of the largest entry as its bits have it; 127 stands for 1.
    let exponent = i32(bitcast<u32>(all.x) >> 23u);
    // Beyond these a power of two or its inverse would not be a number of full precision.
    let e = select(clamp(134 - exponent, -120, 120), 0, exponent == 0 || all.y > 0.0);
    for (var i = own + lane; i < own + params.classes; i += LANES) { y[i] = x[i] * power_of_two(e); }
    if lane == 0u { back[image] = power_of_two(-e); }
}

fn power_of_two(e: i32) -> f32 { return bitcast<f32>(u32(127 + e) << 23u); }
