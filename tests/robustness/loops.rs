//! Tests that every attack's loop allocates and compiles nothing, gives the results of the graph without rewrites, and gives the
//! same bits when it runs again.

use crate::{WORDS, first, network};
use lapidary::attack::{
    AnyAttack, Apgd, Attack, Fab, FabAttack, Objective, Settings, Square, Start,
};
use lapidary::gpu::{Counts, Gpu, Lowering, Options, Preferences};
use lapidary::model::{BatchSize, Checkpoint, DeviceWeights, Network};
use lapidary::ops::Norm;
use pollster::block_on;

const SIZE: BatchSize = BatchSize { images: 8, side: 16 };

/// Another device than the other tests', whose counts would mix.
#[test]
fn loops_make_nothing_new() {
    let file = crate::folder("fashion-demo").join("model.safetensors");
    let checkpoint = Checkpoint::read(file).unwrap();
    let model = Network::from_checkpoint(&checkpoint).unwrap();
    let (images, labels) = first(8);
    let targets: Vec<u32> = labels.iter().map(|label| (label + 1) % 10).collect();
    block_on(async {
        let gpu = Gpu::new(&Options::from_env()).await.unwrap();
        let parameters = model.parameters();
        let weights = DeviceWeights::upload(&gpu, &parameters, &checkpoint.weights).await.unwrap();
        let apgd = Apgd { steps: 21, ..Apgd::new(Norm::L2, 0.5, Objective::DlrTargeted) };
        let all: [Settings; 3] = [
            apgd.into(),
            Fab::new(Norm::Linf, f32::INFINITY).into(),
            Square { norm: Norm::L2, eps: 0.5, queries: 100 }.into(),
        ];
        for settings in all {
            let mut attack = AnyAttack::new(&model, &weights, SIZE, settings).await.unwrap();
            let start = Start { targets: Some(&targets), ..Start::new(images, labels) };
            attack.start(&start).await.unwrap();
            attack.run(1, |_| Ok(())).await.unwrap();
            let before = gpu.counts();
            attack.run(20, |_| Ok(())).await.unwrap();
            let after = gpu.counts();
            assert!(after.submissions > before.submissions);
            assert_eq!(Counts { submissions: before.submissions, ..after }, before, "{settings:?}");
        }
    });
}

/// A step of FAB goes through the network twice, with the images written between: rewrites must not mix the two up.
#[test]
fn fab_as_built_goes_the_same_way() {
    let (model, weights) = network("demo");
    let (images, labels) = first(8);
    let targets: Vec<u32> = labels.iter().map(|label| (label + 1) % 10).collect();
    block_on(async {
        let mut found = Vec::new();
        for lowering in [Lowering::Full, Lowering::Plain] {
            let fab = Fab::default();
            let gpu = weights.gpu();
            let gpu = gpu
                .clone()
                .preferring(Preferences { lowering, ..gpu.preferences().as_ref().clone() });
            let host = weights.download().await.unwrap();
            let weights = DeviceWeights::upload(&gpu, &model.parameters(), &host).await.unwrap();
            let mut attack = FabAttack::new(&model, &weights, SIZE, fab).await.unwrap();
            // Twice, where that is quick: what the first attack left behind must not matter.
            for _ in 0..1 + u32::from(lowering == Lowering::Full) {
                let start = Start { targets: Some(&targets), ..Start::new(images, labels) };
                attack.start(&start).await.unwrap();
                attack.run(3, |_| Ok(())).await.unwrap();
                found.push((attack.images().await.unwrap(), attack.distances().await.unwrap()));
            }
        }
        let (nearest, distances) = &found[0];
        assert!(distances.iter().any(|&distance| distance < 1e9), "{distances:?}");
        for (i, (images, other)) in found.iter().enumerate() {
            let exact = i < 2;
            for (a, b) in distances.iter().zip(other) {
                let near = (a - b).abs() <= 1e-3 * a.abs();
                assert!(if exact { a == b } else { near }, "{i}: {distances:?} {other:?}");
            }
            assert!(!exact || images == nearest);
        }
        // What it found is as far away as it says.
        let away = |i: usize| {
            let moves = nearest[i * WORDS..].iter().zip(&images[i * WORDS..]).take(WORDS);
            moves.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
        };
        for (i, &distance) in distances.iter().enumerate().filter(|(_, distance)| **distance < 1e9)
        {
            assert!((away(i) - f64::from(distance)).abs() < 1e-5);
        }
    });
}
