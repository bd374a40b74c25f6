//! Tests whole runs of the built program: two of them end with the same bits, as does one resumed after kill -9 or a signal;
//! and a run that diverges says so. They need an adapter.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail so"
)]

mod bits;
#[path = "../common/mod.rs"]
mod common;
mod curves;
mod frozen;
mod kills;
mod mixed;
mod objectives;
mod pieces;
mod presets;
mod show;
mod trouble;

use common::own_gpu;
use lapidary::gpu::Counts;
use lapidary::model::Checkpoint;
use lapidary::train::{
    Config, Event, Flow, MODEL_FILE, Material, Phase, RunFolder, STATE_FILE, latest_checkpoint,
    read_checkpoint, train,
};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Five iterations of stage 1 and four of stage 2, a checkpoint after every second of all and after each
/// stage. T grows after the first batches of stage 2, so that the curriculum's state is part of what resumes.
const SMALL: [&str; 16] = [
    "stage1.iterations=5",
    "stage1.batch=8",
    "stage2.iterations=4",
    "stage2.batch=8",
    "stage2.max_T=4",
    "stage2.auc_threshold=0.1",
    "stage2.auc_window=16",
    "judge.iterations=0",
    "sample.count=1",
    "sample.per_class=1",
    "sample.steps=1",
    "evaluate.images=8",
    "evaluate.batch=8",
    "evaluate.steps=1",
    "checkpoint.every=2",
    "checkpoint.keep=3",
];
const STEPS: u64 = 9;
/// Far more than a run takes anywhere.
const PATIENCE: Duration = Duration::from_secs(240);

fn begin(out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lapidary"));
    command.args(["train", "fashion-tiny", "--out"]).arg(out);
    for set in SMALL.iter().chain(more) {
        command.args(["--set", set]);
    }
    command
}

fn resume(out: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lapidary"));
    command.args(["train", "--resume", "--out"]).arg(out).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}: {}", output.status, said(output));
}

type Files = Vec<(String, Vec<u8>)>;

/// The files of the last checkpoint, which is that of the last iteration.
fn last(out: &Path) -> Files {
    let (step, path) = latest_checkpoint(out).unwrap().unwrap();
    assert_eq!(step, STEPS);
    let files = read_checkpoint(path).unwrap();
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [MODEL_FILE, STATE_FILE]);
    files
}

fn assert_same(what: &str, given: &Files, wanted: &Files) {
    for ((name, given), (_, wanted)) in given.iter().zip(wanted) {
        assert!(given == wanted, "{what}: {name} differs from the uninterrupted run's");
    }
}

/// The files that a run without interruption ends with.
fn uninterrupted() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("run");
        succeeded(&begin(&out, &[]).output().unwrap());
        let t: Vec<_> = steps(&out).into_iter().filter_map(|(_, t)| t).collect();
        assert!(t.first() < t.last(), "T is to grow: {t:?}");
        last(&out)
    })
}

/// Iterations over both stages that the log has, in order, and their T.
fn steps(out: &Path) -> Vec<((Phase, u64), Option<u32>)> {
    let step = |event| match event {
        Event::Step(step) if step.phase <= Phase::Stage2 => {
            Some(((step.phase, step.iteration), step.t))
        }
        _ => None,
    };
    RunFolder::read_log(out).unwrap().into_iter().filter_map(step).collect()
}

/// Lets a run go on until `now` says so of its folder.
fn until(out: &Path, now: impl Fn(&Path) -> bool) -> Child {
    let mut child = begin(out, &[]).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while !now(out) {
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none() && began.elapsed() < PATIENCE, "too late: {ended:?}");
        std::thread::sleep(Duration::from_micros(200));
    }
    child
}

fn logged(out: &Path, text: &str) -> bool {
    std::fs::read_to_string(out.join("log.jsonl")).is_ok_and(|log| log.contains(text))
}

fn killed(what: &str, now: impl Fn(&Path) -> bool) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut child = until(&out, now);
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "{what}: it ended before it was killed");
    let whole = latest_checkpoint(&out).unwrap().map_or(0, |(step, _)| step);
    assert!(whole < STEPS, "{what}: the kill came too late");
    succeeded(&resume(&out));
    assert_same(what, &last(&out), uninterrupted());
    // Each iteration is in the log, whether it was repeated or not.
    let logged: Vec<_> = steps(&out).into_iter().map(|(step, _)| step).collect();
    let wanted = (1..=5).map(|i| (Phase::Stage1, i)).chain((1..=4).map(|i| (Phase::Stage2, i)));
    assert_eq!(logged, wanted.collect::<Vec<_>>(), "{what}");
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    succeeded(&begin(&out, &[]).output().unwrap());
    assert_same("again", &last(&out), uninterrupted());
    // A run that is over stays as it is, and another folder's configuration is refused.
    succeeded(&resume(&out));
    assert_same("resumed after its end", &last(&out), uninterrupted());
    for more in [&["--resume"][..], &[]] {
        let other = begin(&out, &["seed=1"]).args(more).output().unwrap();
        assert_eq!(other.status.code(), Some(2), "{}", said(&other));
        assert!(said(&other).contains("seed"), "{}", said(&other));
    }
    let other = folder.path().join("other");
    succeeded(&begin(&other, &["seed=1"]).output().unwrap());
    assert_ne!(last(&other), *uninterrupted());
}

#[test]
fn killed_before_the_first_checkpoint() {
    killed("iteration 1", |out| logged(out, r#""iteration":1,"#));
}

#[test]
fn killed_in_stage_1() {
    killed("stage 1", |out| logged(out, r#""phase":"stage1","iteration":3,"#));
}

#[test]
fn killed_while_a_checkpoint_is_written() {
    killed("a checkpoint", |out| out.join("checkpoints/.step-4.tmp").exists());
}

#[test]
fn killed_between_the_stages() {
    killed("the boundary", |out| logged(out, r#""event":"saved","step":5,"#));
}

#[test]
fn killed_in_stage_2() {
    killed("stage 2", |out| logged(out, r#""phase":"stage2","iteration":2,"#));
}

#[cfg(unix)]
#[test]
fn a_signal_saves_and_stops() {
    // The last comes while a checkpoint is being written.
    let moments = [
        (r#""iteration":2,"#, 1, "TERM", "1000"),
        (r#""phase":"stage2","iteration":1,"#, 2, "USR1", "1000"),
        (".step-4.tmp", 1, "TERM", "2"),
    ];
    for (moment, stage, signal, every) in moments {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("run");
        let mut command = begin(&out, &[&format!("checkpoint.every={every}")]);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let began = Instant::now();
        let now = || match moment.starts_with('.') {
            true => out.join("checkpoints").join(moment).exists(),
            false => logged(&out, moment),
        };
        while !now() {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "too late: {ended:?}");
            std::thread::sleep(Duration::from_micros(200));
        }
        let kill =
            Command::new("sh").arg("-c").arg(format!("kill -{signal} {}", child.id())).status();
        assert!(kill.unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(6), "{}", said(&output));
        assert!(said(&output).contains("train --resume --out"), "{}", said(&output));
        let (step, _) = latest_checkpoint(&out).unwrap().expect("it saves before it stops");
        assert!(step < STEPS && (step > 5) == (stage == 2), "{step}");
        succeeded(&resume(&out));
        assert_same("a signal", &last(&out), uninterrupted());
    }
}

/// Files may not grow beyond a size, as on a disk that is full: the last good checkpoint stays.
#[cfg(unix)]
#[test]
fn a_full_disk_ends_it_and_what_was_saved_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut child = until(&out, |out| logged(out, r#""event":"saved","step":2,"#));
    child.kill().unwrap();
    child.wait().unwrap();
    // 100 blocks of 512 bytes: less than a checkpoint's smallest file. Without the trap the signal would be the end.
    let script = r#"trap '' XFSZ; ulimit -f 100; exec "$@""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_lapidary"), "train", "--out"]);
    let output = command.arg(&out).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("step-"), "{}", said(&output));
    succeeded(&resume(&out));
    assert_same("a full disk", &last(&out), uninterrupted());
}

#[test]
fn plan_and_runs_say_what_there_is() {
    let program = |arguments: &[&str], folder: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lapidary"));
        command.args(arguments).current_dir(folder).output().unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let plan = program(&["plan", "fashion-tiny", "--time", "--set", "stage2.micro_batch=4"], here);
    succeeded(&plan);
    let text = String::from_utf8_lossy(&plan.stdout).into_owned();
    for words in ["fashion-tiny fits", "6 iterations of 16 images, 16 at once", "4 at once", "MiB"]
    {
        assert!(text.contains(words), "{text}");
    }
    assert_eq!(program(&["runs"], here).status.code(), Some(3));
    for (name, seed) in [("a", "seed=0"), ("b", "seed=7")] {
        succeeded(&begin(&here.join("runs").join(name), &[seed]).output().unwrap());
    }
    let list = program(&["runs"], here);
    let text = String::from_utf8_lossy(&list.stdout).into_owned();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains("finished") && text.contains("stage2 4/4"), "{text}");
    // One that cannot be read hides no other.
    std::fs::create_dir(here.join("runs/broken")).unwrap();
    std::fs::write(here.join("runs/broken/config.toml"), "preset = \"nosuch\"").unwrap();
    let list = program(&["runs"], here);
    succeeded(&list);
    let text = String::from_utf8_lossy(&list.stdout).into_owned();
    assert_eq!((text.lines().count(), text.matches("finished").count()), (4, 2), "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("unreadable: runs/broken") && last.contains("nosuch"), "{text}");
    assert_eq!(program(&["runs", "runs/a", "runs/broken"], here).status.code(), Some(2));
    let both = program(&["runs", "runs/a", "runs/b"], here);
    let text = String::from_utf8_lossy(&both.stdout).into_owned();
    let seed = text.lines().find(|line| line.starts_with("seed")).unwrap();
    assert_eq!(seed.split_whitespace().collect::<Vec<_>>(), ["seed", "0", "7"], "{text}");
}

/// An absurd rate: weights overflow within iterations. What was saved before has numbers only.
#[test]
fn divergence_is_5_and_keeps_what_was_good() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let sets = [
        "stage1.iterations=60",
        "stage1.learning_rate=100",
        "stage1.weight_decay=1",
        "stage1.momentum=0.99",
        "checkpoint.every=1",
        "checkpoint.keep=1000",
    ];
    let output = begin(&out, &sets).output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    let said = said(&output);
    let last = said.lines().last().unwrap();
    assert!(last.starts_with("lapidary: training diverged at step "), "{said}");
    let (step, path) = latest_checkpoint(&out).unwrap().expect("the first iterations are finite");
    let named = format!("last good checkpoint {}", path.display());
    assert!(last.ends_with(&named), "step {step}: {said}");
    for (name, bytes) in read_checkpoint(&path).unwrap() {
        let checkpoint = Checkpoint::from_bytes(path.join(&name), &bytes).unwrap();
        for (tensor, values) in checkpoint.weights.iter() {
            assert!(values.data.iter().all(|v| v.is_finite()), "step {step}: {name}: {tensor}");
        }
    }
    // And again from there.
    assert_eq!(resume(&out).status.code(), Some(5));
}

/// Device objects are made when a stage begins, not by its iterations.
#[test]
fn iterations_make_nothing_new() {
    let folder = tempfile::tempdir().unwrap();
    let sets: Vec<_> = SMALL.iter().chain(&["checkpoint.every=1000"]).copied().collect();
    let config = Config::preset("fashion-tiny").unwrap().with(&sets).unwrap();
    let mut folder = RunFolder::create(folder.path().join("run"), &config).unwrap();
    let material = Material::load(&config).unwrap();
    let gpu = own_gpu();
    let mut seen: Vec<(Phase, u64, Counts)> = Vec::new();
    let mut observer = |event: &Event| {
        if let Event::Step(step) = event {
            seen.push((step.phase, step.iteration, gpu.counts()));
        }
        Ok(Flow::Continue)
    };
    pollster::block_on(train(&gpu, &config, &material, &mut folder, &mut observer)).unwrap();
    assert_eq!(seen.len() as u64, STEPS);
    for pair in seen.windows(2) {
        let [(before, _, a), (phase, iteration, b)] = pair else { unreachable!() };
        if before == phase {
            let made = Counts { readbacks: a.readbacks + 1, submissions: b.submissions, ..*a };
            assert_eq!(*b, made, "{phase}, iteration {iteration}");
        }
    }
}
