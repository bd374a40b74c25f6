// 1x1 convolution, stride 1, no padding, with x and weights loaded once for a whole workgroup. The ops that follow it in the
// network are done before the store (shared/epilogue.wgsl). For GPUs, not for CPU rasterisers. With transposed weights it
// computes the derivative for the input x.
//
//     y[n][o][p] = sum over i of w[o][i] * x[n][i][p]        p: pixel of a plane
//
//   grid     x: a workgroup per 16 * 8 / BLOCKS quads of pixels of all images; y: per BLOCKS blocks of 8 output channels; z:
//            slices of the input channels, whose sums conv2d_sum_slices.wgsl adds up if there are several
//   x, y     [image][channel][pixel], planes of whole quads (a quad is four pixels, one vec4); residual as y
//   mask, bits  shared/mask_bits.wgsl
//   w        packed by conv2d_pack.wgsl: [out channel / 8][in channel][out channel % 8]
//
// A product of matrices: SLAB input channels at a time, the workgroup loads their weights and pixels, each word once, and every
// invocation adds up the products of 8 channels by 2 quads in registers.
//
// Counted: an input channel costs an invocation 64 multiply-adds and four loads of 16 bytes from workgroup memory. With eight
// blocks an invocation also makes one load of 16 bytes from the caches for every two input channels. There are two barriers for
// each slab, which is 1,024 multiply-adds. Registers: 64 sums, 16 factors. Workgroup memory: 8 KiB with eight blocks, 10 with
// four.
//
// Host side: src/ops/conv/packed.rs. Appended: shared/conv2d_launch.wgsl, shared/conv2d_read_storage.wgsl,
// shared/epilogue.wgsl, shared/conv2d_tile.wgsl, shared/conv2d_store_quads.wgsl.

// Blocks of eight output channels: 8, or 4 for layers that have no more.
override BLOCKS: u32 = 8u;

const SLAB: u32 = 16u;
const LANES: u32 = 64u;
override PAIRS: u32 = LANES / BLOCKS;
override QUADS: u32 = 2u * PAIRS;
override CHANNEL: u32 = 2u * BLOCKS; // an input channel's weights: two halves of each block
override WEIGHTS: u32 = SLAB * CHANNEL;
override PIXELS: u32 = SLAB * QUADS;

var<workgroup> weights: array<vec4f, WEIGHTS>; // [in channel][block][half]
var<workgroup> pixels: array<vec4f, PIXELS>; // [in channel][quad]

fn load_pixels(lane: u32, at: u32, first: u32, plane: u32, there: bool) {
    for (var i = lane / QUADS; i < SLAB; i += LANES / QUADS) {
        var quad = vec4f(0.0);
        if there && first + i < params.inputs { quad = x[at + (first + i) * plane]; }
        pixels[i * QUADS + lane % QUADS] = quad;
    }
}

// PAIRS invocations load the weights of a block, which lie one after the other.
fn load_weights(lane: u32, first: u32, block: u32) {
    let all = params.inputs * 2u;
    for (var number = lane % PAIRS; number < SLAB * 2u; number += PAIRS) {
        let at = first * 2u + number;
        let weight = w[block * all + min(at, all - 1u) - params.w_skip / 4u];
        weights[number / 2u * CHANNEL + lane / PAIRS * 2u + number % 2u] = select(vec4f(0.0), weight, at < all);
    }
}

fn keep_quad(tile: Tile, quad: u32, block: u32, slice: u32) {
    let plane = params.height * params.width;
    let n = quad / (plane / 4u);
    if n >= params.images { return; }
    let place = quad % (plane / 4u);
    let image = params.first_image + n;
    let at = slice + (image * params.outputs + block * 8u) * plane + place * 4u;
    let first = first_word(image, block);
    let above = keep(tile, block * 8u, at, plane, mask_of(first, place * 4u, plane, 1u));
    keep_word(first + place, above);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let plane = params.height * params.width / 4u;
    let first_quad = workgroup.x * QUADS;
    let loaded = first_quad + lane % QUADS;
    let n = loaded / plane;
    let at = (params.first_image + n) * params.inputs * plane + loaded % plane;
    let blocks = (params.outputs + 7u) / 8u;
    let own_block = lane / PAIRS;
    let own_pair = lane % PAIRS;
    let block = params.first_block + workgroup.y * BLOCKS + own_block;

    var a = Tile();
    var b = Tile();
    let first_input = workgroup.z * params.slice_inputs; // of whole slabs
    let last_input = min(first_input + params.slice_inputs, params.inputs);
    for (var first = first_input; first < last_input; first += SLAB) {
        workgroupBarrier(); // the slab before was read
        load_pixels(lane, at, first, plane, n < params.images);
        load_weights(lane, first, min(block, blocks - 1u));
        workgroupBarrier();
        for (var i = 0u; i < SLAB; i += 2u) {
            let weight = i * CHANNEL + own_block * 2u;
            let quad = i * QUADS + own_pair;
            let eight = Octet(weights[weight], weights[weight + 1u]);
            let next = Octet(weights[weight + CHANNEL], weights[weight + CHANNEL + 1u]);
            add_two(&a, eight, pixels[quad], next, pixels[quad + QUADS]);
            add_two(&b, eight, pixels[quad + PAIRS], next, pixels[quad + QUADS + PAIRS]);
        }
    }
    if block >= blocks { return; }
    keep_quad(a, first_quad + own_pair, block, workgroup.z * params.slice_words);
    keep_quad(b, first_quad + PAIRS + own_pair, block, workgroup.z * params.slice_words);
}
