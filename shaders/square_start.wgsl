// The first candidate of the Square attack (arXiv 1912.00049, section 4), made from the original image x0: in Linf vertical
// stripes of +-eps, with a random sign for each column and channel; in L2 a grid of five by five smooth bumps
// (shared/square_bump.wgsl), scaled to length eps:
//
//     candidate = clamp(x0 + eps sign, 0, 1)    or    clamp(x0 + eps d / (|d| + 1e-12), 0, 1)
//
//   grid           one workgroup an image, see shared/index.wgsl; its lanes stride over the image's values
//   candidate, x0  [image][channel][row][column]
//   ids            [image]: the random numbers depend on the image's id, not on its place in the batch
//   control        seed low, seed high, stream
//
// Host side: src/ops/square.rs. Appended: shared/index.wgsl, shared/square_bump.wgsl, shared/philox.wgsl,
// shared/workgroup_sum_vec4.wgsl.

override LANES: u32 = 64u;

struct Params { images: u32, channels: u32, side: u32, linf: u32, eps: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> candidate: array<f32>;
@group(0) @binding(2) var<storage, read> x0: array<f32>;
@group(0) @binding(3) var<storage, read> ids: array<u32>;
@group(0) @binding(4) var<storage, read> control: array<u32>;

const TILES = 5u;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = flat_group(workgroup, workgroups);
    if image >= params.images { return; }
    let area = params.side * params.side;
    let first = image * params.channels * area;
    let size = max(params.side / TILES, 1u);
    tails(lane, size);
    let lengths = half_lengths(size);
    var squares = 0.0;
    for (var i = lane; i < params.channels * area; i += LANES) {
        var d = 0.0;
        if params.linf == 1u {
            d = drawn(ids[image], i % params.side, i / area);
        } else {
            // Tiles are centred; the rest of the image around them is not changed.
            let edge = (max(params.side, TILES * size) - TILES * size) / 2u;
            let at = vec2u(i % area / params.side, i % params.side) - edge;
            let tile = at / size;
            if all(tile < vec2u(TILES)) {
                let number = tile.x * TILES + tile.y;
                let turned = drawn(ids[image], number, 4u) > 0.0;
                d = drawn(ids[image], number, i / area) * bump(at % size, size, turned, lengths);
            }
        }
        candidate[first + i] = d;
        squares += d * d;
    }
    var rate = params.eps;
    let length = sqrt(workgroup_sum_vec4(lane, vec4f(squares, 0.0, 0.0, 0.0)).x);
    if params.linf == 0u { rate /= length + 1e-12; }
    for (var i = lane; i < params.channels * area; i += LANES) {
        candidate[first + i] = clamp(x0[first + i] + rate * candidate[first + i], 0.0, 1.0);
    }
}

// A random sign for a column or tile and a channel, or for any other number.
fn drawn(image: u32, number: u32, channel: u32) -> f32 {
    let counter = vec4u(number, image, control[2], 0u);
    let word = philox(counter, vec2u(control[0], control[1])).x;
    return f32((word >> channel) & 1u) * 2.0 - 1.0;
}
