// Adds the products of quads of dy and x to the sums of one weight for eight out channels, in kernels whose workgroups share what
// they load. Every product is added by itself, so that a product and its sum are one instruction. The sums are
// declared in shared/conv2d_weight_sums.wgsl, which is appended to the same shader.

fn product(a: vec4f, b: vec4f, sum: f32) -> f32 {
    return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}

fn add_products(sums: ptr<function, Sums>, d: Eight, by: vec4f) {
    (*sums).s0 = product(d.d0, by, (*sums).s0);
    (*sums).s1 = product(d.d1, by, (*sums).s1);
    (*sums).s2 = product(d.d2, by, (*sums).s2);
    (*sums).s3 = product(d.d3, by, (*sums).s3);
    (*sums).s4 = product(d.d4, by, (*sums).s4);
    (*sums).s5 = product(d.d5, by, (*sums).s5);
    (*sums).s6 = product(d.d6, by, (*sums).s6);
    (*sums).s7 = product(d.d7, by, (*sums).s7);
}
