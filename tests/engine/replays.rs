//! Tests that loops on the GPU allocate and compile nothing after the first iteration and submit rarely, and that two compiled
//! graphs over the same weights run in turn and from two threads without changing each other's results.

use crate::net::{Net, Setting, numbers, pixels, weights};
use crate::{gpu, own_gpu};
use lapidary::attack::{AnyAttack, Attack, MomentumPgd, Objective, Pgd, Settings};
use lapidary::gpu::Counts;
use lapidary::lower::Program;
use lapidary::model::{Activation, BatchSize, DeviceWeights};
use lapidary::ops::Norm;
use pollster::block_on;
use std::time::Instant;

const SETTING: Setting =
    Setting { depth: 10, width: 1, channels: 1, activation: Activation::Relu, images: 8, side: 16 };

/// A second attack of 50 steps makes nothing that the first did not, reads once, and submits as often
/// as its GPU time, which is no more than its time, allows.
#[test]
fn a_second_attack_makes_nothing_new() {
    let gpu = own_gpu();
    let model = SETTING.model();
    let images = pixels(SETTING.shape().elements() as usize, 1);
    let labels = SETTING.labels();
    block_on(async {
        let weights = weights(&model, 5);
        let weights = DeviceWeights::upload(&gpu, &model.parameters(), &weights).await.unwrap();
        let size = BatchSize { images: SETTING.images, side: SETTING.side };
        let all: [Settings; 2] = [
            Pgd::attack(Norm::L2, 0.5, 50).into(),
            MomentumPgd { steps: 50, ..MomentumPgd::default() }.into(),
        ];
        for settings in all {
            let mut attack = AnyAttack::new(&model, &weights, size, settings).await.unwrap();
            let mut found = Vec::new();
            let mut counts = Vec::new();
            let mut seconds = 0.0;
            for _ in 0..2 {
                counts.push(gpu.counts());
                let began = Instant::now();
                found.push(attack.attack(&images, &labels).await.unwrap());
                seconds = began.elapsed().as_secs_f64();
            }
            assert_eq!(found[0], found[1]);
            let (before, after) = (counts[1], gpu.counts());
            // Beside the loop's (one of them cut short, and some more where the machine is busy with other tests and
            // then is not, so that the pace is learned anew): one that sets the images, and one that judges the last iterate.
            let most = (seconds * 15.0) as u64 + 6 + 2;
            let submissions = after.submissions - before.submissions;
            assert!(submissions <= most, "{submissions} submissions in {seconds} s");
            let wanted = Counts {
                readbacks: before.readbacks + 1,
                submissions: after.submissions,
                ..before
            };
            assert_eq!(after, wanted);
        }
    });
}

/// `between` hears of all replays, and its error ends the loop.
#[test]
fn loops_tell_and_stop() {
    let model = SETTING.model();
    let net = Net::new(SETTING, Objective::Joint, false, false);
    block_on(async {
        let weights = weights(&model, 5);
        let weights = DeviceWeights::upload(gpu(), &model.parameters(), &weights).await.unwrap();
        let graph = net.rewritten(gpu());
        let mut program = net.program(&graph, &net.values(), &weights).await.unwrap();
        let mut told = Vec::new();
        let mut note = |done| {
            told.push(done);
            Ok(())
        };
        program.run(20, &mut note).await.unwrap();
        program.run(0, &mut note).await.unwrap();
        assert_eq!(told.last(), Some(&20));
        assert!(told.is_sorted(), "{told:?}");
        let mut calls = 0;
        let stop = |_| {
            calls += 1;
            Err(lapidary::Error::bad_file("stop", "asked to"))
        };
        assert!(program.run(1000, stop).await.is_err());
        assert_eq!(calls, 1);
    });
}

/// Two programs over the same weights, in turn and from two threads, one each.
#[test]
fn programs_side_by_side() {
    let other = Setting { images: 3, ..SETTING };
    let model = SETTING.model();
    let nets = [SETTING, other].map(|setting| Net::new(setting, Objective::Joint, false, true));
    let mut made = block_on(async {
        let weights = weights(&model, 5);
        let weights = DeviceWeights::upload(gpu(), &model.parameters(), &weights).await.unwrap();
        let mut made = Vec::new();
        for net in &nets {
            let graph = net.rewritten(gpu());
            let program = net.program(&graph, &net.values(), &weights).await.unwrap();
            made.push(program);
        }
        made
    });
    let run = |program: &mut Program, i: usize, batch: u32| {
        let setting = [SETTING, other][i];
        block_on(nets[i].replay(program, setting, batch, &nets[i].values())).unwrap()
    };
    let alone: Vec<_> = made
        .iter_mut()
        .enumerate()
        .map(|(i, made)| [1, 2].map(|batch| run(made, i, batch)))
        .collect();
    for batch in [1, 2] {
        for i in [0, 1] {
            assert!(
                run(&mut made[i], i, batch) == alone[i][batch as usize - 1],
                "program {i}, in turn"
            );
        }
    }
    std::thread::scope(|scope| {
        for (i, program) in made.iter_mut().enumerate() {
            let (run, alone) = (&run, &alone);
            scope.spawn(move || {
                for round in 0..6 {
                    let batch = 1 + round % 2;
                    let found = run(program, i, batch);
                    assert!(found == alone[i][batch as usize - 1], "program {i}, round {round}");
                }
            });
        }
    });
}

/// Values of any length are read back exactly, although buffers end at whole vec4s.
#[test]
fn buffers_are_read_as_written() {
    block_on(async {
        for words in [1, 3, 4, 5, 1000] {
            let data = numbers(words, 3);
            let buffer = gpu().upload(&data).await.unwrap();
            assert_eq!(gpu().read(&buffer).await.unwrap(), data);
            let zeros = gpu().allocate(&[words as u32]).await.unwrap();
            assert_eq!(gpu().read(&zeros[0]).await.unwrap(), vec![0.0; words]);
        }
    });
}
