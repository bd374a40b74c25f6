// Derivative of a cross-correlation of any kernel, stride and padding for its weights, as partial sums: a product of matrices
// whose factors a workgroup loads once for all its lanes. For GPUs.
//
//     partial[p][o][t] = sum over the pixels of part p of dy[o][pixel] * patch[t][pixel]    t: (input channel, row, column)
//
//   grid      x: a workgroup per 64 t; y: per 64 out channels; z: parts of part_lines lines of part_images images each, a
//             line being a row of dy; parts of the same images lie side by side
//   x, dy     [image][channel][row][column]
//   partials  [params.first_part + part][out channel][t]; where params.epilogue is 1 the sums are added to what is there;
//             conv2d_sum_parts.wgsl adds the parts in order
//
// Works as conv2d_gemm.wgsl, with sums over pixels instead of its k: SLAB quads (four columns each) at a time, rows filled up
// to whole quads, a workgroup loads 64 channels of dy and 64 patches of x, and every invocation adds up the products of 8 by
// 8, a quad in one product. An invocation loads one channel and one t, whose positions are computed before the loop. The
// position of a quad is the same for all invocations and counted on, without a division.
//
// Counted: a quad costs an invocation 256 multiply-adds and 16 loads of 16 bytes from workgroup memory; for each quad it
// loads one quad of dy and one patch of x from the caches. There are two barriers for each slab, which is 1,024
// multiply-adds. Registers: 64 sums, 36 factors, about 20 positions. Workgroup memory: 8.3 KiB.
//
// Host side: src/ops/conv/weights.rs. Appended: shared/conv2d_launch.wgsl, shared/conv2d_pair_quads.wgsl or
// shared/conv2d_pair_words.wgsl with shared/conv2d_patch.wgsl, or shared/conv2d_pair_points.wgsl alone;
// shared/conv2d_weight_sums.wgsl, shared/conv2d_weight_products.wgsl.

const SIDE: u32 = 64u; // of a tile
const LANES: u32 = 64u;
const SLAB: u32 = 4u;

@group(0) @binding(3) var<storage, read_write> partials: array<f32>;

var<workgroup> derivatives: array<vec4f, SLAB * SIDE>; // [quad][out channel]
var<workgroup> patches: array<vec4f, SLAB * SIDE>; // [quad][t]

fn x_step() -> u32 { return params.stride_x; }

fn keep_one(o: u32, t: u32, part: u32, value: f32) {
    let all = params.inputs * params.kernel_height * params.kernel_width;
    if o >= params.outputs || t >= all { return; }
    let at = ((params.first_part + part) * params.outputs + o) * all + t;
    var sum = value;
    if params.epilogue == 1u { sum += partials[at]; }
    partials[at] = sum;
}

fn keep(sums: Sums, o: u32, t: u32, part: u32) {
    keep_one(o, t, part, sums.s0);
    keep_one(o + 8u, t, part, sums.s1);
    keep_one(o + 16u, t, part, sums.s2);
    keep_one(o + 24u, t, part, sums.s3);
    keep_one(o + 32u, t, part, sums.s4);
    keep_one(o + 40u, t, part, sums.s5);
    keep_one(o + 48u, t, part, sums.s6);
    keep_one(o + 56u, t, part, sums.s7);
}

// Of the products of a quad: channels and t are eight apart, so that lanes side by side read words side by side.
fn eight(at: u32) -> Eight {
    return Eight(
        derivatives[at],
        derivatives[at + 8u],
        derivatives[at + 16u],
        derivatives[at + 24u],
        derivatives[at + 32u],
        derivatives[at + 40u],
        derivatives[at + 48u],
        derivatives[at + 56u],
    );
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let window = params.kernel_height * params.kernel_width;
    let first_t = workgroup.x * SIDE;
    let first_o = (params.first_block + workgroup.y * 8u) * 8u;
    let abreast = (params.lines + params.part_lines - 1u) / params.part_lines; // parts of the same images
    let skipped = workgroup.z / abreast * params.part_images;
    let first_line = params.first_line + workgroup.z % abreast * params.part_lines;
    let last_line = min(first_line + params.part_lines, params.first_line + params.lines);
    let first_image = params.first_image + skipped;
    let last_image = params.first_image + min(skipped + params.part_images, params.images);
    let across = (params.out_width + 3u) / 4u;
    let quads = (last_image - first_image) * (last_line - first_line) * across;

    // The channel and t that an invocation loads. Beyond the last it reads another one, whose sums are not stored.
    let o = min(first_o + lane, params.outputs - 1u);
    let t = min(first_t + lane, params.inputs * window - 1u);
    let i = t / window;
    let r = t % window / params.kernel_width - params.pad_y; // above and left of x these wrap to large numbers
    let c = t % window % params.kernel_width - params.pad_x;
    var n = first_image;
    var v = first_line;
    var u = 0u;

    let own_o = lane / 8u;
    let own_t = lane % 8u;
    var t0 = Sums();
    var t1 = Sums();
    var t2 = Sums();
    var t3 = Sums();
    var t4 = Sums();
    var t5 = Sums();
    var t6 = Sums();
    var t7 = Sums();
    for (var first = 0u; first < quads; first += SLAB) {
        workgroupBarrier(); // the slab before was read
        for (var q = 0u; q < SLAB; q++) {
            let there = first + q < quads;
            derivatives[q * SIDE + lane] = dy_at(n * params.outputs + o, v, u, there);
            let row = v * params.stride_y + r;
            let column = u * params.stride_x + c;
            patches[q * SIDE + lane] = patch_at(n * params.inputs + i, row, column, there);
            u += 4u;
            let next_row = u >= params.out_width;
            u = select(u, 0u, next_row);
            v += select(0u, 1u, next_row);
            let next_image = v == last_line;
            v = select(v, first_line, next_image);
            n += select(0u, 1u, next_image);
        }
        workgroupBarrier();
        for (var q = 0u; q < SLAB; q++) {
            let d = eight(q * SIDE + own_o);
            let at = q * SIDE + own_t;
            add_products(&t0, d, patches[at]);
            add_products(&t1, d, patches[at + 8u]);
            add_products(&t2, d, patches[at + 16u]);
            add_products(&t3, d, patches[at + 24u]);
            add_products(&t4, d, patches[at + 32u]);
            add_products(&t5, d, patches[at + 40u]);
            add_products(&t6, d, patches[at + 48u]);
            add_products(&t7, d, patches[at + 56u]);
        }
    }
    let out = first_o + own_o;
    let own = first_t + own_t;
    keep(t0, out, own, workgroup.z);
    keep(t1, out, own + 8u, workgroup.z);
    keep(t2, out, own + 16u, workgroup.z);
    keep(t3, out, own + 24u, workgroup.z);
    keep(t4, out, own + 32u, workgroup.z);
    keep(t5, out, own + 40u, workgroup.z);
    keep(t6, out, own + 48u, workgroup.z);
    keep(t7, out, own + 56u, workgroup.z);
}
