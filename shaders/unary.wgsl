// Functions of one value, with their first and second derivatives. KIND chooses one; with s = 1 / (1 + exp(-x)), and
// P and p the distribution and the density of a standard normal variable:
//
//     kind      f(x)              f'                                              f''
//     RELU      max(x, 0)         1 where y is above 0, else 0                    0
//     RELU6     min(max(x, 0), 6) 1 where y is above 0 and below 6, else 0        0
//     GELU      x P(x)            P(x) + x p(x)                                   p(x) (2 - x^2)
//     SIGMOID   s                 s (1 - s)                                       s (1 - s) (1 - 2 s)
//     SILU      x s               s (1 + x (1 - s))                               s (1 - s) (2 + x (1 - 2 s))
//
//   grid  one invocation per vec4, see shared/index.wgsl
//   a, b, c, y  padded to whole vec4s. The kernel is this file with one of
//     shared/map_one.wgsl    y = f(a)           a is x
//     shared/map_two.wgsl    y = a f'(b)        a is the derivative of the result. b is x; for RELU and RELU6 it is the
//                                               result, so that rewrites can leave x out where it is made and rectified
//                                               in one kernel. At their corners the derivative is 0, as in PyTorch
//     shared/map_three.wgsl  y = a b f''(c)     the derivative of the derivative; c is x
//
// Only exp of numbers that are not above 0 is taken, which cannot overflow: with e = exp(-|x|), s is 1 / (1 + e) or
// e / (1 + e), and 1 - s is the other one, computed without cancelling; s (1 - s) is e / (1 + e)^2 on both sides, and
// f'' of SILU e / (1 + e)^2 (2 - |x| (1 - e) / (1 + e)).
//
// Host side: src/ops/unary.rs. Appended: shared/map_*.wgsl, shared/normal.wgsl, shared/index.wgsl.

override KIND: u32 = 0u;

const RELU = 0u;
const RELU6 = 1u;
const GELU = 2u;
const SIGMOID = 3u;
const SILU = 4u;

fn one(x: vec4f) -> vec4f {
    let e = exp(-abs(x));
    let top = select(e, vec4f(1.0), x > vec4f(0.0));
    switch KIND {
        case RELU: { return max(x, vec4f(0.0)); }
        case RELU6: { return min(max(x, vec4f(0.0)), vec4f(6.0)); }
        case GELU: { return x * normal_cdf(x); }
        case SIGMOID: { return top / (1.0 + e); }
        default: { return x * top / (1.0 + e); }
    }
}

fn two(dy: vec4f, v: vec4f) -> vec4f {
    let e = exp(-abs(v));
    switch KIND {
        case RELU: { return select(vec4f(0.0), dy, v > vec4f(0.0)); }
        case RELU6: { return select(vec4f(0.0), dy, (v > vec4f(0.0)) & (v < vec4f(6.0))); }
        case GELU: { return dy * (normal_cdf(v) + v * normal_density(v)); }
        case SIGMOID: { return dy * e / ((1.0 + e) * (1.0 + e)); }
        default: {
            let large = 1.0 / (1.0 + e);
            let small = e * large;
            let positive = v > vec4f(0.0);
            let s = select(small, large, positive);
            return dy * s * (1.0 + v * select(large, small, positive));
        }
    }
}

fn three(a: vec4f, b: vec4f, x: vec4f) -> vec4f {
    let far = abs(x);
    let e = exp(-far);
    let whole = 1.0 + e;
    switch KIND {
        case RELU, RELU6: { return vec4f(0.0); }
        case GELU: {
            let near = clamp(x, vec4f(-20.0), vec4f(20.0)); // beyond, the density is 0 and the square may overflow
            return a * b * normal_density(near) * (2.0 - near * near);
        }
        case SIGMOID: { return a * b * (e / (whole * whole)) * (-sign(x) * (1.0 - e) / whole); }
        default: { return a * b * (e / (whole * whole)) * (2.0 - far * (1.0 - e) / whole); }
    }
}
