// Binary cross-entropy from logits z and targets t, derivative for the logits:  dz = (sigmoid(z) - t) * dy
//
// At z = 0 exactly, dz = -t * dy. PyTorch's automatic differentiation of max(z, 0) - z t + log1p(exp(-|z|)), from which the
// golden cases were made, gives the same: it takes the slopes of max and |z| as 0 there.
//
// Host side: src/ops/bce_with_logits.rs. Appended: shared/map_three.wgsl, shared/index.wgsl.

fn three(dy: vec4f, z: vec4f, t: vec4f) -> vec4f {
    let e = exp(-abs(z));
    let sigmoid = select(e, vec4f(1.0), z >= vec4f(0.0)) / (1.0 + e);
    return (select(sigmoid, vec4f(0.0), z == vec4f(0.0)) - t) * dy;
}
