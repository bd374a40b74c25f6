// Derivative of a 3x3 cross-correlation of stride 1 and padding 1 for its weights, with x and dy loaded once for a whole
// workgroup, as partial sums over ranges of images and of their rows (parts); conv2d_sum_parts.wgsl adds the partial sums in
// order. For GPUs, not for CPU rasterisers.
//
//     partial[p][o][i][r][c] = sum over the pixels of part p of dy[n][o][v][u] * x[n][i][v + r - 1][u + c - 1]
//
//   grid      x: a workgroup per 64 / BLOCKS input channels; y: per BLOCKS blocks of 8 output channels; z: parts of part_lines
//             lines of part_images images each; parts of the same images lie side by side
//   x, dy     [image][channel][row][column], rows of whole quads (a quad is four columns, one vec4)
//   partials  [params.first_part + part][out channel][in channel][row][column]; where params.epilogue is 1 the sums are
//             added to what is there
//
// An invocation holds all nine weights of an input channel for eight out channels. The workgroup goes through its images in
// tiles of 4 rows by 8 columns of dy. For each tile it loads dy of all its out channels, and x of all its input channels with
// one row more above and below and a quad more left and right, each word once. A line is four rows of dy.
//
// Counted: a quad of dy costs an invocation 288 multiply-adds and 17 loads of 16 bytes from workgroup memory. A tile is 8
// quads and two barriers; for it an invocation makes 11 loads of 16 bytes from the caches, with eight blocks. Registers: 72
// sums, 32 words of dy, 12 of x. Workgroup memory: 13 KiB with eight blocks, 12.4 with four.
//
// Host side: src/ops/conv/weights.rs. Appended: shared/conv2d_launch.wgsl, shared/conv2d_pair_storage.wgsl,
// shared/conv2d_weight_sums.wgsl, shared/conv2d_weight_products.wgsl.

// Blocks of eight output channels: 8, or 4 for layers that have no more.
override BLOCKS: u32 = 8u;

const LANES: u32 = 64u;
override CHANNELS: u32 = LANES / BLOCKS; // input channels
override OUTPUTS: u32 = 8u * BLOCKS;
const HEIGHT: u32 = 4u; // rows of dy at a time, of two quads
const ROWS: u32 = HEIGHT + 2u; // rows of x
const ROW: u32 = 5u; // a row of x: 4 quads, and one more
// In channels' rows and blocks' channels take one quad more, so that lanes read from different banks at once.
const CHANNEL: u32 = ROWS * ROW + 1u;
const BLOCK: u32 = 9u;
override PLACE: u32 = BLOCKS * BLOCK;
override PIXELS: u32 = CHANNELS * CHANNEL;
override DERIVATIVES: u32 = 2u * HEIGHT * PLACE;

@group(0) @binding(3) var<storage, read_write> partials: array<f32>;

var<workgroup> pixels: array<vec4f, PIXELS>; // [in channel][row][quad]
var<workgroup> derivatives: array<vec4f, DERIVATIVES>; // [row][quad][block][out channel % 8]

fn load_pixels(lane: u32, n: u32, first: u32, row: u32, column: u32) {
    for (var number = lane; number < CHANNELS * ROWS * 4u; number += LANES) {
        let line = number / 4u;
        let i = first + line / ROWS;
        let v = row + line % ROWS - 1u; // above and left of x they wrap to large numbers
        let u = column + number % 4u * 4u - 4u;
        var quad = vec4f(0.0);
        if i < params.inputs && v < params.height && u < params.width {
            quad = x[(((n * params.inputs + i) * params.height + v) * params.width + u) / 4u];
        }
        pixels[line / ROWS * CHANNEL + line % ROWS * ROW + number % 4u] = quad;
    }
}

fn load_derivatives(lane: u32, n: u32, first: u32, row: u32, column: u32) {
    let place = lane % 8u;
    let v = row + place / 2u;
    let u = column + place % 2u * 4u;
    for (var number = lane / 8u; number < OUTPUTS; number += LANES / 8u) {
        let o = first + number;
        var quad = vec4f(0.0);
        if o < params.outputs && v < params.height && u < params.width {
            quad = dy[(((n * params.outputs + o) * params.height + v) * params.width + u) / 4u];
        }
        derivatives[place * PLACE + number / 8u * BLOCK + number % 8u] = quad;
    }
}

fn eight(at: u32) -> Eight {
    return Eight(
        derivatives[at],
        derivatives[at + 1u],
        derivatives[at + 2u],
        derivatives[at + 3u],
        derivatives[at + 4u],
        derivatives[at + 5u],
        derivatives[at + 6u],
        derivatives[at + 7u],
    );
}

fn keep_one(part: u32, o: u32, i: u32, weight: u32, value: f32) {
    if o < params.outputs {
        let at = (((params.first_part + part) * params.outputs + o) * params.inputs + i) * 9u + weight;
        var sum = value;
        if params.epilogue == 1u { sum += partials[at]; }
        partials[at] = sum;
    }
}

fn keep(sums: Sums, part: u32, o: u32, i: u32, weight: u32) {
    keep_one(part, o + 0u, i, weight, sums.s0);
    keep_one(part, o + 1u, i, weight, sums.s1);
    keep_one(part, o + 2u, i, weight, sums.s2);
    keep_one(part, o + 3u, i, weight, sums.s3);
    keep_one(part, o + 4u, i, weight, sums.s4);
    keep_one(part, o + 5u, i, weight, sums.s5);
    keep_one(part, o + 6u, i, weight, sums.s6);
    keep_one(part, o + 7u, i, weight, sums.s7);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let first_i = workgroup.x * CHANNELS;
    let first_o = (params.first_block + workgroup.y * BLOCKS) * 8u;
    let abreast = (params.lines + params.part_lines - 1u) / params.part_lines; // parts of the same images
    let first_image = workgroup.z / abreast * params.part_images;
    let images = min(params.images - first_image, params.part_images);
    let skipped = workgroup.z % abreast * params.part_lines;
    let first_line = params.first_line + skipped;
    let lines = min(params.lines - skipped, params.part_lines);
    let own_block = lane / CHANNELS;
    let own_pixels = lane % CHANNELS * CHANNEL;
    let across = (params.width + 7u) / 8u;
    let tiles = across * lines; // of an image

    var w0 = Sums();
    var w1 = Sums();
    var w2 = Sums();
    var w3 = Sums();
    var w4 = Sums();
    var w5 = Sums();
    var w6 = Sums();
    var w7 = Sums();
    var w8 = Sums();
    for (var tile = 0u; tile < images * tiles; tile++) {
        let n = params.first_image + first_image + tile / tiles;
        let row = (first_line + tile % tiles / across) * HEIGHT;
        let column = tile % across * 8u;
        workgroupBarrier(); // the tile before was read
        load_pixels(lane, n, first_i, row, column);
        load_derivatives(lane, n, first_o, row, column);
        workgroupBarrier();
        for (var place = 0u; place < 2u * HEIGHT; place++) {
            let d = eight(place * PLACE + own_block * BLOCK);
            let above = own_pixels + place / 2u * ROW + place % 2u;
            let a = pixels[above + 1u];
            add_products(&w0, d, vec4f(pixels[above].w, a.xyz));
            add_products(&w1, d, a);
            add_products(&w2, d, vec4f(a.yzw, pixels[above + 2u].x));
            let b = pixels[above + ROW + 1u];
            add_products(&w3, d, vec4f(pixels[above + ROW].w, b.xyz));
            add_products(&w4, d, b);
            add_products(&w5, d, vec4f(b.yzw, pixels[above + ROW + 2u].x));
            let c = pixels[above + 2u * ROW + 1u];
            add_products(&w6, d, vec4f(pixels[above + 2u * ROW].w, c.xyz));
            add_products(&w7, d, c);
            add_products(&w8, d, vec4f(c.yzw, pixels[above + 2u * ROW + 2u].x));
        }
    }
    let i = first_i + lane % CHANNELS;
    let o = first_o + own_block * 8u;
    if i >= params.inputs { return; }
    keep(w0, workgroup.z, o, i, 0u);
    keep(w1, workgroup.z, o, i, 1u);
    keep(w2, workgroup.z, o, i, 2u);
    keep(w3, workgroup.z, o, i, 3u);
    keep(w4, workgroup.z, o, i, 4u);
    keep(w5, workgroup.z, o, i, 5u);
    keep(w6, workgroup.z, o, i, 6u);
    keep(w7, workgroup.z, o, i, 7u);
    keep(w8, workgroup.z, o, i, 8u);
}
