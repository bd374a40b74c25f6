// Sums of four numbers over a workgroup, returned to every lane; call it from uniform control flow only. It has two levels,
// eight lanes and then one, because a tree of halves would have more barriers.

var<workgroup> partial: array<vec4f, LANES>;

fn workgroup_sum_vec4(lane: u32, value: vec4f) -> vec4f {
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
