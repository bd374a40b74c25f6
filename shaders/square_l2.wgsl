// The Square attack in L2 (Andriushchenko and others 2020, arXiv 1912.00049, algorithm 3): keeps a candidate if it is
// better, and makes the next. With d = best - x0, where x0 is the original image, |.| over a channel of a square W, and a second
// square V of the same size whose part of the budget W takes over:
//
//     n = eta sign + d / (|d in W| + 1e-12)            within W, eta as in shared/square_bump.wgsl
//     d = n / (|n| + 1e-12) * sqrt(max(eps^2 - |d of the image|^2, 0) / channels + |d in W or V|^2)   within W
//     d = 0                                            within V but not W
//     candidate = clamp(x0 + eps d / (|d| + 1e-12), 0, 1)    |d| of the image
//
//   grid                 one workgroup an image, see shared/index.wgsl; its lanes stride over the image's values, the same values in
//                        each pass, so that no lane reads what another wrote
//   candidate, best, x0  [image][channel][row][column]; candidate holds d between the passes
//   margin               [image], of the candidate, which counts as misclassified where the margin is 0 or more, as in
//                        AutoAttack's code
//   ids                  [image]: the random numbers depend on the image's id, not on its place in the batch
//   control              seed low, seed high, stream
//   state                [image][2], see shared/square.wgsl
//
// Host side: src/ops/square.rs. Appended: shared/index.wgsl, shared/square.wgsl, shared/square_bump.wgsl, shared/philox.wgsl,
// shared/random_values.wgsl, shared/workgroup_sum_vec4.wgsl.

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
    let more = words(image, number + 1u, 1u);
    let size = min(max(rows(number), 3u) | 1u, params.side);
    let place = places(words(image, number + 1u, 0u), size);
    let turned = (more.x & 1u) == 1u;
    let area = params.side * params.side;
    let first = image * params.channels * area;

    tails(lane, size);
    let halves = half_lengths(size);

    // Of each channel: d squared within W, within W or V; and over the whole image.
    var square: array<vec2f, 4>;
    var squared = 0.0;
    for (var channel = 0u; channel < params.channels; channel++) {
        var sums = vec4f(0.0);
        for (var i = lane; i < area; i += LANES) {
            let at = first + channel * area + i;
            if found == TAKEN { best[at] = candidate[at]; }
            let d = best[at] - x0[at];
            candidate[at] = d;
            let in_w = inside(i, place.xy, size);
            let in_v = inside(i, place.zw, size);
            sums += d * d * vec4f(1.0, f32(in_w), f32(in_w || in_v), 0.0);
        }
        sums = workgroup_sum_vec4(lane, sums);
        squared += sums.x;
        square[channel] = sums.yz;
    }
    let spare = max(params.eps * params.eps - squared, 0.0) / f32(params.channels);

    var whole = 0.0;
    for (var channel = 0u; channel < params.channels; channel++) {
        let gain = 1.0 / (sqrt(square[channel].x) + 1e-12);
        let toward = sign_of(more.y, channel);
        var squares = 0.0;
        for (var i = lane; i < area; i += LANES) {
            if !inside(i, place.xy, size) { continue; }
            let at = first + channel * area + i;
            let n = toward * bump(place_in(i, place.xy), size, turned, halves) + candidate[at] * gain;
            candidate[at] = n;
            squares += n * n;
        }
        let length = sqrt(workgroup_sum_vec4(lane, vec4f(squares, 0.0, 0.0, 0.0)).x);
        let rate = sqrt(spare + square[channel].y) / (length + 1e-12);
        for (var i = lane; i < area; i += LANES) {
            let at = first + channel * area + i;
            var d = candidate[at];
            if inside(i, place.xy, size) { d *= rate; }
            else if inside(i, place.zw, size) { d = 0.0; }
            candidate[at] = d;
            whole += d * d;
        }
    }
    whole = workgroup_sum_vec4(lane, vec4f(whole, 0.0, 0.0, 0.0)).x;
    let rate = params.eps / (sqrt(whole) + 1e-12);
    for (var channel = 0u; channel < params.channels; channel++) {
        for (var i = lane; i < area; i += LANES) {
            let at = first + channel * area + i;
            candidate[at] = clamp(x0[at] + rate * candidate[at], 0.0, 1.0);
        }
    }
}

// Row and column in a square; beyond its sides, also by wrapping round, where the pixel lies outside.
fn place_in(pixel: u32, place: vec2u) -> vec2u {
    return vec2u(pixel / params.side, pixel % params.side) - place;
}

fn inside(pixel: u32, place: vec2u, size: u32) -> bool {
    return all(place_in(pixel, place) < vec2u(size));
}
