// What every fast kernel of convolutions binds first. Appended with it: conv2d_params.wgsl.

override WORKGROUP: u32 = 32u;

@group(0) @binding(0) var<uniform> params: Params;
