// The margin by which an image is misclassified: the largest other logit minus the label's logit (of equally large ones the
// first class counts); if the constant TARGETED is true, the target's logit minus the label's. Above 0 the image is misclassified:
//
//     y = largest logit of another class - z_label          TARGETED:  y = z_target - z_label
//     dz_label = -dy,  dz_other = dy
//
// The shader that this file is appended to declares `params`, `logits`, `labels`, `targets` and TARGETED.

// The label, the class that it is compared with, and the margin. `other` is params.classes where there is no other class.
struct Row { label: u32, other: u32, value: f32 }

fn row(image: u32) -> Row {
    let first = image * params.classes;
    var found = Row(labels[image], params.classes, 0.0);
    if TARGETED {
        found.other = targets[image];
    } else {
        for (var k = 0u; k < params.classes; k++) {
            if k == found.label { continue; }
            if found.other == params.classes || logits[first + k] > logits[first + found.other] { found.other = k; }
        }
    }
    if found.label < params.classes && found.other < params.classes {
        found.value = logits[first + found.other] - logits[first + found.label];
    }
    return found;
}

fn loss(found: Row) -> f32 { return found.value; }

fn slope(found: Row, k: u32, dy: f32) -> f32 {
    if max(found.label, found.other) >= params.classes || found.label == found.other { return 0.0; }
    return select(select(0.0, dy, k == found.other), -dy, k == found.label);
}
