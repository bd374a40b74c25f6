// Sigmoid-weighted linear unit, second derivative. With  s = 1 / (1 + exp(-x)):
//
//     y = a * b * s * (1 - s) * (2 + x * (1 - 2 s))
//
//   grid        one invocation per vec4, see shared/index.wgsl
//   a, b, x, y  padded to whole vec4s
//
// With e = exp(-|x|) the factor is e / (1 + e)^2 * (2 - |x| * (1 - e) / (1 + e)): even in x, without overflow.
// Host side: src/ops/silu.rs. Appended: shared/index.wgsl.

struct Params { vectors: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
@group(0) @binding(3) var<storage, read> x: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.vectors { return; }
    let far = abs(x[i]);
    let e = exp(-far);
    let whole = 1.0 + e;
    y[i] = a[i] * b[i] * (e / (whole * whole)) * (2.0 - far * (1.0 - e) / whole);
}
