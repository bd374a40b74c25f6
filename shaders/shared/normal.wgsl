// The distribution function and density of the standard normal distribution, for GELU. The lower tail has the relative error
// 1.2e-7 of the rational Chebyshev fit to erfc (Press and others, Numerical Recipes, section 6.2); WGSL has no erf.

fn normal_cdf(x: vec4f) -> vec4f {
    let z = abs(x) * 0.70710678118;
    let t = 1.0 / (1.0 + 0.5 * z);
    var p = vec4f(0.17087277);
    p = p * t - 0.82215223;
    p = p * t + 1.48851587;
    p = p * t - 1.13520398;
    p = p * t + 0.27886807;
    p = p * t - 0.18628806;
    p = p * t + 0.09678418;
    p = p * t + 0.37409196;
    p = p * t + 1.00002368;
    p = p * t - 1.26551223;
    let tail = 0.5 * t * exp(p - z * z);
    return select(tail, 1.0 - tail, x > vec4f(0.0));
}

fn normal_density(x: vec4f) -> vec4f { return 0.39894228040 * exp(-0.5 * x * x); }
