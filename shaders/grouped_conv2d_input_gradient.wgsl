// Derivative of a grouped 2-D cross-correlation for x.
//
//     dx[n,i,row,column] = sum over o,r,c of w[o, i % group_inputs, r, c] * dy[n,o,v,u]
//                          with v * stride_y + r - pad_y = row and u * stride_x + c - pad_x = column
//                          and o in the group of i
//
//   grid      one invocation per four values of x side by side, of the launch's images, see shared/index.wgsl
//   dx, dy    [image][channel][row][column],  w  [out channel][group channel][row][column]
//
// With stride 1 the four values' columns overlap, so each step along a row of the kernel reads one new value.
// Host side: src/ops/conv/plain.rs. Appended: shared/conv2d_params.wgsl, shared/index.wgsl.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

// The derivative at position `right` of a row, in columns of x from the row's first output; 0 between outputs and beyond them.
fn value(row: u32, right: u32) -> f32 {
    let u = right / params.stride_x;
    if right % params.stride_x != 0u || u >= params.out_width { return 0.0; }
    return dy[row + u];
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let across = (params.width + 3u) / 4u;
    let image = params.inputs * params.height * across;
    let at = params.first_image * image + flat_index(workgroup, workgroups, lane);
    if at >= (params.first_image + params.images) * image { return; }
    let column = at % across * 4u;
    let row = at / across % params.height;
    let plane = at / (across * params.height); // image and channel of x
    let i = plane % params.inputs;
    let first = i / params.group_inputs * params.group_outputs; // output channel
    let n = plane / params.inputs;
    let last = column + params.pad_x - (params.kernel_width - 1u); // wraps at the left edge
    var sum = vec4f(0.0);
    for (var o = first; o < first + params.group_outputs; o++) {
        for (var r = 0u; r < params.kernel_height; r++) {
            let down = row + params.pad_y - r; // wraps where r is too large, and v is then too large
            let v = down / params.stride_y;
            if down % params.stride_y != 0u || v >= params.out_height { continue; }
            let start = ((n * params.outputs + o) * params.out_height + v) * params.out_width;
            let weights = ((o * params.group_inputs + i % params.group_inputs) * params.kernel_height + r)
                * params.kernel_width;
            var seen = vec4f(0.0, value(start, last), value(start, last + 1u), value(start, last + 2u));
            for (var step = 0u; step < params.kernel_width; step++) {
                seen = vec4f(seen.yzw, value(start, last + step + 3u));
                sum += w[weights + params.kernel_width - 1u - step] * seen;
            }
        }
    }
    let target_row = (plane * params.height + row) * params.width;
    for (var k = 0u; k < min(4u, params.width - column); k++) { dx[target_row + column + k] = sum[k]; }
}
