// Euclidean length of each image:  y = sqrt(sum of x^2 over C, H, W)
//
//   grid  one workgroup an image, see shared/index.wgsl; its lanes stride over the image's values
//   x     [image][Elem]: span Elems (each an f32 or a vec4) an image
//   y     [image]
//
// Host side: src/ops/steps.rs. Appended: shared/index.wgsl, shared/elem_f32.wgsl or elem_vec4.wgsl,
// shared/workgroup_sum.wgsl.

override LANES: u32 = 64u;

struct Params { images: u32, span: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = flat_group(workgroup, workgroups);
    if image >= params.images { return; }
    let first = image * params.span;
    var squares = 0.0;
    for (var i = first + lane; i < first + params.span; i += LANES) { squares += total(x[i] * x[i]); }
    let sum = workgroup_sum(lane, squares);
    if lane == 0u { y[image] = sqrt(sum); }
}
