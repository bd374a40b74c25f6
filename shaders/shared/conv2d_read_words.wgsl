// Declares the buffers of conv2d_gemm.wgsl and reads them one 32-bit word at a time, where rows are not whole vec4s;
// shared/conv2d_read_storage.wgsl reads vec4s.

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> affine: array<f32>; // [scale, shift][out channel]
@group(0) @binding(5) var<storage, read> residual: array<f32>;

struct Octet { low: vec4f, high: vec4f }

fn affine_at(i: u32) -> f32 { return affine[i]; }
fn residual_word(at: u32) -> f32 { return residual[at]; }
fn residual_quad(at: u32) -> vec4f { return vec4f(residual[at], residual[at + 1u], residual[at + 2u], residual[at + 3u]); }
