// 3x3 cross-correlation of stride 1 and padding 1 by Winograd's minimal filtering, F(4x4, 3x3), with 36 products for 16
// values instead of 144. The ops that follow it in the network are done before the store (shared/epilogue.wgsl). With
// transposed and flipped weights it computes the derivative for the input x.
//
//   Y = A^T [ sum over input channels of (G g G^T) * (B^T d B) ] A     d: 6x6 of x, Y: 4x4 of y, * element by element
//
//   grid     x: one invocation per tile of a plane, for the images of the launch; y: one workgroup per 8 output channels
//   x, y     [image][channel][row][column], width divisible by 4
//   w        packed by conv2d_pack_winograd.wgsl: [out channel / 8][in channel][36][out channel % 8]
//   residual  as y; mask, bits: shared/mask_bits.wgsl
//
// The six points are 0, +-1/sqrt(2), +-sqrt(2) and infinity: with them sums of 160 channels are as near to f64 as those of
// the plain kernel (with 0, +-1, +-2 three times as far). Lavin and Gray 2016, arXiv 1509.09308; points: Barabasz et al.
// 2020, arXiv 1803.10986. A tile is two squares of 4x4, one above the other, by 8 channels. For CPU rasterisers with
// subgroups of 8. Host side: src/ops/conv/packed.rs. Appended: shared/conv2d_launch.wgsl, shared/conv2d_read_texels.wgsl,
// shared/epilogue.wgsl, shared/conv2d_tile.wgsl.

// Eight lanes in a row hold tiles of whole rows: a lane gets the columns beside its tile from its neighbours.
override NEIGHBOURS: bool = false;

const ROOT: f32 = 1.4142135623730951;
const HALF_ROOT: f32 = 0.7071067811865476;

// Sums of eight channels at one place of both transformed tiles.
struct Sums { c0: vec2f, c1: vec2f, c2: vec2f, c3: vec2f, c4: vec2f, c5: vec2f, c6: vec2f, c7: vec2f }

struct Six { k0: vec2f, k1: vec2f, k2: vec2f, k3: vec2f, k4: vec2f, k5: vec2f }
struct Four { k0: vec2f, k1: vec2f, k2: vec2f, k3: vec2f }

// Six columns of a row of x.
struct Row { left: f32, middle: vec4f, right: f32 }

// B^T of six values.
fn transformed(d0: vec2f, d1: vec2f, d2: vec2f, d3: vec2f, d4: vec2f, d5: vec2f) -> Six {
    let a = d4 - 2.0 * d2;
    let b = HALF_ROOT * d3 - ROOT * d1;
    let c = d4 - 0.5 * d2;
    let d = ROOT * d3 - HALF_ROOT * d1;
    return Six(d4 - 2.5 * d2 + d0, a + b, a - b, c + d, c - d, d5 - 2.5 * d3 + d1);
}

// A^T of six values.
fn restored(m0: vec2f, m1: vec2f, m2: vec2f, m3: vec2f, m4: vec2f, m5: vec2f) -> Four {
    let a = m1 + m2;
    let b = m1 - m2;
    let c = m3 + m4;
    let d = m3 - m4;
    return Four(
        m0 + a + c,
        HALF_ROOT * b + ROOT * d,
        0.5 * a + 2.0 * c,
        (0.5 * HALF_ROOT) * b + (2.0 * ROOT) * d + m5,
    );
}

// Rows are counted from the padding row above x; rows outside x are read at its edge and made zero.
fn row_of(first: u32, row: u32, column: u32, lane: u32) -> Row {
    let inside = select(0.0, 1.0, row >= 1u && row <= params.height);
    let at = first + (clamp(row, 1u, params.height) - 1u) * params.width + column;
    let has_left = column > 0u;
    let has_right = column + 4u < params.width;
    let middle = x_quad(at) * inside;
    var left = 0.0;
    var right = 0.0;
    if NEIGHBOURS {
        left = subgroupShuffle(middle.w, (lane + 7u) % 8u);
        right = subgroupShuffle(middle.x, (lane + 1u) % 8u);
    } else {
        left = x_quad(at - select(0u, 4u, has_left)).w * inside;
        right = x_quad(at + select(0u, 4u, has_right)).x * inside;
    }
    return Row(select(0.0, left, has_left), middle, select(0.0, right, has_right));
}

fn add(sums: ptr<function, Sums>, w: Octet, value: vec2f) {
    (*sums).c0 = fma(vec2f(w.low.x), value, (*sums).c0);
    (*sums).c1 = fma(vec2f(w.low.y), value, (*sums).c1);
    (*sums).c2 = fma(vec2f(w.low.z), value, (*sums).c2);
    (*sums).c3 = fma(vec2f(w.low.w), value, (*sums).c3);
    (*sums).c4 = fma(vec2f(w.high.x), value, (*sums).c4);
    (*sums).c5 = fma(vec2f(w.high.y), value, (*sums).c5);
    (*sums).c6 = fma(vec2f(w.high.z), value, (*sums).c6);
    (*sums).c7 = fma(vec2f(w.high.w), value, (*sums).c7);
}

fn channel(sums: Sums, c: u32) -> vec2f {
    var value = sums.c0;
    switch c {
        case 1u: { value = sums.c1; }
        case 2u: { value = sums.c2; }
        case 3u: { value = sums.c3; }
        case 4u: { value = sums.c4; }
        case 5u: { value = sums.c5; }
        case 6u: { value = sums.c6; }
        case 7u: { value = sums.c7; }
        default: {}
    }
    return value;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let plane = params.width * params.height;
    let across = params.width / 4u;
    let tiles = across * ((params.height + 7u) / 8u);
    let flat = workgroup.x * WORKGROUP + lane;
    // Lanes beyond the last tile compute it too and store nothing: broadcasts need all lanes.
    let inside = flat < params.images * tiles;
    let tile = min(flat, params.images * tiles - 1u);
    let n = params.first_image + tile / tiles;
    let row = tile % tiles / across * 8u;
    let column = tile % across * 4u;
    let block = params.first_block + workgroup.y;

    var s00 = Sums();
    var s01 = Sums();
    var s02 = Sums();
    var s03 = Sums();
    var s04 = Sums();
    var s05 = Sums();
    var s10 = Sums();
    var s11 = Sums();
    var s12 = Sums();
    var s13 = Sums();
    var s14 = Sums();
    var s15 = Sums();
    var s20 = Sums();
    var s21 = Sums();
    var s22 = Sums();
    var s23 = Sums();
    var s24 = Sums();
    var s25 = Sums();
    var s30 = Sums();
    var s31 = Sums();
    var s32 = Sums();
    var s33 = Sums();
    var s34 = Sums();
    var s35 = Sums();
    var s40 = Sums();
    var s41 = Sums();
    var s42 = Sums();
    var s43 = Sums();
    var s44 = Sums();
    var s45 = Sums();
    var s50 = Sums();
    var s51 = Sums();
    var s52 = Sums();
    var s53 = Sums();
    var s54 = Sums();
    var s55 = Sums();
    var texel = block * params.inputs * 72u - params.w_skip / 4u;
    for (var i = 0u; i < params.inputs; i++) {
        let first = (n * params.inputs + i) * plane;
        let r0 = row_of(first, row, column, lane);
        let r1 = row_of(first, row + 1u, column, lane);
        let r2 = row_of(first, row + 2u, column, lane);
        let r3 = row_of(first, row + 3u, column, lane);
        let r4 = row_of(first, row + 4u, column, lane);
        let r5 = row_of(first, row + 5u, column, lane);
        let r6 = row_of(first, row + 6u, column, lane);
        let r7 = row_of(first, row + 7u, column, lane);
        let r8 = row_of(first, row + 8u, column, lane);
        let r9 = row_of(first, row + 9u, column, lane);
        let d0 = transformed(
            vec2f(r0.left, r4.left),
            vec2f(r1.left, r5.left),
            vec2f(r2.left, r6.left),
            vec2f(r3.left, r7.left),
            vec2f(r4.left, r8.left),
            vec2f(r5.left, r9.left),
        );
        let d1 = transformed(
            vec2f(r0.middle.x, r4.middle.x),
            vec2f(r1.middle.x, r5.middle.x),
            vec2f(r2.middle.x, r6.middle.x),
            vec2f(r3.middle.x, r7.middle.x),
            vec2f(r4.middle.x, r8.middle.x),
            vec2f(r5.middle.x, r9.middle.x),
        );
        let d2 = transformed(
            vec2f(r0.middle.y, r4.middle.y),
            vec2f(r1.middle.y, r5.middle.y),
            vec2f(r2.middle.y, r6.middle.y),
            vec2f(r3.middle.y, r7.middle.y),
            vec2f(r4.middle.y, r8.middle.y),
            vec2f(r5.middle.y, r9.middle.y),
        );
        let d3 = transformed(
            vec2f(r0.middle.z, r4.middle.z),
            vec2f(r1.middle.z, r5.middle.z),
            vec2f(r2.middle.z, r6.middle.z),
            vec2f(r3.middle.z, r7.middle.z),
            vec2f(r4.middle.z, r8.middle.z),
            vec2f(r5.middle.z, r9.middle.z),
        );
        let d4 = transformed(
            vec2f(r0.middle.w, r4.middle.w),
            vec2f(r1.middle.w, r5.middle.w),
            vec2f(r2.middle.w, r6.middle.w),
            vec2f(r3.middle.w, r7.middle.w),
            vec2f(r4.middle.w, r8.middle.w),
            vec2f(r5.middle.w, r9.middle.w),
        );
        let d5 = transformed(
            vec2f(r0.right, r4.right),
            vec2f(r1.right, r5.right),
            vec2f(r2.right, r6.right),
            vec2f(r3.right, r7.right),
            vec2f(r4.right, r8.right),
            vec2f(r5.right, r9.right),
        );
        let u0 = transformed(d0.k0, d1.k0, d2.k0, d3.k0, d4.k0, d5.k0);
        let u1 = transformed(d0.k1, d1.k1, d2.k1, d3.k1, d4.k1, d5.k1);
        let u2 = transformed(d0.k2, d1.k2, d2.k2, d3.k2, d4.k2, d5.k2);
        let u3 = transformed(d0.k3, d1.k3, d2.k3, d3.k3, d4.k3, d5.k3);
        let u4 = transformed(d0.k4, d1.k4, d2.k4, d3.k4, d4.k4, d5.k4);
        let u5 = transformed(d0.k5, d1.k5, d2.k5, d3.k5, d4.k5, d5.k5);
        let w0 = w_eight(texel, lane);
        add(&s00, pair_0(w0), u0.k0);
        add(&s01, pair_1(w0), u0.k1);
        add(&s02, pair_2(w0), u0.k2);
        add(&s03, pair_3(w0), u0.k3);
        let w1 = w_eight(texel + 8u, lane);
        add(&s04, pair_0(w1), u0.k4);
        add(&s05, pair_1(w1), u0.k5);
        add(&s10, pair_2(w1), u1.k0);
        add(&s11, pair_3(w1), u1.k1);
        let w2 = w_eight(texel + 16u, lane);
        add(&s12, pair_0(w2), u1.k2);
        add(&s13, pair_1(w2), u1.k3);
        add(&s14, pair_2(w2), u1.k4);
        add(&s15, pair_3(w2), u1.k5);
        let w3 = w_eight(texel + 24u, lane);
        add(&s20, pair_0(w3), u2.k0);
        add(&s21, pair_1(w3), u2.k1);
        add(&s22, pair_2(w3), u2.k2);
        add(&s23, pair_3(w3), u2.k3);
        let w4 = w_eight(texel + 32u, lane);
        add(&s24, pair_0(w4), u2.k4);
        add(&s25, pair_1(w4), u2.k5);
        add(&s30, pair_2(w4), u3.k0);
        add(&s31, pair_3(w4), u3.k1);
        let w5 = w_eight(texel + 40u, lane);
        add(&s32, pair_0(w5), u3.k2);
        add(&s33, pair_1(w5), u3.k3);
        add(&s34, pair_2(w5), u3.k4);
        add(&s35, pair_3(w5), u3.k5);
        let w6 = w_eight(texel + 48u, lane);
        add(&s40, pair_0(w6), u4.k0);
        add(&s41, pair_1(w6), u4.k1);
        add(&s42, pair_2(w6), u4.k2);
        add(&s43, pair_3(w6), u4.k3);
        let w7 = w_eight(texel + 56u, lane);
        add(&s44, pair_0(w7), u4.k4);
        add(&s45, pair_1(w7), u4.k5);
        add(&s50, pair_2(w7), u5.k0);
        add(&s51, pair_3(w7), u5.k1);
        let w8 = w_eight(texel + 64u, lane);
        add(&s52, pair_0(w8), u5.k2);
        add(&s53, pair_1(w8), u5.k3);
        add(&s54, pair_2(w8), u5.k4);
        add(&s55, pair_3(w8), u5.k5);
        texel += 72u;
    }
    if !inside { return; }
    let o = block * 8u;
    let at = (n * params.outputs + o) * plane + row * params.width + column;
    let word = first_word(n, block) + row * across + tile % across;
    let last = params.height - 1u - row;
    let through0 = mask_word(word);
    let through1 = mask_word(word + min(1u, last) * across);
    let through2 = mask_word(word + min(2u, last) * across);
    let through3 = mask_word(word + min(3u, last) * across);
    let through4 = mask_word(word + min(4u, last) * across);
    let through5 = mask_word(word + min(5u, last) * across);
    let through6 = mask_word(word + min(6u, last) * across);
    let through7 = mask_word(word + min(7u, last) * across);
    var above0 = 0u;
    var above1 = 0u;
    var above2 = 0u;
    var above3 = 0u;
    var above4 = 0u;
    var above5 = 0u;
    var above6 = 0u;
    var above7 = 0u;
    for (var c = 0u; c < 8u; c++) {
        let h0 = restored(
            channel(s00, c),
            channel(s10, c),
            channel(s20, c),
            channel(s30, c),
            channel(s40, c),
            channel(s50, c),
        );
        let h1 = restored(
            channel(s01, c),
            channel(s11, c),
            channel(s21, c),
            channel(s31, c),
            channel(s41, c),
            channel(s51, c),
        );
        let h2 = restored(
            channel(s02, c),
            channel(s12, c),
            channel(s22, c),
            channel(s32, c),
            channel(s42, c),
            channel(s52, c),
        );
        let h3 = restored(
            channel(s03, c),
            channel(s13, c),
            channel(s23, c),
            channel(s33, c),
            channel(s43, c),
            channel(s53, c),
        );
        let h4 = restored(
            channel(s04, c),
            channel(s14, c),
            channel(s24, c),
            channel(s34, c),
            channel(s44, c),
            channel(s54, c),
        );
        let h5 = restored(
            channel(s05, c),
            channel(s15, c),
            channel(s25, c),
            channel(s35, c),
            channel(s45, c),
            channel(s55, c),
        );
        let y0 = restored(h0.k0, h1.k0, h2.k0, h3.k0, h4.k0, h5.k0);
        let y1 = restored(h0.k1, h1.k1, h2.k1, h3.k1, h4.k1, h5.k1);
        let y2 = restored(h0.k2, h1.k2, h2.k2, h3.k2, h4.k2, h5.k2);
        let y3 = restored(h0.k3, h1.k3, h2.k3, h3.k3, h4.k3, h5.k3);
        let first = at + c * plane;
        let shift = 4u * c;
        let value0 = vec4f(y0.k0.x, y0.k1.x, y0.k2.x, y0.k3.x);
        let value1 = vec4f(y1.k0.x, y1.k1.x, y1.k2.x, y1.k3.x);
        let value2 = vec4f(y2.k0.x, y2.k1.x, y2.k2.x, y2.k3.x);
        let value3 = vec4f(y3.k0.x, y3.k1.x, y3.k2.x, y3.k3.x);
        let value4 = vec4f(y0.k0.y, y0.k1.y, y0.k2.y, y0.k3.y);
        let value5 = vec4f(y1.k0.y, y1.k1.y, y1.k2.y, y1.k3.y);
        let value6 = vec4f(y2.k0.y, y2.k1.y, y2.k2.y, y2.k3.y);
        let value7 = vec4f(y3.k0.y, y3.k1.y, y3.k2.y, y3.k3.y);
        above0 |= keep_channel(o + c, first, value0, through0 >> shift) << shift;
        if last >= 1u { above1 |= keep_channel(o + c, first + 1u * params.width, value1, through1 >> shift) << shift; }
        if last >= 2u { above2 |= keep_channel(o + c, first + 2u * params.width, value2, through2 >> shift) << shift; }
        if last >= 3u { above3 |= keep_channel(o + c, first + 3u * params.width, value3, through3 >> shift) << shift; }
        if last >= 4u { above4 |= keep_channel(o + c, first + 4u * params.width, value4, through4 >> shift) << shift; }
        if last >= 5u { above5 |= keep_channel(o + c, first + 5u * params.width, value5, through5 >> shift) << shift; }
        if last >= 6u { above6 |= keep_channel(o + c, first + 6u * params.width, value6, through6 >> shift) << shift; }
        if last >= 7u { above7 |= keep_channel(o + c, first + 7u * params.width, value7, through7 >> shift) << shift; }
    }
    keep_word(word, above0);
    if last >= 1u { keep_word(word + 1u * across, above1); }
    if last >= 2u { keep_word(word + 2u * across, above2); }
    if last >= 3u { keep_word(word + 3u * across, above3); }
    if last >= 4u { keep_word(word + 4u * across, above4); }
    if last >= 5u { keep_word(word + 5u * across, above5); }
    if last >= 6u { keep_word(word + 6u * across, above6); }
    if last >= 7u { keep_word(word + 7u * across, above7); }
}
