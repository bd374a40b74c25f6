// Functions of one value, with their first and second derivatives. KIND chooses one; with s = 1 / (1 + exp(-x)), and
// P and p the distribution and the density of a standard normal variable:
//
//     kind      f(x)              f'                                              f''
//     RELU      max(x, 0)         1 where y is above 0, else 0                    0
//     RELU6     min(max(x, 0), 6) 1 where y is above 0 and below 6, else 0        0
//     GELU      x P(x)            P(x) + x p(x)                                   p(x) (2 - x^2)
//     SIGMOID   s                 s (1 - s)                                       s (1 - s) (1 - 2 s)
//     SILU      x s               s (1 + x (1 - s))                               s (1 - s) (2 + x (1 - 2 s))
//     LEAKYRELU x, ALPHA x below  1, ALPHA where x is not above 0                 0
//     ELU       x, ALPHA (exp(x)  1, ALPHA exp(x) where x is not above 0          ALPHA exp(x) where x is not above 0
//               - 1) below 0
//     HARDSIGMOID  min(max(x + 3, 0), 6) / 6, which is h    1/6 between -3 and 3, else 0    0
//     HARDSWISH    x h            h + x / 6 between -3 and 3, else h              1/3 between -3 and 3, else 0
//     TANH      t = tanh(x)       1 - t^2                                         -2 t (1 - t^2)
//     SOFTPLUS  ln(1 + exp(x))    s                                               s (1 - s)
//     MISH      x t, where t =    t + x s (1 - t^2)                               (1 - t^2) (2 s + x s (1 - s - 2 t s))
//               tanh(SOFTPLUS)
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
// f'' of SILU e / (1 + e)^2 (2 - |x| (1 - e) / (1 + e)). TANH is (1 - e^2) / (1 + e^2) with the sign of x, and its square's distance
// from 1 is 4 e^2 / (1 + e^2)^2. The t of MISH is n / (n + 2 q) with n = 1 + 2 e and q = e^2 above 0, n = e (e + 2) and q = 1 below.
//
// RELU, RELU6 and SOFTPLUS return a value that overflowed (an infinity or NaN) as it is, see shared/overflow.wgsl. GELU, SILU and MISH of
// an infinity are that infinity or NaN.
//
// Host side: src/ops/unary.rs. Appended: shared/map_*.wgsl, shared/normal.wgsl, shared/index.wgsl, shared/overflow.wgsl,
// shared/elem_vec4.wgsl.

override KIND: u32 = 0u;
// The slope of a leaky rectifier below 0, or minus the lower limit of an exponential unit.
override ALPHA: f32 = 0.0;

const RELU = 0u;
const RELU6 = 1u;
const GELU = 2u;
const SIGMOID = 3u;
const SILU = 4u;
const LEAKYRELU = 5u;
const ELU = 6u;
const HARDSIGMOID = 7u;
const HARDSWISH = 8u;
const TANH = 9u;
const SOFTPLUS = 10u;
const MISH = 11u;

fn hard_sigmoid(x: vec4f) -> vec4f { return clamp(x + 3.0, vec4f(0.0), vec4f(6.0)) / 6.0; }

// exp(x) - 1 of x in [-inf, 0], without cancelling near 0: there a few terms of the series are exact to the last bits.
fn exp_minus_one(x: vec4f) -> vec4f {
    let near = x * (1.0 + x * (0.5 + x * (1.0 / 6.0 + x * (1.0 / 24.0 + x * (1.0 / 120.0 + x / 720.0)))));
    return select(exp(x) - 1.0, near, x > vec4f(-0.25));
}

// ln(1 + e) of e in [0, 1], which is 2 artanh(e / (2 + e)), by its series: log(1 + e) would lose e beside the 1, and compilers may
// undo what guards against that.
fn log_one_plus(e: vec4f) -> vec4f {
    let z = e / (2.0 + e);
    let w = z * z;
    return 2.0 * z * (1.0 + w * (1.0 / 3.0 + w * (0.2 + w * (1.0 / 7.0 + w * (1.0 / 9.0 + w * (1.0 / 11.0 + w / 13.0))))));
}

// s of x, with e = exp(-|x|).
fn logistic(x: vec4f, e: vec4f) -> vec4f { return select(e, vec4f(1.0), x > vec4f(0.0)) / (1.0 + e); }

// Of MISH with e = exp(-|x|): t, and its distance from 1 without cancelling.
struct Gate { t: vec4f, rest: vec4f }

fn gate(x: vec4f, e: vec4f) -> Gate {
    let above = x > vec4f(0.0);
    let n = select(e * (e + 2.0), 1.0 + 2.0 * e, above);
    let twice = 2.0 * select(vec4f(1.0), e * e, above);
    return Gate(n / (n + twice), twice / (n + twice));
}

fn between(x: vec4f) -> vec4<bool> { return (x > vec4f(-3.0)) & (x < vec4f(3.0)); }

fn one(x: vec4f) -> vec4f {
    let e = exp(-abs(x));
    let top = select(e, vec4f(1.0), x > vec4f(0.0));
    switch KIND {
        case RELU: { return rectified(x); }
        case RELU6: { return select(min(rectified(x), vec4f(6.0)), x, overflowed(x)); }
        case GELU: { return x * normal_cdf(x); }
        case SIGMOID: { return top / (1.0 + e); }
        case LEAKYRELU: { return select(ALPHA * x, x, x > vec4f(0.0)); }
        case ELU: { return select(ALPHA * exp_minus_one(min(x, vec4f(0.0))), x, x > vec4f(0.0)); }
        case HARDSIGMOID: { return hard_sigmoid(x); }
        case HARDSWISH: { return x * hard_sigmoid(x); }
        case TANH: { return sign(x) * -exp_minus_one(-2.0 * abs(x)) / (1.0 + e * e); }
        case SOFTPLUS: { return select(max(x, vec4f(0.0)) + log_one_plus(e), x, overflowed(x)); }
        case MISH: { return x * gate(x, e).t; }
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
        case LEAKYRELU: { return select(ALPHA * dy, dy, v > vec4f(0.0)); }
        case ELU: { return select(ALPHA * e * dy, dy, v > vec4f(0.0)); }
        case HARDSIGMOID: { return select(vec4f(0.0), dy / 6.0, between(v)); }
        case HARDSWISH: { return dy * (hard_sigmoid(v) + select(vec4f(0.0), v / 6.0, between(v))); }
        case TANH: { return dy * 4.0 * e * e / ((1.0 + e * e) * (1.0 + e * e)); }
        case SOFTPLUS: { return dy * logistic(v, e); }
        case MISH: {
            let g = gate(v, e);
            return dy * (g.t + v * logistic(v, e) * g.rest * (1.0 + g.t));
        }
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
        case RELU, RELU6, LEAKYRELU, HARDSIGMOID: { return vec4f(0.0); }
        case ELU: { return select(a * b * ALPHA * e, vec4f(0.0), x > vec4f(0.0)); }
        case HARDSWISH: { return select(vec4f(0.0), a * b / 3.0, between(x)); }
        case GELU: {
            let near = clamp(x, vec4f(-20.0), vec4f(20.0)); // beyond, the density is 0 and the square may overflow
            return a * b * normal_density(near) * (2.0 - near * near);
        }
        case SIGMOID: { return a * b * (e / (whole * whole)) * (-sign(x) * (1.0 - e) / whole); }
        case SOFTPLUS: { return a * b * (e / (whole * whole)); }
        case TANH: {
            let both = 1.0 + e * e;
            return a * b * (-8.0 * sign(x) * e * e * (1.0 - e * e) / (both * both * both));
        }
        case MISH: {
            let g = gate(x, e);
            let s = logistic(x, e);
            return a * b * g.rest * (1.0 + g.t) * s * (2.0 + x * (logistic(-x, e) - 2.0 * g.t * s));
        }
        default: { return a * b * (e / (whole * whole)) * (2.0 - far * (1.0 - e) / whole); }
    }
}
