// Cross-correlation of any kernel, stride and padding, or its derivative for x (TRANSPOSED), as a product of matrices by
// whole workgroups, with what follows it in the network done before the store (shared/epilogue.wgsl). For GPUs.
//
//     y[channel][pixel] = sum over k of w[channel][k] * patch[k][pixel]        k: (in channel, row, column) of the kernel
//
//   grid     x: a workgroup per 2 * PAIRS quads of pixels; y: per BLOCKS blocks of 8 output channels; z: phases of a
//            strided derivative, rows outermost. A quad is 4 columns of a row, `apart()` from one to the next; rows are
//            filled up to whole quads and run on from image to image
//   x, y     [image][channel][row][column]; residual as y
//   mask, bits  shared/mask_bits.wgsl; no bits of a derivative
//   w        packed by conv2d_pack.wgsl: [out channel / 8][in channel][row][column][out channel % 8], where out and in
//            are y's and x's. Weights that are packed flipped are those of a forward pass.
//
// The patches are never in memory: SLAB of the k at a time, a workgroup loads its weights and its patches, and every
// invocation adds up the products of 8 channels by 2 quads in registers. A word of x is loaded once by each kernel tap that
// meets it, from a cache. What a k needs is worked out once, by one invocation, and what a quad needs ahead of the loop.
//
// Counted, not measured: a k costs an invocation 64 multiply-adds and 16 words of workgroup memory, 8 operations a word;
// its 8 weights are the same for PAIRS lanes. A workgroup of 64 x 64 loads 128 words from caches for 8,192 operations, 64 a
// word; of 32 x 128, 160 words, 51 a word; conv2d_quads.wgsl 112 words for 2,304, 21 a word. Two barriers a slab, which is
// 1,024 multiply-adds an invocation. Registers: 64 sums, 16 factors, about 20 positions. Workgroup memory: 8.4 KiB at
// 64 x 64, 10.3 KiB at 32 x 128.
//
// Host side: src/ops/conv/packed.rs. Appended: shared/conv2d_launch.wgsl, shared/conv2d_read_storage.wgsl,
// shared/epilogue.wgsl, shared/conv2d_tile.wgsl, shared/conv2d_patch.wgsl; shared/conv2d_store_quads.wgsl, or
// shared/conv2d_store_words.wgsl and shared/conv2d_gemm_words.wgsl where rows are not whole quads.

override TRANSPOSED: bool = false;
// Of a workgroup's tile: blocks of eight channels (4 or 8), and half of its quads.
override BLOCKS: u32 = 8u;
override PAIRS: u32 = 8u;

const SLAB: u32 = 16u;

override QUADS: u32 = 2u * PAIRS;
override LANES: u32 = BLOCKS * PAIRS;
// A block's weights of a slab, and one more: eight lanes that read as many blocks meet different banks.
const BLOCK_STRIDE: u32 = 2u * SLAB + 1u;
override WEIGHTS: u32 = BLOCKS * BLOCK_STRIDE;
override PATCHES: u32 = SLAB * QUADS;

var<workgroup> weights: array<vec4f, WEIGHTS>; // [block][k][half of 8 channels]
var<workgroup> patches: array<vec4f, PATCHES>; // [k][quad]
var<workgroup> places: array<Place, SLAB>;
var<workgroup> octets: array<u32, SLAB>; // of a k in a block of weights

// The taps that the pixels of a phase meet: `first` and every `every`-th. A forward pass has one phase.
struct Taps1d { first: u32, every: u32, count: u32 }

fn taps_of(phase: u32, pad: u32, every: u32, kernel: u32) -> Taps1d {
    let first = (phase + pad) % every;
    return Taps1d(first, every, (max(kernel, first) - first + every - 1u) / every);
}

fn find(lane: u32, k: u32, depth: u32, rows: Taps1d, columns: Taps1d) {
    // Beyond the last k: some weight, and zeros for it.
    let known = min(k, depth - 1u);
    let window = rows.count * columns.count;
    let i = known / window;
    let r = known % window / columns.count;
    let c = known % columns.count;
    let tap = (rows.first + r * rows.every) * params.kernel_width + columns.first + c * columns.every;
    octets[lane] = i * params.kernel_height * params.kernel_width + tap;
    places[lane] = Place(
        i * params.height * params.width,
        select(OUTSIDE, select(r, 0u - r, TRANSPOSED), k < depth),
        select(c, 0u - c, TRANSPOSED),
    );
}

// Words between the columns of a quad of y, and of what it meets of x.
fn apart() -> u32 { return select(1u, params.stride_x, TRANSPOSED); }
fn x_step() -> u32 { return select(params.stride_x, 1u, TRANSPOSED); }

// The first pixel of a quad of y. What lies beyond the last image, row or column is not there.
struct Quad { n: u32, row: u32, column: u32, there: bool }

fn quad_of(number: u32, phase_y: u32, phase_x: u32) -> Quad {
    let every_y = select(1u, params.stride_y, TRANSPOSED);
    let across = ((params.out_width + apart() - 1u) / apart() + 3u) / 4u;
    let quads = across * ((params.out_height + every_y - 1u) / every_y);
    let n = number / quads;
    let row = number % quads / across * every_y + phase_y;
    let column = number % across * (4u * apart()) + phase_x;
    let there = n < params.images && row < params.out_height && column < params.out_width;
    return Quad(params.first_image + n, row, column, there);
}

fn keep_quad(tile: Tile, quad: Quad, block: u32) {
    if !quad.there { return; }
    let plane = params.out_width * params.out_height;
    let place = quad.row * params.out_width + quad.column;
    let at = (quad.n * params.outputs + block * 8u) * plane + place;
    let first = first_word(quad.n, block);
    let above = keep(tile, block * 8u, at, plane, mask_of(first, place, plane, apart()));
    keep_word(first + quad.row * words_across() + quad.column / 4u, above);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let phases_x = apart();
    let phase_y = workgroup.z / phases_x;
    let phase_x = workgroup.z % phases_x;
    let rows = taps_of(phase_y, params.pad_y, select(1u, params.stride_y, TRANSPOSED), params.kernel_height);
    let columns = taps_of(phase_x, params.pad_x, phases_x, params.kernel_width);
    let depth = params.inputs * rows.count * columns.count; // none of a phase that no tap meets
    let blocks = (params.outputs + 7u) / 8u;
    let first_block = params.first_block + workgroup.y * BLOCKS;
    let first_quad = workgroup.x * QUADS;

    // Of the patches an invocation loads one quad, of every LANES / QUADS-th k.
    let loaded = quad_of(first_quad + lane % QUADS, phase_y, phase_x);
    let image = loaded.n * params.inputs * params.height * params.width;
    var row = loaded.row * params.stride_y - params.pad_y;
    var column = loaded.column * params.stride_x - params.pad_x;
    if TRANSPOSED {
        row = (loaded.row + params.pad_y - rows.first) / params.stride_y;
        column = (loaded.column + params.pad_x - columns.first) / params.stride_x;
    }
    if !loaded.there { row = OUTSIDE; }

    let own_block = lane / PAIRS;
    let own_pair = lane % PAIRS;
    var a = Tile();
    var b = Tile();
    for (var first = 0u; first < depth; first += SLAB) {
        if lane < SLAB { find(lane, first + lane, depth, rows, columns); }
        workgroupBarrier(); // places are there, and the slab before was read
        for (var at = lane; at < BLOCKS * 2u * SLAB; at += LANES) {
            let of_block = at % (2u * SLAB);
            let block = at / (2u * SLAB);
            let all = params.inputs * params.kernel_height * params.kernel_width;
            let octet = min(first_block + block, blocks - 1u) * all + octets[of_block / 2u];
            weights[block * BLOCK_STRIDE + of_block] = w[2u * octet + of_block % 2u - params.w_skip / 4u];
        }
        for (var at = lane; at < PATCHES; at += LANES) {
            patches[at] = patch_at(places[at / QUADS], image, row, column);
        }
        workgroupBarrier();
        for (var k = 0u; k < SLAB; k++) {
            let at = own_block * BLOCK_STRIDE + 2u * k;
            let eight = Octet(weights[at], weights[at + 1u]);
            add_one(&a, eight, patches[k * QUADS + own_pair]);
            add_one(&b, eight, patches[k * QUADS + PAIRS + own_pair]);
        }
    }
    let block = first_block + own_block;
    if block >= blocks { return; }
    keep_quad(a, quad_of(first_quad + own_pair, phase_y, phase_x), block);
    keep_quad(b, quad_of(first_quad + PAIRS + own_pair, phase_y, phase_x), block);
}
