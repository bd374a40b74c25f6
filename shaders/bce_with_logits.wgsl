// Binary cross-entropy from logits z and targets t:  y = max(z, 0) - z * t + log1p(exp(-|z|))
//
// exp is taken only of numbers that are not above 0, and so cannot overflow.
// Host side: src/ops/bce_with_logits.rs. Appended: shared/map_two.wgsl, shared/index.wgsl.

fn two(z: vec4f, t: vec4f) -> vec4f { return max(z, vec4f(0.0)) - z * t + log_1p(exp(-abs(z))); }

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
