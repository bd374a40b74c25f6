// The mean over a square window around each pixel, of the window's pixels that lie in the image.
//
//     y[p,v,u] = sum of x over the window / number of the window's pixels in the image
//
//   grid  one invocation per value of y, see shared/index.wgsl
//   x, y  [plane][row][column], a plane an image's channel
//
// With BACKWARD, x is dy and y is dx: each pixel of dy is divided by the number of pixels of its own window, and dx sums these
// quotients over its window, since a pixel lies in another's window exactly where the other lies in its own.
// Host side: src/ops/local_mean.rs. Appended: shared/index.wgsl.

override BACKWARD: bool = false;

struct Params {
    planes: u32,
    height: u32,
    width: u32,
    reach: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

// First pixel of a window and the one behind its last, along one side.
fn window(at: u32, side: u32) -> vec2u {
    return vec2u(max(at, params.reach) - params.reach, min(at + params.reach + 1u, side));
}

// 1 / the number of pixels of the window around one.
fn share(rows: vec2u, columns: vec2u) -> f32 {
    return 1.0 / f32((rows.y - rows.x) * (columns.y - columns.x));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = flat_index(workgroup, workgroups, lane);
    if at >= params.planes * params.height * params.width { return; }
    let rows = window(at / params.width % params.height, params.height);
    let columns = window(at % params.width, params.width);
    let plane = at / (params.width * params.height) * params.height;
    let own = share(rows, columns);
    var sum = 0.0;
    for (var row = rows.x; row < rows.y; row++) {
        for (var column = columns.x; column < columns.y; column++) {
            let value = x[(plane + row) * params.width + column];
            if BACKWARD {
                sum += value * share(window(row, params.height), window(column, params.width));
            } else {
                sum += value * own;
            }
        }
    }
    y[at] = sum;
}
