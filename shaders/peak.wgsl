// As many fused multiplications and additions as possible, all in registers:  a = scale a + 1, three vectors at once: twelve
// registers of sixteen on CPUs, and more chains than a multiplication takes cycles
//
//   grid  one invocation per vec4 of y, see shared/index.wgsl; `rounds` times 24 operations each
//   y     sums, so that nothing can be left out
//
// Host side: src/ops/peak.rs. Appended: shared/index.wgsl.

struct Params { vectors: u32, rounds: u32, scale: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.vectors { return; }
    let scale = vec4f(params.scale);
    let one = vec4f(1.0);
    var a = vec4f(f32(lane));
    var b = a + one;
    var c = b + one;
    for (var round = 0u; round < params.rounds; round++) {
        a = fma(a, scale, one);
        b = fma(b, scale, one);
        c = fma(c, scale, one);
    }
    y[i] = a + b + c;
}
