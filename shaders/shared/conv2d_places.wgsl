// Index arithmetic for convolutions that are computed as products of matrices (conv2d_gemm.wgsl, conv2d_cooperative.wgsl): which
// taps of the kernel an output pixel uses, and where output pixels lie, in quads (four columns of a row). If the constant
// TRANSPOSED is true, the derivative for the convolution's input is computed: `x` is then the derivative for its output, and y
// that for its input.

override TRANSPOSED: bool = false;

// The taps of the kernel that the pixels of a phase use: `first` and every `every`-th from there. A phase is the output pixels
// whose row and column have the same remainders by the stride; a forward pass has one phase.
struct Taps1d { first: u32, every: u32, count: u32 }

fn taps_of(phase: u32, pad: u32, every: u32, kernel: u32) -> Taps1d {
    let first = (phase + pad) % every;
    return Taps1d(first, every, (max(kernel, first) - first + every - 1u) / every);
}

// Words between the columns of a quad of y, and between the words of x that they multiply.
fn apart() -> u32 { return select(1u, params.stride_x, TRANSPOSED); }
fn x_step() -> u32 { return select(params.stride_x, 1u, TRANSPOSED); }

// The first pixel of a quad of y; `there` is false beyond the last image, row or column.
struct Quad { n: u32, row: u32, column: u32, there: bool }

fn quad_of(number: u32, phase_y: u32, phase_x: u32) -> Quad {
    let every_y = select(1u, params.stride_y, TRANSPOSED);
    let across = ((params.out_width + apart() - 1u) / apart() + 3u) / 4u;
    let quads = across * ((params.out_height + every_y - 1u) / every_y);
    let n = number / quads;
    let row = number % quads / across * every_y + phase_y;
    let column = number % across * (4u * apart()) + phase_x;
    let there = n < params.images && row < params.out_height && column < params.out_width;
    return Quad(params.first_image + n, row, column, there);
}
