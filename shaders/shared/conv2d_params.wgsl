// Parameters of one 2-D convolution and of the slice of it that a launch computes. In the plain kernels names are those of the
// forward pass; in the fast kernels' derivative for x, `x` is dy and `y` is dx.

struct Params {
    images: u32, // of this launch, which computes a slice of the batch
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
    group_inputs: u32, // channels of x that an output channel is computed from
    group_outputs: u32, // output channels that are computed from a channel of x
    first_image: u32, // of the slice, as all fields that follow
    first_block: u32, // first block of eight output channels
    x_skip: u32, // words of the whole buffer before the bound part of x; likewise for w and y
    w_skip: u32,
    y_skip: u32,
    first_part: u32, // weight gradients: number of the launch's first partial sum
    part_images: u32, // weight gradients: images in each part
    epilogue: u32, // flags of epilogue_params.wgsl; in weight gradients 1 means: add to what is there
    first_line: u32, // weight gradients: first line of each image; the kernel's header says what a line is
    lines: u32,
    part_lines: u32, // lines in each part, where images are cut into parts too
    slice_inputs: u32, // input channels of a slice, which is summed by itself; all input channels where there is one slice
    slice_words: u32, // words from a slice's sums to the next slice's
}
