// Derivative for x of a 3x3 cross-correlation of stride 2, as conv2d_double.wgsl computes it, but in tiles of two rows of 4
// columns of dy by 8 channels of dx, for CPU rasterisers without subgroups (shared/conv2d_nine.wgsl says why).
//
//   grid     x: one invocation per tile of a plane of dx, for the images of the launch; y: one workgroup per 8 of its channels
//   x        dy, y: dx; [image][channel][row][column], dx's height even and its width divisible by 8
//   w        packed by conv2d_pack.wgsl: [channel of dx / 8][channel of dy][row][column][channel of dx % 8]
//   residual  as dx; mask, bits: shared/mask_bits.wgsl
//
// Host side: src/ops/conv/packed.rs.
// Appended: shared/conv2d_launch.wgsl, shared/conv2d_read_storage.wgsl, shared/epilogue*.wgsl, shared/conv2d_tile.wgsl,
// shared/conv2d_channels.wgsl, shared/conv2d_nine.wgsl, shared/conv2d_shifted.wgsl.

// dx where its row and its column are even or odd.
struct Four { even_even: Tile, even_odd: Tile, odd_even: Tile, odd_odd: Tile }

// The four of one channel.
struct Sums { even_even: vec4f, even_odd: vec4f, odd_even: vec4f, odd_odd: vec4f }

fn nine_of_four(
    sums: Sums,
    w0: f32, w1: f32, w2: f32, w3: f32, w4: f32, w5: f32, w6: f32, w7: f32, w8: f32,
    upper: Shifted, lower: Shifted,
) -> Sums {
    return Sums(
        vec4f(
            fma(w4, upper.here.x, sums.even_even.x),
            fma(w4, upper.here.y, sums.even_even.y),
            fma(w4, upper.here.z, sums.even_even.z),
            fma(w4, upper.here.w, sums.even_even.w),
        ),
        vec4f(
            fma(w3, upper.next.x, fma(w5, upper.here.x, sums.even_odd.x)),
            fma(w3, upper.next.y, fma(w5, upper.here.y, sums.even_odd.y)),
            fma(w3, upper.next.z, fma(w5, upper.here.z, sums.even_odd.z)),
            fma(w3, upper.next.w, fma(w5, upper.here.w, sums.even_odd.w)),
        ),
        vec4f(
            fma(w1, lower.here.x, fma(w7, upper.here.x, sums.odd_even.x)),
            fma(w1, lower.here.y, fma(w7, upper.here.y, sums.odd_even.y)),
            fma(w1, lower.here.z, fma(w7, upper.here.z, sums.odd_even.z)),
            fma(w1, lower.here.w, fma(w7, upper.here.w, sums.odd_even.w)),
        ),
        vec4f(
            fma(w0, lower.next.x, fma(w2, lower.here.x, fma(w6, upper.next.x, fma(w8, upper.here.x, sums.odd_odd.x)))),
            fma(w0, lower.next.y, fma(w2, lower.here.y, fma(w6, upper.next.y, fma(w8, upper.here.y, sums.odd_odd.y)))),
            fma(w0, lower.next.z, fma(w2, lower.here.z, fma(w6, upper.next.z, fma(w8, upper.here.z, sums.odd_odd.z)))),
            fma(w0, lower.next.w, fma(w2, lower.here.w, fma(w6, upper.next.w, fma(w8, upper.here.w, sums.odd_odd.w)))),
        ),
    );
}

fn add_four(four: ptr<function, Four>, t: Taps, upper: Shifted, lower: Shifted) {
    let s0 = nine_of_four(
        Sums((*four).even_even.c0, (*four).even_odd.c0, (*four).odd_even.c0, (*four).odd_odd.c0),
        t.w0.low.x, t.w1.low.x, t.w2.low.x, t.w3.low.x, t.w4.low.x, t.w5.low.x, t.w6.low.x, t.w7.low.x, t.w8.low.x,
        upper, lower,
    );
    (*four).even_even.c0 = s0.even_even;
    (*four).even_odd.c0 = s0.even_odd;
    (*four).odd_even.c0 = s0.odd_even;
    (*four).odd_odd.c0 = s0.odd_odd;
    let s1 = nine_of_four(
        Sums((*four).even_even.c1, (*four).even_odd.c1, (*four).odd_even.c1, (*four).odd_odd.c1),
        t.w0.low.y, t.w1.low.y, t.w2.low.y, t.w3.low.y, t.w4.low.y, t.w5.low.y, t.w6.low.y, t.w7.low.y, t.w8.low.y,
        upper, lower,
    );
    (*four).even_even.c1 = s1.even_even;
    (*four).even_odd.c1 = s1.even_odd;
    (*four).odd_even.c1 = s1.odd_even;
    (*four).odd_odd.c1 = s1.odd_odd;
    let s2 = nine_of_four(
        Sums((*four).even_even.c2, (*four).even_odd.c2, (*four).odd_even.c2, (*four).odd_odd.c2),
        t.w0.low.z, t.w1.low.z, t.w2.low.z, t.w3.low.z, t.w4.low.z, t.w5.low.z, t.w6.low.z, t.w7.low.z, t.w8.low.z,
        upper, lower,
    );
    (*four).even_even.c2 = s2.even_even;
    (*four).even_odd.c2 = s2.even_odd;
    (*four).odd_even.c2 = s2.odd_even;
    (*four).odd_odd.c2 = s2.odd_odd;
    let s3 = nine_of_four(
        Sums((*four).even_even.c3, (*four).even_odd.c3, (*four).odd_even.c3, (*four).odd_odd.c3),
        t.w0.low.w, t.w1.low.w, t.w2.low.w, t.w3.low.w, t.w4.low.w, t.w5.low.w, t.w6.low.w, t.w7.low.w, t.w8.low.w,
        upper, lower,
    );
    (*four).even_even.c3 = s3.even_even;
    (*four).even_odd.c3 = s3.even_odd;
    (*four).odd_even.c3 = s3.odd_even;
    (*four).odd_odd.c3 = s3.odd_odd;
    let s4 = nine_of_four(
        Sums((*four).even_even.c4, (*four).even_odd.c4, (*four).odd_even.c4, (*four).odd_odd.c4),
        t.w0.high.x, t.w1.high.x, t.w2.high.x, t.w3.high.x, t.w4.high.x, t.w5.high.x, t.w6.high.x, t.w7.high.x, t.w8.high.x,
        upper, lower,
    );
    (*four).even_even.c4 = s4.even_even;
    (*four).even_odd.c4 = s4.even_odd;
    (*four).odd_even.c4 = s4.odd_even;
    (*four).odd_odd.c4 = s4.odd_odd;
    let s5 = nine_of_four(
        Sums((*four).even_even.c5, (*four).even_odd.c5, (*four).odd_even.c5, (*four).odd_odd.c5),
        t.w0.high.y, t.w1.high.y, t.w2.high.y, t.w3.high.y, t.w4.high.y, t.w5.high.y, t.w6.high.y, t.w7.high.y, t.w8.high.y,
        upper, lower,
    );
    (*four).even_even.c5 = s5.even_even;
    (*four).even_odd.c5 = s5.even_odd;
    (*four).odd_even.c5 = s5.odd_even;
    (*four).odd_odd.c5 = s5.odd_odd;
    let s6 = nine_of_four(
        Sums((*four).even_even.c6, (*four).even_odd.c6, (*four).odd_even.c6, (*four).odd_odd.c6),
        t.w0.high.z, t.w1.high.z, t.w2.high.z, t.w3.high.z, t.w4.high.z, t.w5.high.z, t.w6.high.z, t.w7.high.z, t.w8.high.z,
        upper, lower,
    );
    (*four).even_even.c6 = s6.even_even;
    (*four).even_odd.c6 = s6.even_odd;
    (*four).odd_even.c6 = s6.odd_even;
    (*four).odd_odd.c6 = s6.odd_odd;
    let s7 = nine_of_four(
        Sums((*four).even_even.c7, (*four).even_odd.c7, (*four).odd_even.c7, (*four).odd_odd.c7),
        t.w0.high.w, t.w1.high.w, t.w2.high.w, t.w3.high.w, t.w4.high.w, t.w5.high.w, t.w6.high.w, t.w7.high.w, t.w8.high.w,
        upper, lower,
    );
    (*four).even_even.c7 = s7.even_even;
    (*four).even_odd.c7 = s7.even_odd;
    (*four).odd_even.c7 = s7.odd_even;
    (*four).odd_odd.c7 = s7.odd_odd;
}

// Rows below dy are read at the edge and made zero.
fn row_of(plane: u32, row: u32, column: u32, has_right: bool) -> Shifted {
    let at = plane + min(row, params.height - 1u) * params.width + column;
    return shifted(at, select(0.0, 1.0, row < params.height), has_right);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let in_plane = params.width * params.height;
    let plane = params.out_width * params.out_height;
    let across = params.width / 4u;
    let tiles = across * ((params.height + 1u) / 2u);
    let flat = workgroup.x * WORKGROUP + lane;
    if flat >= params.images * tiles { return; }
    let n = params.first_image + flat / tiles;
    let row = flat % tiles / across * 2u;
    let column = flat % across * 4u;
    let block = params.first_block + workgroup.y;
    let has_right = column + 4u < params.width;

    var y0 = Four();
    var y1 = Four();
    var tap = block * params.inputs * 9u;
    for (var i = 0u; i < params.inputs; i++) {
        let first = (n * params.inputs + i) * in_plane;
        let taps = taps_at(tap, lane);
        tap += 9u;
        let x0 = row_of(first, row, column, has_right);
        let x1 = row_of(first, row + 1u, column, has_right);
        add_four(&y0, taps, x0, x1);
        let x2 = row_of(first, row + 2u, column, has_right);
        add_four(&y1, taps, x1, x2);
    }
    // Even and odd columns of a row, and of the odd row below it.
    var sums = array(
        channels_of(y0.even_even), channels_of(y0.even_odd), channels_of(y0.odd_even), channels_of(y0.odd_odd),
        channels_of(y1.even_even), channels_of(y1.even_odd), channels_of(y1.odd_even), channels_of(y1.odd_odd),
    );
    let rows = 2u * min(2u, params.height - row);
    let o = block * 8u;
    let top = (n * params.outputs + o) * plane + row * 2u * params.out_width + column * 2u;
    let corner = first_word(n, block) + (row * 2u * params.out_width + column * 2u) / 4u;
    for (var r = 0u; r < rows; r++) {
        let left = top + r * params.out_width;
        let right = left + 4u;
        let word = corner + r * params.out_width / 4u;
        let through_left = mask_word(word);
        let through_right = mask_word(word + 1u);
        var above_left = 0u;
        var above_right = 0u;
        for (var c = 0u; c < 8u; c++) {
            let even = sums[2u * r][c];
            let odd = sums[2u * r + 1u][c];
            let first = vec4f(even.x, odd.x, even.y, odd.y);
            let second = vec4f(even.z, odd.z, even.w, odd.w);
            above_left |= keep_channel(o + c, left + c * plane, first, through_left >> (4u * c)) << (4u * c);
            above_right |= keep_channel(o + c, right + c * plane, second, through_right >> (4u * c)) << (4u * c);
        }
        keep_word(word, above_left);
        keep_word(word + 1u, above_right);
    }
}
