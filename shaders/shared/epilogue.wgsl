// The epilogue of a convolution: applies the ops that follow it in the network to its result before the store. Which ops
// there are is in epilogue_constants.wgsl or epilogue_params.wgsl, one of which is appended to the same shader, as are
// overflow.wgsl, elem_vec4.wgsl and mask_bits.wgsl. residual_place() is 0 for no residual, 1 for one that is added to the
// convolution's result first, 2 for one that is added last.

// `rest` is the residual, and `kept` is 1 where the mask's bit is set, both for the same elements as `value`.
fn epilogue(channel: u32, value: vec4f, rest: vec4f, kept: vec4f) -> vec4f {
    var result = value;
    if residual_place() == 1u { result += rest; }
    if has_affine() { result = result * affine_at(channel) + affine_at(params.outputs + channel); }
    if has_mask() { result = result * affine_at(channel) * kept; }
    if residual_place() == 2u { result += rest; }
    if has_relu() { result = rectified(result); }
    return result;
}
