// Cross-correlation of any kernel, stride and padding, derivative for the weights, as a product of matrices by whole
// workgroups. For GPUs.
//
//     partial[p][o][t] = sum over the pixels of part p of dy[o][pixel] * patch[t][pixel]    t: (in channel, row, column)
//
//   grid      x: a workgroup per 64 t; y: per 64 out channels; z: parts of part_images each
//   x, dy     [image][channel][row][column]; dy's width divisible by 4
//   partials  [part, the launch's from first_part][out channel][t], added to where epilogue is 1; conv2d_sum_parts.wgsl
//             adds them in order
//
// As conv2d_gemm.wgsl, with pixels in the place of its k: SLAB quads at a time (a line is a row of dy), a workgroup loads 64 channels of dy and 64
// patches of x, and every invocation adds up the products of 8 by 8, a quad in one product. What one t needs is worked
// out once, ahead of the loop.
//
// Counted, not measured: a quad costs an invocation 256 multiply-adds and 64 words of workgroup memory, and a workgroup
// 32,768 operations and 512 words from caches: 8 and 64 operations a word. conv2d_weights_nine.wgsl loads 38 words for 576
// operations, 15 a word, and of 64 by 64 channels it is 512 invocations a part, a small part of a GPU. Registers: 64 sums,
// 36 factors, about 20 positions. Workgroup memory: 2 * 4,160 + 768 bytes.
//
// Host side: src/ops/conv/weights.rs. Appended: shared/conv2d_launch.wgsl, shared/conv2d_pair_storage.wgsl,
// shared/conv2d_weight_sums.wgsl, shared/conv2d_patch.wgsl.

const SIDE: u32 = 64u; // of a tile
const LANES: u32 = 64u;
const SLAB: u32 = 4u;
// One more than a tile has: lanes that store neighbouring quads of a row meet different banks.
const STRIDE: u32 = SIDE + 1u;

@group(0) @binding(3) var<storage, read_write> partials: array<f32>;

var<workgroup> rows_of_dy: array<vec4f, SLAB * STRIDE>; // [quad][out channel]
var<workgroup> patches: array<vec4f, SLAB * STRIDE>; // [quad][t]
var<workgroup> places: array<Place, SIDE>;

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

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let window = params.kernel_height * params.kernel_width;
    let first_t = workgroup.x * SIDE;
    let first_o = workgroup.y * SIDE;
    let first_image = workgroup.z * params.part_images;
    let across = params.out_width / 4u;
    let quads = min(params.images - first_image, params.part_images) * params.lines * across;
    let out_plane = params.out_height * params.out_width;

    // Beyond the last t and out channel others are read, and not stored.
    let t = min(first_t + lane, params.inputs * window - 1u);
    places[lane] = Place(
        t / window * params.height * params.width,
        t % window / params.kernel_width - params.pad_y,
        t % params.kernel_width - params.pad_x,
    );
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
        workgroupBarrier(); // places are there, and the slab before was read
        // Lanes side by side load quads side by side.
        let quad = first + lane % SLAB;
        let there = quad < quads;
        let line = quad / across; // of all lines of the part
        let n = params.first_image + first_image + line / params.lines;
        let v = params.first_line + line % params.lines;
        let u = quad % across * 4u;
        let image = n * params.inputs * params.height * params.width;
        let row = select(OUTSIDE, v * params.stride_y, there);
        for (var each = lane / SLAB; each < SIDE; each += LANES / SLAB) {
            let o = min(first_o + each, params.outputs - 1u);
            var of_dy = vec4f(0.0);
            if there { of_dy = dy[((n * params.outputs + o) * out_plane + v * params.out_width + u) / 4u]; }
            rows_of_dy[lane % SLAB * STRIDE + each] = of_dy;
            patches[lane % SLAB * STRIDE + each] = patch_at(places[each], image, row, u * params.stride_x);
        }
        workgroupBarrier();
        for (var q = 0u; q < SLAB; q++) {
            let at = q * STRIDE + own_o;
            let d = Eight(
                rows_of_dy[at],
                rows_of_dy[at + 8u],
                rows_of_dy[at + 16u],
                rows_of_dy[at + 24u],
                rows_of_dy[at + 32u],
                rows_of_dy[at + 40u],
                rows_of_dy[at + 48u],
                rows_of_dy[at + 56u],
            );
            let of_t = q * STRIDE + own_t;
            add(&t0, d, patches[of_t]);
            add(&t1, d, patches[of_t + 8u]);
            add(&t2, d, patches[of_t + 16u]);
            add(&t3, d, patches[of_t + 24u]);
            add(&t4, d, patches[of_t + 32u]);
            add(&t5, d, patches[of_t + 40u]);
            add(&t6, d, patches[of_t + 48u]);
            add(&t7, d, patches[of_t + 56u]);
        }
    }
    let o = first_o + own_o;
    let own = first_t + own_t;
    keep(t0, o, own, workgroup.z);
    keep(t1, o, own + 8u, workgroup.z);
    keep(t2, o, own + 16u, workgroup.z);
    keep(t3, o, own + 24u, workgroup.z);
    keep(t4, o, own + 32u, workgroup.z);
    keep(t5, o, own + 40u, workgroup.z);
    keep(t6, o, own + 48u, workgroup.z);
    keep(t7, o, own + 56u, workgroup.z);
}
