// One step of APGD (Auto-PGD, a gradient attack), in place: a projected gradient step with weight a, which is 1 in the first
// step and 0.75 in all others, and the move before it with weight 1 - a. x0 is the original image, |.| the L2 norm of one
// image:
//
//     L2    p(v) = clamp(x0 + (v - x0) * min(eps, |v - x0|) / (|v - x0| + 1e-12), 0, 1);  u = p(x + s * g / (|g| + 1e-12))
//     Linf  p(v) = clamp(clamp(v, x0 - eps, x0 + eps), 0, 1);                              u = p(x + s * sign(g))
//     x = p(x + a * (u - x) + (1 - a) * (x - previous)),  previous = x as it was
//
//   grid                         one workgroup an image, see shared/index.wgsl; its lanes stride over the image's values
//   x, previous, g, best_g, x0   [image][Elem]: span Elems (each an f32 or a vec4) an image; best_g is read in place of g in
//                                the step after apgd_judge.wgsl went back to the best iterate
//   state                        [image][12], see shared/apgd_state.wgsl: has s and the number of the step; the first step
//                                writes into it whether the gradient is 0
//
// Host side: src/ops/apgd.rs. Appended: shared/index.wgsl, shared/elem_f32.wgsl or elem_vec4.wgsl, shared/apgd_state.wgsl,
// shared/workgroup_sum.wgsl.

override LANES: u32 = 64u;

struct Params { images: u32, span: u32, linf: u32, eps: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<Elem>;
@group(0) @binding(2) var<storage, read_write> previous: array<Elem>;
@group(0) @binding(3) var<storage, read> g: array<Elem>;
@group(0) @binding(4) var<storage, read> best_g: array<Elem>;
@group(0) @binding(5) var<storage, read> x0: array<Elem>;
@group(0) @binding(6) var<storage, read_write> state: array<f32>;

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
    let at = image * STATE;
    let from_best = state[at + FROM_BEST] > 0.0;
    let start = state[at + JUDGED] == 1.0;
    let part = select(0.75, 1.0, start);

    var squares = 0.0;
    for (var i = first + lane; i < end; i += LANES) {
        let direction = gradient(i, from_best);
        squares += total(direction * direction);
    }
    let length = sqrt(workgroup_sum(lane, squares));
    var rate = state[at + STEP_SIZE];
    var near = 1.0;
    var back = 1.0;
    if params.linf == 0u {
        rate /= length + 1e-12;
        squares = 0.0;
        for (var i = first + lane; i < end; i += LANES) {
            let d = x[i] + rate * gradient(i, from_best) - x0[i];
            squares += total(d * d);
        }
        near = within(sqrt(workgroup_sum(lane, squares)));
        squares = 0.0;
        for (var i = first + lane; i < end; i += LANES) {
            let d = moved(i, rate, near, part, from_best) - x0[i];
            squares += total(d * d);
        }
        back = within(sqrt(workgroup_sum(lane, squares)));
    }
    for (var i = first + lane; i < end; i += LANES) {
        let next = projected(i, moved(i, rate, near, part, from_best), back);
        previous[i] = x[i];
        x[i] = next;
    }
    if lane == 0u && start { state[at + FLAT] = select(0.0, 1.0, length == 0.0); }
}

fn gradient(i: u32, from_best: bool) -> Elem {
    if from_best { return best_g[i]; }
    return g[i];
}

// Factor that brings a difference of this length into the ball.
fn within(length: f32) -> f32 { return min(params.eps, length) / (length + 1e-12); }

fn projected(i: u32, v: Elem, shrink: f32) -> Elem {
    let eps = Elem(params.eps);
    if params.linf == 1u { return clamp(clamp(v, x0[i] - eps, x0[i] + eps), Elem(0.0), Elem(1.0)); }
    return clamp(x0[i] + (v - x0[i]) * shrink, Elem(0.0), Elem(1.0));
}

fn moved(i: u32, rate: f32, near: f32, part: f32, from_best: bool) -> Elem {
    let here = x[i];
    var direction = gradient(i, from_best);
    if params.linf == 1u { direction = sign(direction); }
    let u = projected(i, here + rate * direction, near);
    return here + (u - here) * part + (here - previous[i]) * (1.0 - part);
}
