// 3x3 cross-correlation of stride 1 and padding 1 over rows of whole quads (a quad is four columns, one vec4). The ops that
// follow it in the network are done before the store (shared/epilogue.wgsl). With transposed and flipped weights it computes
// the derivative for the input x.
//
//   grid     x: one invocation per tile of a plane, for the images of the launch; y: one workgroup per 8 output channels
//   x, y     [image][channel][row][column], width divisible by 8, or 4 (NARROW)
//   w        packed by conv2d_pack.wgsl: [out channel / 8][in channel][row][column][out channel % 8]
//   residual  as y; mask, bits: shared/mask_bits.wgsl
//
// A tile is two rows of 8 columns, or four rows of 4, by 8 channels: a quad is loaded once for all kernel columns, all
// channels and all rows that need it. Host side: src/ops/conv/packed.rs.
// Appended: shared/conv2d_launch.wgsl, shared/conv2d_read_*.wgsl, shared/epilogue.wgsl, shared/conv2d_tile.wgsl.

override NARROW: bool = false;

struct Pair { a: Line, b: Line }

// Rows are counted from the padding row above x; rows outside x are read at its edge and made zero.
fn row_inside(row: u32) -> f32 { return select(0.0, 1.0, row >= 1u && row <= params.height); }
fn row_start(first: u32, row: u32) -> u32 { return first + (clamp(row, 1u, params.height) - 1u) * params.width; }

fn narrow(first: u32, row: u32) -> Line {
    let middle = x_quad(row_start(first, row)) * row_inside(row);
    return Line(vec4f(0.0, middle.xyz), middle, vec4f(middle.yzw, 0.0));
}

fn wide(first: u32, row: u32, column: u32) -> Pair {
    let inside = row_inside(row);
    let at = row_start(first, row) + column;
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
    let high = select(2u, 4u, NARROW);
    let across = select(params.width / 8u, 1u, NARROW);
    let tiles = across * ((params.height + high - 1u) / high);
    let flat = workgroup.x * WORKGROUP + lane;
    // Lanes beyond the last tile compute it too and store nothing: broadcasts need all lanes.
    let inside = flat < params.images * tiles;
    let tile = min(flat, params.images * tiles - 1u);
    let n = params.first_image + tile / tiles;
    let row = tile % tiles / across * high;
    let column = tile % across * 8u;
    let block = params.first_block + workgroup.y;

    var a = Tile();
    var b = Tile();
    var c = Tile();
    var d = Tile();
    var tap = block * params.inputs * 9u;
    for (var i = 0u; i < params.inputs; i++) {
        let first = (n * params.inputs + i) * plane;
        let t = taps_at(tap, lane);
        tap += 9u;
        if NARROW {
            let r0 = narrow(first, row);
            add_row(&a, t.w0, t.w1, t.w2, r0);
            let r1 = narrow(first, row + 1u);
            add_row(&a, t.w3, t.w4, t.w5, r1);
            add_row(&b, t.w0, t.w1, t.w2, r1);
            let r2 = narrow(first, row + 2u);
            add_row(&a, t.w6, t.w7, t.w8, r2);
            add_row(&b, t.w3, t.w4, t.w5, r2);
            add_row(&c, t.w0, t.w1, t.w2, r2);
            let r3 = narrow(first, row + 3u);
            add_row(&b, t.w6, t.w7, t.w8, r3);
            add_row(&c, t.w3, t.w4, t.w5, r3);
            add_row(&d, t.w0, t.w1, t.w2, r3);
            let r4 = narrow(first, row + 4u);
            add_row(&c, t.w6, t.w7, t.w8, r4);
            add_row(&d, t.w3, t.w4, t.w5, r4);
            let r5 = narrow(first, row + 5u);
            add_row(&d, t.w6, t.w7, t.w8, r5);
        } else {
            let r0 = wide(first, row, column);
            add_row(&a, t.w0, t.w1, t.w2, r0.a);
            add_row(&b, t.w0, t.w1, t.w2, r0.b);
            let r1 = wide(first, row + 1u, column);
            add_row(&a, t.w3, t.w4, t.w5, r1.a);
            add_row(&b, t.w3, t.w4, t.w5, r1.b);
            add_row(&c, t.w0, t.w1, t.w2, r1.a);
            add_row(&d, t.w0, t.w1, t.w2, r1.b);
            let r2 = wide(first, row + 2u, column);
            add_row(&a, t.w6, t.w7, t.w8, r2.a);
            add_row(&b, t.w6, t.w7, t.w8, r2.b);
            add_row(&c, t.w3, t.w4, t.w5, r2.a);
            add_row(&d, t.w3, t.w4, t.w5, r2.b);
            let r3 = wide(first, row + 3u, column);
            add_row(&c, t.w6, t.w7, t.w8, r3.a);
            add_row(&d, t.w6, t.w7, t.w8, r3.b);
        }
    }
    if !inside { return; }
    let o = block * 8u;
    let at = (n * params.outputs + o) * plane + row * params.width + column;
    let word = first_word(n, block) + (row * params.width + column) / 4u;
    keep_at(a, o, at, plane, word);
    if NARROW {
        if row + 1u < params.height { keep_at(b, o, at + 4u, plane, word + 1u); }
        if row + 2u < params.height { keep_at(c, o, at + 8u, plane, word + 2u); }
        if row + 3u < params.height { keep_at(d, o, at + 12u, plane, word + 3u); }
    } else {
        keep_at(b, o, at + 4u, plane, word + 1u);
        if row + 1u < params.height {
            keep_at(c, o, at + params.width, plane, word + params.width / 4u);
            keep_at(d, o, at + params.width + 4u, plane, word + params.width / 4u + 1u);
        }
    }
}
