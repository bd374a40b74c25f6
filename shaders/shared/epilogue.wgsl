// What follows a convolution in the network, done on its result before the store. Flags are fixed when the
// pipeline is made: what they leave out is not compiled.

override AFFINE: bool = false;
override MASK: bool = false;
override RELU: bool = false;
// 0: none; 1: added to the convolution itself; 2: added last.
override RESIDUAL: u32 = 0u;

@group(0) @binding(3) var<storage, read> affine: array<f32>; // [scale, shift][out channel]

// `rest` is the residual and `kept` 1 where the mask lets through, both for the same elements as `value`.
fn epilogue(channel: u32, value: vec4f, rest: vec4f, kept: vec4f) -> vec4f {
    var result = value;
    if RESIDUAL == 1u { result += rest; }
    if AFFINE { result = result * affine[channel] + affine[params.outputs + channel]; }
    if MASK { result = result * affine[channel] * kept; }
    if RESIDUAL == 2u { result += rest; }
    if RELU { result = max(result, vec4f(0.0)); }
    return result;
}
