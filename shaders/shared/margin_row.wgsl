// The two classes of an image's margin: its label and the one it is compared with, of equal logits the first; a number
// that is no class where there is none. The shader in front declares `logits`, `labels` and `targets`.

override TARGETED: bool = false;

struct Params { images: u32, classes: u32 }

@group(0) @binding(0) var<uniform> params: Params;

fn row(image: u32) -> vec2u {
    let label = labels[image];
    if TARGETED { return vec2u(label, targets[image]); }
    let first = image * params.classes;
    var other = params.classes;
    for (var k = 0u; k < params.classes; k++) {
        if k == label { continue; }
        if other == params.classes || logits[first + k] > logits[first + other] { other = k; }
    }
    return vec2u(label, other);
}
