// By how much an image is misnamed, of its label and the class it is compared with, of equal logits the first:
//
//     y = largest logit of another class - z_label          TARGETED:  y = z_target - z_label
//     dz_label = -dy,  dz_other = dy
//
// The shader in front declares `params`, `logits`, `labels`, `targets` and TARGETED.

// Classes that are none where there is no other.
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
