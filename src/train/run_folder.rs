//! The folder of a training run: `config.toml`, `log.jsonl`, `metrics.json`, `checkpoints/step-N/`, pictures and the report.
//! Nothing here is ever seen half written: files are written under another name, flushed to disk and renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::checkpoints::{CHECKPOINTS, Checkpoints, latest_checkpoint, whole_checkpoints};
use super::config::{Config, flatten};
use super::curves::Curves;
use super::events::{Event, Phase};
use super::lock::Lock;
use super::metrics::Metrics;
use super::picture::grid;
use crate::files;
use crate::world::World;
use crate::{Error, Result};

const CONFIG: &str = "config.toml";
const LOG: &str = "log.jsonl";
const METRICS: &str = "metrics.json";
/// The identity of what the run is trained on.
pub(super) const DATA: &str = "data.json";

/// The folder of a training run, opened for writing by one process: in a run of several, by rank 0. The other processes need not
/// have the folder.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    world: World,
    /// The open files; None in ranks that write nothing.
    open: Option<Open>,
    /// Changes to be made once it is certain that the run can be resumed.
    pending: Option<Pending>,
}

/// The changed configuration of a resumed run.
#[derive(Debug)]
struct Pending {
    config: String,
    /// Keys that change the training, with their values now and before.
    changed: Vec<(String, String, String)>,
    /// Whether the data may change, because no checkpoint was made of the data before.
    renews_data: bool,
}

/// The open files of a run.
#[derive(Debug)]
struct Open {
    log: File,
    curves: Curves,
    checkpoints: Checkpoints,
    /// The lock that keeps other processes from training in this folder.
    _lock: Lock,
}

impl RunFolder {
    /// Begins a run: makes its folder and the folders around it, and writes the configuration.
    ///
    /// # Errors
    /// `BadFile` where the folder has a run already, another process trains in it, or it cannot be written.
    pub fn create(path: impl AsRef<Path>, config: &Config) -> Result<Self> {
        let path = path.as_ref();
        if path.join(CONFIG).exists() {
            let reason = "the folder holds a run already: name another folder, or go on with the run by --resume";
            return Err(Error::bad_file(path, reason));
        }
        config.check_read()?;
        fs::create_dir_all(path.join(CHECKPOINTS)).map_err(|error| Error::bad_file(path, error))?;
        let lock = Lock::take(path)?;
        write_whole(&path.join(CONFIG), config.to_toml()?.as_bytes())?;
        Self::open(path, config, lock)
    }

    /// Opens the folder of a run that was begun, to go on with it. Before its first checkpoint the run may go on with any
    /// configuration. After it, `config` may differ from the run's own only in the numbers of iterations, if the iterations
    /// already done stay within them, and in keys that do not change what is trained ([`Config::differences`]).
    ///
    /// # Errors
    /// `BadFile` where there is none or another process trains there; `BadConfig` where it was begun with another configuration:
    /// the message names each key that differs.
    pub fn resume(path: impl AsRef<Path>, config: &Config) -> Result<Self> {
        let path = path.as_ref();
        let before = Self::read_config(path)?;
        let lock = Lock::take(path)?;
        let last = whole_checkpoints(path)?.first().map(|(step, _)| *step);
        let changed = config.differences(&before)?;
        let (mut differing, mut renews_data) = (changed.clone(), false);
        if let Some(last) = last {
            differing.retain(|(key, ..)| !may_grow(key, &before, config, last));
        } else if !differing.is_empty() {
            config.check_read()?;
            renews_data = true;
            differing.clear();
        }
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
        let mut folder = Self::open(path, config, lock)?;
        // Written only when data and networks are known to fit: until then the run stays as it was.
        let now = config.to_toml()?;
        if now != before.to_toml()? {
            folder.pending = Some(Pending { config: now, changed, renews_data });
        }
        Ok(folder)
    }

    /// Whether the run may go on with other data than `data.json` says.
    pub(super) fn renews_data(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.renews_data)
    }

    /// Makes the configuration that the run was resumed with its own.
    ///
    /// # Errors
    /// `BadFile` where it cannot be written.
    pub(super) fn settle(&mut self) -> Result<()> {
        let Some(Pending { config, changed, .. }) = self.pending.take() else { return Ok(()) };
        write_whole(&self.path.join(CONFIG), config.as_bytes())?;
        if !changed.is_empty() {
            // Of the shorter run, if it was over: this one is not.
            match fs::remove_file(self.path.join(METRICS)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::bad_file(self.path.join(METRICS), error));
                }
                _ => {}
            }
        }
        for (key, now, before) in changed {
            self.log(&Event::note(format!("{key} is {now}, it was {before}")))?;
        }
        Ok(())
    }

    /// Opens the folder of a run of several processes, which all call this: rank 0 begins the run or, with `resume` or if the
    /// folder holds a run, goes on with it; the others write nothing.
    ///
    /// # Errors
    /// The errors of [`RunFolder::create`] and [`RunFolder::resume`], in rank 0.
    pub fn of_world(
        world: &World,
        path: impl AsRef<Path>,
        config: &Config,
        resume: bool,
    ) -> Result<Self> {
        let path = path.as_ref();
        if !world.is_first() {
            return Ok(Self { path: path.into(), world: world.clone(), open: None, pending: None });
        }
        let opened = if resume || Self::is_begun(path) {
            Self::resume(path, config)?
        } else {
            Self::create(path, config)?
        };
        Ok(Self { world: world.clone(), ..opened })
    }

    /// Returns the processes that train in this folder.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Returns whether a run was begun in this folder.
    pub fn is_begun(path: impl AsRef<Path>) -> bool {
        path.as_ref().join(CONFIG).exists()
    }

    /// Returns the first of `parent/name`, `parent/name-2`, ... that holds no run.
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

    /// Reads the configuration that a run was begun with.
    ///
    /// # Errors
    /// `BadFile` where there is none, and as [`Config::parse`].
    pub fn read_config(path: impl AsRef<Path>) -> Result<Config> {
        let file = path.as_ref().join(CONFIG);
        let text = files::read_text(&file).map_err(|error| {
            Error::bad_file(
                &file,
                format!("the folder holds no training run with a readable configuration ({error})"),
            )
        })?;
        Config::parse(&text, &file)
    }

    /// Reads all events of a run from its log, in order; of an iteration or checkpoint that a resumed run repeated, the last one.
    /// A line that was cut off by a crash is left out.
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

    /// Returns the folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends an event to the run's log, `log.jsonl`, and hands it to the system at once: only a crash of the machine loses it.
    /// Iterations also go into `log.csv` and TensorBoard's events.
    ///
    /// # Errors
    /// `BadFile` where it cannot be written.
    pub fn log(&mut self, event: &Event) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let failed = |error: String| Error::bad_file(self.path.join(LOG), error);
        let mut line = serde_json::to_vec(event).map_err(|error| failed(error.to_string()))?;
        line.push(b'\n');
        open.log.write_all(&line).map_err(|error| failed(error.to_string()))?;
        match event {
            Event::Step(step) => open.curves.step(step),
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
            Some((size, png)) => match &mut self.open {
                Some(open) => open.curves.image(step, tag, size, &png),
                None => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// Writes a file into the run folder, such as a picture or the report; it is there whole or not at all.
    ///
    /// # Errors
    /// `BadFile` where it cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let file = self.path.join(name);
        if self.open.is_some() {
            write_whole(&file, bytes)?;
        }
        Ok(file)
    }

    /// Writes the run's `metrics.json`.
    ///
    /// # Errors
    /// `BadFile` where it cannot be written.
    pub fn write_metrics(&self, metrics: &Metrics) -> Result<()> {
        let file = self.path.join(METRICS);
        if self.open.is_none() {
            return Ok(());
        }
        let mut text =
            serde_json::to_vec_pretty(metrics).map_err(|error| Error::bad_file(&file, error))?;
        text.push(b'\n');
        write_whole(&file, &text)
    }

    /// Writes a checkpoint, named by its iteration as counted over all phases, and then removes all but the latest complete ones.
    /// A checkpoint of the same iteration is replaced, and later ones are removed, because the run went back to before them.
    ///
    /// # Errors
    /// `BadFile` where it cannot be written; earlier checkpoints are then untouched.
    pub fn write_checkpoint(&self, step: u64, files: &[(&str, Vec<u8>)]) -> Result<PathBuf> {
        match &self.open {
            Some(open) => open.checkpoints.write(step, files),
            None => Ok(self.path.join(CHECKPOINTS)),
        }
    }

    /// Returns the place of checkpoints, for a thread that writes them; None in ranks that write nothing.
    pub(super) fn checkpoints(&self) -> Option<Checkpoints> {
        self.open.as_ref().map(|open| open.checkpoints.clone())
    }

    /// Finds the run's last complete checkpoint, and returns its iteration and folder.
    ///
    /// # Errors
    /// `BadFile` where the folder cannot be listed.
    pub fn latest(&self) -> Result<Option<(u64, PathBuf)>> {
        latest_checkpoint(&self.path)
    }

    /// Removes the iterations after step `step` from the log and the files made of it, because a run resumed there trains
    /// them again. Returns the remaining iterations of each stage, with their seconds. The others' seconds, by stage, are
    /// returned with their number.
    pub(super) fn rewind(&mut self, step: u64, stage1: u64) -> Result<[(u64, f64); 2]> {
        let lost = |event: &Event| match event {
            Event::Step(row) if row.phase == Phase::Stage1 => row.iteration > step.min(stage1),
            Event::Step(row) if row.phase == Phase::Stage2 => {
                row.iteration > step.saturating_sub(stage1)
            }
            Event::Saved { step: saved, .. } => *saved > step,
            _ => false,
        };
        let Some(open) = &mut self.open else { return Ok([(0, 0.0); 2]) };
        let mut events = Self::read_log(&self.path)?;
        let known = events.len();
        events.retain(|event| !lost(event));
        if events.len() < known {
            let mut text = Vec::new();
            for event in &events {
                let line = serde_json::to_vec(event);
                text.extend(line.map_err(|error| Error::bad_file(self.path.join(LOG), error))?);
                text.push(b'\n');
            }
            write_whole(&self.path.join(LOG), &text)?;
            open.log = open_log(&self.path)?;
            open.curves.replace(&events)?;
        }
        Ok([Phase::Stage1, Phase::Stage2].map(|phase| trained(&events, phase)))
    }

    fn open(path: &Path, config: &Config, lock: Lock) -> Result<Self> {
        let log = open_log(path)?;
        let keep = config.checkpoint.keep as usize;
        let checkpoints = Checkpoints { all: path.join(CHECKPOINTS), keep };
        let failed = |error| Error::bad_file(&checkpoints.all, error);
        checkpoints.put_back().map_err(failed)?;
        let hyperparameters = flatten(&config.to_table()?);
        let curves = Curves::open(path, &Self::read_log(path)?, &hyperparameters)?;
        let open = Open { log, curves, checkpoints, _lock: lock };
        Ok(Self { path: path.into(), world: World::one(), open: Some(open), pending: None })
    }
}

/// Opens the log for appending, at the start of a line.
fn open_log(path: &Path) -> Result<File> {
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
    opened.map_err(|error: io::Error| Error::bad_file(&file, error))
}

/// Iterations of a stage that the log tells of, and their seconds. Versions before 0.2 began to count at each resume.
fn trained(events: &[Event], phase: Phase) -> (u64, f64) {
    let (mut rows, mut before, mut last) = (0, 0.0, 0.0);
    for event in events {
        if let Event::Step(step) = event
            && step.phase == phase
        {
            rows += 1;
            let seconds = step.seconds.map_or(last, f64::from);
            if seconds < last {
                before += last;
            }
            last = seconds;
        }
    }
    (rows, before + last)
}

/// Whether the number of iterations may change after `last` iterations: finished ones must keep their stage, and none may
/// be taken back.
fn may_grow(key: &str, before: &Config, now: &Config, last: u64) -> bool {
    let [first, wanted] = [before, now].map(|config| u64::from(config.stage1.schedule.iterations));
    match key {
        "stage1.iterations" => last <= first.min(wanted),
        "stage2.iterations" => last <= wanted + u64::from(now.stage2_iterations()),
        _ => false,
    }
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

/// Brings a rename to disk; only Unix opens folders.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
