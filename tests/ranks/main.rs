//! Tests runs of several processes under `mpirun --oversubscribe`, on one machine: they write the same files as one process, end
//! when one of them dies, and say in one sentence what is wrong. The tests need an adapter and Open MPI's or MPICH's mpirun.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail so"
)]

mod equality;
mod evaluation;
mod guards;
mod kills;
mod world;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Far more than anything here takes at scale 1.
const PATIENCE: Duration = Duration::from_secs(300);
/// By when all ranks have ended after one of them died.
const ENDED: Duration = Duration::from_secs(30);

/// Evaluations take so many images or samples, times this.
fn scale() -> u32 {
    std::env::var("LAPIDARY_RANK_SCALE").map_or(1, |scale| scale.parse().unwrap())
}

/// The tests run one after the other: each starts as many processes as there are cores, or more.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A program in so many ranks of one rasteriser's thread each; without a launcher for 0.
fn ranks(count: usize, program: &Path) -> Command {
    let mut command = match count {
        0 => Command::new(program),
        _ => {
            let mut command = Command::new("mpirun");
            command.args(["-q", "--oversubscribe", "-n", &count.to_string()]).arg(program);
            command
        }
    };
    command
        .envs([("LP_NUM_THREADS", "1"), ("LAPIDARY_CACHE", "off"), ("NODEVICE_SELECT", "1")])
        // Containers of CI run as root.
        .envs(["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"].map(|name| (name, "1")))
        .stdin(Stdio::null());
    command
}

/// The built program.
fn lapidary(count: usize) -> Command {
    ranks(count, Path::new(env!("CARGO_BIN_EXE_lapidary")))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Ends within so long, or is killed and fails.
fn within(command: &mut Command, patience: Duration) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    // What it says is little: the pipes hold it.
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > patience {
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            panic!("still running after {patience:?}: {command:?}: {}", said(&output));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

fn succeeds(command: &mut Command) -> Output {
    // Work grows with the scale.
    let output = within(command, PATIENCE * scale());
    assert!(output.status.success(), "{command:?}: {}: {}", output.status, said(&output));
    output
}

/// `train fashion-tiny` into a folder, with what differs from it.
fn training(count: usize, out: &Path, set: &[&str]) -> Command {
    let mut command = lapidary(count);
    command.args(["train", "fashion-tiny", "--out"]).arg(out);
    for set in set {
        command.args(["--set", set]);
    }
    command
}
