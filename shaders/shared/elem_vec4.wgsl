// What a lane holds at a time: four values, for images whose values are a multiple of four.
// The other choice is elem_f32.wgsl.

alias Elem = vec4f;
const WIDTH = 4u;

fn total(e: Elem) -> f32 { return (e.x + e.y) + (e.z + e.w); }

fn peak(e: Elem) -> f32 {
    let size = abs(e);
    return max(max(size.x, size.y), max(size.z, size.w));
}
