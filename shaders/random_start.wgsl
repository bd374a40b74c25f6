// Moves images, in place, to random points within eps of them, where an attack starts; u is random, uniform in [0, 1):
//
//     Linf  x = x + 2 * (u - 0.5) * eps
//     L2    d = u - 0.5;  x = x + d * eps / (|d| + 1e-7) where |d| > eps, else x + d
//
//   grid  one workgroup a group, see shared/index.wgsl; a group, over which |.| goes, is an image or a channel of the batch
//   x, u  words; element i of group j is word  i / run * stride + j * run + i % run,  and a group has `span` elements
//
// Host side: src/ops/starts.rs. Appended: shared/index.wgsl, shared/renorm.wgsl, shared/workgroup_sum.wgsl.

override LANES: u32 = 64u;

struct Params { groups: u32, span: u32, run: u32, stride: u32, linf: u32, eps: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read> u: array<f32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = flat_group(workgroup, workgroups);
    if group >= params.groups { return; }
    var rate = 2.0 * params.eps;
    if params.linf == 0u {
        var squares = 0.0;
        for (var i = lane; i < params.span; i += LANES) {
            let d = u[word(group, i)] - 0.5;
            squares += d * d;
        }
        rate = renorm(sqrt(workgroup_sum(lane, squares)), params.eps);
    }
    for (var i = lane; i < params.span; i += LANES) {
        let at = word(group, i);
        x[at] += rate * (u[at] - 0.5);
    }
}

fn word(group: u32, i: u32) -> u32 {
    return i / params.run * params.stride + group * params.run + i % params.run;
}
