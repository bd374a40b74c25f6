// One step of the attack FAB towards the boundary between two classes, in place. x is the attacked image so far, x0 the original
// one. With w = g, the gradient of f = z_target - z_label at x, the boundary is taken as the plane of all images v with
// f + w (v - x) = 0.  d and d0 are the shortest moves from x and from x0 that reach it inside the box [0, 1]; the step is a mean
// of both:
//
//     a = min(|d| / (|d| + |d0|), alpha_max), each length at least 1e-8
//     x = clamp((1 - a) (x + eta d) + a (x0 + eta d0), 0, 1)
//
// The shortest move from t, where f is c there (c > 0; else all signs are turned):
//
//     d_i = -sign(w_i) min(l q_i, room_i)  with l such that  sum |w_i| |d_i| = c
//     q_i = |w_i| in L2, 1 in Linf;  room_i = t_i where w_i > 0, 1 - t_i where w_i < 0
//
// or all room where that does not reach. What is left of c is convex and falls with l, piece by piece a line, so
// Newton's method from l = 0 goes up to the root, never beyond it, and ends on its piece: no sorting. In exact arithmetic
// it needs at most a step a piece; in practice about ten.
//
//   grid      one workgroup an image, see shared/index.wgsl; its lanes stride over the image's values
//   x, x0, g  [image][Elem]: span Elems (each an f32 or a vec4) an image
//   f         [image]
//
// In L2 values whose |w| is below 1e-8 do not move, as in AutoAttack's code. Host side: src/ops/fab.rs. Appended:
// shared/index.wgsl, shared/elem_f32.wgsl or elem_vec4.wgsl, shared/workgroup_sum_vec4.wgsl, shared/workgroup_max_vec2.wgsl.

override LANES: u32 = 64u;

struct Params { images: u32, span: u32, linf: u32, alpha_max: f32, eta: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<Elem>;
@group(0) @binding(2) var<storage, read> x0: array<Elem>;
@group(0) @binding(3) var<storage, read> g: array<Elem>;
@group(0) @binding(4) var<storage, read> f: array<f32>;

const PIECES = 64u;

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

    var change = 0.0;
    for (var i = first + lane; i < end; i += LANES) { change += total(g[i] * (x0[i] - x[i])); }
    let away = workgroup_sum_vec4(lane, vec4f(change, 0.0, 0.0, 0.0)).x;
    // Of x and of x0, here and below.
    let c = vec2f(f[image], f[image] + away);
    let turn = select(vec2f(-1.0), vec2f(1.0), c >= vec2f(0.0));
    let aim = abs(c);

    var l = vec2f(0.0);
    for (var piece = 0u; piece < PIECES; piece++) {
        var sums = vec4f(0.0);
        for (var i = first + lane; i < end; i += LANES) {
            let w = weight(i);
            let q = pull(w);
            let here = room(turn.x * w, x[i]);
            let there = room(turn.y * w, x0[i]);
            let stuck = step(here, l.x * q);
            let stuck0 = step(there, l.y * q);
            let size = abs(w);
            sums += vec4f(
                total(size * q * (1.0 - stuck)), total(size * here * stuck),
                total(size * q * (1.0 - stuck0)), total(size * there * stuck0),
            );
        }
        sums = workgroup_sum_vec4(lane, sums);
        let free = sums.xz;
        // Where nothing is free all room is used; a move longer than any room stands for that.
        let root = select(vec2f(1e30), (aim - sums.yw) / max(free, vec2f(1e-37)), free > vec2f(0.0));
        let next = max(l, root);
        if all(next == l) { break; }
        l = next;
    }

    var squares = vec2f(0.0);
    var most = vec2f(0.0);
    for (var i = first + lane; i < end; i += LANES) {
        let d = moves(i, turn.x, l.x, x[i]);
        let d0 = moves(i, turn.y, l.y, x0[i]);
        squares += vec2f(total(d * d), total(d0 * d0));
        most = max(most, vec2f(peak(d), peak(d0)));
    }
    var length = sqrt(workgroup_sum_vec4(lane, vec4f(squares, 0.0, 0.0)).xy);
    if params.linf == 1u { length = workgroup_max_vec2(lane, most); }
    length = max(length, vec2f(1e-8));
    let a = min(length.x / (length.x + length.y), params.alpha_max);
    for (var i = first + lane; i < end; i += LANES) {
        let here = x[i] + params.eta * moves(i, turn.x, l.x, x[i]);
        let there = x0[i] + params.eta * moves(i, turn.y, l.y, x0[i]);
        x[i] = clamp(here * (1.0 - a) + there * a, Elem(0.0), Elem(1.0));
    }
}

fn weight(i: u32) -> Elem {
    let w = g[i];
    if params.linf == 1u { return w; }
    return w * step(Elem(1e-8), abs(w));
}

fn pull(w: Elem) -> Elem {
    if params.linf == 1u { return abs(sign(w)); }
    return abs(w);
}

fn room(w: Elem, t: Elem) -> Elem {
    let up = max(sign(-w), Elem(0.0));
    return up * (1.0 - t) + (1.0 - up) * t;
}

fn moves(i: u32, turn: f32, l: f32, t: Elem) -> Elem {
    let w = turn * weight(i);
    return -sign(w) * min(l * pull(w), room(w, t));
}
