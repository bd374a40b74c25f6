// Reads x and dy from storage buffers for a convolution's derivative for its weights: for adapters that are GPUs, not CPU
// rasterisers. All lanes ask for the same quads of dy (a quad is four columns, one vec4).

@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;

struct Eight { d0: vec4f, d1: vec4f, d2: vec4f, d3: vec4f, d4: vec4f, d5: vec4f, d6: vec4f, d7: vec4f }

fn x_quad(at: u32) -> vec4f { return x[at / 4u]; }
fn x_word(at: u32) -> f32 { return x[at / 4u][at % 4u]; }

// The quads of eight channels, `plane` words apart. Channels beyond the last are read inside the buffer and not used.
fn quads(at: u32, plane: u32, lane: u32) -> Eight {
    let last = arrayLength(&dy) - 1u;
    return Eight(
        dy[min((at + 0u * plane) / 4u, last)],
        dy[min((at + 1u * plane) / 4u, last)],
        dy[min((at + 2u * plane) / 4u, last)],
        dy[min((at + 3u * plane) / 4u, last)],
        dy[min((at + 4u * plane) / 4u, last)],
        dy[min((at + 5u * plane) / 4u, last)],
        dy[min((at + 6u * plane) / 4u, last)],
        dy[min((at + 7u * plane) / 4u, last)],
    );
}
