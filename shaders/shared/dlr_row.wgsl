// Difference of logits ratio of an image, with its logits z sorted downwards as z_1, z_2, ...:
//
//     y = -n / d,  n = z_label - largest other,  d = z_1 - z_3 + 1e-12
//     TARGETED:    n = z_label - z_target,       d = z_1 - (z_3 + z_4) / 2 + 1e-12
//
// The derivatives are those for the label's logit, for the other logit of n, and for the logits of d. Where one class is
// several of these (the label often is z_1), its derivatives are added up:
//
//     dz_label = -dy / d,  dz_other = dy / d,  dz_1 = dy n / d^2,  dz_3 = -dy n / d^2 (TARGETED: half each to z_3, z_4)
//
// The loss and its derivatives are 0 where label or target is not the number of a class.
// The shader that this file is appended to declares `params`, `logits`, `labels`, `targets` and TARGETED.

// The label, the class that it is compared with, and the classes of the largest logits.
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
    if TARGETED && targets[image] >= params.classes { found.label = params.classes; }
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

fn loss(found: Row) -> f32 { return -found.numerator / found.denominator; }

fn slope(found: Row, k: u32, dy: f32) -> f32 {
    if found.label >= params.classes { return 0.0; }
    let part = dy / found.denominator;
    let through = part * found.numerator / found.denominator;
    var d = 0.0;
    if k == found.label { d -= part; }
    if k == found.other { d += part; }
    if k == found.order.x { d += through; }
    if TARGETED {
        if k == found.order.z { d -= 0.5 * through; }
        if k == found.order.w { d -= 0.5 * through; }
    } else if k == found.order.z {
        d -= through;
    }
    return d;
}
