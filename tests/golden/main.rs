//! Compares the library on a real adapter with reference values that PyTorch computed in float64.
//!
//! The cases are the `.safetensors` files of a folder. The header of each names the op, its parameters and every tensor's
//! tolerance. The folder is `LAPIDARY_GOLDEN`, or else `../shared/golden` beside the repository, or else `cases` beside this
//! file, which has a part of it.
//!
//! Words in the arguments choose cases by path. The last line is always `golden: N passed, M failed, K unsupported`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test without libtest's harness")]
#![allow(clippy::indexing_slicing, reason = "a test may fail so")]

mod attacks;
mod case;
mod metrics;
mod models;
mod ops;
mod optim;
mod run;
mod training;

use case::{Case, Fault, Outcome};
use lapidary::gpu::{Gpu, Options};
use run::{Runner, Way};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Computes what a case asks for.
type Handler = fn(&Case, &Runner) -> Outcome;

/// By the `op` of the file.
type Handlers = &'static [(&'static str, Handler)];

/// The ways in which the cases of a family run. Plain graphs of whole networks would take nearly all the
/// time (a training step is 50 times slower), and their parts are all among the operators and blocks.
const FAMILIES: [(Handlers, &[Way]); 7] = [
    (ops::HANDLERS, &[Way::Plain, Way::Rewritten]),
    (optim::HANDLERS, &[Way::Plain, Way::Rewritten]),
    (models::BLOCKS, &[Way::Plain, Way::Rewritten]),
    (models::NETWORKS, &[Way::Rewritten, Way::Mixed]),
    (attacks::HANDLERS, &[Way::Rewritten]),
    (training::HANDLERS, &[Way::Rewritten, Way::Mixed]),
    (metrics::HANDLERS, &[Way::Plain]),
];

/// The folders with cases; others hold weights and file formats.
const FOLDERS: [&str; 7] = ["attacks", "blocks", "metrics", "models", "ops", "optim", "train"];

fn main() -> ExitCode {
    let arguments = Arguments::parse(std::env::args().skip(1));
    if arguments.list {
        // One test, as a runner that starts a process a test should see it.
        if !arguments.ignored {
            println!("golden: test");
        }
        return ExitCode::SUCCESS;
    }
    match check(&arguments) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("golden: {why}");
            println!("golden: 0 passed, 0 failed, 0 unsupported");
            ExitCode::FAILURE
        }
    }
}

fn check(arguments: &Arguments) -> Result<ExitCode, String> {
    let folder = folder()?;
    let mut paths = Vec::new();
    for part in FOLDERS {
        walk(&folder, Path::new(part), &mut paths)?;
    }
    if paths.is_empty() {
        return Err(format!("no case in {}", folder.display()));
    }
    paths.sort();
    paths.retain(|path| arguments.choose(&path.to_string_lossy()));

    let gpu =
        pollster::block_on(Gpu::new(&Options::from_env())).map_err(|error| error.to_string())?;
    println!("golden: {} cases of {} on {}", paths.len(), folder.display(), gpu.adapter());
    let (mut passed, mut failed) = (0, 0);
    let mut unsupported: BTreeMap<String, usize> = BTreeMap::new();
    for path in &paths {
        match run_case(&folder, path, &gpu) {
            Verdict::Passed => passed += 1,
            Verdict::Failed(lines) => {
                failed += 1;
                lines.iter().for_each(|line| println!("FAILED {}: {line}", path.display()));
            }
            Verdict::Unsupported(what) => *unsupported.entry(what).or_default() += 1,
        }
    }
    for (what, count) in &unsupported {
        println!("unsupported: {count:>3} of {what}");
    }
    println!(
        "golden: {passed} passed, {failed} failed, {} unsupported",
        unsupported.values().sum::<usize>()
    );
    // A word that chooses no case is meant for another test binary.
    let good = failed == 0 && (passed > 0 || paths.is_empty());
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

enum Verdict {
    Passed,
    /// A line for each tensor.
    Failed(Vec<String>),
    /// The op, and what of it is missing.
    Unsupported(String),
}

fn run_case(folder: &Path, path: &Path, gpu: &Gpu) -> Verdict {
    let case = match Case::load(folder, path) {
        Ok(case) => case,
        Err(why) => return Verdict::Failed(vec![why]),
    };
    let found = FAMILIES.iter().find_map(|(handlers, ways)| {
        handlers.iter().find(|(op, _)| *op == case.op).map(|(_, handler)| (handler, *ways))
    });
    let Some((handler, ways)) = found else {
        return Verdict::Unsupported(case.op);
    };
    for &way in ways {
        if way == Way::Mixed && !gpu.adapter().f16 {
            continue; // which the library refuses: tests/ops/mixed.rs
        }
        let wrong = match handler(&case, &Runner::new(gpu, way)) {
            Ok(results) if way == Way::Mixed => case.compare_roughly(&results),
            Ok(results) => case.compare(&results),
            Err(Fault::Broken(why)) => Err(vec![why]),
            Err(Fault::Unsupported(what)) => {
                return Verdict::Unsupported(format!("{}: {what}", case.op));
            }
        };
        if let Err(lines) = wrong {
            return Verdict::Failed(lines.iter().map(|line| format!("{way:?}: {line}")).collect());
        }
    }
    Verdict::Passed
}

/// Err if `LAPIDARY_GOLDEN` names no folder.
fn folder() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if let Some(named) = std::env::var_os("LAPIDARY_GOLDEN") {
        let named = PathBuf::from(named);
        let missing = || format!("LAPIDARY_GOLDEN is {}, which is no folder", named.display());
        return if named.is_dir() { Ok(named) } else { Err(missing()) };
    }
    let shared = root.join("../shared/golden");
    Ok(if shared.is_dir() { shared } else { root.join("tests/golden/cases") })
}

/// Adds the paths, from `folder` on, of all files with tensors under `part`.
fn walk(folder: &Path, part: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let place = folder.join(part);
    if !place.is_dir() {
        return Ok(());
    }
    let failed = |error: std::io::Error| format!("{}: {error}", place.display());
    for entry in std::fs::read_dir(&place).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = part.join(entry.file_name());
        if entry.path().is_dir() {
            walk(folder, &path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "safetensors") {
            found.push(path);
        }
    }
    Ok(())
}

/// Those of libtest's arguments that have a meaning here.
#[derive(Default)]
struct Arguments {
    list: bool,
    ignored: bool,
    exact: bool,
    words: Vec<String>,
    skipped: Vec<String>,
}

impl Arguments {
    fn parse(mut given: impl Iterator<Item = String>) -> Self {
        let mut parsed = Self::default();
        while let Some(argument) = given.next() {
            match argument.as_str() {
                "--list" => parsed.list = true,
                "--ignored" => parsed.ignored = true,
                "--exact" => parsed.exact = true,
                "--skip" => parsed.skipped.extend(given.next()),
                "--test-threads" | "--format" | "--color" | "--logfile" | "--shuffle-seed"
                | "-Z" => {
                    given.next();
                }
                flag if flag.starts_with('-') => {}
                _ => parsed.words.push(argument),
            }
        }
        parsed
    }

    /// Nothing is ignored. An exact word is the name of a test, of which `--list` has one.
    fn choose(&self, path: &str) -> bool {
        let chosen = if self.exact {
            self.words.iter().any(|word| word == "golden")
        } else {
            self.words.is_empty() || self.words.iter().any(|word| path.contains(word.as_str()))
        };
        chosen && !self.ignored && !self.skipped.iter().any(|word| path.contains(word.as_str()))
    }
}
