// The layout of masks: one bit for each value of an activation, set where the value is above 0. A rectifier's derivative needs
// no more of the activation.
//
//   [image][channel / 8][row][column / 4], a word for 4 columns of 8 channels: bit channel % 8 * 4 + column % 4
//
// Bits beyond the last channel or column are 0.

fn above_zero(value: vec4f) -> u32 {
    let bits = select(vec4u(0u), vec4u(1u, 2u, 4u, 8u), value > vec4f(0.0));
    return bits.x | bits.y | bits.z | bits.w;
}

// 1 where one of the last four bits is set.
fn let_through(bits: u32) -> vec4f {
    return select(vec4f(0.0), vec4f(1.0), (vec4u(bits) & vec4u(1u, 2u, 4u, 8u)) != vec4u(0u));
}
