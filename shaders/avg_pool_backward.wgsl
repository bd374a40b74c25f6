// Average pooling over windows that tile the plane, derivative for x:  dx = dy / area
//
//   grid  one invocation per window, as in avg_pool.wgsl: it writes all derivatives of the window and so divides to find
//         its position once, not once for each derivative
//   dx    [row][unit], the rows of all planes one below the other; a unit is a vec4 or one value
//   dy    [row][column] in the same way
//
// Host side: src/ops/avg_pool.rs. Appended: shared/index.wgsl, shared/elem_*.wgsl.

struct Params { outputs: u32, out_columns: u32, rows: u32, units: u32, row_units: u32, inv_area: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<Elem>;

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
    let value = Elem(dy[i] * params.inv_area);
    for (var row = 0u; row < params.rows; row++) {
        let start = first + row * params.row_units;
        for (var unit = 0u; unit < params.units; unit++) { dx[start + unit] = value; }
    }
}
