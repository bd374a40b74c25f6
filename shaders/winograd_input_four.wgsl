// Transforms tiles of a convolution's input x for Winograd's filtering F(4x4, 3x3), whose batched product reads the result V:
//
//   V[6r + c][i][t] = (B^T d B)[r][c]     d: the 6x6 of channel i of x that tile t of the result sees, zeros in the padding
//
//   grid    x: one invocation per tile of this launch; y: one workgroup per channel
//   x       [image][channel][row][column]
//   v       [point][channel][tile], a channel's tiles are params.pitch words; words beyond the last tile are not written
//
// The points are those of conv2d_winograd.wgsl, for their rounding: 0, +-1/sqrt(2), +-sqrt(2) and infinity. Lanes in a row
// store words in a row. Host side: src/ops/conv/winograd.rs. Appended: shared/winograd_launch.wgsl, shared/winograd_input.wgsl.

const ROOT: f32 = 1.4142135623730951;
const HALF_ROOT: f32 = 0.7071067811865476;

// The six values of a row; in Six, the values of six rows at three columns.
struct Halves { low: vec3f, high: vec3f }
struct Six { k0: vec3f, k1: vec3f, k2: vec3f, k3: vec3f, k4: vec3f, k5: vec3f }

// B^T of six rows.
fn transformed(d0: vec3f, d1: vec3f, d2: vec3f, d3: vec3f, d4: vec3f, d5: vec3f) -> Six {
    let a = d4 - 2.0 * d2;
    let b = HALF_ROOT * d3 - ROOT * d1;
    let c = d4 - 0.5 * d2;
    let d = ROOT * d3 - HALF_ROOT * d1;
    return Six(d4 - 2.5 * d2 + d0, a + b, a - b, c + d, c - d, d5 - 2.5 * d3 + d1);
}

// A row of d times B.
fn across(row: Row) -> Halves {
    let d = row.middle;
    let a = d.w - 2.0 * d.y;
    let b = HALF_ROOT * d.z - ROOT * d.x;
    let c = d.w - 0.5 * d.y;
    let e = ROOT * d.z - HALF_ROOT * d.x;
    return Halves(
        vec3f(d.w - 2.5 * d.y + row.left, a + b, a - b),
        vec3f(c + e, c - e, row.right - 2.5 * d.z + d.x),
    );
}

fn keep(at: u32, step: u32, low: vec3f, high: vec3f) {
    v[at] = low.x;
    v[at + step] = low.y;
    v[at + 2u * step] = low.z;
    v[at + 3u * step] = high.x;
    v[at + 4u * step] = high.y;
    v[at + 5u * step] = high.z;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let tile = workgroup.x * 64u + lane;
    if tile >= params.units { return; }
    let place = place_of(params.first_unit + tile, 4u);
    let channel = workgroup.y;
    let first = (place.image * params.inputs + channel) * params.height * params.width;
    let r0 = across(row_of(first, place.row, place.column));
    let r1 = across(row_of(first, place.row + 1u, place.column));
    let r2 = across(row_of(first, place.row + 2u, place.column));
    let r3 = across(row_of(first, place.row + 3u, place.column));
    let r4 = across(row_of(first, place.row + 4u, place.column));
    let r5 = across(row_of(first, place.row + 5u, place.column));
    let low = transformed(r0.low, r1.low, r2.low, r3.low, r4.low, r5.low);
    let high = transformed(r0.high, r1.high, r2.high, r3.high, r4.high, r5.high);
    let step = params.inputs * params.pitch;
    let at = channel * params.pitch + tile;
    keep(at, step, low.k0, high.k0);
    keep(at + 6u * step, step, low.k1, high.k1);
    keep(at + 12u * step, step, low.k2, high.k2);
    keep(at + 18u * step, step, low.k3, high.k3);
    keep(at + 24u * step, step, low.k4, high.k4);
    keep(at + 30u * step, step, low.k5, high.k5);
}
