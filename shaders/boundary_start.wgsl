// A random point on the surface of the ball of radius eps around each image x0, clamped to [0, 1]:
//
//     x = clamp(x0 + eps * t / (|t| + 1e-12), 0, 1)    t normal in L2, uniform in [-1, 1) in Linf
//
//   grid     one workgroup an image, see shared/index.wgsl; its lanes stride over the image's values
//   x, x0    [image][value]: span values an image
//   ids      [image]: the random numbers depend on the image's id, not on its position in the batch
//   control  seed low, seed high, stream
//
// Host side: src/ops/starts.rs. Appended: shared/index.wgsl, shared/philox.wgsl, shared/random_values.wgsl,
// shared/workgroup_sum_vec2.wgsl, shared/workgroup_max_vec2.wgsl.

override LANES: u32 = 64u;

struct Params { images: u32, span: u32, linf: u32, eps: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read> x0: array<f32>;
@group(0) @binding(3) var<storage, read> ids: array<u32>;
@group(0) @binding(4) var<storage, read> control: array<u32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = flat_group(workgroup, workgroups);
    if image >= params.images { return; }
    let first = image * params.span;
    let blocks = (params.span + 3u) / 4u;
    var squares = 0.0;
    var most = 0.0;
    for (var block = lane; block < blocks; block += LANES) {
        let t = direction(ids[image], block);
        for (var k = 0u; k < min(params.span - 4u * block, 4u); k++) {
            squares += t[k] * t[k];
            most = max(most, abs(t[k]));
        }
    }
    var length = sqrt(workgroup_sum_vec2(lane, vec2f(squares, 0.0)).x);
    if params.linf == 1u { length = workgroup_max_vec2(lane, vec2f(most)).x; }
    let rate = params.eps / (length + 1e-12);
    for (var block = lane; block < blocks; block += LANES) {
        let t = direction(ids[image], block);
        for (var k = 0u; k < min(params.span - 4u * block, 4u); k++) {
            let i = first + 4u * block + k;
            x[i] = clamp(x0[i] + rate * t[k], 0.0, 1.0);
        }
    }
}

fn direction(image: u32, block: u32) -> vec4f {
    let words = philox(vec4u(block, image, control[2], 0u), vec2u(control[0], control[1]));
    let u = unit(words);
    if params.linf == 1u { return 2.0 * u - 1.0; }
    return normal(u);
}
