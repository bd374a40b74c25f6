enable f16;
enable wgpu_cooperative_matrix;

// Derivative of a cross-correlation of any kernel, stride and padding for its weights, as partial sums, by cooperative
// matrices ("tensor cores"). For GPUs, where half precision is asked for.
//
//     partial[p][o][t] = sum over the pixels of part p of dy[o][pixel] * patch[t][pixel]    t: (input channel, row, column)
//
//   grid      x: a workgroup per TILE t; y: per TILE out channels; z: parts, as of conv2d_weights_gemm.wgsl
//   x, dy     [image][channel][row][column]
//   partials  [params.first_part + part][out channel][t]; where params.epilogue is 1 the sums are added to what is there;
//             conv2d_sum_parts.wgsl adds the parts in order
//
// Works as conv2d_cooperative.wgsl, with sums over pixels instead of its k: SLAB pixels at a time, rows filled up to whole
// quads (four columns each). A lane loads EACH quads of one channel of dy, and of one t of x. Before the products dy is
// multiplied by 1,024, because derivatives are small.
//
// Workgroup memory: 14 KiB with sides of 16, 4 KiB with sides of 8.
//
// Host side: src/ops/conv/weights.rs. Appended: shared/conv2d_launch.wgsl, shared/conv2d_pair_words.wgsl,
// shared/conv2d_patch.wgsl, shared/conv2d_count.wgsl, shared/cooperative_8.wgsl or shared/cooperative_16.wgsl.

// Lanes of a subgroup.
override SUBGROUP: u32 = 32u;

override LANES: u32 = 4u * SUBGROUP;
const TILE: u32 = 4u * SIDE; // out channels, and t
const SLAB: u32 = 2u * SIDE; // pixels
const QUADS: u32 = SLAB / 4u;
override EACH: u32 = QUADS * TILE / LANES;
const ROW: u32 = SLAB + 8u; // of workgroup memory: lanes that store rows side by side meet different banks
const SCALE: f32 = 1024.0;

@group(0) @binding(3) var<storage, read_write> partials: array<f32>;

var<workgroup> derivatives: array<f16, TILE * ROW>; // [out channel][pixel]
var<workgroup> patches: array<f16, TILE * ROW>; // [t][pixel]
var<workgroup> sums: array<f32, 4u * SIDE * SIDE>; // [quarter][out channel][t]

fn x_step() -> u32 { return params.stride_x; }

fn keep_derivative(at: u32, quad: vec4f) {
    let four = quad * SCALE;
    derivatives[at] = f16(four.x);
    derivatives[at + 1u] = f16(four.y);
    derivatives[at + 2u] = f16(four.z);
    derivatives[at + 3u] = f16(four.w);
}

fn keep_patch(at: u32, four: vec4f) {
    patches[at] = f16(four.x);
    patches[at + 1u] = f16(four.y);
    patches[at + 2u] = f16(four.z);
    patches[at + 3u] = f16(four.w);
}

fn keep_one(o: u32, t: u32, part: u32, value: f32) {
    let all = params.inputs * params.kernel_height * params.kernel_width;
    if o >= params.outputs || t >= all { return; }
    let at = ((params.first_part + part) * params.outputs + o) * all + t;
    var sum = value;
    if params.epilogue == 1u { sum += partials[at]; }
    partials[at] = sum;
}

// Stores the sums that a subgroup left in workgroup memory: SIDE out channels by SIDE t.
fn keep_sums(own: u32, at: u32, o: u32, t: u32, part: u32) {
    for (var item = own; item < SIDE * SIDE; item += SUBGROUP) {
        keep_one(o + item / SIDE, t + item % SIDE, part, sums[at + item] / SCALE);
    }
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) quarter: u32,
    @builtin(subgroup_invocation_id) own: u32,
) {
    let window = params.kernel_height * params.kernel_width;
    let first_t = workgroup.x * TILE;
    let first_o = params.first_block * 8u + workgroup.y * TILE;
    let abreast = (params.lines + params.part_lines - 1u) / params.part_lines; // parts of the same images
    let skipped = workgroup.z / abreast * params.part_images;
    let first_line = params.first_line + workgroup.z % abreast * params.part_lines;
    let last_line = min(first_line + params.part_lines, params.first_line + params.lines);
    let first_image = params.first_image + skipped;
    let last_image = params.first_image + min(skipped + params.part_images, params.images);
    let across = (params.out_width + 3u) / 4u;
    let lines = last_line - first_line;
    let quads = (last_image - first_image) * lines * across;

    // The row and quads that a lane loads. Beyond the last t and out channel it reads another one, whose sums are not stored.
    let row = lane % TILE;
    let first_quad = lane / TILE * EACH; // in a slab
    let o = min(first_o + row, params.outputs - 1u);
    let t = min(first_t + row, params.inputs * window - 1u);
    let i = t / window;
    let r = t % window / params.kernel_width - params.pad_y; // above and left of x these wrap to large numbers
    let c = t % window % params.kernel_width - params.pad_x;
    var place = place_of(first_quad, lines, across);
    place.i += first_image;
    let next = place_of(1u, lines, across);
    let skip = place_of(QUADS - EACH, lines, across);

    let own_row = quarter / 2u * (2u * SIDE);
    let own_column = quarter % 2u * (2u * SIDE);
    var s00 = Sum();
    var s01 = Sum();
    var s10 = Sum();
    var s11 = Sum();
    for (var first = 0u; first < quads; first += QUADS) {
        workgroupBarrier(); // the slab before was read
        for (var each = 0u; each < EACH; each++) {
            let there = place.i < last_image;
            let v = first_line + place.r;
            let u = place.c * 4u;
            let at = row * ROW + (first_quad + each) * 4u;
            keep_derivative(at, dy_at(place.i * params.outputs + o, v, u, there));
            let x_row = v * params.stride_y + r;
            let column = u * params.stride_x + c;
            keep_patch(at, patch_at(place.i * params.inputs + i, x_row, column, there));
            place = onward(place, next, lines, across);
        }
        place = onward(place, skip, lines, across);
        workgroupBarrier();
        for (var p = 0u; p < SLAB; p += SIDE) {
            let a0 = coopLoadT<Left>(&derivatives[own_row * ROW + p], ROW);
            let a1 = coopLoadT<Left>(&derivatives[(own_row + SIDE) * ROW + p], ROW);
            let b0 = coopLoad<Right>(&patches[own_column * ROW + p], ROW);
            let b1 = coopLoad<Right>(&patches[(own_column + SIDE) * ROW + p], ROW);
            s00 = coopMultiplyAdd(a0, b0, s00);
            s01 = coopMultiplyAdd(a0, b1, s01);
            s10 = coopMultiplyAdd(a1, b0, s10);
            s11 = coopMultiplyAdd(a1, b1, s11);
        }
    }
    let at = quarter * SIDE * SIDE;
    let out = first_o + own_row;
    let own_t = first_t + own_column;
    coopStoreT(s00, &sums[at], SIDE);
    workgroupBarrier();
    keep_sums(own, at, out, own_t, workgroup.z);
    workgroupBarrier();
    coopStoreT(s01, &sums[at], SIDE);
    workgroupBarrier();
    keep_sums(own, at, out, own_t + SIDE, workgroup.z);
    workgroupBarrier();
    coopStoreT(s10, &sums[at], SIDE);
    workgroupBarrier();
    keep_sums(own, at, out + SIDE, own_t, workgroup.z);
    workgroupBarrier();
    coopStoreT(s11, &sums[at], SIDE);
    workgroupBarrier();
    keep_sums(own, at, out + SIDE, own_t + SIDE, workgroup.z);
}
