// 3x3 cross-correlation of stride 1 and padding 1 as in conv2d_quads.wgsl, in tiles of eight rows of 8 columns by 8 channels:
// for CPU rasterisers without subgroups to share loads, where a load costs as much as ten products and sums lie in memory
// anyway. Elsewhere so many sums would not fit the registers.
//
//   grid     x: one invocation per tile of a plane, for the images of the launch; y: one workgroup per 8 output channels
//   x, y     [image][channel][row][column], width and height divisible by 8
//   w        packed by conv2d_pack.wgsl: [out channel / 8][in channel][row][column][out channel % 8]
//   mask, residual  as y
//
// Host side: src/ops/packed_conv2d.rs.
// Appended: shared/conv2d_launch.wgsl, shared/conv2d_read_storage.wgsl, shared/epilogue*.wgsl, shared/conv2d_tile.wgsl.

struct Pair { a: Line, b: Line }

// Rows are counted from the padding; what lies outside is read at the edge and made zero.
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

// The weights of one in channel, for 8 channels of y.
struct Taps { w0: Octet, w1: Octet, w2: Octet, w3: Octet, w4: Octet, w5: Octet, w6: Octet, w7: Octet, w8: Octet }

// A sum in one expression for all nine products: it is stored and loaded once. Written a column at a time, as a product
// of a weight and a vector would make four copies of the weight.
fn nine(
    sum: vec4f,
    w0: f32, w1: f32, w2: f32, w3: f32, w4: f32, w5: f32, w6: f32, w7: f32, w8: f32,
    top: Line, middle: Line, bottom: Line,
) -> vec4f {
    return vec4f(
        fma(w0, top.left.x, fma(w1, top.middle.x, fma(w2, top.right.x,
        fma(w3, middle.left.x, fma(w4, middle.middle.x, fma(w5, middle.right.x,
        fma(w6, bottom.left.x, fma(w7, bottom.middle.x, fma(w8, bottom.right.x, sum.x))))))))),
        fma(w0, top.left.y, fma(w1, top.middle.y, fma(w2, top.right.y,
        fma(w3, middle.left.y, fma(w4, middle.middle.y, fma(w5, middle.right.y,
        fma(w6, bottom.left.y, fma(w7, bottom.middle.y, fma(w8, bottom.right.y, sum.y))))))))),
        fma(w0, top.left.z, fma(w1, top.middle.z, fma(w2, top.right.z,
        fma(w3, middle.left.z, fma(w4, middle.middle.z, fma(w5, middle.right.z,
        fma(w6, bottom.left.z, fma(w7, bottom.middle.z, fma(w8, bottom.right.z, sum.z))))))))),
        fma(w0, top.left.w, fma(w1, top.middle.w, fma(w2, top.right.w,
        fma(w3, middle.left.w, fma(w4, middle.middle.w, fma(w5, middle.right.w,
        fma(w6, bottom.left.w, fma(w7, bottom.middle.w, fma(w8, bottom.right.w, sum.w))))))))),
    );
}

fn add(tile: ptr<function, Tile>, t: Taps, top: Line, middle: Line, bottom: Line) {
    (*tile).c0 = nine(
        (*tile).c0,
        t.w0.low.x, t.w1.low.x, t.w2.low.x, t.w3.low.x, t.w4.low.x, t.w5.low.x, t.w6.low.x, t.w7.low.x, t.w8.low.x,
        top, middle, bottom,
    );
    (*tile).c1 = nine(
        (*tile).c1,
        t.w0.low.y, t.w1.low.y, t.w2.low.y, t.w3.low.y, t.w4.low.y, t.w5.low.y, t.w6.low.y, t.w7.low.y, t.w8.low.y,
        top, middle, bottom,
    );
    (*tile).c2 = nine(
        (*tile).c2,
        t.w0.low.z, t.w1.low.z, t.w2.low.z, t.w3.low.z, t.w4.low.z, t.w5.low.z, t.w6.low.z, t.w7.low.z, t.w8.low.z,
        top, middle, bottom,
    );
    (*tile).c3 = nine(
        (*tile).c3,
        t.w0.low.w, t.w1.low.w, t.w2.low.w, t.w3.low.w, t.w4.low.w, t.w5.low.w, t.w6.low.w, t.w7.low.w, t.w8.low.w,
        top, middle, bottom,
    );
    (*tile).c4 = nine(
        (*tile).c4,
        t.w0.high.x, t.w1.high.x, t.w2.high.x, t.w3.high.x, t.w4.high.x, t.w5.high.x, t.w6.high.x, t.w7.high.x, t.w8.high.x,
        top, middle, bottom,
    );
    (*tile).c5 = nine(
        (*tile).c5,
        t.w0.high.y, t.w1.high.y, t.w2.high.y, t.w3.high.y, t.w4.high.y, t.w5.high.y, t.w6.high.y, t.w7.high.y, t.w8.high.y,
        top, middle, bottom,
    );
    (*tile).c6 = nine(
        (*tile).c6,
        t.w0.high.z, t.w1.high.z, t.w2.high.z, t.w3.high.z, t.w4.high.z, t.w5.high.z, t.w6.high.z, t.w7.high.z, t.w8.high.z,
        top, middle, bottom,
    );
    (*tile).c7 = nine(
        (*tile).c7,
        t.w0.high.w, t.w1.high.w, t.w2.high.w, t.w3.high.w, t.w4.high.w, t.w5.high.w, t.w6.high.w, t.w7.high.w, t.w8.high.w,
        top, middle, bottom,
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
        let taps = Taps(
            octet(tap, lane),
            octet(tap + 1u, lane),
            octet(tap + 2u, lane),
            octet(tap + 3u, lane),
            octet(tap + 4u, lane),
            octet(tap + 5u, lane),
            octet(tap + 6u, lane),
            octet(tap + 7u, lane),
            octet(tap + 8u, lane),
        );
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
    // Stores are a loop over memory: unrolled, their code would be most of the kernel's.
    var sums = array<Tile, 16>(a0, b0, a1, b1, a2, b2, a3, b3, a4, b4, a5, b5, a6, b6, a7, b7);
    let o = block * 8u;
    let at = (n * params.outputs + o) * plane + row * params.width + column;
    for (var k = 0u; k < 16u; k++) {
        keep(sums[k], o, at + k / 2u * params.width + k % 2u * 4u, plane);
    }
}
