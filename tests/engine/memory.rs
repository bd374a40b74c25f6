//! Tests memory planning: values that share buffers do not disturb each other, and nodes that run once are run again when
//! their inputs change.

use crate::net::{Net, Setting, weights};
use crate::{gpu, own_gpu};
use lapidary::attack::{Attack, Objective, Pgd, PgdAttack};
use lapidary::gpu::Counts;
use lapidary::graph::{Graph, Value};
use lapidary::lower::Program;
use lapidary::model::{Activation, BatchSize, DeviceWeights};
use lapidary::ops::Copy;
use pollster::block_on;

const SETTING: Setting =
    Setting { depth: 10, width: 1, channels: 3, activation: Activation::Relu, images: 6, side: 12 };

fn bits(results: Vec<Vec<f32>>) -> Vec<Vec<u32>> {
    results.into_iter().map(|values| values.into_iter().map(f32::to_bits).collect()).collect()
}

/// All values wanted is all values kept: nothing shares a buffer.
#[test]
fn sharing_changes_no_bit() {
    let model = SETTING.model();
    for (training, of_weights, lowered) in [
        (false, false, true),
        (false, true, true),
        (true, true, true),
        (false, true, false),
        (true, true, false),
    ] {
        let net = Net::new(SETTING, Objective::CrossEntropy, training, of_weights);
        let graph = if lowered { net.rewritten(gpu()) } else { net.graph.clone() };
        let wanted = net.values();
        let mut all = wanted.clone();
        all.extend(graph.nodes().iter().flat_map(|node| node.outputs.iter().copied()));
        all.sort();
        all.dedup();
        let run = |keep: &[Value]| {
            block_on(async {
                let weights = weights(&model, 5);
                let weights =
                    DeviceWeights::upload(gpu(), &model.parameters(), &weights).await.unwrap();
                let mut program = net.program(&graph, keep, &weights).await.unwrap();
                let mut found = Vec::new();
                for batch in 1..4 {
                    found.push(bits(
                        net.replay(&mut program, SETTING, batch, &wanted).await.unwrap(),
                    ));
                }
                let after = weights.download().await.unwrap();
                (found, after, program.summary().clone())
            })
        };
        let (shared, shared_after, summary) = run(&wanted);
        let (alone, alone_after, loose) = run(&all);
        assert!(summary.shared_bytes < summary.unshared_bytes, "{summary}");
        assert_eq!(loose.shared_bytes, loose.unshared_bytes, "{loose}");
        let what = format!("training {training}, weights {of_weights}, lowered {lowered}");
        assert!(shared == alone && shared_after == alone_after, "{what}");
        assert_ne!(shared[0], shared[1], "{what}");
    }
}

/// Folded statistics and packed weights follow the weights, whoever writes these, as in a program made anew.
#[test]
fn kept_copies_follow_the_weights() {
    let model = SETTING.model();
    let parameters = model.parameters();
    let net = Net::new(SETTING, Objective::Joint, false, true);
    let gpu = own_gpu();
    let graph = net.rewritten(&gpu);
    let values = net.values();
    block_on(async {
        let [first, second] = [5, 6].map(|seed| weights(&model, seed));
        let on_device = DeviceWeights::upload(&gpu, &parameters, &first).await.unwrap();
        let mut program = net.program(&graph, &values, &on_device).await.unwrap();
        assert!(program.summary().dispatches_once > 0);
        let before = bits(net.replay(&mut program, SETTING, 1, &values).await.unwrap());
        let fresh = DeviceWeights::upload(&gpu, &parameters, &second).await.unwrap();
        let mut other = net.program(&graph, &values, &fresh).await.unwrap();
        let wanted = bits(net.replay(&mut other, SETTING, 1, &values).await.unwrap());
        assert_ne!(before, wanted);

        // By the host.
        on_device.write(&second).await.unwrap();
        assert_eq!(bits(net.replay(&mut program, SETTING, 1, &values).await.unwrap()), wanted);
        on_device.write(&first).await.unwrap();
        assert_eq!(bits(net.replay(&mut program, SETTING, 1, &values).await.unwrap()), before);

        // By another program, as an optimiser does.
        let mut copies = Graph::default();
        let mut given = Vec::new();
        for parameter in &parameters {
            let shape = parameter.graph_shape().unwrap();
            let (from, to) = (copies.input(shape), copies.input(shape));
            copies.push_all(Copy, &[from, to]).unwrap();
            given.push((from, fresh.buffer(&parameter.name).unwrap().clone()));
            given.push((to, on_device.buffer(&parameter.name).unwrap().clone()));
        }
        let mut copy = Program::new(&gpu, &copies, &[], &[], &given).await.unwrap();
        let counts = gpu.counts();
        copy.submit().await.unwrap();
        program.submit().await.unwrap();
        // Nothing is made anew, and the copies and what is packed anew are submitted once. A slow adapter's replay is cut into
        // more submissions than one, so it is the two replays that are compared.
        let but_for_submissions =
            |Counts { submissions, .. }: Counts| Counts { submissions, ..counts };
        let packed = gpu.counts();
        assert_eq!(packed, but_for_submissions(packed));
        program.submit().await.unwrap();
        let again = gpu.counts();
        assert_eq!(again, but_for_submissions(again));
        let [with_copies, alone] = [(counts, packed), (packed, again)]
            .map(|(before, after)| after.submissions - before.submissions);
        assert!(with_copies > alone && alone >= 1, "{with_copies} and {alone}");
        assert_eq!(bits(net.replay(&mut program, SETTING, 1, &values).await.unwrap()), wanted);

        // Within a loop of replays too: what follows the write reads the new weights.
        let mut written = false;
        let mut swap = |done| {
            if done >= 2 && !std::mem::replace(&mut written, true) {
                block_on(on_device.write(&first))?;
            }
            Ok(())
        };
        program.run(60, &mut swap).await.unwrap();
        assert_eq!(bits(program.read_all(&values).await.unwrap()), before);
    });
}

#[test]
fn a_dropped_program_gives_its_bytes_back() {
    let gpu = own_gpu();
    let model = SETTING.model();
    let parameters = model.parameters();
    let net = Net::new(SETTING, Objective::Joint, false, true);
    let graph = net.rewritten(&gpu);
    block_on(async {
        assert_eq!(gpu.counts().bytes, 0);
        let weights = DeviceWeights::upload(&gpu, &parameters, &weights(&model, 5)).await.unwrap();
        let before = gpu.counts().bytes;
        assert!(before >= 4 * model.count() as u64);
        for _ in 0..2 {
            let mut program = net.program(&graph, &net.values(), &weights).await.unwrap();
            net.replay(&mut program, SETTING, 1, &net.values()).await.unwrap();
            let made = gpu.counts().bytes - before;
            let summary = program.summary();
            let planned = summary.peak_bytes() - before;
            // Buffers end at whole vec4s.
            assert!(made >= planned && made < planned + 16 * 300, "{made} {planned}");
            drop(program);
            assert_eq!(gpu.counts().bytes, before);
        }
        drop(weights);
        assert_eq!(gpu.counts().bytes, 0);
    });
}

const WIDER: Setting = Setting {
    depth: 16,
    width: 2,
    channels: 3,
    activation: Activation::Relu,
    images: 16,
    side: 16,
};

/// Where the images alone are asked for, all that lies in memory from the forward pass to the backward one is a bit for each
/// element that a rectifier saw.
#[test]
fn forward_leaves_bits() {
    let net = Net::new(WIDER, Objective::CrossEntropy, false, false);
    let graph = net.rewritten(gpu());
    let nodes = graph.nodes();
    let (_, objective) = net.wanted[1];
    let turn = nodes.iter().position(|node| node.outputs.contains(&objective)).unwrap();
    let mut masks = 0;
    for node in &nodes[..turn] {
        let size = |value: &Value| graph.shape(*value).unwrap();
        let later = |value: &&Value| nodes[turn..].iter().any(|node| node.inputs.contains(value));
        let of_images = |value: &&Value| size(value).images() == 16 && size(value).pixels() > 1;
        for kept in node.outputs.iter().filter(later).filter(of_images) {
            let map = size(&node.outputs[0]);
            assert_eq!(32 * size(kept).elements(), map.elements(), "{:?}", node.op);
            masks += 1;
        }
    }
    // One before each block's convolutions, and the last.
    assert_eq!(masks, 6 * 2 + 1);
}

/// The device's account of a step is the plan's: three of the largest maps, and the masks.
#[test]
fn a_pgd_step_holds_what_its_plan_says() {
    let gpu = own_gpu();
    let model = WIDER.model();
    block_on(async {
        let weights = weights(&model, 5);
        let weights = DeviceWeights::upload(&gpu, &model.parameters(), &weights).await.unwrap();
        let (size, settings) = (BatchSize { images: 16, side: 16 }, Pgd::default());
        let attack = PgdAttack::new(&model, &weights, size, settings).await.unwrap();
        let (held, summary) = (gpu.counts().bytes, attack.summary());
        // Statistics that are folded are inputs as well; targets are not, and buffers end at whole vec4s.
        let apart = held.abs_diff(summary.peak_bytes());
        assert!(apart < 16 * 300, "{held} bytes on the device, {summary}");
        let map = |channels: u64, side: u64| 16 * channels * side * side * 4;
        let rectified = map(16, 16) + 4 * map(32, 16) + 4 * map(64, 8) + 4 * map(128, 4);
        let most = 3 * map(32, 16) + rectified / 32;
        let work = summary.work_bytes() - summary.scratch_bytes;
        assert!(work < most + (16 << 10), "{work} of {most}, {summary}");
    });
}
