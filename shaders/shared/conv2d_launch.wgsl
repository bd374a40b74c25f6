// Declares binding 0 (the parameters) and the workgroup size, which are the same in every fast convolution kernel.
// Appended with it: conv2d_params.wgsl.

override WORKGROUP: u32 = 32u;

@group(0) @binding(0) var<uniform> params: Params;
