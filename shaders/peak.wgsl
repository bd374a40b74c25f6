// Measures peak arithmetic: as many fused multiply-adds as possible, all in registers. Each invocation repeats a = scale * a + 1
// on three vec4s at once. Their twelve components take twelve of a CPU's sixteen registers, and are so many that no
// multiplication waits for the result of the one before.
//
//   grid  one invocation per vec4 of y, see shared/index.wgsl; `rounds` times 192 operations each
//   y     the sums, so that the compiler cannot leave the work out
//
// Host side: src/ops/peak.rs. Appended: shared/index.wgsl.

struct Params { vectors: u32, rounds: u32, scale: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

struct Sums { a: vec4f, b: vec4f, c: vec4f }

fn step(s: Sums, scale: vec4f) -> Sums {
    let one = vec4f(1.0);
    return Sums(fma(s.a, scale, one), fma(s.b, scale, one), fma(s.c, scale, one));
}

// Between rounds lavapipe stores and loads the variables of the loop, which took three fifths of the time with one step in
// each round.
fn eight_steps(s: Sums, scale: vec4f) -> Sums {
    let four = step(step(step(step(s, scale), scale), scale), scale);
    return step(step(step(step(four, scale), scale), scale), scale);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.vectors { return; }
    let scale = vec4f(params.scale);
    let first = vec4f(f32(lane));
    var sums = Sums(first, first + 1.0, first + 2.0);
    for (var round = 0u; round < params.rounds; round++) { sums = eight_steps(sums, scale); }
    y[i] = sums.a + sums.b + sums.c;
}
