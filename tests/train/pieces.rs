//! Tests that a batch divided into micro-batches trains the same as the whole batch at once, also where the micro-batches share
//! the statistics of batch normalisation.

use crate::objectives::{config, run};
use lapidary::Error;
use lapidary::model::StateDict;

fn weights(objective: &str, more: &[&str]) -> StateDict {
    let folder = tempfile::tempdir().unwrap();
    let config = config(objective, &[&["model.activation=silu"], more].concat());
    run(&folder.path().join("run"), &config, usize::MAX).unwrap().0.average
}

/// The largest difference of two values in one place, and the tensor that they are in.
fn far(given: &StateDict, wanted: &StateDict) -> (String, f32) {
    let each = given.iter().zip(wanted.iter()).map(|((name, a), (_, b))| {
        let apart = a.data.iter().zip(&b.data).map(|(a, b)| (a - b).abs());
        (name.to_owned(), apart.max_by(f32::total_cmp).unwrap())
    });
    each.max_by(|(_, a), (_, b)| a.total_cmp(b)).unwrap()
}

#[test]
fn parts_of_a_batch_are_as_good_as_the_whole() {
    let iterations = ["stage1.iterations=0", "stage2.iterations=3"];
    let of = |micro| weights("dat", &[&iterations[..], &[micro]].concat());
    let (name, apart) = far(&of("stage2.micro_batch=4"), &of("stage2.micro_batch=0"));
    assert!(apart < 1e-4, "{name}: {apart}");
}

/// In one process: several are in `tests/ranks`.
#[test]
fn pieces_with_joined_statistics_are_as_good_as_the_whole() {
    // TRADES' attack begins where its loss is flat: last bits of the weights turn its second iteration's first step.
    for (objective, iterations) in [("at", 3), ("trades", 1), ("ratio", 3)] {
        let iterations = format!("stage1.iterations={iterations}");
        let of = |more: &[&str]| {
            weights(objective, &[&[iterations.as_str(), "stage2.iterations=0"], more].concat())
        };
        let whole = of(&[]);
        for micro in ["stage1.micro_batch=8", "stage1.micro_batch=2"] {
            let pieces = of(&["stage1.sync_batch_norm=true", micro]);
            let (name, apart) = far(&pieces, &whole);
            assert!(apart < 1e-5, "{objective}, {micro}: {name}: {apart}");
        }
    }
}

#[test]
fn pieces_with_statistics_of_their_own_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = run(&folder.path().join("run"), &config("at", &["stage1.micro_batch=4"]), 99);
    match refused {
        Err(Error::BadConfig { key, allowed, .. }) => {
            assert_eq!(key, "stage1.micro_batch");
            assert!(
                allowed.contains("16 images") && allowed.contains("sync_batch_norm"),
                "{allowed}"
            );
        }
        other => panic!("{other:?}"),
    }
}
