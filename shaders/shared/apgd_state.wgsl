// The state that APGD (Auto-PGD, a gradient attack) keeps for each image between steps: 12 words, among them the best loss, the
// step size and counts of steps. All are f32, and 0 before the first iterate is evaluated.

const STATE = 12u;
const BEST_LOSS = 0u;
const PREVIOUS = 1u; // loss of the iterate before
const STEP_SIZE = 2u;
const RISES = 3u; // steps since the checkpoint that raised the loss
const BEST_AT_CHECK = 4u; // best loss at the last checkpoint
const REDUCED = 5u; // whether the last checkpoint halved the step
const SINCE = 6u; // steps since the last checkpoint
const PERIOD = 7u; // steps from the last checkpoint to the next
const JUDGED = 8u; // iterates so far
const FOOLED = 9u; // whether an iterate was misclassified
const FROM_BEST = 10u; // the next step starts at the best iterate
const FLAT = 11u; // the gradient at the start was 0
