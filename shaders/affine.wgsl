// Scales and shifts each channel:  y = x * scale[c] + shift[c],  followed by the rectifier if the constant RELU is true.
//
//   grid     units of a plane by channels by images, as src/ops/walk.rs lays it out: a workgroup of 64 is
//            COLUMNS units wide and 64 / COLUMNS channels high, so small planes still fill it and no
//            invocation divides to find its channel
//   x, y     [image][channel][unit]; a unit is a vec4 or one pixel
//   affine   [2][channel]: scales, then shifts
//
// Host side: src/ops/affine.rs. Appended: shared/overflow.wgsl, shared/elem_*.wgsl.

override COLUMNS: u32 = 64u;
override RELU: bool = false;

struct Params { images: u32, channels: u32, units: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read> affine: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<Elem>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let left = workgroup.x * COLUMNS + lane % COLUMNS;
    let high = 64u / COLUMNS;
    for (var c = workgroup.y * high + lane / COLUMNS; c < params.channels; c += workgroups.y * high) {
        let scale = affine[c];
        let shift = affine[params.channels + c];
        for (var n = workgroup.z; n < params.images; n += workgroups.z) {
            let first = (n * params.channels + c) * params.units;
            for (var i = left; i < params.units; i += workgroups.x * COLUMNS) {
                let value = x[first + i] * scale + shift;
                y[first + i] = select(value, rectified(value), RELU);
            }
        }
    }
}
