//! Tests attacks and classifiers that several threads use: each thread can have one of its own, with results that no other
//! thread changes, and one that threads share serves one call at a time.

use crate::made::{demo, images};
use lapidary::attack::{
    AnyAttack, Apgd, Attack, Divergence, Fab, Langevin, MomentumPgd, Objective, Pgd, Settings,
    Square, Start,
};
use lapidary::eval::Classifier;
use lapidary::model::BatchSize;
use lapidary::ops::Norm;
use pollster::block_on;
use std::thread::{scope, yield_now};

const SIZE: BatchSize = BatchSize { images: 4, side: 16 };
const THREADS: usize = 2;
const ROUNDS: usize = 6;

/// Two threads, each with an attack of its own on the same weights and device: all results are those of one thread.
/// The compiler refuses to let two threads share one attack: see the documentation of [`Attack`].
#[test]
fn one_object_two_callers() {
    let (model, weights) = demo();
    let (x, labels) = images(SIZE.images as usize * THREADS);
    let targets: Vec<u32> = labels.iter().map(|label| (label + 1) % 10).collect();
    let (norm, eps, steps) = (Norm::L2, 0.5, 5);
    let all: [Settings; 7] = [
        Pgd::attack(norm, eps, steps).into(),
        MomentumPgd { steps, ..MomentumPgd::default() }.into(),
        Divergence { steps, ..Divergence::default() }.into(),
        Apgd { steps, ..Apgd::new(norm, eps, Objective::DlrTargeted) }.into(),
        Fab { steps, ..Fab::default() }.into(),
        Square { norm, eps, queries: steps }.into(),
        Langevin { steps, ..Langevin::default() }.into(),
    ];
    for settings in all {
        let run = |attack: &mut AnyAttack, thread: usize| {
            let part = thread * SIZE.images as usize..(thread + 1) * SIZE.images as usize;
            let start = Start {
                targets: Some(&targets[part.clone()]),
                seed: 3,
                ..Start::new(&x[part.start * 256..part.end * 256], &labels[part])
            };
            block_on(async {
                attack.start(&start).await.unwrap();
                let steps = attack.steps();
                attack.run(steps, |_| Ok(())).await.unwrap();
                attack.images().await.unwrap()
            })
        };
        let new = || block_on(AnyAttack::new(&model, &weights, SIZE, settings)).unwrap();
        let mut alone = new();
        let wanted = [0, 1].map(|thread| run(&mut alone, thread));
        assert_ne!(wanted[0], wanted[1], "{settings:?}");
        let mut attacks = [new(), new()];
        scope(|scope| {
            for (thread, attack) in attacks.iter_mut().enumerate() {
                let (run, wanted) = (&run, &wanted);
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        yield_now();
                        let found = run(attack, thread);
                        assert!(found == wanted[thread], "thread {thread}, round {round}");
                    }
                });
            }
        });
    }
}

/// The same of classifiers.
#[test]
fn one_classifier_a_thread() {
    let (model, weights) = demo();
    let (x, _) = images(SIZE.images as usize * THREADS);
    let new = || block_on(Classifier::new(&model, &weights, SIZE)).unwrap();
    let wanted = block_on(new().logits(&x)).unwrap();
    let mut classifiers = [new(), new()];
    scope(|scope| {
        for (classifier, (part, wanted)) in
            classifiers.iter_mut().zip(x.chunks(x.len() / 2).zip(wanted.chunks(wanted.len() / 2)))
        {
            scope.spawn(move || {
                for _ in 0..20 {
                    assert!(block_on(classifier.logits(part)).unwrap() == wanted);
                }
            });
        }
    });
}
