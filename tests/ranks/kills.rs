//! Kills one of the processes of a training run (kill -9) at a random moment: the others end soon, one of them names it, and the
//! same command, with any number of processes, resumes the run from its last checkpoint. This is done to two runs, or to n with
//! `LAPIDARY_RANK_KILLS=n`.

#![allow(clippy::print_stderr, reason = "a person wants to know which moments they were")]

use crate::{ENDED, PATIENCE, alone, said, succeeds, training};
use lapidary::data::Random;
use lapidary::train::{latest_checkpoint, read_checkpoint};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// A checkpoint after every second iteration, and after each stage.
const SET: [&str; 12] = [
    "data.side=8",
    "stage1.iterations=8",
    "stage1.batch=16",
    "stage1.steps=1",
    "stage2.iterations=8",
    "stage2.batch=16",
    "stage2.steps=1",
    "judge.iterations=0",
    "sample.count=1",
    "sample.steps=1",
    "evaluate.images=16",
    "checkpoint.every=2",
];
/// The number of iterations of both stages.
const ITERATIONS: u64 = 16;
const RANKS: usize = 2;

fn last(out: &Path) -> (u64, Vec<(String, Vec<u8>)>) {
    let (step, path) = latest_checkpoint(out).unwrap().unwrap();
    (step, read_checkpoint(path).unwrap())
}

/// Iterations that the log tells of, again and again where they were repeated.
fn logged(out: &Path) -> u64 {
    let log = std::fs::read_to_string(out.join("log.jsonl")).unwrap_or_default();
    log.matches(r#""phase":"stage"#).count() as u64
}

/// The processes that a launcher started, by their ranks.
fn processes(launcher: u32) -> Vec<(usize, PathBuf)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path();
        let stat = std::fs::read_to_string(path.join("stat")).unwrap_or_default();
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1));
        if parent.and_then(|parent| parent.parse().ok()) != Some(launcher) {
            continue;
        }
        let variables = std::fs::read(path.join("environ")).unwrap_or_default();
        let variables = String::from_utf8_lossy(&variables).into_owned();
        let rank = variables.split('\0').find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            ["OMPI_COMM_WORLD_RANK", "PMI_RANK"].contains(&name).then(|| value.parse().ok())?
        });
        found.extend(rank.map(|rank| (rank, path)));
    }
    found
}

/// Whether a thread of the process runs: after the first one has ended, others may hold its files for a while.
fn is_running(process: &Path) -> bool {
    let runs = |thread: &Path| {
        let stat = std::fs::read_to_string(thread.join("stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
    };
    let threads = std::fs::read_dir(process.join("task"));
    threads.is_ok_and(|threads| threads.flatten().any(|thread| runs(&thread.path())))
}

/// The same, with what the launcher says itself.
fn talkative(quiet: &Command) -> Command {
    let mut command = Command::new(quiet.get_program());
    command.args(quiet.get_args().filter(|argument| *argument != "-q"));
    command.envs(quiet.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

/// Begins a run and kills one of its ranks; says which and when.
fn killed(out: &Path, whole: Duration, random: &mut Random) -> String {
    let victim = random.below(RANKS as u64) as usize;
    // The last of these moments are those in which rank 0 alone evaluates.
    let (iterations, more) = (random.below(ITERATIONS + 1), random.uniform(0.0, 1.0));
    let mut command = talkative(&training(RANKS, out, &SET));
    let mut launcher =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    let is_early = |launcher| logged(out) < iterations || processes(launcher).len() < RANKS;
    while launcher.try_wait().unwrap().is_none() && is_early(launcher.id()) {
        assert!(began.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(whole.mul_f64(more / ITERATIONS as f64));
    let all = processes(launcher.id());
    let story = format!("rank {victim} after {iterations} iterations and {more:.2}");
    let Some((_, process)) = all.iter().find(|(rank, _)| *rank == victim) else {
        let output = launcher.wait_with_output().unwrap();
        assert!(output.status.success(), "{story}: {}", said(&output));
        return format!("{story}: it was over");
    };
    let number = process.file_name().unwrap().to_str().unwrap();
    assert!(Command::new("kill").args(["-9", number]).status().unwrap().success());
    let killed = Instant::now();
    while launcher.try_wait().unwrap().is_none() || all.iter().any(|(_, path)| is_running(path)) {
        assert!(killed.elapsed() < ENDED, "{story}: {all:?} go on");
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = launcher.wait_with_output().unwrap();
    let text = said(&output);
    assert!(!output.status.success(), "{story}: {text}");
    if !text.contains(" died (host ") {
        // Before all ranks have met, and after their last word, nobody but the launcher knows of it.
        assert!(!out.exists() || out.join("metrics.json").exists(), "{story}: {text}");
        assert!(text.contains(&format!("rank {victim} with PID")), "{story}: {text}");
        let seconds = killed.elapsed().as_secs_f64();
        return format!("{story}, named by the launcher, all ended in {seconds:.1} s");
    }
    let names = format!("rank {victim} of {RANKS} died (host ");
    assert_eq!(text.matches(&names).count(), 1, "{story}: {text}");
    assert_eq!(text.matches(" died (host ").count(), 1, "{story}: {text}");
    format!("{story}, all ended in {:.1} s", killed.elapsed().as_secs_f64())
}

#[test]
fn a_rank_that_dies_ends_all_and_the_run_goes_on() {
    let _alone = alone();
    let runs = std::env::var("LAPIDARY_RANK_KILLS").map_or(2, |runs| runs.parse().unwrap());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = std::env::var("LAPIDARY_TRAIN_SEED");
    let seed: u64 = seed.map_or(now.as_nanos() as u64, |seed| seed.parse().unwrap());
    eprintln!("LAPIDARY_TRAIN_SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("whole");
    let began = Instant::now();
    succeeds(&mut training(RANKS, &out, &SET));
    let whole = began.elapsed();
    let wanted = last(&out);
    assert_eq!(wanted.0, ITERATIONS);
    for run in 0..runs {
        let out = folder.path().join(format!("run-{run}"));
        let story = killed(&out, whole, &mut Random::new(seed, "ranks", run, 0));
        eprintln!("{story}");
        // As many ranks go on to the same bits; every other run goes on with more or fewer.
        let copy = folder.path().join(format!("other-{run}"));
        // A rank that died at once may have left nothing.
        std::fs::create_dir_all(&out).unwrap();
        let copied = Command::new("cp").arg("-r").args([&out, &copy]).status();
        assert!(copied.unwrap().success());
        succeeds(&mut training(RANKS, &out, &SET));
        assert!(last(&out) == wanted, "seed {seed}: {story}: other bits");
        let count = if run.is_multiple_of(2) { 4 } else { 0 };
        succeeds(&mut training(count, &copy, &SET));
        assert_eq!(last(&copy).0, ITERATIONS, "{count} ranks");
    }
}
