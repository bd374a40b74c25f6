// Max pooling, derivative for x: a window's dy goes to the position of the window's largest value.
//
//   grid       one invocation per value of x, which looks at all windows over it, see shared/index.wgsl
//   dx         [plane][row][column]
//   dy, place  [plane][out row][out column]
//
// Host side: src/ops/max_pool.rs. Appended: shared/max_pool_params.wgsl, shared/index.wgsl.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> place: array<u32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

// The first window that reaches so far.
fn first(at: u32) -> u32 {
    let reach = at + params.padding;
    return select((reach - params.kernel) / params.stride + 1u, 0u, reach < params.kernel);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = flat_index(workgroup, workgroups, lane);
    if at >= params.planes * params.height * params.width { return; }
    let column = at % params.width;
    let row = at / params.width % params.height;
    let own = row * params.width + column;
    let plane = at / (params.width * params.height) * params.out_height;
    let last_v = min((row + params.padding) / params.stride, params.out_height - 1u);
    let last_u = min((column + params.padding) / params.stride, params.out_width - 1u);
    var sum = 0.0;
    for (var v = first(row); v <= last_v; v++) {
        for (var u = first(column); u <= last_u; u++) {
            let window = (plane + v) * params.out_width + u;
            if place[window] == own { sum += dy[window]; }
        }
    }
    dx[at] = sum;
}
