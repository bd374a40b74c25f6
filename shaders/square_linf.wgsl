// The Square attack in Linf (Andriushchenko and others 2020, arXiv 1912.00049, algorithm 2): keeps a candidate if it is
// better, and makes the next. A square of the best image so far, at a random place, moves by 2 eps in each channel, up or
// down at random, but stays within eps of the original image x0:
//
//     candidate = clamp(clamp(best + 2 eps sign, x0 - eps, x0 + eps), 0, 1)  within the square, best outside
//
//   grid                 one workgroup an image, see shared/index.wgsl; its lanes stride over the image's values
//   candidate, best, x0  [image][channel][row][column]
//   margin               [image], of the candidate, which counts as misclassified where the margin is 0 or more, as in
//                        AutoAttack's code
//   ids                  [image]: the random numbers depend on the image's id, not on its place in the batch
//   control              seed low, seed high, stream
//   state                [image][2], see shared/square.wgsl
//
// Host side: src/ops/square.rs. Appended: shared/index.wgsl, shared/square.wgsl, shared/philox.wgsl, shared/random_values.wgsl.

override LANES: u32 = 64u;

struct Params { images: u32, channels: u32, side: u32, queries: u32, eps: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> candidate: array<f32>;
@group(0) @binding(2) var<storage, read_write> best: array<f32>;
@group(0) @binding(3) var<storage, read> x0: array<f32>;
@group(0) @binding(4) var<storage, read> margin: array<f32>;
@group(0) @binding(5) var<storage, read> ids: array<u32>;
@group(0) @binding(6) var<storage, read> control: array<u32>;
@group(0) @binding(7) var<storage, read_write> state: array<f32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = flat_group(workgroup, workgroups);
    if image >= params.images { return; }
    let found = judge(image, lane);
    if found == SETTLED { return; }
    // Lane 0 has just counted the candidate judged; the others may see either number.
    if lane == 0u { verdict = u32(state[2u * image + JUDGED]) - 1u; }
    let number = workgroupUniformLoad(&verdict);
    let random = words(image, number + 1u, 0u);
    let size = clamp(rows(number), 1u, params.side);
    let place = places(random, size);
    let area = params.side * params.side;
    for (var i = lane; i < params.channels * area; i += LANES) {
        let at = image * params.channels * area + i;
        var here = best[at];
        if found == TAKEN {
            here = candidate[at];
            best[at] = here;
        }
        let row = i % area / params.side - place.x; // beyond the square's rows, also where it wraps round
        let column = i % params.side - place.y;
        if row < size && column < size {
            let moved = here + 2.0 * params.eps * sign_of(random.z, i / area);
            here = clamp(clamp(moved, x0[at] - params.eps, x0[at] + params.eps), 0.0, 1.0);
        }
        candidate[at] = here;
    }
}
