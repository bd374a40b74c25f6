// Cross-correlation of any kernel, stride and padding, or its derivative for x (TRANSPOSED), with what follows it in
// the network done before the store (shared/epilogue.wgsl).
//
//   grid     x: one invocation per 4 columns of a row of y, for the images of the launch;
//            y: one workgroup per 8 output channels
//   x, y     [image][channel][row][column]; mask and residual as y
//   w        packed by conv2d_pack.wgsl: [out channel / 8][in channel][row][column][out channel % 8],
//            where out and in are y's and x's
//
// An invocation holds 4 columns by 8 channels in registers and loads 4 values of x for each kernel tap.
// Host side: src/ops/packed_conv2d.rs. Appended: shared/conv2d_launch.wgsl, shared/conv2d_read_*.wgsl, shared/epilogue.wgsl.

override TRANSPOSED: bool = false;
override STRIDE_Y: u32 = 1u;
override STRIDE_X: u32 = 1u;

@group(0) @binding(6) var<storage, read_write> y: array<f32>;

// Where tap t of position p of y lies in x; beyond `size` if it lies outside or between x's values.
fn source(p: u32, t: u32, stride: u32, pad: u32, size: u32) -> u32 {
    if TRANSPOSED {
        let apart = p + pad - t; // wraps below zero, and is then too large
        return select(size, apart / stride, apart % stride == 0u && apart < 0x80000000u);
    }
    return p * stride + t - pad;
}

fn value_at(line: u32, column: u32, row_inside: bool) -> f32 {
    let inside = row_inside && column < params.width;
    return select(0.0, x_word(line + min(column, params.width - 1u)), inside);
}

fn store(o: u32, at: u32, columns: u32, value: vec4f) {
    if o >= params.outputs { return; }
    var rest = vec4f(0.0);
    var kept = vec4f(1.0);
    let last = columns - 1u;
    if RESIDUAL > 0u {
        rest.x = residual_word(at);
        rest.y = residual_word(at + min(1u, last));
        rest.z = residual_word(at + min(2u, last));
        rest.w = residual_word(at + min(3u, last));
    }
    if MASK {
        kept.x = mask_word(at);
        kept.y = mask_word(at + min(1u, last));
        kept.z = mask_word(at + min(2u, last));
        kept.w = mask_word(at + min(3u, last));
        kept = select(vec4f(0.0), vec4f(1.0), kept > vec4f(0.0));
    }
    let result = epilogue(o, value, rest, kept);
    y[at] = result.x;
    if columns > 1u { y[at + 1u] = result.y; }
    if columns > 2u { y[at + 2u] = result.z; }
    if columns > 3u { y[at + 3u] = result.w; }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let plane = params.out_width * params.out_height;
    let across = (params.out_width + 3u) / 4u;
    let tiles = across * params.out_height;
    let flat = workgroup.x * WORKGROUP + lane;
    // Lanes beyond the last tile compute it too and store nothing: broadcasts need all lanes.
    let inside = flat < params.images * tiles;
    let tile = min(flat, params.images * tiles - 1u);
    let n = params.first_image + tile / tiles;
    let v = tile % tiles / across;
    let u = tile % across * 4u;
    let block = params.first_block + workgroup.y;

    var a0 = vec4f(0.0);
    var a1 = vec4f(0.0);
    var a2 = vec4f(0.0);
    var a3 = vec4f(0.0);
    var a4 = vec4f(0.0);
    var a5 = vec4f(0.0);
    var a6 = vec4f(0.0);
    var a7 = vec4f(0.0);
    var tap = block * params.inputs * params.kernel_height * params.kernel_width;
    for (var i = 0u; i < params.inputs; i++) {
        let first = (n * params.inputs + i) * params.height * params.width;
        for (var r = 0u; r < params.kernel_height; r++) {
            let row = source(v, r, STRIDE_Y, params.pad_y, params.height);
            let row_inside = row < params.height;
            let line = first + min(row, params.height - 1u) * params.width;
            for (var c = 0u; c < params.kernel_width; c++) {
                let value = vec4f(
                    value_at(line, source(u, c, STRIDE_X, params.pad_x, params.width), row_inside),
                    value_at(line, source(u + 1u, c, STRIDE_X, params.pad_x, params.width), row_inside),
                    value_at(line, source(u + 2u, c, STRIDE_X, params.pad_x, params.width), row_inside),
                    value_at(line, source(u + 3u, c, STRIDE_X, params.pad_x, params.width), row_inside),
                );
                let eight = octet(tap, lane);
                tap += 1u;
                a0 += eight.low.x * value;
                a1 += eight.low.y * value;
                a2 += eight.low.z * value;
                a3 += eight.low.w * value;
                a4 += eight.high.x * value;
                a5 += eight.high.y * value;
                a6 += eight.high.z * value;
                a7 += eight.high.w * value;
            }
        }
    }
    if !inside { return; }
    let o = block * 8u;
    let at = (n * params.outputs + o) * plane + v * params.out_width + u;
    let columns = min(params.out_width - u, 4u);
    store(o + 0u, at + 0u * plane, columns, a0);
    store(o + 1u, at + 1u * plane, columns, a1);
    store(o + 2u, at + 2u * plane, columns, a2);
    store(o + 3u, at + 3u * plane, columns, a3);
    store(o + 4u, at + 4u * plane, columns, a4);
    store(o + 5u, at + 5u * plane, columns, a5);
    store(o + 6u, at + 6u * plane, columns, a6);
    store(o + 7u, at + 7u * plane, columns, a7);
}
