// Derivative of a cross-correlation for its weights, as partial sums over ranges of images (parts); conv2d_sum_parts.wgsl adds the
// partial sums in order.
//
//     partial[p][o,i,r,c] = sum over the part's n, and v, u, of dy[n,o,v,u] * x[n, i, v*stride_y + r - pad_y, ...]
//
//   grid      x: one invocation per (input channel, row, column) of the kernel; y: one workgroup per 8 output channels;
//             z: parts of part_images each
//   x, dy     [image][channel][row][column]; dy's width divisible by 4
//   partials  [params.first_part + part][out channel][in channel][row][column]; where params.epilogue is 1 the sums are
//             added to what is there
//
// An invocation holds 8 output channels of one weight position and walks over quads of dy (four columns, one vec4). A line,
// by which params.lines counts, is a row of dy.
// Host side: src/ops/conv/weights.rs. Appended: shared/conv2d_launch.wgsl, shared/conv2d_pair_*.wgsl.

override STRIDE_Y: u32 = 1u;
override STRIDE_X: u32 = 1u;

@group(0) @binding(3) var<storage, read_write> partials: array<f32>;

fn value_at(line: u32, column: u32, row_inside: bool) -> f32 {
    let inside = row_inside && column < params.width;
    return select(0.0, x_word(line + min(column, params.width - 1u)), inside);
}

fn store(part: u32, o: u32, t: u32, all: u32, value: f32) {
    if o >= params.outputs { return; }
    let at = ((params.first_part + part) * params.outputs + o) * all + t;
    var sum = value;
    if params.epilogue == 1u { sum += partials[at]; }
    partials[at] = sum;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let window = params.kernel_height * params.kernel_width;
    let all = params.inputs * window;
    let flat = workgroup.x * WORKGROUP + lane;
    // Lanes beyond the last position compute it too and store nothing: broadcasts need all lanes.
    let t = min(flat, all - 1u);
    let i = t / window;
    let r = t % window / params.kernel_width;
    let c = t % params.kernel_width;
    let o = (params.first_block + workgroup.y) * 8u;
    let out_plane = params.out_height * params.out_width;

    var sum0 = 0.0;
    var sum1 = 0.0;
    var sum2 = 0.0;
    var sum3 = 0.0;
    var sum4 = 0.0;
    var sum5 = 0.0;
    var sum6 = 0.0;
    var sum7 = 0.0;
    let first_n = workgroup.z * params.part_images;
    let last_n = min(first_n + params.part_images, params.images);
    for (var n = params.first_image + first_n; n < params.first_image + last_n; n++) {
        let first = (n * params.inputs + i) * params.height * params.width;
        for (var v = params.first_line; v < params.first_line + params.lines; v++) {
            let row = v * STRIDE_Y + r - params.pad_y; // wraps above the image and is then too large
            let row_inside = row < params.height;
            let line = first + min(row, params.height - 1u) * params.width;
            for (var u = 0u; u < params.out_width; u += 4u) {
                let column = u * STRIDE_X + c - params.pad_x;
                let value = vec4f(
                    value_at(line, column, row_inside),
                    value_at(line, column + STRIDE_X, row_inside),
                    value_at(line, column + 2u * STRIDE_X, row_inside),
                    value_at(line, column + 3u * STRIDE_X, row_inside),
                );
                let eight = quads((n * params.outputs + o) * out_plane + v * params.out_width + u, out_plane, lane);
                sum0 += dot(eight.d0, value);
                sum1 += dot(eight.d1, value);
                sum2 += dot(eight.d2, value);
                sum3 += dot(eight.d3, value);
                sum4 += dot(eight.d4, value);
                sum5 += dot(eight.d5, value);
                sum6 += dot(eight.d6, value);
                sum7 += dot(eight.d7, value);
            }
        }
    }
    if flat >= all { return; }
    store(workgroup.z, o + 0u, t, all, sum0);
    store(workgroup.z, o + 1u, t, all, sum1);
    store(workgroup.z, o + 2u, t, all, sum2);
    store(workgroup.z, o + 3u, t, all, sum3);
    store(workgroup.z, o + 4u, t, all, sum4);
    store(workgroup.z, o + 5u, t, all, sum5);
    store(workgroup.z, o + 6u, t, all, sum6);
    store(workgroup.z, o + 7u, t, all, sum7);
}
