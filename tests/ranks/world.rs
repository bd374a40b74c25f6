//! Tests the functions by which the processes of one run (`World`) exchange data: sum, gather, broadcast and barrier, called by
//! several processes of this test program.

use crate::{ENDED, alone, ranks, said, succeeds, within};
use lapidary::world::World;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// Set where a test is one of the ranks that it started.
const IS_RANK: &str = "LAPIDARY_TEST_IS_RANK";

fn is_rank() -> bool {
    std::env::var(IS_RANK).is_ok()
}

/// The test of this name in so many ranks.
fn this_in_ranks(count: usize, test: &str) -> Command {
    let mut command = ranks(count, &std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(IS_RANK, "1");
    command
}

/// Runs the test of this name in so many ranks; whether this is one of them.
fn is_rank_of(count: usize, test: &str) -> bool {
    if is_rank() {
        return true;
    }
    let _alone = alone();
    let output = succeeds(&mut this_in_ranks(count, test));
    let passed = String::from_utf8_lossy(&output.stdout);
    let passed = passed.matches("1 passed").count();
    assert_eq!(passed, count, "{output:?}");
    false
}

fn say(sentence: &str) {
    panic!("{sentence}");
}

/// A number of a rank's that rounds: no two orders of a sum are likely to give the same bits.
fn number(rank: usize, at: usize) -> f32 {
    let mixed = (rank as u64 * 0x9e37_79b9_7f4a_7c15 + at as u64 * 0xd1b5_4a32_d192_ed03) >> 40;
    (mixed as f32 / 4096.0 - 2048.0) * (1.0 + 1e-3 * at as f32)
}

#[test]
fn sums_are_in_the_order_of_ranks() {
    if !is_rank_of(3, "world::sums_are_in_the_order_of_ranks") {
        return;
    }
    let world = World::start(say).unwrap();
    assert_eq!(world.size(), 3);
    // More than one part of each rank, parts that are not full, fewer values than ranks, and none.
    for length in [0, 1, 2, 3, 1000, (3 << 20) + 5] {
        let mine = (0..length).map(|at| number(world.rank(), at)).collect();
        let summed = world.sum(mine).unwrap();
        let wanted = |at| (number(0, at) + number(1, at)) + number(2, at);
        assert_eq!(summed.len(), length);
        for (at, sum) in summed.iter().enumerate() {
            assert_eq!(sum.to_bits(), f32::to_bits(wanted(at)), "{at} of {length}");
        }
    }
}

#[test]
fn all_are_told_the_same() {
    if !is_rank_of(4, "world::all_are_told_the_same") {
        return;
    }
    let world = World::start(say).unwrap();
    let rank = world.rank();
    assert_eq!(world.local(), (rank, 4), "{:?}", world.members());
    let lists = world.gather(vec![rank as u8; rank]).unwrap();
    assert_eq!(lists, [vec![], vec![1], vec![2, 2], vec![3, 3, 3]]);
    let collected = world.collect(vec![rank as u8; 3 - rank]).unwrap();
    let all = vec![vec![0, 0, 0], vec![1, 1], vec![2], vec![]];
    assert_eq!(collected, if rank == 0 { all } else { vec![] });
    for length in [0, 5, 100_000] {
        let mine = if world.is_first() { vec![7; length] } else { vec![1, 2, 3] };
        assert_eq!(world.broadcast(mine).unwrap(), vec![7; length]);
    }
    assert!(world.any(rank == 2).unwrap() && !world.any(false).unwrap());
    let share: Vec<f64> = world.share(10).map(|at| at as f64).collect();
    assert_eq!(world.joined(share).unwrap(), (0..10).map(f64::from).collect::<Vec<_>>());
    let names = world.introduce(&format!("adapter {rank}")).unwrap();
    assert_eq!(names, (0..4).map(|rank| format!("adapter {rank}")).collect::<Vec<_>>());
    world.barrier().unwrap();
    world.agree(&[("color", "blue".into())]).unwrap();
    let color = if rank == 3 { "red" } else { "blue" };
    let error = world.agree(&[("color", color.into())]).unwrap_err().to_string();
    assert!(error.contains("rank 3") && error.contains("red there, blue on rank 0"), "{error}");
}

/// A rank with nothing left to do waits for the others, and looks whether they live.
#[test]
fn a_rank_that_dies_after_others_are_done_is_named() {
    if is_rank() {
        // The launcher ends whoever does not listen to its signals before it can say anything.
        signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::default()).unwrap();
        #[allow(clippy::print_stderr, reason = "the test reads it")]
        let world = World::start(|sentence| eprintln!("{sentence}")).unwrap();
        if world.is_first() {
            std::thread::sleep(Duration::from_secs(1));
            std::process::abort();
        }
        return;
    }
    let _alone = alone();
    let test = "world::a_rank_that_dies_after_others_are_done_is_named";
    let output = within(&mut this_in_ranks(2, test), ENDED);
    assert!(!output.status.success(), "{output:?}");
    assert!(said(&output).contains("rank 0 of 2 died (host "), "{output:?}");
}
