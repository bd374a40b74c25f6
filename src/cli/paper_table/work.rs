//! Runs the steps of one row of `paper-table` (training, attack, samples), each as another command of this program in a process
//! of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::aggregate::Numbers;
use super::judge::Judge;
use super::rows::Row;
use crate::cli::exit::{Failure, STOPPED};
use crate::cli::session::Session;
use crate::cli::stop::Stop;
use crate::eval::sealed::unseal;
use crate::model::checkpoint::write_atomically;
use crate::{Error, Result};

/// The exit code of training that diverged.
const DIVERGED: i32 = 5;
/// The time that a command may take to save after this program was asked to stop.
const GRACE: Duration = Duration::from_secs(20);

/// The settings that all runs of `paper-table` share.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The number of passes of a batch forward and back through the network that each row may spend.
    pub budget: Option<u64>,
    /// Whether to take a tenth of the presets' own iterations.
    pub tenth: bool,
    /// The labelled images to train on, instead of the presets'.
    pub data: Option<String>,
    /// Further sets of out-of-distribution images.
    pub ood: Vec<String>,
    /// The largest number of test images.
    pub images: u32,
    /// The number of samples to draw from each network.
    pub samples: u32,
    /// The number of test images for AutoAttack; 0 for no AutoAttack.
    pub attacked: u32,
    /// The weights of the feature extractor in whose features samples are compared with real images.
    pub extractor: Option<PathBuf>,
    /// The words that go before commands that several processes share, such as `mpirun -n 4`.
    pub launcher: Vec<String>,
}

/// The way in which training ended.
pub enum Ended {
    /// Training finished a run, in this folder.
    Trained(PathBuf),
    /// Training diverged, without a finished run.
    Diverged,
}

/// Runs the commands of this program that `paper-table` needs.
pub struct Work<'a> {
    /// The session whose adapter the commands use.
    pub session: &'a Session,
    /// The handle that says whether a signal to stop has come.
    pub stop: &'a Stop,
    /// The folder of the comparison's runs, table and figure.
    pub out: &'a Path,
    /// The settings that all runs share.
    pub settings: &'a Settings,
}

impl Work<'_> {
    /// Trains a row of the table with a seed, in the folder of that name.
    pub fn train(&mut self, row: &Row, seed: u64, name: &str) -> anyhow::Result<Ended> {
        let folder = self.out.join(name);
        let (run, diverged) = (folder.join("run"), folder.join("diverged.json"));
        if diverged.is_file() {
            return Ok(Ended::Diverged);
        }
        // The last thing that training writes.
        if run.join("report.html").is_file() && run.join("metrics.json").is_file() {
            return Ok(Ended::Trained(run));
        }
        let mut words: Vec<String> = vec!["train".into(), row.preset.into()];
        let mut changes = row.changes.clone();
        changes.push(format!("seed={seed}"));
        changes.extend(self.settings.data.iter().map(|data| format!("data.train={data}")));
        if self.settings.tenth {
            let config = crate::train::Config::preset(row.preset)?.with(&row.changes)?;
            changes.push(format!("stage1.iterations={}", config.stage1.schedule.iterations / 10));
            changes.push(format!("stage2.iterations={}", config.stage2.schedule.iterations / 10));
        }
        words.extend(changes.into_iter().flat_map(|change| ["--set".into(), change]));
        words.extend(["--out".into(), run.display().to_string()]);
        let output = self.command(true, &words)?;
        if output.status.code() == Some(DIVERGED) {
            write_atomically(&diverged, b"{\"diverged\": true}\n")?;
            return Ok(Ended::Diverged);
        }
        succeeded(&words, &output)?;
        Ok(Ended::Trained(run))
    }

    /// Returns the numbers of a row of the table with a seed: trained and measured, as far as that was not done before. `None`
    /// where training diverges. `say` is told what is done next.
    pub fn measured(
        &mut self,
        row: &Row,
        seed: u64,
        name: &str,
        judge: &mut Judge,
        say: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Option<Numbers>> {
        let folder = self.out.join(name);
        let all = folder.join("numbers.json");
        if all.is_file() {
            let numbers = serde_json::from_value(read_json(&all)?);
            return Ok(Some(numbers.map_err(|error| Error::bad_file(&all, error))?));
        }
        say("training");
        let Ended::Trained(run) = self.train(row, seed, name)? else { return Ok(None) };
        say("evaluating");
        let evaluation = folder.join("eval");
        self.evaluate(&run, &evaluation)?;
        let linf = folder.join("linf.json");
        let mut words = vec!["eval".to_owned(), run.display().to_string()];
        words.extend(["--norm", "linf", "--eps", "8/255", "--json"].map(str::to_owned));
        words.extend(["--count".into(), self.settings.images.to_string()]);
        let others = self.settings.ood.iter().map(String::as_str);
        let others = ["builtin:fractal", "builtin:noise"].into_iter().chain(others);
        words.extend(others.flat_map(|images| ["--ood".to_owned(), images.to_owned()]));
        self.kept(false, &self.with_data(words), &linf)?;
        if self.settings.attacked > 0 {
            for (norm, eps) in [("l2", "0.5"), ("linf", "8/255")] {
                say(&format!("attacking, {norm}"));
                let mut words = vec!["attack".to_owned(), run.display().to_string()];
                let count = self.settings.attacked.to_string();
                words.extend(
                    ["--norm", norm, "--eps", eps, "--count", &count, "--json"].map(str::to_owned),
                );
                let state = folder.join(format!("attack-{norm}.state"));
                words.extend(["--state".into(), state.display().to_string()]);
                let file = folder.join(format!("attack-{norm}.json"));
                self.kept(true, &self.with_data(words), &file)?;
            }
        }
        let judged = judge.judge(&evaluation.join("samples.f32"))?;
        let numbers = numbers(&folder, &judged)?;
        let text = serde_json::to_string_pretty(&numbers)?;
        write_atomically(&all, text.as_bytes())?;
        Ok(Some(numbers))
    }

    fn evaluate(&mut self, run: &Path, out: &Path) -> anyhow::Result<()> {
        // The last thing that `eval all` writes.
        if out.join("model_info.json").is_file() {
            return Ok(());
        }
        let Settings { images, samples, extractor, .. } = self.settings;
        let mut words = vec!["eval".to_owned(), "all".into(), run.display().to_string()];
        words.extend(["--no-corruptions", "--eps", "0.5"].map(str::to_owned));
        words.extend(["--images".into(), images.to_string()]);
        words.extend(["--samples".into(), samples.to_string()]);
        words.extend(["--out".into(), out.display().to_string()]);
        if let Some(file) = extractor {
            words.extend(["--extractor".into(), file.display().to_string()]);
        }
        let words = self.with_data(words);
        succeeded(&words, &self.command(true, &words)?).map(drop)
    }

    fn with_data(&self, mut words: Vec<String>) -> Vec<String> {
        let data = self.settings.data.iter();
        words.extend(data.flat_map(|data| ["--data".to_owned(), data.clone()]));
        words
    }

    /// Keeps what a command prints, a JSON object, unless it is there.
    fn kept(&self, shared: bool, words: &[String], file: &Path) -> anyhow::Result<()> {
        if file.is_file() {
            return Ok(());
        }
        let output = self.command(shared, words)?;
        let text = succeeded(words, &output)?;
        serde_json::from_str::<Value>(&text).map_err(|error| {
            Error::bad_file(
                words.join(" "),
                format!("the command printed something other than JSON: {error}"),
            )
        })?;
        Ok(write_atomically(file, text.as_bytes())?)
    }

    /// Runs this program with other words, to its end or until a signal comes.
    fn command(&self, shared: bool, words: &[String]) -> anyhow::Result<Output> {
        if self.stop.asked() {
            return Err(stopped(self.out));
        }
        let program = std::env::current_exe()?;
        let mut line: Vec<std::ffi::OsString> = Vec::new();
        if shared {
            line.extend(self.settings.launcher.iter().map(Into::into));
        }
        line.push(program.into_os_string());
        line.extend(words.iter().map(Into::into));
        line.extend(self.session.for_others().iter().map(Into::into));
        let mut line = line.into_iter();
        let first = line.next().unwrap_or_default();
        let failed = |error: std::io::Error| Error::bad_file(&first, error);
        let mut command = Command::new(&first);
        command.args(line).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        // Both pipes are emptied while it runs, so that it never waits for that.
        let pipes = (child.stdout.take(), child.stderr.take());
        let read = |pipe: Option<Box<dyn std::io::Read + Send>>| {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                pipe.map(|mut pipe| pipe.read_to_end(&mut bytes)).transpose().map(|_| bytes)
            })
        };
        let readers = [
            read(pipes.0.map(|pipe| Box::new(pipe) as _)),
            read(pipes.1.map(|pipe| Box::new(pipe) as _)),
        ];
        let mut asked: Option<Instant> = None;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(failed)? {
                break status;
            }
            if asked.is_none() && self.stop.asked() {
                asked = Some(Instant::now());
            }
            // A signal from the keyboard reaches the child, too, which saves; another one it has not seen. Whatever it does
            // goes on from its last checkpoint.
            if asked.is_some_and(|since| since.elapsed() > GRACE) {
                child.kill().map_err(failed)?;
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let texts = readers.map(|reader| match reader.join() {
            Ok(bytes) => bytes,
            Err(_) => Err(std::io::Error::other("the thread reading the command's output ended")),
        });
        let [stdout, stderr] = texts;
        let output =
            Output { status, stdout: stdout.map_err(failed)?, stderr: stderr.map_err(failed)? };
        if asked.is_some() || status.code() == Some(STOPPED.into()) {
            return Err(stopped(self.out));
        }
        Ok(output)
    }
}

fn stopped(out: &Path) -> anyhow::Error {
    Failure::Stopped(format!(
        "the same command with --out {} resumes the comparison",
        out.display()
    ))
    .into()
}

/// Returns the text that a command printed; Err with its error text if it failed.
fn succeeded(words: &[String], output: &Output) -> anyhow::Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().trim_start_matches("lapidary: ");
    anyhow::bail!("`lapidary {}` ended with {}: {said}", words.join(" "), output.status)
}

/// Reads a file with one JSON value.
pub fn read_json(file: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(file).map_err(|error| Error::bad_file(file, error))?;
    serde_json::from_str(&text).map_err(|error| Error::bad_file(file, error))
}

/// All numbers of a run's folder.
fn numbers(folder: &Path, judged: &Value) -> Result<Numbers> {
    let state = folder.join("eval/state.json");
    let text = std::fs::read_to_string(&state).map_err(|error| Error::bad_file(&state, error))?;
    let text = unseal(&text).map_err(|reason| Error::bad_file(&state, reason))?;
    let evaluated: Value =
        serde_json::from_str(&text).map_err(|error| Error::bad_file(&state, error))?;
    let trained = read_json(&folder.join("run/metrics.json"))?;
    let linf = read_json(&folder.join("linf.json"))?;
    let attacked = |norm: &str| {
        let file = folder.join(format!("attack-{norm}.json"));
        if file.is_file() { read_json(&file) } else { Ok(Value::Null) }
    };
    let (aa_l2, aa_linf) = (attacked("l2")?, attacked("linf")?);
    let known = [
        ("clean", &evaluated, "/parts/clean/accuracy"),
        ("aa_l2", &aa_l2, "/robust_accuracy"),
        ("aa_linf", &aa_linf, "/robust_accuracy"),
        ("pgd_l2", &evaluated, "/parts/robust 0.5/accuracy"),
        ("pgd_linf", &linf, "/pgd_accuracy"),
        ("fd", judged, "/distance"),
        ("kid", judged, "/kernel_distance"),
        ("precision", judged, "/precision"),
        ("recall", judged, "/recall"),
        ("judge", judged, "/agreement"),
        ("fd_extractor", &evaluated, "/parts/generation/distance"),
        ("kid_extractor", &evaluated, "/parts/generation/kernel_distance"),
        ("precision_extractor", &evaluated, "/parts/generation/precision"),
        ("recall_extractor", &evaluated, "/parts/generation/recall"),
        ("ece", &evaluated, "/parts/clean/ece"),
        ("auroc", &evaluated, "/parts/out of distribution/logsumexp/clean/auroc"),
        ("auroc_hidden", &evaluated, "/parts/out of distribution/logsumexp/attacked/auroc"),
        ("counterfactual", &evaluated, "/parts/counterfactuals/confidence"),
    ];
    let mut numbers: Numbers = known
        .into_iter()
        .filter_map(|(key, value, path)| Some((key.to_owned(), value.pointer(path)?.as_f64()?)))
        .collect();
    let seconds = ["/seconds_stage1", "/seconds_stage2"];
    let seconds: f64 = seconds.iter().filter_map(|path| trained.pointer(path)?.as_f64()).sum();
    numbers.insert("seconds".into(), seconds);
    for set in linf.get("ood").and_then(Value::as_array).into_iter().flatten() {
        let of = set.get("of").and_then(Value::as_str);
        if let (Some(of), Some(auroc)) = (of, set.get("auroc").and_then(Value::as_f64)) {
            numbers.insert(format!("AUROC, {of}"), auroc);
        }
    }
    Ok(numbers)
}
