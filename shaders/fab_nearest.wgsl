// Finds the class whose boundary is nearest to an image, for the untargeted form of the attack FAB; boundaries are taken as
// linear. It is called for one class after another, with f the class's logit minus the label's, g the gradient of f, and |.| the
// dual norm (L2 for L2, L1 for Linf):
//
//     d = |f| / (1e-12 + |g|)
//     nearest_g = g, nearest_f = f and away = d  where d is less than away, and for the first class
//
//   grid                one workgroup an image, see shared/index.wgsl; its lanes stride over the image's values
//   g, nearest_g        [image][Elem]: span Elems (each an f32 or a vec4) an image
//   f, nearest_f, away  [image]
//
// Host side: src/ops/fab.rs. Appended: shared/index.wgsl, shared/elem_f32.wgsl or elem_vec4.wgsl, shared/workgroup_sum.wgsl.

override LANES: u32 = 64u;

struct Params { images: u32, span: u32, linf: u32, first: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> g: array<Elem>;
@group(0) @binding(2) var<storage, read> f: array<f32>;
@group(0) @binding(3) var<storage, read_write> nearest_g: array<Elem>;
@group(0) @binding(4) var<storage, read_write> nearest_f: array<f32>;
@group(0) @binding(5) var<storage, read_write> away: array<f32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = flat_group(workgroup, workgroups);
    if image >= params.images { return; }
    let first = image * params.span;
    let end = first + params.span;
    var part = 0.0;
    for (var i = first + lane; i < end; i += LANES) {
        let v = g[i];
        part += select(total(v * v), total(abs(v)), params.linf == 1u);
    }
    let sum = workgroup_sum(lane, part);
    let d = abs(f[image]) / (1e-12 + select(sqrt(sum), sum, params.linf == 1u));
    let nearer = params.first == 1u || d < away[image];
    storageBarrier(); // every lane has read the distance before one writes it
    if !nearer { return; }
    for (var i = first + lane; i < end; i += LANES) { nearest_g[i] = g[i]; }
    if lane == 0u {
        nearest_f[image] = f[image];
        away[image] = d;
    }
}
