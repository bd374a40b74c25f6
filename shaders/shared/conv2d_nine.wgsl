// Adds all nine products of a 3x3 kernel at once, for CPU rasterisers without subgroups. There a load costs as much as ten
// products, and sums lie in memory anyway: tiles are as tall as a reasonable time to compile allows, and a sum is loaded and
// stored once for all nine products of an input channel. Elsewhere so many sums would not fit the registers.

// Adds nine products in one expression, so that the sum is stored and loaded once. Written a column at a time, because a
// product of a weight and a vector would make four copies of the weight.
fn nine(
    sum: vec4f,
    w0: f32, w1: f32, w2: f32, w3: f32, w4: f32, w5: f32, w6: f32, w7: f32, w8: f32,
    top: Line, middle: Line, bottom: Line,
) -> vec4f {
    return vec4f(
        fma(w0, top.left.x, fma(w1, top.middle.x, fma(w2, top.right.x,
        fma(w3, middle.left.x, fma(w4, middle.middle.x, fma(w5, middle.right.x,
        fma(w6, bottom.left.x, fma(w7, bottom.middle.x, fma(w8, bottom.right.x, sum.x))))))))),
        fma(w0, top.left.y, fma(w1, top.middle.y, fma(w2, top.right.y,
        fma(w3, middle.left.y, fma(w4, middle.middle.y, fma(w5, middle.right.y,
        fma(w6, bottom.left.y, fma(w7, bottom.middle.y, fma(w8, bottom.right.y, sum.y))))))))),
        fma(w0, top.left.z, fma(w1, top.middle.z, fma(w2, top.right.z,
        fma(w3, middle.left.z, fma(w4, middle.middle.z, fma(w5, middle.right.z,
        fma(w6, bottom.left.z, fma(w7, bottom.middle.z, fma(w8, bottom.right.z, sum.z))))))))),
        fma(w0, top.left.w, fma(w1, top.middle.w, fma(w2, top.right.w,
        fma(w3, middle.left.w, fma(w4, middle.middle.w, fma(w5, middle.right.w,
        fma(w6, bottom.left.w, fma(w7, bottom.middle.w, fma(w8, bottom.right.w, sum.w))))))))),
    );
}

fn add(tile: ptr<function, Tile>, t: Taps, top: Line, middle: Line, bottom: Line) {
    (*tile).c0 = nine(
        (*tile).c0,
        t.w0.low.x, t.w1.low.x, t.w2.low.x, t.w3.low.x, t.w4.low.x, t.w5.low.x, t.w6.low.x, t.w7.low.x, t.w8.low.x,
        top, middle, bottom,
    );
    (*tile).c1 = nine(
        (*tile).c1,
        t.w0.low.y, t.w1.low.y, t.w2.low.y, t.w3.low.y, t.w4.low.y, t.w5.low.y, t.w6.low.y, t.w7.low.y, t.w8.low.y,
        top, middle, bottom,
    );
    (*tile).c2 = nine(
        (*tile).c2,
        t.w0.low.z, t.w1.low.z, t.w2.low.z, t.w3.low.z, t.w4.low.z, t.w5.low.z, t.w6.low.z, t.w7.low.z, t.w8.low.z,
        top, middle, bottom,
    );
    (*tile).c3 = nine(
        (*tile).c3,
        t.w0.low.w, t.w1.low.w, t.w2.low.w, t.w3.low.w, t.w4.low.w, t.w5.low.w, t.w6.low.w, t.w7.low.w, t.w8.low.w,
        top, middle, bottom,
    );
    (*tile).c4 = nine(
        (*tile).c4,
        t.w0.high.x, t.w1.high.x, t.w2.high.x, t.w3.high.x, t.w4.high.x, t.w5.high.x, t.w6.high.x, t.w7.high.x, t.w8.high.x,
        top, middle, bottom,
    );
    (*tile).c5 = nine(
        (*tile).c5,
        t.w0.high.y, t.w1.high.y, t.w2.high.y, t.w3.high.y, t.w4.high.y, t.w5.high.y, t.w6.high.y, t.w7.high.y, t.w8.high.y,
        top, middle, bottom,
    );
    (*tile).c6 = nine(
        (*tile).c6,
        t.w0.high.z, t.w1.high.z, t.w2.high.z, t.w3.high.z, t.w4.high.z, t.w5.high.z, t.w6.high.z, t.w7.high.z, t.w8.high.z,
        top, middle, bottom,
    );
    (*tile).c7 = nine(
        (*tile).c7,
        t.w0.high.w, t.w1.high.w, t.w2.high.w, t.w3.high.w, t.w4.high.w, t.w5.high.w, t.w6.high.w, t.w7.high.w, t.w8.high.w,
        top, middle, bottom,
    );
}
