//! Tests mistakes and failures in runs of several processes: one process prints one sentence, and none waits for ever.

use crate::{alone, lapidary, ranks, said, succeeds, training, within};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

/// Nothing here trains for longer than a few iterations.
const SOON: Duration = Duration::from_secs(120);
const SET: [&str; 5] = [
    "stage1.iterations=2",
    "stage2.iterations=2",
    "judge.iterations=0",
    "sample.count=1",
    "evaluate.images=16",
];

/// Returns the program's error message: one line, however many ranks there were.
fn sentence(output: &Output) -> String {
    let text = said(output);
    assert!(!output.status.success(), "{text}");
    // A line says that no GPU is used, where none was asked for and a CPU is taken.
    let note = |line: &&str| line.starts_with("lapidary: no GPU is used");
    let said_why = text.lines().filter(|line| line.starts_with("lapidary: ") && !note(line));
    let lines: Vec<_> = said_why.collect();
    assert_eq!(lines.len(), 1, "{text}");
    lines[0].to_owned()
}

/// Two ranks that are given other settings, as `mpirun` starts other programs side by side.
fn two(first: &Path, second: &Path, out: &Path, differing: &str) -> Command {
    let mut command = ranks(1, first);
    let common = |command: &mut Command| {
        command.args(["train", "fashion-tiny", "--out"]).arg(out);
        SET.iter().for_each(|set| _ = command.args(["--set", set]));
    };
    common(&mut command);
    command.args([":", "-n", "1"]).arg(second);
    common(&mut command);
    if !differing.is_empty() {
        command.args(["--set", differing]);
    }
    command
}

#[test]
fn a_false_world_of_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    for (variable, rank) in [("WORLD_SIZE", "RANK"), ("SLURM_NTASKS", "SLURM_PROCID")] {
        let mut command = training(0, &out, &SET);
        let text = sentence(&within(command.env(variable, "4"), SOON));
        assert!(text.contains(&format!("{variable} = 4")) && text.contains("unset"), "{text}");
        let mut command = training(0, &out, &SET);
        let output = within(command.env(variable, "4").env(rank, "3"), SOON);
        assert_eq!((output.status.code(), said(&output).as_str()), (Some(2), ""));
    }
    for arguments in [&["attack", "--eps", "1"][..], &["eval", "all", "--out", "x"]] {
        let mut command = lapidary(0);
        let command = command.args(arguments).env("SLURM_NTASKS", "2").current_dir(folder.path());
        assert!(sentence(&within(command, SOON)).contains("SLURM_NTASKS = 2"));
    }
    assert!(!out.exists());
}

#[test]
fn other_settings_data_and_versions_are_found_at_the_start() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_lapidary"));
    let run = |second: &Path, out: &str, differing: &str| {
        sentence(&within(&mut two(program, second, &folder.path().join(out), differing), SOON))
    };
    let text = run(program, "seed", "seed=5");
    assert!(text.contains("rank 1 on") && text.contains("seed: 5 there, 0 on rank 0"), "{text}");
    let text = run(program, "folder", "data.train=/no/such/folder");
    assert!(text.contains("rank 1 on") && text.contains("/no/such/folder"), "{text}");
    // A configuration that one rank alone cannot read, and arguments that nobody understands.
    let mut command = ranks(1, program);
    command.args(["train", "fashion-tiny", "--out"]).arg(folder.path().join("file"));
    command.args([":", "-n", "1"]).arg(program).args(["train", "/no/such/file.toml", "--out"]);
    let text = sentence(&within(command.arg(folder.path().join("file")), SOON));
    assert!(text.contains("rank 1 on") && text.contains("/no/such/file.toml"), "{text}");
    let text = sentence(&within(lapidary(2).args(["train", "--nosuch"]), SOON));
    assert!(text.contains("--nosuch"), "{text}");

    // The same program but for its version, wherever that stands in it.
    let version = env!("CARGO_PKG_VERSION").as_bytes();
    let mut other = version.to_vec();
    *other.last_mut().unwrap() ^= 8;
    let mut bytes = std::fs::read(program).unwrap();
    let places = bytes.windows(version.len()).enumerate();
    let places: Vec<_> = places.filter(|(_, part)| *part == version).map(|(at, _)| at).collect();
    for at in places {
        bytes[at..at + version.len()].copy_from_slice(&other);
    }
    let copy = folder.path().join("lapidary-other");
    std::fs::copy(program, &copy).unwrap();
    std::fs::write(&copy, bytes).unwrap();
    let text = run(&copy, "version", "");
    assert!(text.contains("rank 1 on") && text.contains("the program's version"), "{text}");
}

#[test]
fn what_ranks_cannot_share_is_refused() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, more: &str| {
        let set = [&SET[..], &[more]].concat();
        sentence(&within(&mut training(2, &folder.path().join(name), &set), SOON))
    };
    let text = run("odd", "stage2.batch=15");
    assert!(text.contains("stage2.batch is 15") && text.contains("a multiple of 2"), "{text}");
    let text = run("pieces", "stage1.micro_batch=1");
    assert!(text.contains("stage1.micro_batch"), "{text}");
}

#[test]
fn a_full_disk_of_rank_0_ends_all() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let script = r#"
        set -e
        mount -t tmpfs -o size=400k tmpfs "$1"
        shift
        touch mounted
        exec "$@"
    "#;
    std::fs::create_dir(folder.path().join("disk")).unwrap();
    let train = training(2, Path::new("disk/run"), &[&SET[..], &["checkpoint.every=1"]].concat());
    let ways: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];
    for way in ways {
        let mut command = Command::new("unshare");
        command.args(way).args(["sh", "-c", script, "sh"]).arg(folder.path().join("disk"));
        command.arg(train.get_program()).args(train.get_args()).current_dir(folder.path());
        let variables = train.get_envs().filter_map(|(name, value)| Some((name, value?)));
        command.envs(variables).stdin(std::process::Stdio::null());
        let output = within(&mut command, SOON);
        if folder.path().join("mounted").exists() {
            let text = sentence(&output);
            assert!(text.contains("No space left"), "{text}");
            assert!(!text.contains("rank 1"), "{text}");
            return;
        }
    }
    #[allow(clippy::print_stderr, reason = "nothing is skipped in silence")]
    {
        eprintln!("SKIPPED: no file system may be mounted here, as root or in a name space");
    }
}

#[test]
fn a_signal_to_one_rank_stops_all_and_they_go_on() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let common = ["stage1.iterations=0", "judge.iterations=0", "evaluate.images=16"];
    let set = [&common[..], &["stage2.iterations=100000"]].concat();
    let mut command = training(2, &out, &set);
    let pipe = std::process::Stdio::piped;
    let mut launcher = command.stdout(pipe()).stderr(pipe()).spawn().unwrap();
    let began = std::time::Instant::now();
    let log = || std::fs::read_to_string(out.join("log.jsonl")).unwrap_or_default();
    while log().matches(r#""event":"step""#).count() < 2 {
        assert!(began.elapsed() < SOON && launcher.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(10));
    }
    // Rank 1 alone.
    let children = format!("/proc/{0}/task/{0}/children", launcher.id());
    let children = std::fs::read_to_string(children).unwrap();
    let is_second = |process: &&str| {
        let variables = std::fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        let variables = String::from_utf8_lossy(&variables).into_owned();
        ["OMPI_COMM_WORLD_RANK=1", "PMI_RANK=1"]
            .iter()
            .any(|wanted| variables.split('\0').any(|variable| variable == *wanted))
    };
    let second = children.split_whitespace().find(is_second).unwrap();
    assert!(Command::new("kill").args(["-TERM", second]).status().unwrap().success());
    while launcher.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < 2 * SOON);
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = launcher.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", said(&output));
    let (step, _) = lapidary::train::latest_checkpoint(&out).unwrap().unwrap();
    assert_eq!(step as usize, log().matches(r#""event":"step""#).count());
    assert!(step < 100_000);
    let end = format!("stage2.iterations={}", step + 2);
    succeeds(&mut training(2, &out, &[&common[..], &[end.as_str()]].concat()));
}
