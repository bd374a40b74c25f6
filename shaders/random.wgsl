// Makes random numbers that depend on seed, step, image and element alone, not on launch or device:
//
//     words = philox(counter = (element / 4, first + image, step low, step high), key = (seed low, seed high))
//     bits     the words                uniform  (word >> 8) / 2^24, in [0, 1)
//     normal   two numbers from each two words, whose uniform numbers are a and b:  sqrt(-2 log(a + 2^-24)) * (cos, sin)(2 pi b - pi)
//
//   grid     one invocation per four elements of one image, see shared/index.wgsl
//   control  seed low, seed high, step low, step high, first: the number of the first image
//   y        [image][word]: span words an image
//
// Host side: src/ops/random.rs. Appended: shared/index.wgsl, shared/philox.wgsl, shared/random_values.wgsl.

struct Params { images: u32, span: u32, draw: u32 }

const UNIFORM = 1u;
const NORMAL = 2u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> control: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    let blocks = (params.span + 3u) / 4u;
    if i >= params.images * blocks { return; }
    let image = i / blocks;
    let block = i % blocks;
    let counter = vec4u(block, control[4] + image, control[2], control[3]);
    var words = philox(counter, vec2u(control[0], control[1]));
    if params.draw == UNIFORM { words = bitcast<vec4u>(unit(words)); }
    if params.draw == NORMAL { words = bitcast<vec4u>(normal(unit(words))); }
    let count = min(params.span - 4u * block, 4u);
    for (var k = 0u; k < count; k++) { y[image * params.span + 4u * block + k] = words[k]; }
}
