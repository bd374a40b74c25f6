// Functions that the L2 and the Linf form of the Square attack share: the test whether a candidate is kept, random words, and
// the size and position of squares. An image's state is two words, both f32: the largest margin so far, and the number of
// candidates tested. The shader that this file is appended to declares `params` (with channels, side, queries, eps), `ids`, `margin`,
// `state`, `control`.

const BEST = 0u;
const JUDGED = 1u;
const SETTLED = 0u; // nothing more to do
const REFUSED = 1u; // the candidate is dropped
const TAKEN = 2u; // the candidate is the best from now on

var<workgroup> verdict: u32;

// Decides whether the candidate whose margin is known is taken, and updates the state.
fn judge(image: u32, lane: u32) -> u32 {
    if lane == 0u {
        let best = state[2u * image + BEST];
        let judged = state[2u * image + JUDGED];
        let now = margin[image];
        // Once misclassified, or out of queries, an image stays as it is.
        var found = SETTLED;
        if judged == 0.0 || (best < 0.0 && judged <= f32(params.queries)) {
            found = select(REFUSED, TAKEN, judged == 0.0 || now > best || now >= 0.0);
            if found == TAKEN { state[2u * image + BEST] = now; }
            state[2u * image + JUDGED] = judged + 1.0;
        }
        verdict = found;
    }
    return workgroupUniformLoad(&verdict);
}

// Four words for an image's candidate of this number; `part` tells several such fours apart.
fn words(image: u32, number: u32, part: u32) -> vec4u {
    return philox(vec4u(part, ids[image], control[2], number), vec2u(control[0], control[1]));
}

// Rows of a candidate's square. Its area begins at 0.8 of the image's and is halved as in the paper's table.
fn rows(number: u32) -> u32 {
    var share = 0.8;
    if number > 10u { share *= 0.5; }
    if number > 50u { share *= 0.5; }
    if number > 200u { share *= 0.5; }
    if number > 500u { share *= 0.5; }
    if number > 1000u { share *= 0.5; }
    if number > 2000u { share *= 0.5; }
    if number > 4000u { share *= 0.5; }
    if number > 6000u { share *= 0.5; }
    if number > 8000u { share *= 0.5; }
    return u32(round(sqrt(share) * f32(params.side)));
}

// First row and column of two squares of this many rows. The last position is never drawn, as in AutoAttack's code.
fn places(random: vec4u, size: u32) -> vec4u { return vec4u(unit(random) * f32(params.side - size)); }

// -1 or 1 by a bit.
fn sign_of(word: u32, bit: u32) -> f32 { return f32((word >> bit) & 1u) * 2.0 - 1.0; }
