// One 2-D convolution and the slice of it that a launch computes. The plain kernels see it from the forward pass's point of
// view; of the fast ones' derivative for x, x is dy and y is dx.

struct Params {
    images: u32, // of this launch, in a slice
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
    group_inputs: u32, // channels of x that an output channel sees
    group_outputs: u32, // output channels that see a channel of x
    first_image: u32, // of the slice, as all that follows
    first_block: u32, // of eight output channels
    x_skip: u32, // words before what x, w and residual show
    w_skip: u32,
    y_skip: u32,
    first_part: u32, // of a weight gradient, and the images of each part
    part_images: u32,
    epilogue: u32, // flags of epilogue_params.wgsl; of a weight gradient 1 to add to what is there
    first_line: u32, // of each image, of a weight gradient: what its kernel calls a line
    lines: u32,
    part_lines: u32, // of each part, where parts are cut of images too
    slice_inputs: u32, // in channels of a slice, each of which is summed by itself; all of them in a whole launch
    slice_words: u32, // from a slice's sums to the next one's
}
