// Declares binding 0 (the parameters) of fast convolution kernels, and the workgroup size of those that do not fix their own. The
// parameters' type is in conv2d_params.wgsl, which is appended to the same shader.

override WORKGROUP: u32 = 32u;

@group(0) @binding(0) var<uniform> params: Params;
