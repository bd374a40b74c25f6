// Sum of `value` over a workgroup, returned to every lane; call it from uniform control flow only.
//
// A tree of fixed shape, so the same inputs give the same bits. LANES, which the shader that this file is
// appended to declares, is a power of two.

var<workgroup> partial: array<f32, LANES>;

fn workgroup_sum(lane: u32, value: f32) -> f32 {
    partial[lane] = value;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width { partial[lane] += partial[lane + width]; }
    }
    return workgroupUniformLoad(&partial[0]); // a barrier before and after: `partial` may be reused
}
