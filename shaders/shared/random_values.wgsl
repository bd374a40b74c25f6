// Uniform and normal numbers from random 32-bit words.

// Multiples of 2^-24 in [0, 1).
fn unit(words: vec4u) -> vec4f {
    return vec4f(words >> vec4u(8u)) * 5.9604645e-8; // 2^-24
}

// Normal numbers of mean 0 and standard deviation 1 from uniform ones (Box and Muller 1958). The angle lies in [-pi, pi),
// where WGSL bounds the errors of cos and sin; the built-in log may come out above 0 near 1.
fn normal(u: vec4f) -> vec4f {
    let radius = sqrt(max(-2.0 * log(u.xz + 5.9604645e-8), vec2f(0.0)));
    let angle = (u.yw - 0.5) * 6.2831853;
    return vec4f(
        radius.x * cos(angle.x), radius.x * sin(angle.x),
        radius.y * cos(angle.y), radius.y * sin(angle.y),
    );
}
