// Bookkeeping after a step of APGD (Auto-PGD, a gradient attack): keeps the iterate of highest loss and the last misclassified one.
// At checkpoints it halves the step size and goes back to the best iterate where the loss rose in too few steps, or where
// neither the best loss nor the step size has changed since the checkpoint before:
//
//     best, best_g, best loss  of the iterate of highest loss so far
//     at a checkpoint, with `since` steps since the last one, `rises` of which raised the loss:
//     reduce = rises <= rho * since  or  (not reduced at the last one  and  best loss is what it was there)
//     where reduce: x = best, step_size = step_size / 2; the next step takes best_g for the gradient
//
// The first call, on the start, sets the whole state; the loss before the first step counts as 0, as in AutoAttack's code.
//
//   grid                      one workgroup an image, see shared/index.wgsl; its lanes stride over the image's values
//   x, g, best, wrong, best_g [image][Elem]: span Elems (each an f32 or a vec4) an image
//   loss, margin              [image]; misclassified where the margin is above 0
//   state                     [image][12], see shared/apgd_state.wgsl
//
// Host side: src/ops/apgd.rs. Appended: shared/index.wgsl, shared/elem_f32.wgsl or elem_vec4.wgsl, shared/apgd_state.wgsl,
// shared/workgroup_sum.wgsl.

override LANES: u32 = 64u;

struct Params { images: u32, span: u32, period: u32, least: u32, less: u32, rho: f32, step_size: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<Elem>;
@group(0) @binding(2) var<storage, read> g: array<Elem>;
@group(0) @binding(3) var<storage, read> loss: array<f32>;
@group(0) @binding(4) var<storage, read> margin: array<f32>;
@group(0) @binding(5) var<storage, read_write> best: array<Elem>;
@group(0) @binding(6) var<storage, read_write> wrong: array<Elem>;
@group(0) @binding(7) var<storage, read_write> best_g: array<Elem>;
@group(0) @binding(8) var<storage, read_write> state: array<f32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = flat_group(workgroup, workgroups);
    if image >= params.images { return; }
    let at = image * STATE;
    let y = loss[image];
    let misclassified = margin[image] > 0.0;
    let start = state[at + JUDGED] == 0.0;
    let better = start || y > state[at + BEST_LOSS];
    var best_loss = state[at + BEST_LOSS];
    var step_size = state[at + STEP_SIZE];
    var rises = state[at + RISES];
    var at_check = state[at + BEST_AT_CHECK];
    var reduced = state[at + REDUCED];
    var since = state[at + SINCE];
    var period = state[at + PERIOD];
    let previous = state[at + PREVIOUS];
    let judged = state[at + JUDGED];
    let fooled = state[at + FOOLED];
    storageBarrier(); // every lane has read the state before one writes it

    if better { best_loss = y; }
    var reduce = false;
    if start {
        step_size = params.step_size;
        rises = 0.0;
        at_check = y;
        reduced = 1.0;
        since = 0.0;
        period = f32(params.period);
    } else {
        rises += select(0.0, 1.0, y > previous);
        since += 1.0;
        if since == period {
            reduce = rises <= params.rho * since || (reduced == 0.0 && at_check >= best_loss);
            reduced = select(0.0, 1.0, reduce);
            step_size *= select(1.0, 0.5, reduce);
            at_check = best_loss;
            period = max(period - f32(params.less), f32(params.least));
            rises = 0.0;
            since = 0.0;
        }
    }
    let end = (image + 1u) * params.span;
    for (var i = image * params.span + lane; i < end; i += LANES) {
        let here = x[i];
        if better {
            best[i] = here;
            best_g[i] = g[i];
        }
        if misclassified || start { wrong[i] = here; }
        if reduce { x[i] = best[i]; }
    }
    if lane == 0u {
        state[at + BEST_LOSS] = best_loss;
        state[at + PREVIOUS] = select(y, 0.0, start);
        state[at + STEP_SIZE] = step_size;
        state[at + RISES] = rises;
        state[at + BEST_AT_CHECK] = at_check;
        state[at + REDUCED] = reduced;
        state[at + SINCE] = since;
        state[at + PERIOD] = period;
        state[at + JUDGED] = judged + 1.0;
        state[at + FOOLED] = select(fooled, 1.0, misclassified);
        state[at + FROM_BEST] = select(0.0, 1.0, reduce);
    }
}
