// Fully connected layer:  y[r][o] = sum over i of x[r][i] * w[o][i],  plus bias[o] if the constant BIAS is true
//
//   grid  one invocation per tile of 4 rows by 4 outputs, see shared/index.wgsl
//   x     [row][unit]; a unit is a vec4 or one value
//   w     [output][unit]
//   bias  [output]; without BIAS it is not read and the host binds w in its place
//   y     [row][output]
//
// Each value that is read serves four sums. The sums are not an array, because not every compiler keeps an array in registers
// that a loop indexes. Tiles at the edges repeat the last row or output in place of those that do not exist, and do not write
// them.
// Host side: src/ops/linear.rs. Appended: shared/index.wgsl, shared/elem_*.wgsl.

override BIAS: bool = false;

const TILE = 4u;

struct Params { rows: u32, outputs: u32, units: u32, tiles: u32, tile_columns: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read> w: array<Elem>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.tiles { return; }
    let row = i / params.tile_columns * TILE;
    let output = i % params.tile_columns * TILE;

    let last_row = params.rows - 1u;
    let x_0 = row * params.units;
    let x_1 = min(row + 1u, last_row) * params.units;
    let x_2 = min(row + 2u, last_row) * params.units;
    let x_3 = min(row + 3u, last_row) * params.units;
    let last_output = params.outputs - 1u;
    let w_0 = output * params.units;
    let w_1 = min(output + 1u, last_output) * params.units;
    let w_2 = min(output + 2u, last_output) * params.units;
    let w_3 = min(output + 3u, last_output) * params.units;

    // One a row, with a component an output.
    var sum_0 = vec4f(0.0);
    var sum_1 = vec4f(0.0);
    var sum_2 = vec4f(0.0);
    var sum_3 = vec4f(0.0);
    for (var k = 0u; k < params.units; k++) {
        let a = w[w_0 + k];
        let b = w[w_1 + k];
        let c = w[w_2 + k];
        let d = w[w_3 + k];
        sum_0 += products(x[x_0 + k], a, b, c, d);
        sum_1 += products(x[x_1 + k], a, b, c, d);
        sum_2 += products(x[x_2 + k], a, b, c, d);
        sum_3 += products(x[x_3 + k], a, b, c, d);
    }
    store(row, output, sum_0);
    store(row + 1u, output, sum_1);
    store(row + 2u, output, sum_2);
    store(row + 3u, output, sum_3);
}

fn products(value: Elem, a: Elem, b: Elem, c: Elem, d: Elem) -> vec4f {
    return vec4f(total(value * a), total(value * b), total(value * c), total(value * d));
}

fn store(row: u32, output: u32, sum: vec4f) {
    if row >= params.rows { return; }
    for (var t = 0u; t < min(TILE, params.outputs - output); t++) {
        var value = sum[t];
        if BIAS { value += bias[output + t]; }
        y[row * params.outputs + output + t] = value;
    }
}
