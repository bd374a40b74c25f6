// Adds one to the step number in the control buffer of random numbers (src/ops/random.rs; only to its low 32 bits), so that
// each run of the same recorded launches draws new numbers.
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
