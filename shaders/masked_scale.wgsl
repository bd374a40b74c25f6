// Derivative of a scale for each channel followed by a ReLU, from the mask of where the ReLU's result was above 0:
// dx = dy * scale[c] where the mask's bit is set, else 0
//
//   grid     units of a plane by channels by images, as src/ops/walk.rs lays it out: a workgroup of 64 is
//            COLUMNS units wide and 64 / COLUMNS channels high, so small planes still fill it
//   dy, dx   [image][channel][unit]; a unit is a vec4 of a row or one pixel
//   affine   [2][channel]: scales, then shifts, which are not read
//   mask     laid out as shared/mask_bits.wgsl says
//
// Host side: src/ops/masks.rs. Appended: shared/elem_*.wgsl.

override COLUMNS: u32 = 64u;

struct Params { images: u32, channels: u32, units: u32, row_units: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<Elem>;
@group(0) @binding(2) var<storage, read> affine: array<f32>;
@group(0) @binding(3) var<storage, read> mask: array<u32>;
@group(0) @binding(4) var<storage, read_write> dx: array<Elem>;

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
        let blocks = (params.channels + 7u) / 8u;
        let across = (params.row_units * WIDTH + 3u) / 4u;
        let rows = params.units / params.row_units;
        for (var n = workgroup.z; n < params.images; n += workgroups.z) {
            let first = (n * params.channels + c) * params.units;
            let first_word = (n * blocks + c / 8u) * rows * across;
            for (var i = left; i < params.units; i += workgroups.x * COLUMNS) {
                let column = i % params.row_units * WIDTH;
                let word = mask[first_word + i / params.row_units * across + column / 4u];
                dx[first + i] = select(Elem(0.0), dy[first + i] * scale, is_set(word >> (c % 8u * 4u + column % 4u)));
            }
        }
    }
}
