//! Tests that training by several processes gives the same results as training by one.

use crate::{alone, succeeds, training};
use lapidary::model::{Checkpoint, ConvNext, Metadata, Network, Stem};
use lapidary::train::{STATE_FILE, latest_checkpoint, read_checkpoint};
use std::path::Path;

/// The settings of every test here. Iterations of a stage are `LAPIDARY_RANK_ITERATIONS`, or few.
const COMMON: [&str; 9] = [
    "data.side=16",
    "judge.iterations=0",
    "sample.count=2",
    "sample.per_class=1",
    "sample.steps=1",
    "evaluate.images=20",
    "evaluate.steps=1",
    "validate.every=2",
    "checkpoint.every=1000",
];

fn iterations() -> String {
    std::env::var("LAPIDARY_RANK_ITERATIONS").unwrap_or_else(|_| "3".into())
}

/// Live weights, moments, averages and counters after the last iteration.
fn state(out: &Path) -> Checkpoint {
    let (_, path) = latest_checkpoint(out).unwrap().unwrap();
    let files = read_checkpoint(&path).unwrap();
    let (_, bytes) = files.into_iter().find(|(name, _)| name == STATE_FILE).unwrap();
    Checkpoint::from_bytes(STATE_FILE, &bytes).unwrap()
}

fn trained(count: usize, out: &Path, set: &[&str]) -> Checkpoint {
    // T grows, so that all ranks have to agree about it; JEM has no T, and refuses to be told of it.
    let grows: &[&str] = match set.contains(&"objective=jem") {
        true => &[],
        false => &["stage2.auc_threshold=0.1"],
    };
    let set = [&COMMON, set, grows].concat();
    succeeds(&mut training(count, out, &set));
    state(out)
}

fn assert_same(what: &str, given: &Checkpoint, wanted: &Checkpoint) {
    let bits = |of: &Checkpoint, name: &str| -> Vec<u32> {
        of.weights.get(name).unwrap().data.iter().map(|value| value.to_bits()).collect()
    };
    let names: Vec<_> = wanted.weights.iter().map(|(name, _)| name.to_owned()).collect();
    assert!(names.iter().any(|name| name.starts_with("momentum.")), "{names:?}");
    assert_eq!(names.len(), given.weights.iter().count());
    for name in names {
        assert!(bits(given, &name) == bits(wanted, &name), "{what}: {name} has other bits");
    }
    for key in ["t", "auc_window", "optimiser_steps", "images", "best", "stale"] {
        let of = |checkpoint: &Checkpoint| checkpoint.metadata.other.get(key).cloned();
        assert!(of(wanted).is_some() && of(given) == of(wanted), "{what}: {key}");
    }
}

#[test]
fn stage_2_of_ranks_is_that_of_one_process_with_as_many_pieces() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let iterations = format!("stage2.iterations={}", iterations());
    let set = |micro: &'static str| ["stage1.iterations=0", iterations.as_str(), micro];
    for (count, micro) in [(2, "stage2.micro_batch=8"), (4, "stage2.micro_batch=4")] {
        let name = |of: usize| folder.path().join(format!("{count}-{of}"));
        let one = trained(0, &name(0), &set(micro));
        let several = trained(count, &name(1), &set("stage2.micro_batch=0"));
        assert_same(&format!("{count} ranks"), &several, &one);
        if count == 2 {
            let again = trained(count, &name(2), &set("stage2.micro_batch=0"));
            assert_same("twice", &again, &several);
            // Pieces of a rank's share are pieces all the same, and here in another order of sums.
            trained(count, &name(3), &set("stage2.micro_batch=4"));
        }
    }
}

#[test]
fn stage_1_of_ranks_is_that_of_one_process_with_as_many_pieces() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    // A network without batch norm, whose images do not see each other.
    let network = ConvNext::new([1; 4], [8, 8, 16, 16], Stem::Patch, 1, 10, None).unwrap();
    let network = Network::from(network);
    let weights = network.initial(3);
    let metadata = Metadata { side: Some(32), ..network.metadata() };
    let start = Checkpoint { metadata, weights, ..Checkpoint::default() };
    let file = folder.path().join("start.safetensors");
    std::fs::write(&file, start.to_bytes().unwrap()).unwrap();
    let weights = format!("model.weights={}", file.display());
    let iterations = format!("stage1.iterations={}", iterations());
    let set = |micro: &'static str| {
        let more = [weights.as_str(), iterations.as_str(), "stage2.iterations=0", "data.side=32"];
        [&more[..], &["model.classes=as-given", micro]].concat()
    };
    for (count, micro) in [(2, "stage1.micro_batch=8"), (4, "stage1.micro_batch=4")] {
        let name = |of: usize| folder.path().join(format!("{count}-{of}"));
        let one = trained(0, &name(0), &set(micro));
        let several = trained(count, &name(1), &set("stage1.micro_batch=0"));
        assert_same(&format!("{count} ranks"), &several, &one);
    }
}

#[test]
fn batch_norm_and_the_replay_buffer_are_the_same_in_all_ranks() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    for objective in ["ratio", "jem"] {
        let chosen = format!("objective={objective}");
        let set = [
            chosen.as_str(),
            "stage1.iterations=2",
            "stage2.iterations=2",
            "jem.steps=2",
            "jem.buffer=40",
            "ratio.steps=1",
        ];
        let several = |name: &str| trained(2, &folder.path().join(name), &set);
        let [first, second] =
            [several(&format!("{objective}-1")), several(&format!("{objective}-2"))];
        assert_same(objective, &second, &first);
    }
}

/// The largest distance of a tensor, over the length of what is wanted.
fn distance(given: &Checkpoint, wanted: &Checkpoint) -> f64 {
    let length = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let apart = |(name, wanted): (&str, &lapidary::model::Tensor)| {
        let given = &given.weights.get(name).unwrap().data;
        let pairs = given.iter().zip(&wanted.data);
        let apart = length(&mut pairs.map(|(a, b)| f64::from(*a) - f64::from(*b)));
        let whole = length(&mut wanted.data.iter().map(|&b| f64::from(b)));
        if whole > 0.0 { apart / whole } else { apart }
    };
    wanted.weights.iter().map(apart).max_by(f64::total_cmp).unwrap()
}

#[test]
fn synchronised_ranks_are_one_process_with_as_many_pieces() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let iterations = format!("stage1.iterations={}", iterations());
    let momentum = "stage1.attack=momentum-best";
    let cases = [
        ("at", "stage1.attack=pgd"),
        ("dat", momentum),
        ("trades", "trades.beta=6"),
        ("ratio", "ratio.steps=2"),
    ];
    for (objective, more) in cases {
        let chosen = format!("objective={objective}");
        let (sync, none) = ("stage1.sync_batch_norm=true", "stage2.iterations=0");
        let set = |micro: &'static str| [&chosen, more, &iterations, none, sync, micro];
        for (count, micro) in [(2, "stage1.micro_batch=8"), (4, "stage1.micro_batch=4")] {
            let name = |of: usize| folder.path().join(format!("{objective}-{count}-{of}"));
            let one = trained(0, &name(0), &set(micro));
            let several = trained(count, &name(1), &set("stage1.micro_batch=0"));
            assert_same(&format!("{objective}, {count} ranks"), &several, &one);
        }
    }
}

#[test]
fn synchronised_statistics_are_those_of_the_whole_batch() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    // The whole batch at once adds up in another order. With ReLU, whose slope jumps, last bits decide after few iterations, in one
    // process as well; with SiLU they do not. TRADES' attack begins where its loss is flat: the last bits of the weights,
    // which are other ones after an iteration, turn its first step.
    for (objective, iterations) in [("at", iterations()), ("trades", "1".into())] {
        let chosen = format!("objective={objective}");
        let iterations = format!("stage1.iterations={iterations}");
        let (smooth, none) = ("model.activation=silu", "stage2.iterations=0");
        let set = |more: [&'static str; 2]| {
            [&[chosen.as_str(), iterations.as_str(), smooth, none][..], &more].concat()
        };
        let on = |micro| set(["stage1.sync_batch_norm=true", micro]);
        let name = |of: &str| folder.path().join(format!("{objective}-{of}"));
        let whole = trained(0, &name("one"), &on("stage1.micro_batch=0"));
        for (count, micro) in [(2, "stage1.micro_batch=4"), (4, "stage1.micro_batch=0")] {
            let several = trained(count, &name(&count.to_string()), &on(micro));
            let apart = distance(&several, &whole);
            assert!(apart < 1e-5, "{objective}, {count} ranks, {micro}: {apart:e}");
        }
        // The check can fail: a rank's own statistics are others.
        let own = set(["stage1.sync_batch_norm=false", "stage1.micro_batch=0"]);
        assert!(distance(&trained(2, &name("own"), &own), &whole) > 1e-3);
    }
}
