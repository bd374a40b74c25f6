// Cross-correlation of any kernel, stride and padding, or its derivative for x if the constant TRANSPOSED is true. The ops that
// follow it in the network are done before the store (shared/epilogue.wgsl).
//
//   grid     x: one invocation per 4 columns of a row of y, for the images of the launch;
//            y: one workgroup per 8 output channels; z: phases of a strided derivative
//            (a phase is the pixels whose row and column have the same remainders by the stride), rows outermost
//   x, y     [image][channel][row][column]; residual as y
//   mask, bits  shared/mask_bits.wgsl; no bits of a derivative
//   w        packed by conv2d_pack.wgsl: [out channel / 8][in channel][row][column][out channel % 8],
//            where out and in are y's and x's
//
// An invocation holds 4 columns by 8 channels in registers and loads 4 values of x for each kernel tap.
// Host side: src/ops/conv/packed.rs. Appended: shared/conv2d_launch.wgsl, shared/conv2d_read_*.wgsl, shared/epilogue.wgsl,
// shared/conv2d_store_words.wgsl.

override TRANSPOSED: bool = false;
override STRIDE_Y: u32 = 1u;
override STRIDE_X: u32 = 1u;

// Words between the columns of an invocation.
fn apart() -> u32 { return select(1u, STRIDE_X, TRANSPOSED); }

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let plane = params.out_width * params.out_height;
    // In a derivative only each STRIDE-th row and column uses the same taps; these rows and columns are a phase.
    let every_y = select(1u, STRIDE_Y, TRANSPOSED);
    let every_x = select(1u, STRIDE_X, TRANSPOSED);
    let phase_y = workgroup.z / every_x;
    let phase_x = workgroup.z % every_x;
    let across = ((params.out_width + every_x - 1u) / every_x + 3u) / 4u;
    let tiles = across * ((params.out_height + every_y - 1u) / every_y);
    let flat = workgroup.x * WORKGROUP + lane;
    // Lanes beyond the last tile compute it too and store nothing: broadcasts need all lanes.
    let tile = min(flat, params.images * tiles - 1u);
    let n = params.first_image + tile / tiles;
    let v = tile % tiles / across * every_y + phase_y;
    let u = tile % across * (4u * every_x) + phase_x;
    let inside = flat < params.images * tiles && v < params.out_height && u < params.out_width;
    let block = params.first_block + workgroup.y;
    let in_plane = params.height * params.width;
    let image = n * params.inputs * in_plane;
    let window = params.kernel_height * params.kernel_width;

    var a0 = vec4f(0.0);
    var a1 = vec4f(0.0);
    var a2 = vec4f(0.0);
    var a3 = vec4f(0.0);
    var a4 = vec4f(0.0);
    var a5 = vec4f(0.0);
    var a6 = vec4f(0.0);
    var a7 = vec4f(0.0);
    // Taps outside, channels inside: positions are worked out once a tap.
    for (var r = (phase_y + params.pad_y) % every_y; r < params.kernel_height; r += every_y) {
        // Positions above or left of x wrap to large numbers.
        var row = v * STRIDE_Y + r - params.pad_y;
        if TRANSPOSED { row = (v + params.pad_y - r + 0x10000u * STRIDE_Y) / STRIDE_Y - 0x10000u; }
        let line = image + min(row, params.height - 1u) * params.width;
        let row_inside = select(0.0, 1.0, row < params.height);
        for (var c = (phase_x + params.pad_x) % every_x; c < params.kernel_width; c += every_x) {
            var first = u * STRIDE_X + c - params.pad_x;
            if TRANSPOSED { first = (u + params.pad_x - c + 0x10000u * STRIDE_X) / STRIDE_X - 0x10000u; }
            let columns = first + vec4u(0u, 1u, 2u, 3u) * select(STRIDE_X, 1u, TRANSPOSED);
            let kept = select(vec4f(0.0), vec4f(row_inside), columns < vec4u(params.width));
            var at = line + min(columns, vec4u(params.width - 1u));
            var tap = block * params.inputs * window + r * params.kernel_width + c;
            for (var i = 0u; i < params.inputs; i++) {
                let value = kept * vec4f(x_word(at.x), x_word(at.y), x_word(at.z), x_word(at.w));
                let eight = octet(tap, lane);
                at += vec4u(in_plane);
                tap += window;
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
    let columns = min((params.out_width - u + every_x - 1u) / every_x, 4u);
    let first_mask = first_word(n, block);
    let through = mask_of(first_mask, v * params.out_width + u, plane, every_x);
    var above = 0u;
    above |= store(o, at, columns, a0, through);
    above |= store(o + 1u, at + 1u * plane, columns, a1, through >> 4u) << 4u;
    above |= store(o + 2u, at + 2u * plane, columns, a2, through >> 8u) << 8u;
    above |= store(o + 3u, at + 3u * plane, columns, a3, through >> 12u) << 12u;
    above |= store(o + 4u, at + 4u * plane, columns, a4, through >> 16u) << 16u;
    above |= store(o + 5u, at + 5u * plane, columns, a5, through >> 20u) << 20u;
    above |= store(o + 6u, at + 6u * plane, columns, a6, through >> 24u) << 24u;
    above |= store(o + 7u, at + 7u * plane, columns, a7, through >> 28u) << 28u;
    keep_word(first_mask + v * words_across() + u / 4u, above);
}
