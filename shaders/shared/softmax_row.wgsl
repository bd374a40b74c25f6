// The largest of a row's logits and the sum of exp(logit - largest), returned to every lane of the
// workgroup that owns the row:  logsumexp = largest + log(sum),  softmax = exp(logit - largest) / sum.
//
// The two are returned apart because largest + log(sum) loses the digits of log(sum) where logits are near 1e4.
// The shader that this file is appended to declares LANES and `logits`; shared/workgroup_sum.wgsl is appended too.

struct SoftmaxRow { largest: f32, sum: f32 }

var<workgroup> largest_of: array<f32, LANES>;

fn softmax_row(first: u32, classes: u32, lane: u32) -> SoftmaxRow {
    var largest = -3.4028234e38; // lanes without a class never win
    for (var k = lane; k < classes; k += LANES) { largest = max(largest, logits[first + k]); }
    largest_of[lane] = largest;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width { largest_of[lane] = max(largest_of[lane], largest_of[lane + width]); }
    }
    largest = workgroupUniformLoad(&largest_of[0]);

    var sum = 0.0;
    for (var k = lane; k < classes; k += LANES) { sum += exp(logits[first + k] - largest); }
    return SoftmaxRow(largest, workgroup_sum(lane, sum));
}
