// Sizes of one grouped 2-D convolution, from the forward pass's point of view; its derivatives use the same.

struct Params {
    images: u32,
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
}
