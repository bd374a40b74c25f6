// Sizes of one launch of a packed convolution, as it runs: for a derivative, x is dy and y is dx.

override WORKGROUP: u32 = 32u;

struct Params {
    inputs: u32,
    height: u32,
    width: u32,
    outputs: u32,
    out_height: u32,
    out_width: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride_y: u32,
    stride_x: u32,
    pad_y: u32,
    pad_x: u32,
    first_image: u32,
    images: u32, // of this launch
    first_block: u32, // of eight output channels
    x_skip: u32, // words before what x, w and residual show
    w_skip: u32,
    y_skip: u32,
    first_part: u32, // of a weight gradient, and the images of each part
    part_images: u32,
    epilogue: u32, // flags of epilogue_params.wgsl
}

@group(0) @binding(0) var<uniform> params: Params;
