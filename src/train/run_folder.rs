//! A run on disk: `config.toml`, `log.jsonl`, `metrics.json`, `checkpoints/step-N/`, pictures and the report. Nothing here is
//! ever seen half written: files are written beside their place, flushed to disk and renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::config::{Config, flatten};
use super::curves::Curves;
use super::events::Event;
use super::metrics::Metrics;
use super::picture::grid;
use crate::{Error, Result};

const CONFIG: &str = "config.toml";
const LOG: &str = "log.jsonl";
const METRICS: &str = "metrics.json";
const CHECKPOINTS: &str = "checkpoints";
/// Lists a checkpoint's files with their bytes: a copy that lacks some is not taken for whole.
const MANIFEST: &str = "files.json";

/// A run's folder, opened for writing by one process.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    log: File,
    curves: Curves,
    checkpoints: Checkpoints,
}

impl RunFolder {
    /// Begins a run: makes the folder and its parents, writes the configuration.
    ///
    /// # Errors
    /// `BadFile` where the folder has a run already or cannot be written.
    pub fn create(path: impl AsRef<Path>, config: &Config) -> Result<Self> {
        let path = path.as_ref();
        if path.join(CONFIG).exists() {
            let reason = "a run is here already";
            return Err(Error::bad_file(path, reason));
        }
        fs::create_dir_all(path.join(CHECKPOINTS)).map_err(|error| Error::bad_file(path, error))?;
        write_whole(&path.join(CONFIG), config.to_toml()?.as_bytes())?;
        Self::open(path, config)
    }

    /// Goes on with a run.
    ///
    /// # Errors
    /// `BadFile` where there is none; `BadConfig` where it was begun with another configuration: the message names each key
    /// that differs.
    pub fn resume(path: impl AsRef<Path>, config: &Config) -> Result<Self> {
        let path = path.as_ref();
        let differing = config.differences(&Self::read_config(path)?)?;
        if let [(first, ..), ..] = differing.as_slice() {
            let sides = |pick: fn(&(String, String, String)) -> String| {
                differing.iter().map(pick).collect::<Vec<_>>().join(", ")
            };
            let key =
                if differing.len() == 1 { first.clone() } else { sides(|(key, ..)| key.clone()) };
            return Err(Error::BadConfig {
                key,
                value: sides(|(_, given, _)| given.clone()),
                allowed: format!("{} as in {}", sides(|(.., there)| there.clone()), path.display()),
            });
        }
        Self::open(path, config)
    }

    /// Whether a run was begun here.
    pub fn is_begun(path: impl AsRef<Path>) -> bool {
        path.as_ref().join(CONFIG).exists()
    }

    /// The first of `parent/name`, `parent/name-2`, ... that holds no run.
    pub fn unused(parent: impl AsRef<Path>, name: &str) -> PathBuf {
        let parent = parent.as_ref();
        let mut path = parent.join(name);
        for number in 2_u64.. {
            if !path.join(CONFIG).exists() {
                break;
            }
            path = parent.join(format!("{name}-{number}"));
        }
        path
    }

    /// The configuration that a run was begun with.
    ///
    /// # Errors
    /// `BadFile` where there is none, and as [`Config::parse`].
    pub fn read_config(path: impl AsRef<Path>) -> Result<Config> {
        let file = path.as_ref().join(CONFIG);
        let text = fs::read_to_string(&file).map_err(|error| {
            Error::bad_file(&file, format!("no run's configuration can be read here ({error})"))
        })?;
        Config::parse(&text, &file)
    }

    /// All events of a run, in order; where a resumed run repeated an iteration or a checkpoint, the last one. A line that
    /// was cut off by a crash is left out.
    ///
    /// # Errors
    /// `BadFile` where the log cannot be read.
    pub fn read_log(path: impl AsRef<Path>) -> Result<Vec<Event>> {
        let file = path.as_ref().join(LOG);
        let bytes = fs::read(&file).map_err(|error| Error::bad_file(&file, error))?;
        let lines = bytes.split(|&byte| byte == b'\n');
        let mut events: Vec<Event> =
            lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
        let mut seen = std::collections::HashSet::new();
        let mut whole = Vec::with_capacity(events.len());
        while let Some(event) = events.pop() {
            let fresh = match &event {
                Event::Step(step) => seen.insert((Some(step.phase), step.iteration)),
                Event::Saved { step, .. } => seen.insert((None, *step)),
                _ => true,
            };
            if fresh {
                whole.push(event);
            }
        }
        whole.reverse();
        Ok(whole)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one line to `log.jsonl` and hands it to the system at once: only a crash of the machine loses it. Iterations
    /// also go into `log.csv` and TensorBoard's events.
    ///
    /// # Errors
    /// `BadFile` where it cannot be written.
    pub fn log(&mut self, event: &Event) -> Result<()> {
        let failed = |error: String| Error::bad_file(self.path.join(LOG), error);
        let mut line = serde_json::to_vec(event).map_err(|error| failed(error.to_string()))?;
        line.push(b'\n');
        self.log.write_all(&line).map_err(|error| failed(error.to_string()))?;
        match event {
            Event::Step(step) => self.curves.step(step),
            _ => Ok(()),
        }
    }

    /// Shows up to 16 images of an iteration, \[N, C, side, side\] with C 1 or 3, in TensorBoard.
    pub(super) fn picture(
        &mut self,
        step: u64,
        tag: &str,
        images: &[f32],
        [channels, side]: [u32; 2],
    ) -> Result<()> {
        match grid(images, channels, side)? {
            Some((size, png)) => self.curves.image(step, tag, size, &png),
            None => Ok(()),
        }
    }

    /// Writes a file of the run whole, as a picture or the report.
    ///
    /// # Errors
    /// `BadFile` where it cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let file = self.path.join(name);
        write_whole(&file, bytes)?;
        Ok(file)
    }

    /// Writes `metrics.json`.
    ///
    /// # Errors
    /// `BadFile` where it cannot be written.
    pub fn write_metrics(&self, metrics: &Metrics) -> Result<()> {
        let file = self.path.join(METRICS);
        let mut text =
            serde_json::to_vec_pretty(metrics).map_err(|error| Error::bad_file(&file, error))?;
        text.push(b'\n');
        write_whole(&file, &text)
    }

    /// Writes a checkpoint, named by the iteration over all phases, and then removes all but the last whole ones. One of the
    /// same step is replaced, and later ones go: the run went back behind them.
    ///
    /// # Errors
    /// `BadFile` where it cannot be written; earlier checkpoints are then untouched.
    pub fn write_checkpoint(&self, step: u64, files: &[(&str, Vec<u8>)]) -> Result<PathBuf> {
        self.checkpoints.write(step, files)
    }

    /// Where checkpoints go, for a thread that writes them.
    pub(super) fn checkpoints(&self) -> Checkpoints {
        self.checkpoints.clone()
    }

    /// The last whole checkpoint: its step and folder.
    ///
    /// # Errors
    /// `BadFile` where the folder cannot be listed.
    pub fn latest(&self) -> Result<Option<(u64, PathBuf)>> {
        latest_checkpoint(&self.path)
    }

    fn open(path: &Path, config: &Config) -> Result<Self> {
        let file = path.join(LOG);
        let opened = (|| {
            let mut log = OpenOptions::new().create(true).read(true).append(true).open(&file)?;
            if log.seek(SeekFrom::End(0))? > 0 {
                log.seek(SeekFrom::End(-1))?;
                let mut last = [0];
                log.read_exact(&mut last)?;
                if last != *b"\n" {
                    log.write_all(b"\n")?; // after a line that a crash cut off
                }
            }
            Ok(log)
        })();
        let log = opened.map_err(|error: io::Error| Error::bad_file(&file, error))?;
        let keep = config.checkpoint.keep as usize;
        let checkpoints = Checkpoints { all: path.join(CHECKPOINTS), keep };
        let failed = |error| Error::bad_file(&checkpoints.all, error);
        checkpoints.put_back().map_err(failed)?;
        let hyperparameters = flatten(&config.to_table()?);
        let curves = Curves::open(path, &Self::read_log(path)?, &hyperparameters)?;
        Ok(Self { path: path.into(), log, curves, checkpoints })
    }
}

/// The folder of a run's checkpoints, and how many stay there.
#[derive(Clone, Debug)]
pub(super) struct Checkpoints {
    all: PathBuf,
    keep: usize,
}

impl Checkpoints {
    /// See [`RunFolder::write_checkpoint`].
    pub fn write(&self, step: u64, files: &[(&str, Vec<u8>)]) -> Result<PathBuf> {
        let all = &self.all;
        let target = all.join(format!("step-{step}"));
        let [partial, before] = ["tmp", "old"].map(|name| all.join(format!(".step-{step}.{name}")));
        let manifest: Map<String, Value> =
            files.iter().map(|(name, bytes)| ((*name).into(), entry(bytes))).collect();
        let manifest = Value::Object(manifest).to_string().into_bytes();
        let written = (|| {
            remove_folder(&partial)?;
            fs::create_dir_all(&partial)?;
            let listed = (MANIFEST, &manifest);
            for (name, bytes) in files.iter().map(|(name, bytes)| (*name, bytes)).chain([listed]) {
                let mut file = File::create(partial.join(name))?;
                file.write_all(bytes)?;
                file.sync_all()?;
            }
            sync_folder(&partial)?;
            // There is one of the two at any time: see `put_back`.
            remove_folder(&before)?;
            if target.exists() {
                fs::rename(&target, &before)?;
            }
            fs::rename(&partial, &target)?;
            sync_folder(all)
        })();
        if let Err(error) = written {
            // What is left over is ignored by readers, and the first error is the one to tell.
            drop((self.put_back(), remove_folder(&partial)));
            return Err(Error::bad_file(&target, error));
        }
        self.remove_others(step).map_err(|error| Error::bad_file(all, error))?;
        Ok(target)
    }

    /// What a crash left aside between taking one away and putting another of the same step in its place.
    fn put_back(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.all)? {
            let (name, path) = entry.map(|entry| (entry.file_name(), entry.path()))?;
            let step = name.to_str().and_then(|name| name.strip_prefix('.')?.strip_suffix(".old"));
            let Some(step) = step else { continue };
            let target = self.all.join(step);
            if step_of(step).is_some() && !target.exists() {
                fs::rename(path, target)?;
            }
        }
        Ok(())
    }

    /// Leaves the last `keep` whole checkpoints up to `step`, and nothing that was abandoned half written.
    fn remove_others(&self, step: u64) -> io::Result<()> {
        let mut whole = Vec::new();
        for entry in fs::read_dir(&self.all)? {
            let (name, path) = entry.map(|entry| (entry.file_name(), entry.path()))?;
            let Some(name) = name.to_str() else { continue };
            match step_of(name) {
                Some(other) if other <= step && manifest(&path).is_ok() => {
                    whole.push((other, path))
                }
                Some(_) => remove_folder(&path)?,
                None if name.starts_with(".step-") => remove_folder(&path)?,
                None => {}
            }
        }
        whole.sort();
        for (_, path) in whole.iter().rev().skip(self.keep) {
            remove_folder(path)?;
        }
        Ok(())
    }
}

/// The last whole checkpoint in a run's folder: its step and folder. One that lacks files or parts of them is passed over.
///
/// # Errors
/// `BadFile` where the folder cannot be listed.
pub fn latest_checkpoint(run: impl AsRef<Path>) -> Result<Option<(u64, PathBuf)>> {
    Ok(whole_checkpoints(run.as_ref())?.into_iter().next())
}

/// All whole checkpoints of a run, the last first.
pub(super) fn whole_checkpoints(run: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let all = run.join(CHECKPOINTS);
    let failed = |error: io::Error| Error::bad_file(&all, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(&all).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let step = entry.file_name().to_str().and_then(step_of);
        found.extend(step.map(|step| (step, entry.path())));
    }
    found.sort();
    Ok(found.into_iter().rev().filter(|(_, path)| manifest(path).is_ok()).collect())
}

/// A checkpoint's files: names and contents, in the names' order.
///
/// # Errors
/// `BadFile` where files are missing, too short, too long or changed.
pub fn read_checkpoint(path: impl AsRef<Path>) -> Result<Vec<(String, Vec<u8>)>> {
    let path = path.as_ref();
    let read = |(name, _, checksum): (String, u64, Option<u64>)| {
        let file = path.join(&name);
        let bytes = fs::read(&file).map_err(|error| Error::bad_file(&file, error))?;
        if checksum.is_some_and(|checksum| checksum != u64::from(crc32fast::hash(&bytes))) {
            return Err(Error::bad_file(&file, "its bytes are not those that were written"));
        }
        Ok((name, bytes))
    };
    manifest(path)?.into_iter().map(read).collect()
}

/// What the manifest says of a file.
fn entry(bytes: &[u8]) -> Value {
    serde_json::json!({ "bytes": bytes.len(), "crc32": crc32fast::hash(bytes) })
}

/// The files that a checkpoint must have, with their bytes and checksums, once it is clear that it has so many bytes of
/// them. Version 0.1 wrote the bytes alone.
fn manifest(path: &Path) -> Result<Vec<(String, u64, Option<u64>)>> {
    let file = path.join(MANIFEST);
    let text = fs::read(&file).map_err(|error| Error::bad_file(&file, error))?;
    let listed: Map<String, Value> = serde_json::from_slice(&text)
        .map_err(|error| Error::bad_file(&file, format!("not a list of files ({error})")))?;
    let check = |(name, bytes): (String, Value)| {
        let file = path.join(&name);
        let plain = !name.is_empty() && !name.contains(['/', '\\', ':']) && name != "..";
        let count = bytes.as_u64().or_else(|| bytes.get("bytes")?.as_u64());
        let (true, Some(wanted)) = (plain, count) else {
            let reason = format!("{name:?}: {bytes} is no file's name and size");
            return Err(Error::bad_file(path.join(MANIFEST), reason));
        };
        let given = fs::metadata(&file).map_err(|error| Error::bad_file(&file, error))?.len();
        if given != wanted {
            return Err(Error::bad_file(&file, format!("{given} bytes, {wanted} were written")));
        }
        Ok((name, wanted, bytes.get("crc32").and_then(Value::as_u64)))
    };
    listed.into_iter().map(check).collect()
}

fn step_of(name: &str) -> Option<u64> {
    name.strip_prefix("step-")?.parse().ok()
}

/// Writes beside the place, flushes to disk, renames.
pub(crate) fn write_whole(file: &Path, bytes: &[u8]) -> Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let partial = file.with_file_name(format!(".{name}.tmp"));
    let written = (|| {
        let mut target = File::create(&partial)?;
        target.write_all(bytes)?;
        target.sync_all()?;
        fs::rename(&partial, file)?;
        file.parent().map_or(Ok(()), sync_folder)
    })();
    written.map_err(|error| {
        // On a full disk what was written of it would be in the way of the next.
        drop(fs::remove_file(&partial));
        Error::bad_file(file, error)
    })
}

fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Brings a rename to disk; only Unix opens folders.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
