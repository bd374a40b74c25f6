// The logit of each image's label:  y = z_label, or 0 where the label is not the number of a class;  dz_label = dy
// The shader that this file is appended to declares `params`, `logits` and `labels`.

struct Row { label: u32, value: f32 }

fn row(image: u32) -> Row {
    let label = labels[image];
    var value = 0.0;
    if label < params.classes { value = logits[image * params.classes + label]; }
    return Row(label, value);
}

fn loss(found: Row) -> f32 { return found.value; }

fn slope(found: Row, k: u32, dy: f32) -> f32 { return select(0.0, dy, k == found.label); }
