// Adds b, a value for each channel c or for each image n, to a, or multiplies a by b if the constant PRODUCT is true:
// y = a + b[c],  a + b[n],  a * b[c]  or  a * b[n]
//
//   grid     units of a plane by channels by images, as src/ops/walk.rs lays it out: a workgroup of 64 is
//            COLUMNS units wide and 64 / COLUMNS channels high, so small planes still fill it and no
//            invocation divides to find its channel
//   a, y     [image][channel][unit]; a unit is a vec4 or one pixel
//   b        [image] if per_image is not 0, else [channel]
//
// Host side: src/ops/broadcast.rs. Appended: shared/elem_*.wgsl.

override COLUMNS: u32 = 64u;
override PRODUCT: bool = false;

struct Params { images: u32, channels: u32, units: u32, per_image: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Elem>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
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
        var other = b[select(c, 0u, params.per_image > 0u)];
        for (var n = workgroup.z; n < params.images; n += workgroups.z) {
            let first = (n * params.channels + c) * params.units;
            if params.per_image > 0u { other = b[n]; }
            for (var i = left; i < params.units; i += workgroups.x * COLUMNS) {
                if PRODUCT { y[first + i] = a[first + i] * other; } else { y[first + i] = a[first + i] + other; }
            }
        }
    }
}
