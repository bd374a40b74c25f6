// Two maxima over a workgroup, of the two numbers that each lane gives, returned to every lane; call it from uniform control flow
// only. Eight lanes compare first, then one compares their results: a tree of halves would have more barriers.

var<workgroup> largest: array<vec2f, LANES>;

fn workgroup_max_vec2(lane: u32, value: vec2f) -> vec2f {
    largest[lane] = value;
    workgroupBarrier();
    if lane < 8u && LANES > 8u {
        var most = largest[lane];
        for (var i = lane + 8u; i < LANES; i += 8u) { most = max(most, largest[i]); }
        largest[lane] = most;
    }
    workgroupBarrier();
    if lane == 0u {
        var most = largest[0];
        for (var i = 1u; i < 8u; i++) { most = max(most, largest[i]); }
        largest[0] = most;
    }
    return workgroupUniformLoad(&largest[0]); // a barrier before and after: `largest` may be reused
}
