// Two sums over a workgroup, of the two numbers that each lane gives, returned to every lane; call it from uniform control
// flow only.
//
// Two levels in a fixed order, so the same inputs give the same bits: eight lanes add every eighth number
// each, then one lane adds those eight. A tree of halves would have more barriers, for which a CPU adapter
// switches between the parts of a workgroup. LANES, which the shader that this file is appended to declares,
// is a multiple of 8.

var<workgroup> partial: array<vec2f, LANES>;

fn workgroup_sum_vec2(lane: u32, value: vec2f) -> vec2f {
    partial[lane] = value;
    workgroupBarrier();
    if lane < 8u && LANES > 8u {
        var sum = partial[lane];
        for (var i = lane + 8u; i < LANES; i += 8u) { sum += partial[i]; }
        partial[lane] = sum;
    }
    workgroupBarrier();
    if lane == 0u {
        var sum = partial[0];
        for (var i = 1u; i < 8u; i++) { sum += partial[i]; }
        partial[0] = sum;
    }
    return workgroupUniformLoad(&partial[0]); // a barrier before and after: `partial` may be reused
}
