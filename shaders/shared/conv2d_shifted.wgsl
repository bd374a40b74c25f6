// Reads a row of dy for the derivative of a 3x3 kernel of stride 2: a quad (four columns), and the quad one column further.

// The quad at a word of dy, and the quad one column further.
struct Shifted { here: vec4f, next: vec4f }

fn shifted(at: u32, inside: f32, has_right: bool) -> Shifted {
    let here = x_quad(at) * inside;
    let after = x_word(at + select(3u, 4u, has_right)) * select(0.0, inside, has_right);
    return Shifted(here, vec4f(here.yzw, after));
}
