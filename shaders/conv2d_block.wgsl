// 3x3 cross-correlation, stride 1, padding 1, with x and weights loaded once for a whole workgroup. The ops that follow it in the
// network are done before the store (shared/epilogue.wgsl). For GPUs. With transposed and flipped weights it computes the
// derivative for the input x.
//
//     y[n][o][v][u] = sum over i, r, c of w[o][i][r][c] * x[n][i][v + r - 1][u + c - 1]
//
//   grid     x: a workgroup per 8 columns of 64 / BLOCKS rows of an image; y: per BLOCKS blocks of 8 output channels; z: slices
//            of the input channels, whose sums conv2d_sum_slices.wgsl adds up if there are several
//   x, y     [image][channel][row][column], rows of whole quads (a quad is four columns, one vec4); residual as y
//   mask, bits  shared/mask_bits.wgsl
//   w        packed by conv2d_pack.wgsl: [out channel / 8][in channel][row][column][out channel % 8]
//
// An invocation adds up 8 channels of a row of 8 pixels in registers. SLAB input channels at a time, the workgroup loads their
// weights for all its output channels, and the rows of x under its pixels with one row more above and below and a quad more
// left and right. So a word of x is loaded from a cache once for all nine taps and 8 * BLOCKS channels, and the inner loop
// neither divides nor tests a bound.
//
// Counted: an input channel costs an invocation 576 multiply-adds and 30 loads of 16 bytes from workgroup memory. With eight
// blocks an invocation also makes 3 loads of 16 bytes from the caches for each input channel. There are two barriers for every
// SLAB channels. Registers: 64 sums, 12 words of x, 24 weights. Workgroup memory: 12.3 KiB with eight blocks, 10.1 with four.
//
// Host side: src/ops/conv/packed.rs. Appended: shared/conv2d_launch.wgsl, shared/conv2d_read_storage.wgsl,
// shared/epilogue.wgsl, shared/conv2d_tile.wgsl, shared/conv2d_store_quads.wgsl.

// Blocks of eight output channels: 8, or 4 and 2 for layers that have no more.
override BLOCKS: u32 = 8u;

const SLAB: u32 = 4u;
const LANES: u32 = 64u;
override HEIGHT: u32 = LANES / BLOCKS; // rows of y
override ROWS: u32 = HEIGHT + 2u; // rows of x
// A row of x in workgroup memory: 4 quads, and one more so that the rows that lanes read meet different banks.
const ROW: u32 = 5u;
override TAP: u32 = 2u * BLOCKS; // a tap's weights: two halves of each block
override WEIGHTS: u32 = SLAB * 9u * TAP;
override PIXELS: u32 = SLAB * ROWS * ROW;

var<workgroup> weights: array<vec4f, WEIGHTS>; // [in channel][row][column][block][half]
var<workgroup> pixels: array<vec4f, PIXELS>; // [in channel][row][quad]

fn load_pixels(lane: u32, image: u32, first: u32, row: u32, column: u32) {
    for (var number = lane; number < SLAB * ROWS * 4u; number += LANES) {
        let line = number / 4u;
        let i = first + line / ROWS;
        let v = row + line % ROWS - 1u; // above and left of x they wrap to large numbers
        let u = column + number % 4u * 4u - 4u;
        var quad = vec4f(0.0);
        if i < params.inputs && v < params.height && u < params.width {
            quad = x[(((image + i) * params.height + v) * params.width + u) / 4u];
        }
        pixels[line * ROW + number % 4u] = quad;
    }
}

// LANES / BLOCKS invocations load the weights of a block, which lie one after the other.
fn load_weights(lane: u32, first: u32, block: u32) {
    let all = params.inputs * 18u;
    for (var number = lane % HEIGHT; number < SLAB * 18u; number += HEIGHT) {
        let at = first * 18u + number;
        let weight = w[block * all + min(at, all - 1u) - params.w_skip / 4u];
        weights[number / 2u * TAP + lane / HEIGHT * 2u + number % 2u] = select(vec4f(0.0), weight, at < all);
    }
}

fn add_taps(a: ptr<function, Tile>, b: ptr<function, Tile>, pixel: u32, weight: u32) {
    let before = pixels[pixel].w;
    let left = pixels[pixel + 1u];
    let right = pixels[pixel + 2u];
    let behind = pixels[pixel + 3u].x;
    let w0 = Octet(weights[weight], weights[weight + 1u]);
    let w1 = Octet(weights[weight + TAP], weights[weight + TAP + 1u]);
    let w2 = Octet(weights[weight + 2u * TAP], weights[weight + 2u * TAP + 1u]);
    add_row(a, w0, w1, w2, Line(vec4f(before, left.xyz), left, vec4f(left.yzw, right.x)));
    add_row(b, w0, w1, w2, Line(vec4f(left.w, right.xyz), right, vec4f(right.yzw, behind)));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let across = (params.width + 7u) / 8u;
    let tiles = across * ((params.height + HEIGHT - 1u) / HEIGHT);
    let n = params.first_image + workgroup.x / tiles;
    let tile = workgroup.x % tiles;
    let row = tile / across * HEIGHT;
    let column = tile % across * 8u;
    let blocks = (params.outputs + 7u) / 8u;
    let own_block = lane / HEIGHT;
    let own_row = lane % HEIGHT;
    let block = params.first_block + workgroup.y * BLOCKS + own_block;

    var a = Tile();
    var b = Tile();
    let first_input = workgroup.z * params.slice_inputs; // of whole slabs
    let last_input = min(first_input + params.slice_inputs, params.inputs);
    for (var first = first_input; first < last_input; first += SLAB) {
        workgroupBarrier(); // the slab before was read
        load_pixels(lane, n * params.inputs, first, row, column);
        load_weights(lane, first, min(block, blocks - 1u));
        workgroupBarrier();
        for (var i = 0u; i < SLAB; i++) {
            let pixel = (i * ROWS + own_row) * ROW;
            let weight = i * 9u * TAP + own_block * 2u;
            add_taps(&a, &b, pixel, weight);
            add_taps(&a, &b, pixel + ROW, weight + 3u * TAP);
            add_taps(&a, &b, pixel + 2u * ROW, weight + 6u * TAP);
        }
    }
    let v = row + own_row;
    if block >= blocks || v >= params.height { return; }
    let plane = params.height * params.width;
    let slice = workgroup.z * params.slice_words;
    let at = slice + (n * params.outputs + block * 8u) * plane + v * params.width + column;
    let word = first_word(n, block) + (v * params.width + column) / 4u;
    keep_at(a, block * 8u, at, plane, word);
    if column + 4u < params.width { keep_at(b, block * 8u, at + 4u, plane, word + 1u); }
}
