// What follows a convolution in the network, done on its result before the store. Appended with it: conv2d_mask.wgsl,
// mask_bits.wgsl, overflow.wgsl and elem_vec4.wgsl; epilogue_constants.wgsl or epilogue_params.wgsl, which say what is asked for. A
// residual's place is 0: none; 1: added to the convolution itself; 2: added last.

// `rest` is the residual and `kept` 1 where the mask lets through, both for the same elements as `value`.
fn epilogue(channel: u32, value: vec4f, rest: vec4f, kept: vec4f) -> vec4f {
    var result = value;
    if residual_place() == 1u { result += rest; }
    if has_affine() { result = result * affine_at(channel) + affine_at(params.outputs + channel); }
    if has_mask() { result = result * affine_at(channel) * kept; }
    if residual_place() == 2u { result += rest; }
    if has_relu() { result = rectified(result); }
    return result;
}
