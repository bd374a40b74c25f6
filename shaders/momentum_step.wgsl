// One step of projected gradient ascent with gradient g, step size s and momentum m, in place, from the image x, which stays in
// the ball around the original image x0. |.| is the L2 norm of one image and |.|_1 the sum of its absolute values:
//
//     v = m * v + g / (|g|_1 + 1e-10)
//     L2    x = x + s * v / max(|v|, 1e-12);  d = x - x0;  d = d * eps / (|d| + 1e-7) where |d| > eps
//     Linf  x = x + s * sign(v);              d = clamp(x - x0, -eps, eps)
//     x = clamp(x0 + d, 0, 1)
//
//   grid         one workgroup an image, see shared/index.wgsl; its lanes stride over the image's values
//   x, v, g, x0  [image][Elem]: span Elems (each an f32 or a vec4) an image
//
// A lane reads back only those v that it wrote itself. Host side: src/ops/steps.rs. Appended:
// shared/index.wgsl, shared/elem_f32.wgsl or elem_vec4.wgsl, shared/renorm.wgsl, shared/workgroup_sum.wgsl.

override LANES: u32 = 64u;

struct Params { images: u32, span: u32, linf: u32, step_size: f32, eps: f32, momentum: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<Elem>;
@group(0) @binding(2) var<storage, read_write> v: array<Elem>;
@group(0) @binding(3) var<storage, read> g: array<Elem>;
@group(0) @binding(4) var<storage, read> x0: array<Elem>;

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

    var sum = 0.0;
    for (var i = first + lane; i < end; i += LANES) { sum += total(abs(g[i])); }
    let gain = 1.0 / (workgroup_sum(lane, sum) + 1e-10);

    var squares = 0.0;
    for (var i = first + lane; i < end; i += LANES) {
        let velocity = params.momentum * v[i] + gain * g[i];
        v[i] = velocity;
        squares += total(velocity * velocity);
    }
    var rate = params.step_size;
    var shrink = 1.0;
    if params.linf == 0u {
        rate = params.step_size / max(sqrt(workgroup_sum(lane, squares)), 1e-12);
        squares = 0.0;
        for (var i = first + lane; i < end; i += LANES) {
            let d = moved(i, rate) - x0[i];
            squares += total(d * d);
        }
        shrink = renorm(sqrt(workgroup_sum(lane, squares)), params.eps);
    }
    for (var i = first + lane; i < end; i += LANES) {
        var d = (moved(i, rate) - x0[i]) * shrink;
        if params.linf == 1u { d = clamp(d, Elem(-params.eps), Elem(params.eps)); }
        x[i] = clamp(x0[i] + d, Elem(0.0), Elem(1.0));
    }
}

fn moved(i: u32, rate: f32) -> Elem {
    if params.linf == 1u { return x[i] + rate * sign(v[i]); }
    return x[i] + rate * v[i];
}
