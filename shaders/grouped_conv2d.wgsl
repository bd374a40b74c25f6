// Grouped 2-D cross-correlation; with one channel in each group it is depthwise.
//
//     y[n,o,v,u] = sum over i,r,c of w[o,i,r,c] * x[n, first + i, v*stride_y + r - pad_y, u*stride_x + c - pad_x]
//     with first = o / group_outputs * group_inputs and i below group_inputs
//
//   grid  one invocation per four outputs side by side, of the launch's images, see shared/index.wgsl
//   x     [image][channel][row][column],  w  [out channel][group channel][row][column],  y  as x
//
// With stride 1 the four outputs' columns overlap, so each step along a row of the kernel reads one new value.
// Host side: src/ops/conv/plain.rs. Appended: shared/conv2d_params.wgsl, shared/index.wgsl.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

// Columns left of the image wrap to large numbers.
fn value(row: u32, column: u32) -> f32 {
    if column >= params.width { return 0.0; }
    return x[row + column];
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let across = (params.out_width + 3u) / 4u;
    let image = params.outputs * params.out_height * across;
    let at = params.first_image * image + flat_index(workgroup, workgroups, lane);
    if at >= (params.first_image + params.images) * image { return; }
    let u = at % across * 4u;
    let v = at / across % params.out_height;
    let plane = at / (across * params.out_height); // image and output channel
    let o = plane % params.outputs;
    let first = plane / params.outputs * params.inputs + o / params.group_outputs * params.group_inputs;
    let left = u * params.stride_x - params.pad_x;
    var sum = vec4f(0.0);
    for (var i = 0u; i < params.group_inputs; i++) {
        for (var r = 0u; r < params.kernel_height; r++) {
            let row = v * params.stride_y + r - params.pad_y;
            if row >= params.height { continue; }
            let start = ((first + i) * params.height + row) * params.width;
            let weights = ((o * params.group_inputs + i) * params.kernel_height + r) * params.kernel_width;
            if params.stride_x == 1u {
                var seen = vec4f(0.0, value(start, left), value(start, left + 1u), value(start, left + 2u));
                for (var c = 0u; c < params.kernel_width; c++) {
                    seen = vec4f(seen.yzw, value(start, left + c + 3u));
                    sum += w[weights + c] * seen;
                }
            } else {
                for (var c = 0u; c < params.kernel_width; c++) {
                    let column = left + c;
                    sum += w[weights + c] * vec4f(
                        value(start, column),
                        value(start, column + params.stride_x),
                        value(start, column + 2u * params.stride_x),
                        value(start, column + 3u * params.stride_x),
                    );
                }
            }
        }
    }
    let target_row = (plane * params.out_height + v) * params.out_width;
    for (var k = 0u; k < min(4u, params.out_width - u); k++) { y[target_row + u + k] = sum[k]; }
}
