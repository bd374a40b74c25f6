// Keeps the image of the highest loss:  where loss > best_loss, best_x = x and best_loss = loss
//
//   grid             (images): one workgroup an image; its lanes stride over the image's values
//   x, best_x        [image][span words]
//   loss, best_loss  [image]
//
// Host side: src/ops/keep_best.rs. Nothing appended.

override LANES: u32 = 64u;

struct Params { span: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> loss: array<f32>;
@group(0) @binding(3) var<storage, read_write> best_x: array<f32>;
@group(0) @binding(4) var<storage, read_write> best_loss: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    let better = loss[id.x] > best_loss[id.x];
    storageBarrier(); // every lane has read best_loss before one writes it
    if better {
        let end = (id.x + 1u) * params.span;
        for (var i = id.x * params.span + lane; i < end; i += LANES) { best_x[i] = x[i]; }
        if lane == 0u { best_loss[id.x] = loss[id.x]; }
    }
}
