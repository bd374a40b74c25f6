enable f16;
enable wgpu_cooperative_matrix;

// Cross-correlation of any kernel, stride and padding, or its derivative for x (TRANSPOSED), as a product of matrices by
// cooperative matrices ("tensor cores"). The ops that follow it in the network are done before the store
// (shared/epilogue.wgsl). For GPUs, where half precision is asked for.
//
//     y[channel][pixel] = sum over k of w[channel][k] * patch[k][pixel]        k: (input channel, row, column) of the kernel
//
//   grid     x: a workgroup per 2 SIDE quads of pixels, which are those of conv2d_gemm.wgsl; y: per TILE output channels; z:
//            phases of a strided derivative, rows outermost
//   x, y     [image][channel][row][column]; residual as y
//   mask, bits  shared/mask_bits.wgsl; no bits of a derivative
//   w        packed by conv2d_pack.wgsl: [out channel / 8][in channel][row][column][out channel % 8], where out and in
//            are y's and x's
//
// Weights and patches are read in single precision, as conv2d_gemm.wgsl reads them, and turned to half precision on their
// way to workgroup memory: SLAB k at a time for TILE channels and PIXELS pixels. Each of four subgroups multiplies a quarter of
// them, 2 by 4 matrices, and adds the products up in single precision. Numbers beyond 65,504 become infinite on that way, and
// those below 6e-8 become 0; derivatives, which are small, are multiplied by 1,024 for it. At the end each subgroup's sums go
// through workgroup memory, a quarter of them at a time, to the lanes that store them.
//
// Counted: with sides of 16, a slab of 16 k is 131,072 multiply-adds, 32 products of matrices by four subgroups, and each
// of their lanes loads two quads of weights and four patches for it. Workgroup memory: 14 KiB, with sides of 8 it is 3.5.
//
// Host side: src/ops/conv/packed.rs. Appended: as with conv2d_gemm.wgsl for any rows, without shared/conv2d_tile.wgsl;
// shared/cooperative_8.wgsl or shared/cooperative_16.wgsl.

// Lanes of a subgroup.
override SUBGROUP: u32 = 32u;

override LANES: u32 = 4u * SUBGROUP;
const TILE: u32 = 4u * SIDE; // output channels
const PIXELS: u32 = 8u * SIDE;
const SLAB: u32 = SIDE;
const HALVES: u32 = SIDE; // of blocks of output channels
const QUADS: u32 = 2u * SIDE; // of pixels
// How many k all lanes load at a time.
override STEP: u32 = min(LANES / QUADS, SLAB);
override WEIGHT_STEP: u32 = min(LANES / HALVES, SLAB);
const HALF: u32 = 2u * SIDE * SIDE; // of a quarter's sums at a time: SIDE rows of two matrices

var<workgroup> weights: array<f16, SLAB * TILE>; // [k][out channel]
var<workgroup> patches: array<f16, SLAB * PIXELS>; // [k][pixel]
var<workgroup> sums: array<f32, 4u * HALF>; // [quarter][channel][pixel]

fn scale() -> f32 { return select(1.0, 1024.0, TRANSPOSED); }

fn keep_weights(at: u32, four: vec4f) {
    weights[at] = f16(four.x);
    weights[at + 1u] = f16(four.y);
    weights[at + 2u] = f16(four.z);
    weights[at + 3u] = f16(four.w);
}

fn keep_patch(at: u32, quad: vec4f) {
    let four = quad * scale();
    patches[at] = f16(four.x);
    patches[at + 1u] = f16(four.y);
    patches[at + 2u] = f16(four.z);
    patches[at + 3u] = f16(four.w);
}

// Of the sums of a quarter's part that one lane stores: eight channels of a quad. `row` and `column` are where the part begins in the
// workgroup's tile.
fn keep_sums(item: u32, at: u32, row: u32, column: u32, first_quad: u32, phase_y: u32, phase_x: u32) {
    let quads = SIDE / 2u; // of a part's rows
    let quad = quad_of(first_quad + column / 4u + item % quads, phase_y, phase_x);
    let block = params.first_block + row / 8u + item / quads;
    if !quad.there || block >= (params.outputs + 7u) / 8u { return; }
    let plane = params.out_width * params.out_height;
    let place = quad.row * params.out_width + quad.column;
    let word = (quad.n * params.outputs + block * 8u) * plane + place;
    let first = first_word(quad.n, block);
    let through = mask_of(first, place, plane, apart());
    var above = 0u;
    for (var c = 0u; c < 8u; c++) {
        let from_row = at + (item / quads * 8u + c) * 2u * SIDE + item % quads * 4u;
        let found = vec4f(sums[from_row], sums[from_row + 1u], sums[from_row + 2u], sums[from_row + 3u]);
        let value = found / scale();
        above |= keep_channel(block * 8u + c, word + c * plane, value, through >> (4u * c)) << (4u * c);
    }
    keep_word(first + quad.row * words_across() + quad.column / 4u, above);
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) quarter: u32,
    @builtin(subgroup_invocation_id) own: u32,
) {
    let phases_x = apart();
    let phases_y = select(1u, params.stride_y, TRANSPOSED);
    let phase_y = workgroup.z / phases_x;
    let phase_x = workgroup.z % phases_x;
    let rows = taps_of(phase_y, params.pad_y, phases_y, params.kernel_height);
    let columns = taps_of(phase_x, params.pad_x, phases_x, params.kernel_width);
    let depth = params.inputs * rows.count * columns.count; // 0 in a phase without taps
    let blocks = (params.outputs + 7u) / 8u;
    let first_block = workgroup.y * (TILE / 8u);
    let first_quad = workgroup.x * QUADS;

    // An invocation loads quads of pixels, and halves of blocks of weights, each of one place in the tile and of every so many k.
    let all = params.inputs * params.kernel_height * params.kernel_width; // octets of a block
    let own_half = lane % HALVES;
    let octets = min(params.first_block + first_block + own_half / 2u, blocks - 1u) * all;
    let own_quad = lane % QUADS;
    let loaded = quad_of(first_quad + own_quad, phase_y, phase_x);
    let image = loaded.n * params.inputs;
    var row = loaded.row * params.stride_y - params.pad_y;
    var column = loaded.column * params.stride_x - params.pad_x;
    if TRANSPOSED {
        row = (loaded.row + params.pad_y - rows.first) / params.stride_y;
        column = (loaded.column + params.pad_x - columns.first) / params.stride_x;
    }
    var tap = place_of(lane / QUADS, rows.count, columns.count);
    let step = place_of(STEP, rows.count, columns.count);
    var weight_tap = place_of(lane / HALVES, rows.count, columns.count);
    let weight_step = place_of(WEIGHT_STEP, rows.count, columns.count);

    let own_row = quarter / 2u * (2u * SIDE);
    let own_column = quarter % 2u * (4u * SIDE);
    var s00 = Sum();
    var s01 = Sum();
    var s02 = Sum();
    var s03 = Sum();
    var s10 = Sum();
    var s11 = Sum();
    var s12 = Sum();
    var s13 = Sum();
    for (var first = 0u; first < depth; first += SLAB) {
        workgroupBarrier(); // the slab before was read
        for (var round = 0u; round < SLAB / STEP; round++) {
            let k = lane / QUADS + round * STEP;
            if LANES <= SLAB * QUADS || k < SLAB {
                let v = row + select(tap.r, 0u - tap.r, TRANSPOSED);
                let u = column + select(tap.c, 0u - tap.c, TRANSPOSED);
                let there = loaded.there && tap.i < params.inputs;
                keep_patch(k * PIXELS + own_quad * 4u, patch_at(image + tap.i, v, u, there));
            }
            tap = onward(tap, step, rows.count, columns.count);
        }
        for (var round = 0u; round < SLAB / WEIGHT_STEP; round++) {
            let k = lane / HALVES + round * WEIGHT_STEP;
            if LANES <= SLAB * HALVES || k < SLAB {
                let r = rows.first + weight_tap.r * rows.every;
                let c = columns.first + weight_tap.c * columns.every;
                let octet = (weight_tap.i * params.kernel_height + r) * params.kernel_width + c;
                let at = 2u * (octets + min(octet, all - 1u)) + own_half % 2u - params.w_skip / 4u;
                keep_weights(k * TILE + own_half * 4u, select(vec4f(0.0), w[at], weight_tap.i < params.inputs));
            }
            weight_tap = onward(weight_tap, weight_step, rows.count, columns.count);
        }
        workgroupBarrier();
        let a0 = coopLoad<Left>(&weights[own_row], TILE);
        let a1 = coopLoad<Left>(&weights[own_row + SIDE], TILE);
        let b0 = coopLoadT<Right>(&patches[own_column], PIXELS);
        let b1 = coopLoadT<Right>(&patches[own_column + SIDE], PIXELS);
        s00 = coopMultiplyAdd(a0, b0, s00);
        s01 = coopMultiplyAdd(a0, b1, s01);
        s10 = coopMultiplyAdd(a1, b0, s10);
        s11 = coopMultiplyAdd(a1, b1, s11);
        let b2 = coopLoadT<Right>(&patches[own_column + 2u * SIDE], PIXELS);
        let b3 = coopLoadT<Right>(&patches[own_column + 3u * SIDE], PIXELS);
        s02 = coopMultiplyAdd(a0, b2, s02);
        s03 = coopMultiplyAdd(a0, b3, s03);
        s12 = coopMultiplyAdd(a1, b2, s12);
        s13 = coopMultiplyAdd(a1, b3, s13);
    }
    let at = quarter * HALF;
    let block_row = first_block * 8u + own_row;
    coopStoreT(s00, &sums[at], 2u * SIDE);
    coopStoreT(s01, &sums[at + SIDE], 2u * SIDE);
    workgroupBarrier();
    for (var item = own; item < SIDE * SIDE / 16u; item += SUBGROUP) {
        keep_sums(item, at, block_row, own_column, first_quad, phase_y, phase_x);
    }
    workgroupBarrier();
    coopStoreT(s02, &sums[at], 2u * SIDE);
    coopStoreT(s03, &sums[at + SIDE], 2u * SIDE);
    workgroupBarrier();
    for (var item = own; item < SIDE * SIDE / 16u; item += SUBGROUP) {
        keep_sums(item, at, block_row, own_column + 2u * SIDE, first_quad, phase_y, phase_x);
    }
    workgroupBarrier();
    coopStoreT(s10, &sums[at], 2u * SIDE);
    coopStoreT(s11, &sums[at + SIDE], 2u * SIDE);
    workgroupBarrier();
    for (var item = own; item < SIDE * SIDE / 16u; item += SUBGROUP) {
        keep_sums(item, at, block_row + SIDE, own_column, first_quad, phase_y, phase_x);
    }
    workgroupBarrier();
    coopStoreT(s12, &sums[at], 2u * SIDE);
    coopStoreT(s13, &sums[at + SIDE], 2u * SIDE);
    workgroupBarrier();
    for (var item = own; item < SIDE * SIDE / 16u; item += SUBGROUP) {
        keep_sums(item, at, block_row + SIDE, own_column + 2u * SIDE, first_quad, phase_y, phase_x);
    }
}
