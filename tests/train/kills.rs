//! Kills training runs (kill -9) at random moments, in each objective and with 1, 2 and 4 loader threads: a resumed run ends
//! with the bits of a run that nothing interrupts. One run of each objective is killed; `LAPIDARY_TRAIN_KILLS=n` kills n.

#![allow(clippy::print_stderr, reason = "a person wants to know which moments they were")]

use crate::{PATIENCE, said, succeeded};
use lapidary::data::Random;
use lapidary::train::{latest_checkpoint, read_checkpoint};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// A checkpoint after every second iteration, and after each stage.
const SMALL: [&str; 14] = [
    "data.side=8",
    "stage1.iterations=7",
    "stage1.batch=16",
    "stage1.steps=1",
    "stage2.iterations=6",
    "stage2.batch=16",
    "jem.steps=2",
    "jem.buffer=40",
    "ratio.steps=1",
    "judge.iterations=0",
    "sample.count=1",
    "sample.steps=1",
    "evaluate.images=16",
    "checkpoint.every=2",
];

/// What `dat` alone reads.
const DAT: [&str; 3] = ["stage2.steps=1", "stage2.auc_threshold=0.1", "stage2.auc_window=16"];

/// The number of iterations of both stages.
const ITERATIONS: u64 = 13;

/// Begins a run, or goes on with one.
fn command(out: &Path, objective: &str, threads: u64) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lapidary"));
    command.args(["train", "fashion-tiny", "--out"]).arg(out);
    let chosen = [format!("objective={objective}"), format!("data.threads={threads}")];
    let own = if objective == "dat" { &DAT[..] } else { &[] };
    for set in SMALL.iter().chain(own).copied().chain(chosen.iter().map(String::as_str)) {
        command.args(["--set", set]);
    }
    command
}

/// Iterations that the log tells of, again and again where they were repeated.
fn logged(out: &Path) -> u64 {
    let log = std::fs::read_to_string(out.join("log.jsonl")).unwrap_or_default();
    log.matches(r#""phase":"stage"#).count() as u64
}

fn last(out: &Path) -> (u64, Vec<(String, Vec<u8>)>) {
    let (step, path) = latest_checkpoint(out).unwrap().unwrap();
    (step, read_checkpoint(path).unwrap())
}

/// One or two processes that are killed, and one that is not, each with 1, 2 or 4 threads. Says what it did.
fn killed(objective: &str, out: &Path, whole: Duration, random: &mut Random) -> String {
    let mut story = String::new();
    let mut threads = || [1, 2, 4][random.below(3) as usize];
    let mut all: Vec<u64> = (0..3).map(|_| threads()).collect();
    let kills = 1 + random.below(2) as usize;
    for _ in 0..kills {
        let threads = all.pop().unwrap();
        // So many iterations, and somewhere into the next one or the checkpoint.
        let (iterations, more) = (random.below(ITERATIONS), random.uniform(0.0, 1.0));
        let (before, began) = (logged(out), Instant::now());
        let mut command = command(out, objective, threads);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut over = None;
        while over.is_none() && logged(out) < before + iterations {
            assert!(began.elapsed() < PATIENCE, "{story}");
            std::thread::sleep(Duration::from_millis(1));
            over = child.try_wait().unwrap();
        }
        std::thread::sleep(whole.mul_f64(more / ITERATIONS as f64));
        let over = over.or(child.try_wait().unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        let step = latest_checkpoint(out).ok().flatten().map(|(step, _)| step);
        let how = if over.is_none() { "killed" } else { "over" };
        story += &format!(
            "{threads} threads, {how} after {iterations} iterations and {more:.2}, with {step:?}; "
        );
    }
    let threads = all.pop().unwrap();
    let output = command(out, objective, threads).output().unwrap();
    assert!(output.status.success(), "{story}{}", said(&output));
    story + &format!("{threads} threads to the end")
}

fn kill(objective: &str) {
    let runs = std::env::var("LAPIDARY_TRAIN_KILLS").map_or(1, |runs| runs.parse().unwrap());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = std::env::var("LAPIDARY_TRAIN_SEED");
    let seed: u64 = seed.map_or(now.as_nanos() as u64, |seed| seed.parse().unwrap());
    eprintln!("LAPIDARY_TRAIN_SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("whole");
    let began = Instant::now();
    succeeded(&command(&out, objective, 2).output().unwrap());
    let whole = began.elapsed();
    assert!(whole < PATIENCE, "{whole:?}");
    let wanted = last(&out);
    for run in 0..runs {
        let out = folder.path().join(format!("run-{run}"));
        let story = killed(objective, &out, whole, &mut Random::new(seed, objective, run, 0));
        eprintln!("{objective} {run}: {story}");
        assert!(last(&out) == wanted, "{objective}, seed {seed}: {story}: other bits");
        std::fs::remove_dir_all(out).unwrap();
    }
}

#[test]
fn dat_killed_anywhere() {
    kill("dat");
}

#[test]
fn at_killed_anywhere() {
    kill("at");
}

#[test]
fn trades_killed_anywhere() {
    kill("trades");
}

#[test]
fn ratio_killed_anywhere() {
    kill("ratio");
}

#[test]
fn jem_killed_anywhere() {
    kill("jem");
}
