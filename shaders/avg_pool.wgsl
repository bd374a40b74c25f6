// Average pooling over windows that tile the plane:  y = sum of the window / area
//
//   grid  one invocation per window, see shared/index.wgsl
//   x     [row][unit], the rows of all planes one below the other; a unit is a vec4 or one value
//   y     [row][column] in the same way
//
// A window is `rows` rows of `units` units, and a row of x has `row_units` units. Planes hold whole windows,
// so windows are counted through all planes; a mean over a whole plane is a window of one row.
// Host side: src/ops/avg_pool.rs. Appended: shared/index.wgsl, shared/elem_*.wgsl.

struct Params { outputs: u32, out_columns: u32, rows: u32, units: u32, row_units: u32, inv_area: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.outputs { return; }
    let first = i / params.out_columns * params.rows * params.row_units
        + i % params.out_columns * params.units;
    var sum = Elem(0.0);
    for (var row = 0u; row < params.rows; row++) {
        let start = first + row * params.row_units;
        for (var unit = 0u; unit < params.units; unit++) { sum += x[start + unit]; }
    }
    y[i] = total(sum) * params.inv_area;
}
