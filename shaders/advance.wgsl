// Counts the runs of a recorded program: adds one to the low word of the step in the control buffer of random numbers
// (src/ops/random.rs), so that each run draws new numbers.
//
//   grid     (1): one invocation
//   control  seed low, seed high, step low, step high, first image's number
//
// Host side: src/ops/advance.rs.

struct Params { by: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> control: array<u32>;

@compute @workgroup_size(1)
fn main() {
    control[2] += params.by;
}
