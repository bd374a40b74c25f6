// FAB's bookkeeping after a step (FAB is an attack that searches the nearest misclassified image): keeps the nearest
// misclassified image and moves x back towards the original image x0, with |.| the norm of one image:
//
//     where the image is misclassified (margin > 0):
//         nearest = x and distance = |x - x0|  where that is less than distance
//         x = x0 + beta (x - x0)
//
//   grid            one workgroup an image, see shared/index.wgsl; its lanes stride over the image's values
//   x, x0, nearest  [image][Elem]: span Elems (each an f32 or a vec4) an image
//   margin          [image]
//   distance        [image]; large before a misclassified image was found
//
// Host side: src/ops/fab.rs. Appended: shared/index.wgsl, shared/elem_f32.wgsl or elem_vec4.wgsl, shared/workgroup_sum.wgsl,
// shared/workgroup_max_vec2.wgsl.

override LANES: u32 = 64u;

struct Params { images: u32, span: u32, linf: u32, beta: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<Elem>;
@group(0) @binding(2) var<storage, read> x0: array<Elem>;
@group(0) @binding(3) var<storage, read> margin: array<f32>;
@group(0) @binding(4) var<storage, read_write> nearest: array<Elem>;
@group(0) @binding(5) var<storage, read_write> distance: array<f32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = flat_group(workgroup, workgroups);
    if image >= params.images { return; }
    if margin[image] <= 0.0 { return; }
    let first = image * params.span;
    let end = first + params.span;
    var squares = 0.0;
    var most = 0.0;
    for (var i = first + lane; i < end; i += LANES) {
        let d = x[i] - x0[i];
        squares += total(d * d);
        most = max(most, peak(d));
    }
    var length = sqrt(workgroup_sum(lane, squares));
    if params.linf == 1u { length = workgroup_max_vec2(lane, vec2f(most)).x; }
    let nearer = length < distance[image];
    storageBarrier(); // every lane has read the distance before one writes it
    for (var i = first + lane; i < end; i += LANES) {
        if nearer { nearest[i] = x[i]; }
        x[i] = x0[i] + params.beta * (x[i] - x0[i]);
    }
    if lane == 0u && nearer { distance[image] = length; }
}
