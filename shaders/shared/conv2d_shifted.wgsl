// What the derivative of a 3x3 kernel of stride 2 reads of a row of dy.

// The quad at a word of dy and the one a column on.
struct Shifted { here: vec4f, next: vec4f }

fn shifted(at: u32, inside: f32, has_right: bool) -> Shifted {
    let here = x_quad(at) * inside;
    let after = x_word(at + select(3u, 4u, has_right)) * select(0.0, inside, has_right);
    return Shifted(here, vec4f(here.yzw, after));
}
