// One row of the difference of logits ratio: which logits it is made of. One invocation walks over the classes.
// The shader in front declares `logits`, `labels` and `targets`.

override TARGETED: bool = false;

struct Params { images: u32, classes: u32 }

@group(0) @binding(0) var<uniform> params: Params;

// Classes: the label's, the one it is compared with, and those of the largest logits.
struct Row { label: u32, other: u32, order: vec4u, numerator: f32, denominator: f32 }

fn row(image: u32) -> Row {
    let first = image * params.classes;
    var order = vec4u(params.classes);
    for (var k = 0u; k < params.classes; k++) {
        let z = logits[first + k];
        var place = 0u;
        for (; place < 4u; place++) {
            if order[place] == params.classes || z > logits[first + order[place]] { break; }
        }
        if place == 0u { order = vec4u(k, order.xyz); }
        else if place == 1u { order = vec4u(order.x, k, order.yz); }
        else if place == 2u { order = vec4u(order.xy, k, order.z); }
        else if place == 3u { order.w = k; }
    }
    var found = Row(labels[image], order.x, order, 0.0, 1.0);
    if found.label >= params.classes { return found; }
    let largest = logits[first + order.x];
    if TARGETED {
        found.other = targets[image];
        let third = 0.5 * (logits[first + order.z] + logits[first + order.w]);
        found.denominator = largest - third + 1e-12;
    } else {
        if order.x == found.label { found.other = order.y; }
        found.denominator = largest - logits[first + order.z] + 1e-12;
    }
    found.numerator = logits[first + found.label] - logits[first + found.other];
    return found;
}
