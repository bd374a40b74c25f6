// Cross-correlation of any kernel, stride and padding, or its derivative for x if the constant TRANSPOSED is true, as a product
// of matrices whose factors a workgroup loads once for all its lanes. The ops that follow it in the network are done before
// the store (shared/epilogue.wgsl). For GPUs.
//
//     y[channel][pixel] = sum over k of w[channel][k] * patch[k][pixel]        k: (input channel, row, column) of the kernel
//
//   grid     x: a workgroup per 128 / BLOCKS quads of pixels; y: per BLOCKS blocks of 8 output channels; z: phases of a
//            strided derivative (pixels whose row and column have the same remainders by the stride), rows outermost, of
//            each slice of the input channels, whose sums conv2d_sum_slices.wgsl adds up if there are several.
//            A quad is 4 columns of a row, `apart()` words from one to the next; rows are filled up to whole quads and
//            run on from image to image
//   x, y     [image][channel][row][column]; residual as y
//   mask, bits  shared/mask_bits.wgsl; no bits of a derivative
//   w        packed by conv2d_pack.wgsl: [out channel / 8][in channel][row][column][out channel % 8], where out and in
//            are y's and x's. Weights that are packed flipped are those of a forward pass.
//
// The patches are never in memory: SLAB of the k at a time, a workgroup loads its weights and its patches, and every
// invocation adds up the products of 8 channels by 2 quads in registers. A word of x is loaded from a cache once for each
// kernel tap that multiplies it. The positions of a quad are computed before the loop; from one k that an invocation loads
// to the next it counts on and does not divide.
//
// Counted: a k costs an invocation 64 multiply-adds and four loads of 16 bytes from workgroup memory. With eight blocks an
// invocation also loads from the caches, for each k, a quarter of a load of 16 bytes (weights) and a quarter of a patch,
// which is four loads of 4 bytes. There are two barriers for each slab, which is 1,024 multiply-adds. Registers: 64 sums, 32
// factors, about 20 positions. Workgroup memory: 8 KiB with eight blocks, 10 with four, and 8.5 with two.
//
// Host side: src/ops/conv/packed.rs. Appended: shared/conv2d_launch.wgsl, shared/conv2d_read_words.wgsl,
// shared/epilogue.wgsl, shared/conv2d_tile.wgsl, shared/conv2d_places.wgsl, shared/conv2d_count.wgsl,
// shared/conv2d_patch.wgsl; shared/conv2d_store_quads.wgsl, or shared/conv2d_store_words.wgsl and
// shared/conv2d_gemm_words.wgsl where rows are not whole quads.

// Blocks of eight output channels: 8, or 4 and 2 for layers that have no more.
override BLOCKS: u32 = 8u;
// Of the k at a time: 16, or 8 where there are two blocks and many quads.
override SLAB: u32 = 16u;

const LANES: u32 = 64u;
override PAIRS: u32 = LANES / BLOCKS;
override QUADS: u32 = 2u * PAIRS;
override HALVES: u32 = 2u * BLOCKS; // a k's weights: two halves of each block
override WEIGHTS: u32 = SLAB * HALVES;
override PATCHES: u32 = SLAB * QUADS;
// The k of one load of all lanes: of weights, and of patches.
override WEIGHT_STEP: u32 = min(LANES / HALVES, SLAB);
override PATCH_STEP: u32 = LANES / QUADS;

var<workgroup> weights: array<vec4f, WEIGHTS>; // [k][block][half]
var<workgroup> patches: array<vec4f, PATCHES>; // [k][quad]

fn keep_quad(tile: Tile, quad: Quad, block: u32, slice: u32) {
    if !quad.there { return; }
    let plane = params.out_width * params.out_height;
    let place = quad.row * params.out_width + quad.column;
    let at = slice + (quad.n * params.outputs + block * 8u) * plane + place;
    let first = first_word(quad.n, block);
    let above = keep(tile, block * 8u, at, plane, mask_of(first, place, plane, apart()));
    keep_word(first + quad.row * words_across() + quad.column / 4u, above);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let phases_x = apart();
    let phases_y = select(1u, params.stride_y, TRANSPOSED);
    let slice = workgroup.z / (phases_x * phases_y);
    let phase_y = workgroup.z / phases_x % phases_y;
    let phase_x = workgroup.z % phases_x;
    let rows = taps_of(phase_y, params.pad_y, phases_y, params.kernel_height);
    let columns = taps_of(phase_x, params.pad_x, phases_x, params.kernel_width);
    let first_input = slice * params.slice_inputs;
    let last_input = min(first_input + params.slice_inputs, params.inputs);
    let depth = (last_input - first_input) * rows.count * columns.count; // 0 in a phase without taps
    let blocks = (params.outputs + 7u) / 8u;
    let first_block = params.first_block + workgroup.y * BLOCKS;
    let first_quad = workgroup.x * QUADS;

    // Of the weights an invocation loads half of a block, of every WEIGHT_STEP-th k.
    let all = params.inputs * params.kernel_height * params.kernel_width; // octets of a block
    let octets = min(first_block + lane % HALVES / 2u, blocks - 1u) * all;
    let half = lane % 2u;
    var weight = place_of(lane / HALVES, rows.count, columns.count);
    weight.i += first_input;
    let weight_step = place_of(WEIGHT_STEP, rows.count, columns.count);

    // Of the patches it loads one quad, of every PATCH_STEP-th k. Above and left of x they wrap to large numbers.
    let loaded = quad_of(first_quad + lane % QUADS, phase_y, phase_x);
    let image = loaded.n * params.inputs;
    var row = loaded.row * params.stride_y - params.pad_y;
    var column = loaded.column * params.stride_x - params.pad_x;
    if TRANSPOSED {
        row = (loaded.row + params.pad_y - rows.first) / params.stride_y;
        column = (loaded.column + params.pad_x - columns.first) / params.stride_x;
    }
    var tap = place_of(lane / QUADS, rows.count, columns.count);
    tap.i += first_input;
    let tap_step = place_of(PATCH_STEP, rows.count, columns.count);

    let own_block = lane / PAIRS;
    let own_pair = lane % PAIRS;
    var a = Tile();
    var b = Tile();
    for (var first = 0u; first < depth; first += SLAB) {
        workgroupBarrier(); // the slab before was read
        for (var k = lane / QUADS; k < SLAB; k += PATCH_STEP) {
            let v = row + select(tap.r, 0u - tap.r, TRANSPOSED);
            let u = column + select(tap.c, 0u - tap.c, TRANSPOSED);
            let there = loaded.there && tap.i < last_input;
            patches[k * QUADS + lane % QUADS] = patch_at(image + tap.i, v, u, there);
            tap = onward(tap, tap_step, rows.count, columns.count);
        }
        for (var k = lane / HALVES; k < SLAB; k += WEIGHT_STEP) {
            let r = rows.first + weight.r * rows.every;
            let c = columns.first + weight.c * columns.every;
            let octet = (weight.i * params.kernel_height + r) * params.kernel_width + c;
            let at = 2u * (octets + min(octet, all - 1u)) + half - params.w_skip / 4u;
            weights[k * HALVES + lane % HALVES] = select(vec4f(0.0), w[at], weight.i < last_input);
            weight = onward(weight, weight_step, rows.count, columns.count);
        }
        workgroupBarrier();
        for (var k = 0u; k < SLAB; k += 2u) {
            let at = k * HALVES + own_block * 2u;
            let quad = k * QUADS + own_pair;
            let eight = Octet(weights[at], weights[at + 1u]);
            let next = Octet(weights[at + HALVES], weights[at + HALVES + 1u]);
            add_two(&a, eight, patches[quad], next, patches[quad + QUADS]);
            add_two(&b, eight, patches[quad + PAIRS], next, patches[quad + QUADS + PAIRS]);
        }
    }
    let block = first_block + own_block;
    if block >= blocks { return; }
    let words = slice * params.slice_words;
    keep_quad(a, quad_of(first_quad + own_pair, phase_y, phase_x), block, words);
    keep_quad(b, quad_of(first_quad + PAIRS + own_pair, phase_y, phase_x), block, words);
}
