// Depthwise cross-correlation (each channel is a group of its own) of stride 1, with kernels that reach at most three rows and
// columns to either side of the output's pixel; or its derivative for x if the constant FLIPPED is true. A workgroup loads x once
// for all its lanes. For GPUs, not for CPU rasterisers.
//
//     y[n][c][v][u] = sum over r, s of w[c][r][s] * x[n][c][v + r - pad_y][u + s - pad_x]
//
//   grid   a workgroup per CELLS cells of all planes, see shared/index.wgsl; a cell is CELL_ROWS rows of CELL_COLUMNS columns
//          of a plane, and an invocation has a tile of it, 4 rows by 8 columns
//   x, y   [image][channel][row][column]; w [channel][row][column]
//
// A cell, with the rows and columns around it that its outermost taps read, and the weights of its channel are in workgroup
// memory. Columns begin 4 left of the cell, so that a row of a tile reads four quads (a quad is four columns, one vec4).
// Weights are stored as seven columns, three of them left of the middle; those that the kernel does not have are zeros. Small
// planes share a workgroup.
//
// Counted: a kernel row costs an invocation 224 multiply-adds and 18 loads of 16 bytes from workgroup memory. Registers: 32
// sums, 16 words of x, 8 weights. Workgroup memory: at most 16 KiB.
//
// Host side: src/ops/conv/depthwise.rs. Appended: shared/conv2d_params.wgsl, shared/index.wgsl.

override FLIPPED: bool = false;
// Of a cell: multiples of 4 and of 8.
override CELL_ROWS: u32 = 32u;
override CELL_COLUMNS: u32 = 56u;
// As many as have tiles for 64 lanes and room.
override CELLS: u32 = 1u;

const LANES: u32 = 64u;
override QUADS: u32 = CELL_COLUMNS / 4u + 2u; // of a row of a cell
override ROWS: u32 = CELL_ROWS + 6u;
override ACROSS: u32 = CELL_COLUMNS / 8u; // tiles
override TILES: u32 = ACROSS * (CELL_ROWS / 4u); // of a cell
override PIXELS: u32 = CELLS * ROWS * QUADS;
override WEIGHTS: u32 = CELLS * 14u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

var<workgroup> pixels: array<vec4f, PIXELS>; // [cell][row][quad]
var<workgroup> weights: array<vec4f, WEIGHTS>; // [cell][row][half]
var<workgroup> cells: array<Cell, CELLS>;

// A cell: its plane, and where it begins there.
struct Cell { plane: u32, row: u32, column: u32, there: bool }

fn cell_of(number: u32) -> Cell {
    let across = (params.out_width + CELL_COLUMNS - 1u) / CELL_COLUMNS;
    let high = (params.out_height + CELL_ROWS - 1u) / CELL_ROWS;
    let plane = number / (across * high);
    return Cell(
        params.first_image * params.outputs + plane,
        number / across % high * CELL_ROWS,
        number % across * CELL_COLUMNS,
        plane < params.images * params.outputs,
    );
}

fn load_pixels(lane: u32) {
    for (var number = lane; number < PIXELS; number += LANES) {
        let cell = cells[number / (ROWS * QUADS)];
        // Left of and above x these wrap to large numbers.
        let v = cell.row + number / QUADS % ROWS - params.pad_y;
        let column = cell.column + number % QUADS * 4u - 4u;
        let inside = cell.there & (v < params.height);
        let line = select(0u, (cell.plane * params.height + v) * params.width, inside);
        let columns = column + vec4u(0u, 1u, 2u, 3u);
        let at = line + min(columns, vec4u(params.width - 1u));
        let quad = vec4f(x[at.x], x[at.y], x[at.z], x[at.w]);
        pixels[number] = select(vec4f(0.0), quad, vec4<bool>(inside) & (columns < vec4u(params.width)));
    }
}

fn weight_at(first: u32, r: u32, s: u32) -> f32 {
    let inside = r < params.kernel_height && s < params.kernel_width;
    var at = r * params.kernel_width + s;
    if FLIPPED { at = params.kernel_height * params.kernel_width - 1u - at; }
    return select(0.0, w[first + select(0u, at, inside)], inside);
}

fn load_weights(lane: u32) {
    for (var number = lane; number < WEIGHTS; number += LANES) {
        let channel = cells[number / 14u].plane % params.outputs * params.kernel_height * params.kernel_width;
        let r = number / 2u % 7u;
        let s = number % 2u * 4u + params.pad_x - 3u; // left of the kernel they wrap to large numbers
        weights[number] = vec4f(
            weight_at(channel, r, s),
            weight_at(channel, r, s + 1u),
            weight_at(channel, r, s + 2u),
            weight_at(channel, r, s + 3u),
        );
    }
}

// Adds seven taps to four columns of a row. a, b and c hold the columns of x from four to the left of them on.
fn add(sum: vec4f, low: vec4f, high: vec4f, a: vec4f, b: vec4f, c: vec4f) -> vec4f {
    var all = fma(vec4f(low.x), vec4f(a.yzw, b.x), sum);
    all = fma(vec4f(low.y), vec4f(a.zw, b.xy), all);
    all = fma(vec4f(low.z), vec4f(a.w, b.xyz), all);
    all = fma(vec4f(low.w), b, all);
    all = fma(vec4f(high.x), vec4f(b.yzw, c.x), all);
    all = fma(vec4f(high.y), vec4f(b.zw, c.xy), all);
    return fma(vec4f(high.z), vec4f(b.w, c.xyz), all);
}

fn keep(cell: Cell, v: u32, u: u32, value: vec4f) {
    if v >= params.out_height || u >= params.out_width { return; }
    let at = (cell.plane * params.out_height + v) * params.out_width + u;
    let columns = params.out_width - u;
    y[at] = value.x;
    if columns > 1u { y[at + 1u] = value.y; }
    if columns > 2u { y[at + 2u] = value.z; }
    if columns > 3u { y[at + 3u] = value.w; }
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    if lane < CELLS { cells[lane] = cell_of(flat_group(workgroup, workgroups) * CELLS + lane); }
    workgroupBarrier();
    load_pixels(lane);
    load_weights(lane);
    workgroupBarrier();
    let own = lane / TILES;
    if own >= CELLS { return; }
    let row = lane % TILES / ACROSS * 4u;
    let column = lane % TILES % ACROSS * 8u;
    var left0 = vec4f(0.0);
    var left1 = vec4f(0.0);
    var left2 = vec4f(0.0);
    var left3 = vec4f(0.0);
    var right0 = vec4f(0.0);
    var right1 = vec4f(0.0);
    var right2 = vec4f(0.0);
    var right3 = vec4f(0.0);
    var at = (own * ROWS + row) * QUADS + column / 4u;
    for (var r = 0u; r < params.kernel_height; r++) {
        let low = weights[own * 14u + 2u * r];
        let high = weights[own * 14u + 2u * r + 1u];
        let second = at + QUADS;
        let third = second + QUADS;
        let fourth = third + QUADS;
        left0 = add(left0, low, high, pixels[at], pixels[at + 1u], pixels[at + 2u]);
        right0 = add(right0, low, high, pixels[at + 1u], pixels[at + 2u], pixels[at + 3u]);
        left1 = add(left1, low, high, pixels[second], pixels[second + 1u], pixels[second + 2u]);
        right1 = add(right1, low, high, pixels[second + 1u], pixels[second + 2u], pixels[second + 3u]);
        left2 = add(left2, low, high, pixels[third], pixels[third + 1u], pixels[third + 2u]);
        right2 = add(right2, low, high, pixels[third + 1u], pixels[third + 2u], pixels[third + 3u]);
        left3 = add(left3, low, high, pixels[fourth], pixels[fourth + 1u], pixels[fourth + 2u]);
        right3 = add(right3, low, high, pixels[fourth + 1u], pixels[fourth + 2u], pixels[fourth + 3u]);
        at += QUADS;
    }
    let cell = cells[own];
    if !cell.there { return; }
    let v = cell.row + row;
    let u = cell.column + column;
    keep(cell, v, u, left0);
    keep(cell, v, u + 4u, right0);
    keep(cell, v + 1u, u, left1);
    keep(cell, v + 1u, u + 4u, right1);
    keep(cell, v + 2u, u, left2);
    keep(cell, v + 2u, u + 4u, right2);
    keep(cell, v + 3u, u, left3);
    keep(cell, v + 3u, u + 4u, right3);
}
