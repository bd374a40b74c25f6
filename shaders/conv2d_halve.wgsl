// 3x3 cross-correlation of stride 2 and padding 1 that halves both sides. The ops that follow it in the network are done
// before the store (shared/epilogue.wgsl).
//
//   grid     x: one invocation per tile of a plane of y, for the images of the launch; y: one workgroup per 8 output channels
//   x, y     [image][channel][row][column], x's height even and its width divisible by 8
//   w        packed by conv2d_pack.wgsl: [out channel / 8][in channel][row][column][out channel % 8]
//   residual  as y; mask, bits: shared/mask_bits.wgsl
//
// A tile is two rows of 4 columns by 8 channels. Host side: src/ops/conv/packed.rs.
// Appended: shared/conv2d_launch.wgsl, shared/conv2d_read_*.wgsl, shared/epilogue.wgsl, shared/conv2d_tile.wgsl,
// shared/conv2d_halve_line.wgsl.

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let in_plane = params.width * params.height;
    let plane = params.out_width * params.out_height;
    let across = params.out_width / 4u;
    let tiles = across * ((params.out_height + 1u) / 2u);
    let flat = workgroup.x * WORKGROUP + lane;
    // Lanes beyond the last tile compute it too and store nothing: broadcasts need all lanes.
    let inside = flat < params.images * tiles;
    let tile = min(flat, params.images * tiles - 1u);
    let n = params.first_image + tile / tiles;
    let row = tile % tiles / across * 2u;
    let column = tile % across * 4u;
    let lower = row + 1u < params.out_height;
    let block = params.first_block + workgroup.y;

    var a = Tile();
    var b = Tile();
    var tap = block * params.inputs * 9u;
    for (var i = 0u; i < params.inputs; i++) {
        let first = (n * params.inputs + i) * in_plane;
        let t = taps_at(tap, lane);
        tap += 9u;
        let top = row * 2u;
        add_row(&a, t.w0, t.w1, t.w2, line(first, top, column * 2u));
        add_row(&a, t.w3, t.w4, t.w5, line(first, top + 1u, column * 2u));
        let shared_row = line(first, top + 2u, column * 2u);
        add_row(&a, t.w6, t.w7, t.w8, shared_row);
        add_row(&b, t.w0, t.w1, t.w2, shared_row);
        add_row(&b, t.w3, t.w4, t.w5, line(first, top + 3u, column * 2u));
        add_row(&b, t.w6, t.w7, t.w8, line(first, top + 4u, column * 2u));
    }
    if !inside { return; }
    let o = block * 8u;
    let at = (n * params.outputs + o) * plane + row * params.out_width + column;
    let word = first_word(n, block) + row * across + tile % across;
    keep_at(a, o, at, plane, word);
    if lower { keep_at(b, o, at + params.out_width, plane, word + across); }
}
