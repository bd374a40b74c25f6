// Declares binding 0 (the parameters) and the workgroup size, which are the same in every fast convolution kernel.
// The parameters' type is in conv2d_params.wgsl, which is appended to the same shader.

override WORKGROUP: u32 = 32u;

@group(0) @binding(0) var<uniform> params: Params;
