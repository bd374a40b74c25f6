// Functions that keep infinities and NaN instead of hiding them. WGSL lets max(x, 0) be 0 where x is NaN, and the inverse of
// an infinite deviation is 0: a network's logits would be finite, and wrong. Infinities and NaN are recognised by their bits,
// because compilers may assume that floating-point numbers are finite. The type Elem is in elem_f32.wgsl or elem_vec4.wgsl, one
// of which is appended to the same shader.

// Whether x is infinite or NaN.
fn overflowed(x: Elem) -> Truth { return (bitcast<Bits>(x) & Bits(0x7f800000u)) == Bits(0x7f800000u); }

// max(x, 0), and x where it overflowed, below 0 too: it may have been an intermediate sum that did.
fn rectified(x: Elem) -> Elem { return select(max(x, Elem(0.0)), x, overflowed(x)); }

// 1 / sqrt(variance + eps), and the variance where it overflowed.
fn inverse_deviation(variance: Elem, eps: f32) -> Elem {
    return select(inverseSqrt(variance + eps), variance, overflowed(variance));
}
