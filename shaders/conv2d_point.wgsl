// Cross-correlation with a 1x1 kernel and no padding, of stride 1, or of stride 2 that halves both sides. The ops that
// follow it in the network are done before the store (shared/epilogue.wgsl). With stride 1 and transposed weights it
// computes the derivative for the input x.
//
//   grid     x: one invocation per tile of a plane of y, for the images of the launch; y: one workgroup per 8 output channels
//   x, y     [image][channel][row][column], y's planes of whole quads (a quad is four pixels, one vec4); with stride 2 x's
//            height is even and its width divisible by 8
//   w        packed by conv2d_pack.wgsl: [out channel / 8][in channel][out channel % 8]
//   residual  as y; mask, bits: shared/mask_bits.wgsl
//
// A tile is two quads of a plane of y by 8 channels. Host side: src/ops/conv/packed.rs.
// Appended: shared/conv2d_launch.wgsl, shared/conv2d_read_*.wgsl, shared/epilogue.wgsl, shared/conv2d_tile.wgsl.

override STRIDE: u32 = 1u;

// Where in a plane of x the quad at a word of a plane of y comes from.
fn origin(at: u32) -> u32 {
    if STRIDE == 2u { return at / params.out_width * 2u * params.width + at % params.out_width * 2u; }
    return at;
}

// Four columns, or every other one of eight.
fn columns(at: u32) -> vec4f {
    if STRIDE == 2u { return vec4f(x_quad(at).xz, x_quad(at + 4u).xz); }
    return x_quad(at);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let in_plane = params.width * params.height;
    let plane = params.out_width * params.out_height;
    let tiles = (plane + 7u) / 8u;
    let flat = workgroup.x * WORKGROUP + lane;
    // Lanes beyond the last tile compute it too and store nothing: broadcasts need all lanes.
    let inside = flat < params.images * tiles;
    let tile = min(flat, params.images * tiles - 1u);
    let n = params.first_image + tile / tiles;
    let place = tile % tiles * 8u;
    let has_second = place + 4u < plane;
    let block = params.first_block + workgroup.y;

    var a = Tile();
    var b = Tile();
    let image = n * params.inputs * in_plane;
    var first = image + origin(place);
    var second = image + origin(place + select(0u, 4u, has_second));
    var tap = block * params.inputs;
    for (var i = 0u; i < params.inputs; i++) {
        let w = octet(tap, lane);
        add_one(&a, w, columns(first));
        add_one(&b, w, columns(second));
        tap += 1u;
        first += in_plane;
        second += in_plane;
    }
    if !inside { return; }
    let o = block * 8u;
    let at = (n * params.outputs + o) * plane + place;
    // Bits are asked for only where rows are whole quads.
    let first_mask = first_word(n, block);
    let word = first_mask + place / 4u;
    keep_word(word, keep(a, o, at, plane, mask_of(first_mask, place, plane, 1u)));
    if has_second { keep_word(word + 1u, keep(b, o, at + 4u, plane, mask_of(first_mask, place + 4u, plane, 1u))); }
}
