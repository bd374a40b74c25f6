// Binary cross-entropy from logits:  y = max(z, 0) - z * t + log1p(exp(-|z|))
//
//   grid                one invocation per vec4, see shared/index.wgsl
//   logits, targets, y  z, t and y, padded to whole vec4s
//
// No exponential grows here. Host side: src/ops/bce_with_logits.rs. Appended: shared/index.wgsl.

struct Params { vectors: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<vec4f>;
@group(0) @binding(2) var<storage, read> targets: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.vectors { return; }
    let z = logits[i];
    y[i] = max(z, vec4f(0.0)) - z * targets[i] + log_1p(exp(-abs(z)));
}

// log(1 + e) for e in [0, 1] as 2 atanh(s), s = e / (2 + e) <= 1/3. The built-in log is only good to
// 2^-21 between 0.5 and 2, which would be all there is of a small loss.
fn log_1p(e: vec4f) -> vec4f {
    let s = e / (2.0 + e);
    let q = s * s;
    var series = vec4f(1.0 / 15.0);
    series = series * q + 1.0 / 13.0;
    series = series * q + 1.0 / 11.0;
    series = series * q + 1.0 / 9.0;
    series = series * q + 1.0 / 7.0;
    series = series * q + 1.0 / 5.0;
    series = series * q + 1.0 / 3.0;
    return 2.0 * s * (series * q + 1.0);
}
