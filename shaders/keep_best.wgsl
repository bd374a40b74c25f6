// Keeps the iterate of highest loss of each attacked image:  where loss > best_loss, best_x = x and best_loss = loss
//
//   grid             one workgroup an image, see shared/index.wgsl; its lanes stride over the image's values
//   x, best_x        [image][word]: span words an image
//   loss, best_loss  [image]
//
// Host side: src/ops/steps.rs. Appended: shared/index.wgsl.

override LANES: u32 = 64u;

struct Params { images: u32, span: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> loss: array<f32>;
@group(0) @binding(3) var<storage, read_write> best_x: array<f32>;
@group(0) @binding(4) var<storage, read_write> best_loss: array<f32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = flat_group(workgroup, workgroups);
    if image >= params.images { return; }
    let better = loss[image] > best_loss[image];
    storageBarrier(); // every lane has read best_loss before one writes it
    if better {
        let end = (image + 1u) * params.span;
        for (var i = image * params.span + lane; i < end; i += LANES) { best_x[i] = x[i]; }
        if lane == 0u { best_loss[image] = loss[image]; }
    }
}
