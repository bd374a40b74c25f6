// Transforms tiles of x for the batched product of Winograd's filtering F(2x2, 3x3):
//
//   V[4r + c][i][t] = (B^T d B)[r][c]     d: the 4x4 of channel i of x that tile t of the result sees, zeros in the padding
//
//   grid    x: one invocation per two tiles side by side; y: one workgroup per channel
//   x       [image][channel][row][column]
//   v       [point][channel][tile], a channel's tiles are params.pitch words, the two of an invocation 32 apart
//           (first_of_two in shared/winograd_launch.wgsl); words beyond the last tile are not written
//
// The points are 0, +-1 and infinity: nothing is multiplied. Host side: src/ops/conv/winograd.rs.
// Appended: shared/winograd_launch.wgsl, shared/winograd_input.wgsl.

// A row of d times B, of both tiles.
struct Pair { a: vec4f, b: vec4f }

fn across(row: Row) -> Pair {
    let d = row.middle;
    return Pair(
        vec4f(row.left - d.y, d.x + d.y, d.y - d.x, d.x - d.z),
        vec4f(d.y - d.w, d.z + d.w, d.w - d.z, d.z - row.right),
    );
}

fn keep(at: u32, step: u32, a: vec4f, b: vec4f) {
    v[at] = a.x;
    v[at + 32u] = b.x;
    v[at + step] = a.y;
    v[at + step + 32u] = b.y;
    v[at + 2u * step] = a.z;
    v[at + 2u * step + 32u] = b.z;
    v[at + 3u * step] = a.w;
    v[at + 3u * step + 32u] = b.w;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let unit = workgroup.x * 64u + lane;
    if unit >= params.units { return; }
    let place = place_of(params.first_unit + unit, 2u);
    let channel = workgroup.y;
    let first = (place.image * params.inputs + channel) * params.height * params.width;
    let r0 = across(row_of(first, place.row, place.column));
    let r1 = across(row_of(first, place.row + 1u, place.column));
    let r2 = across(row_of(first, place.row + 2u, place.column));
    let r3 = across(row_of(first, place.row + 3u, place.column));
    let step = params.inputs * params.pitch;
    let at = channel * params.pitch + first_of_two(unit);
    keep(at, step, r0.a - r2.a, r0.b - r2.b);
    keep(at + 4u * step, step, r1.a + r2.a, r1.b + r2.b);
    keep(at + 8u * step, step, r2.a - r1.a, r2.b - r1.b);
    keep(at + 12u * step, step, r1.a - r3.a, r1.b - r3.b);
}
