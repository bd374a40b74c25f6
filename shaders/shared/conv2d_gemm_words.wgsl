// Stores one channel of the tile that conv2d_gemm.wgsl computes, one 32-bit word at a time, so rows of y may have any width.

fn keep_channel(o: u32, at: u32, value: vec4f, through: u32) -> u32 {
    let columns = min((params.out_width - at % params.out_width + apart() - 1u) / apart(), 4u);
    return store(o, at, columns, value, through);
}
