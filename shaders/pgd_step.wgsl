// One step of projected gradient ascent along the gradient g, in place, from the image x; where there is a ball, x stays in it,
// around the original image x0. |.| is the L2 norm of one image:
//
//     L2    x = x + s * g / (|g| + 1e-10);  d = x - x0;  d = d * eps / (|d| + 1e-7) where |d| > eps
//     Linf  x = x + s * sign(g);            d = clamp(x - x0, -eps, eps)
//     x = x0 + d where there is a ball;     x = clamp(x, 0, 1) where there is a box
//
//   grid      one workgroup an image, see shared/index.wgsl; its lanes stride over the image's values
//   x, g, x0  [image][Elem]: span Elems (each an f32 or a vec4) an image; without a ball x0 is not read
//
// The moved image is computed twice rather than written between the passes.
// Host side: src/ops/steps.rs. Appended: shared/index.wgsl, shared/elem_f32.wgsl or elem_vec4.wgsl,
// shared/renorm.wgsl, shared/workgroup_sum.wgsl.

override LANES: u32 = 64u;

struct Params { images: u32, span: u32, linf: u32, ball: u32, clamped: u32, step_size: f32, eps: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<Elem>;
@group(0) @binding(2) var<storage, read> g: array<Elem>;
@group(0) @binding(3) var<storage, read> x0: array<Elem>;

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

    var rate = params.step_size;
    if params.linf == 0u && params.step_size != 0.0 {
        var squares = 0.0;
        for (var i = first + lane; i < end; i += LANES) { squares += total(g[i] * g[i]); }
        rate = params.step_size / (sqrt(workgroup_sum(lane, squares)) + 1e-10);
    }
    var shrink = 1.0;
    if params.linf == 0u && params.ball == 1u {
        var squares = 0.0;
        for (var i = first + lane; i < end; i += LANES) {
            let d = moved(i, rate) - x0[i];
            squares += total(d * d);
        }
        shrink = renorm(sqrt(workgroup_sum(lane, squares)), params.eps);
    }
    for (var i = first + lane; i < end; i += LANES) {
        var y = moved(i, rate);
        if params.ball == 1u {
            var d = (y - x0[i]) * shrink;
            if params.linf == 1u { d = clamp(d, Elem(-params.eps), Elem(params.eps)); }
            y = x0[i] + d;
        }
        if params.clamped == 1u { y = clamp(y, Elem(0.0), Elem(1.0)); }
        x[i] = y;
    }
}

fn moved(i: u32, rate: f32) -> Elem {
    if params.linf == 1u { return x[i] + rate * sign(g[i]); }
    return x[i] + rate * g[i];
}
