// Maps an index in the packed weights (eight output channels side by side, as conv2d_pack.wgsl lays them out) to the weight that
// lies there.

override TRANSPOSED: bool = false;
override FLIPPED: bool = false;

struct Params { outputs: u32, inputs: u32, kernel_height: u32, kernel_width: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w: array<f32>;

fn window() -> u32 { return params.kernel_height * params.kernel_width; }
// The number of channels that are packed in eights, and of the others.
fn many() -> u32 { return select(params.outputs, params.inputs, TRANSPOSED); }
fn other() -> u32 { return select(params.inputs, params.outputs, TRANSPOSED); }

fn packed_weights() -> u32 { return (many() + 7u) / 8u * 8u * other() * window(); }

fn packed_weight(at: u32) -> f32 {
    let k = at % 8u;
    let tap = at / 8u % window();
    let j = at / (8u * window()) % other();
    let m = at / (8u * window() * other()) * 8u + k;
    if m >= many() { return 0.0; }
    let source = select(tap, window() - 1u - tap, FLIPPED);
    let o = select(m, j, TRANSPOSED);
    let i = select(j, m, TRANSPOSED);
    return w[(o * params.inputs + i) * window() + source];
}
