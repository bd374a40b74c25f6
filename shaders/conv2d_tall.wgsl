// 3x3 cross-correlation of stride 1 and padding 1 as in conv2d_quads.wgsl, in tiles of eight rows of 8 columns by 8
// channels, for CPU rasterisers without subgroups (shared/conv2d_nine.wgsl says why).
//
//   grid     x: one invocation per tile of a plane, for the images of the launch; y: one workgroup per 8 output channels
//   x, y     [image][channel][row][column], width and height divisible by 8
//   w        packed by conv2d_pack.wgsl: [out channel / 8][in channel][row][column][out channel % 8]
//   residual  as y; mask, bits: shared/mask_bits.wgsl
//
// Host side: src/ops/conv/packed.rs.
// Appended: shared/conv2d_launch.wgsl, shared/conv2d_read_storage.wgsl, shared/epilogue*.wgsl, shared/conv2d_tile.wgsl,
// shared/conv2d_channels.wgsl, shared/conv2d_nine.wgsl.

struct Pair { a: Line, b: Line }

// Rows are counted from the padding row above x; rows outside x are read at its edge and made zero.
fn wide(first: u32, row: u32, column: u32) -> Pair {
    let inside = select(0.0, 1.0, row >= 1u && row <= params.height);
    let at = first + (clamp(row, 1u, params.height) - 1u) * params.width + column;
    let has_left = column > 0u;
    let has_right = column + 8u < params.width;
    let a = x_quad(at) * inside;
    let b = x_quad(at + 4u) * inside;
    let before = x_word(at - select(0u, 1u, has_left)) * select(0.0, inside, has_left);
    let after = x_word(at + select(7u, 8u, has_right)) * select(0.0, inside, has_right);
    return Pair(
        Line(vec4f(before, a.xyz), a, vec4f(a.yzw, b.x)),
        Line(vec4f(a.w, b.xyz), b, vec4f(b.yzw, after)),
    );
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let plane = params.width * params.height;
    let across = params.width / 8u;
    let tiles = across * (params.height / 8u);
    let flat = workgroup.x * WORKGROUP + lane;
    if flat >= params.images * tiles { return; }
    let n = params.first_image + flat / tiles;
    let row = flat % tiles / across * 8u;
    let column = flat % across * 8u;
    let block = params.first_block + workgroup.y;

    // Rows from the top; a: the left four columns, b: the right four.
    var a0 = Tile();
    var b0 = Tile();
    var a1 = Tile();
    var b1 = Tile();
    var a2 = Tile();
    var b2 = Tile();
    var a3 = Tile();
    var b3 = Tile();
    var a4 = Tile();
    var b4 = Tile();
    var a5 = Tile();
    var b5 = Tile();
    var a6 = Tile();
    var b6 = Tile();
    var a7 = Tile();
    var b7 = Tile();
    var tap = block * params.inputs * 9u;
    for (var i = 0u; i < params.inputs; i++) {
        let first = (n * params.inputs + i) * plane;
        let taps = taps_at(tap, lane);
        tap += 9u;
        let r0 = wide(first, row, column);
        let r1 = wide(first, row + 1u, column);
        let r2 = wide(first, row + 2u, column);
        add(&a0, taps, r0.a, r1.a, r2.a);
        add(&b0, taps, r0.b, r1.b, r2.b);
        let r3 = wide(first, row + 3u, column);
        add(&a1, taps, r1.a, r2.a, r3.a);
        add(&b1, taps, r1.b, r2.b, r3.b);
        let r4 = wide(first, row + 4u, column);
        add(&a2, taps, r2.a, r3.a, r4.a);
        add(&b2, taps, r2.b, r3.b, r4.b);
        let r5 = wide(first, row + 5u, column);
        add(&a3, taps, r3.a, r4.a, r5.a);
        add(&b3, taps, r3.b, r4.b, r5.b);
        let r6 = wide(first, row + 6u, column);
        add(&a4, taps, r4.a, r5.a, r6.a);
        add(&b4, taps, r4.b, r5.b, r6.b);
        let r7 = wide(first, row + 7u, column);
        add(&a5, taps, r5.a, r6.a, r7.a);
        add(&b5, taps, r5.b, r6.b, r7.b);
        let r8 = wide(first, row + 8u, column);
        add(&a6, taps, r6.a, r7.a, r8.a);
        add(&b6, taps, r6.b, r7.b, r8.b);
        let r9 = wide(first, row + 9u, column);
        add(&a7, taps, r7.a, r8.a, r9.a);
        add(&b7, taps, r7.b, r8.b, r9.b);
    }
    var sums = array(
        channels_of(a0), channels_of(b0), channels_of(a1), channels_of(b1),
        channels_of(a2), channels_of(b2), channels_of(a3), channels_of(b3),
        channels_of(a4), channels_of(b4), channels_of(a5), channels_of(b5),
        channels_of(a6), channels_of(b6), channels_of(a7), channels_of(b7),
    );
    let o = block * 8u;
    let at = (n * params.outputs + o) * plane + row * params.width + column;
    let first = first_word(n, block) + (row * params.width + column) / 4u;
    for (var quad = 0u; quad < 16u; quad++) {
        let corner = at + quad / 2u * params.width + quad % 2u * 4u;
        let word = first + quad / 2u * params.width / 4u + quad % 2u;
        let through = mask_word(word);
        var above = 0u;
        for (var c = 0u; c < 8u; c++) {
            above |= keep_channel(o + c, corner + c * plane, sums[quad][c], through >> (4u * c)) << (4u * c);
        }
        keep_word(word, above);
    }
}
