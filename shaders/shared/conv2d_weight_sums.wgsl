// Sums for a convolution's derivative for its weights: for one weight position, the sums of eight out channels, and a function
// that adds to each the product of a quad (four columns) of its dy and one of x.

struct Sums { s0: f32, s1: f32, s2: f32, s3: f32, s4: f32, s5: f32, s6: f32, s7: f32 }

fn add(sums: ptr<function, Sums>, d: Eight, by: vec4f) {
    (*sums).s0 += dot(d.d0, by);
    (*sums).s1 += dot(d.d1, by);
    (*sums).s2 += dot(d.d2, by);
    (*sums).s3 += dot(d.d3, by);
    (*sums).s4 += dot(d.d4, by);
    (*sums).s5 += dot(d.d5, by);
    (*sums).s6 += dot(d.d6, by);
    (*sums).s7 += dot(d.d7, by);
}
