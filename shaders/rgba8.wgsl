// Turns images into RGBA pixels, one 32-bit word each:  y = bytes red, green, blue, alpha of the pixel, red lowest
//
//   grid  one invocation per word of y, see shared/index.wgsl
//   x     images, NCHW in [0, 1], 1 to 4 channels
//   y     `words` words in rows of `stride`: images side by side, `columns` in a row; 0 where there is none
//
// The result is a buffer rather than a storage texture, because kernels write buffers only; a copy makes a texture of it.
// Host side: src/ops/rgba8.rs. Appended: shared/index.wgsl.

struct Params {
    words: u32,
    stride: u32,
    columns: u32,
    images: u32,
    channels: u32,
    height: u32,
    width: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.words { return; }
    let across = i % params.stride;
    let down = i / params.stride;
    let column = across / params.width;
    let image = down / params.height * params.columns + column;
    if column >= params.columns || image >= params.images {
        y[i] = 0u;
        return;
    }
    let plane = params.height * params.width;
    let first = image * params.channels * plane
        + down % params.height * params.width + across % params.width;
    var pixel = vec4f(vec3f(x[first]), 1.0);
    if params.channels > 1u { pixel.y = x[first + plane]; pixel.z = 0.0; }
    if params.channels > 2u { pixel.z = x[first + 2u * plane]; }
    y[i] = pack4x8unorm(pixel);
}
