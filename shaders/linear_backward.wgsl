// Fully connected layer  y = x w^T, derivatives  dx = dy w  and  dw = dy^T x;  one kernel computes either as a product c = a b:
//
//     c[r][u] = sum over k of a(r, k) * b[k][u]
//     for x:  a = dy, b = w, k counts outputs     for w:  a = dy transposed, b = x, k counts rows of x
//
//   grid  one invocation per tile of 4 rows by one unit, see shared/index.wgsl
//   a     value (r, k) lies at r * row_stride + k * depth_stride
//   b     [k][unit]; a unit is a vec4 or one value
//   c     [row][unit]
//
// Tiles at the edge repeat the last row in place of those that do not exist, and do not write them.
// Host side: src/ops/linear.rs. Appended: shared/index.wgsl, shared/elem_*.wgsl.

const TILE = 4u;

struct Params { rows: u32, depth: u32, units: u32, tiles: u32, row_stride: u32, depth_stride: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<Elem>;
@group(0) @binding(3) var<storage, read_write> c: array<Elem>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.tiles { return; }
    let row = i / params.units * TILE;
    let unit = i % params.units;

    let last_row = params.rows - 1u;
    let a_0 = row * params.row_stride;
    let a_1 = min(row + 1u, last_row) * params.row_stride;
    let a_2 = min(row + 2u, last_row) * params.row_stride;
    let a_3 = min(row + 3u, last_row) * params.row_stride;

    var sum_0 = Elem(0.0);
    var sum_1 = Elem(0.0);
    var sum_2 = Elem(0.0);
    var sum_3 = Elem(0.0);
    for (var k = 0u; k < params.depth; k++) {
        let value = b[k * params.units + unit];
        let along = k * params.depth_stride;
        sum_0 += a[a_0 + along] * value;
        sum_1 += a[a_1 + along] * value;
        sum_2 += a[a_2 + along] * value;
        sum_3 += a[a_3 + along] * value;
    }
    let first = row * params.units + unit;
    c[first] = sum_0;
    if row + 1u < params.rows { c[first + params.units] = sum_1; }
    if row + 2u < params.rows { c[first + 2u * params.units] = sum_2; }
    if row + 3u < params.rows { c[first + 3u * params.units] = sum_3; }
}
