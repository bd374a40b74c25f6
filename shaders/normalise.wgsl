// Input normalisation with constants:  y = (x - mean_c) / std_c
//
//   grid     units of a plane by channels by images, as src/ops/walk.rs lays it out: a workgroup of 64 is
//            COLUMNS units wide and 64 / COLUMNS channels high, so small planes still fill it and no
//            invocation divides to find its channel
//   x, y     [image][channel][unit]; a unit is a vec4 or one pixel; at most four channels
//
// The derivative is the same kernel with means of zero.
// Host side: src/ops/normalise.rs. Appended: shared/elem_*.wgsl.

override COLUMNS: u32 = 64u;

struct Params {
    images: u32, channels: u32, units: u32,
    mean_0: f32, mean_1: f32, mean_2: f32, mean_3: f32,
    std_0: f32, std_1: f32, std_2: f32, std_3: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let left = workgroup.x * COLUMNS + lane % COLUMNS;
    let high = 64u / COLUMNS;
    for (var c = workgroup.y * high + lane / COLUMNS; c < params.channels; c += workgroups.y * high) {
        let mean = vec4f(params.mean_0, params.mean_1, params.mean_2, params.mean_3)[c];
        let deviation = vec4f(params.std_0, params.std_1, params.std_2, params.std_3)[c];
        for (var n = workgroup.z; n < params.images; n += workgroups.z) {
            let first = (n * params.channels + c) * params.units;
            for (var i = left; i < params.units; i += workgroups.x * COLUMNS) {
                y[first + i] = (x[first + i] - mean) / deviation;
            }
        }
    }
}
