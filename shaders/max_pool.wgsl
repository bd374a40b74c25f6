// The largest value of each window and its position; of equal values the first, row by row. Padding never counts, and an
// infinity or NaN always wins: beside a value that overflowed no other is known to be the largest.
//
//   grid   one invocation per window, see shared/index.wgsl
//   x      [plane][row][column], a plane an image's channel
//   y      as x
//   place  as y: row * width + column of the largest, for the derivative
//
// Host side: src/ops/max_pool.rs. Appended: shared/max_pool_params.wgsl, shared/index.wgsl, shared/overflow.wgsl,
// shared/elem_f32.wgsl.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> place: array<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = flat_index(workgroup, workgroups, lane);
    if at >= params.planes * params.out_height * params.out_width { return; }
    let u = at % params.out_width;
    let v = at / params.out_width % params.out_height;
    let plane = at / (params.out_width * params.out_height) * params.height * params.width;
    var largest = 0.0;
    var found = 0xffffffffu;
    for (var r = 0u; r < params.kernel; r++) {
        let row = v * params.stride + r - params.padding; // above the image it wraps to a large number
        if row >= params.height { continue; }
        for (var c = 0u; c < params.kernel; c++) {
            let column = u * params.stride + c - params.padding;
            if column >= params.width { continue; }
            let value = x[plane + row * params.width + column];
            if found == 0xffffffffu || overflowed(value) || (value > largest && !overflowed(largest)) {
                largest = value;
                found = row * params.width + column;
            }
        }
    }
    y[at] = largest;
    place[at] = found;
}
