// 3x3 cross-correlation of stride 2 and padding 1 as in conv2d_halve.wgsl, in tiles of four rows of 4 columns by 8 channels,
// for CPU rasterisers without subgroups (shared/conv2d_nine.wgsl says why).
//
//   grid     x: one invocation per tile of a plane of y, for the images of the launch; y: one workgroup per 8 output channels
//   x, y     [image][channel][row][column], x's height even and its width divisible by 8
//   w        packed by conv2d_pack.wgsl: [out channel / 8][in channel][row][column][out channel % 8]
//   residual  as y; mask, bits: shared/mask_bits.wgsl
//
// Host side: src/ops/conv/packed.rs.
// Appended: shared/conv2d_launch.wgsl, shared/conv2d_read_storage.wgsl, shared/epilogue*.wgsl, shared/conv2d_tile.wgsl,
// shared/conv2d_channels.wgsl, shared/conv2d_nine.wgsl, shared/conv2d_halve_line.wgsl.

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let in_plane = params.width * params.height;
    let plane = params.out_width * params.out_height;
    let across = params.out_width / 4u;
    let tiles = across * ((params.out_height + 3u) / 4u);
    let flat = workgroup.x * WORKGROUP + lane;
    if flat >= params.images * tiles { return; }
    let n = params.first_image + flat / tiles;
    let row = flat % tiles / across * 4u;
    let column = flat % across * 4u;
    let block = params.first_block + workgroup.y;

    var y0 = Tile();
    var y1 = Tile();
    var y2 = Tile();
    var y3 = Tile();
    var tap = block * params.inputs * 9u;
    for (var i = 0u; i < params.inputs; i++) {
        let first = (n * params.inputs + i) * in_plane;
        let taps = taps_at(tap, lane);
        tap += 9u;
        let top = row * 2u;
        let x0 = line(first, top, column * 2u);
        let x1 = line(first, top + 1u, column * 2u);
        let x2 = line(first, top + 2u, column * 2u);
        add(&y0, taps, x0, x1, x2);
        let x3 = line(first, top + 3u, column * 2u);
        let x4 = line(first, top + 4u, column * 2u);
        add(&y1, taps, x2, x3, x4);
        let x5 = line(first, top + 5u, column * 2u);
        let x6 = line(first, top + 6u, column * 2u);
        add(&y2, taps, x4, x5, x6);
        let x7 = line(first, top + 7u, column * 2u);
        let x8 = line(first, top + 8u, column * 2u);
        add(&y3, taps, x6, x7, x8);
    }
    var sums = array(channels_of(y0), channels_of(y1), channels_of(y2), channels_of(y3));
    let rows = min(4u, params.out_height - row);
    let o = block * 8u;
    let at = (n * params.outputs + o) * plane + row * params.out_width + column;
    let first = first_word(n, block) + (row * params.out_width + column) / 4u;
    for (var r = 0u; r < rows; r++) {
        let corner = at + r * params.out_width;
        let word = first + r * params.out_width / 4u;
        let through = mask_word(word);
        var above = 0u;
        for (var c = 0u; c < 8u; c++) {
            above |= keep_channel(o + c, corner + c * plane, sums[r][c], through >> (4u * c)) << (4u * c);
        }
        keep_word(word, above);
    }
}
