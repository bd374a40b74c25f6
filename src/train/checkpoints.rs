//! Writes and finds the checkpoints of a training run on disk: `checkpoints/step-N/`, each with a list of its files, so that an
//! incomplete checkpoint is recognised.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::run_folder::sync_folder;
use crate::{Error, Result};

pub(super) const CHECKPOINTS: &str = "checkpoints";
/// Lists a checkpoint's files with their bytes: a copy that lacks some is not taken for whole.
const MANIFEST: &str = "files.json";

/// The folder of a run's checkpoints, and how many stay there.
#[derive(Clone, Debug)]
pub(super) struct Checkpoints {
    pub all: PathBuf,
    pub keep: usize,
}

impl Checkpoints {
    /// Writes a checkpoint; see [`RunFolder::write_checkpoint`].
    pub fn write(&self, step: u64, files: &[(&str, Vec<u8>)]) -> Result<PathBuf> {
        let all = &self.all;
        let target = all.join(format!("step-{step}"));
        let [partial, before] = ["tmp", "old"].map(|name| all.join(format!(".step-{step}.{name}")));
        let manifest: Map<String, Value> =
            files.iter().map(|(name, bytes)| ((*name).into(), entry(bytes))).collect();
        let manifest = Value::Object(manifest).to_string().into_bytes();
        let written = (|| {
            remove_folder(&partial)?;
            // The folder above has to be there: a run that somebody removed is not made again in part.
            fs::create_dir(&partial)?;
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

    /// Puts back a checkpoint that a crash left aside while it was being replaced.
    pub fn put_back(&self) -> io::Result<()> {
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

/// Finds the last complete checkpoint in a run's folder, and returns its iteration and folder. Checkpoints with missing or
/// incomplete files are passed over.
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

/// Reads a checkpoint's files: their names and contents, in the order of names.
///
/// # Errors
/// `BadFile` where files are missing, too short, too long or changed.
pub fn read_checkpoint(path: impl AsRef<Path>) -> Result<Vec<(String, Vec<u8>)>> {
    let path = path.as_ref();
    let read = |(name, _, checksum): (String, u64, Option<u64>)| {
        let file = path.join(&name);
        let bytes = fs::read(&file).map_err(|error| Error::bad_file(&file, error))?;
        if checksum.is_some_and(|checksum| checksum != u64::from(crc32fast::hash(&bytes))) {
            return Err(Error::bad_file(
                &file,
                "it is damaged: its bytes are not those that were written",
            ));
        }
        Ok((name, bytes))
    };
    manifest(path)?.into_iter().map(read).collect()
}

/// Returns the manifest's entry for a file.
fn entry(bytes: &[u8]) -> Value {
    serde_json::json!({ "bytes": bytes.len(), "crc32": crc32fast::hash(bytes) })
}

/// Reads the manifest: the files that a checkpoint must have, with their sizes and checksums. Version 0.1 wrote the bytes
/// alone.
fn manifest(path: &Path) -> Result<Vec<(String, u64, Option<u64>)>> {
    let file = path.join(MANIFEST);
    let text = fs::read(&file).map_err(|error| Error::bad_file(&file, error))?;
    let listed: Map<String, Value> = serde_json::from_slice(&text)
        .map_err(|error| Error::bad_file(&file, format!("it is not a list of files ({error})")))?;
    let check = |(name, bytes): (String, Value)| {
        let file = path.join(&name);
        let plain = !name.is_empty() && !name.contains(['/', '\\', ':']) && name != "..";
        let count = bytes.as_u64().or_else(|| bytes.get("bytes")?.as_u64());
        let (true, Some(wanted)) = (plain, count) else {
            let reason = format!("its entry {name:?}: {bytes} is not a file name with a size");
            return Err(Error::bad_file(path.join(MANIFEST), reason));
        };
        let given = fs::metadata(&file).map_err(|error| Error::bad_file(&file, error))?.len();
        if given != wanted {
            return Err(Error::bad_file(
                &file,
                format!("it has {given} bytes, but {wanted} were written"),
            ));
        }
        Ok((name, wanted, bytes.get("crc32").and_then(Value::as_u64)))
    };
    listed.into_iter().map(check).collect()
}

fn step_of(name: &str) -> Option<u64> {
    name.strip_prefix("step-")?.parse().ok()
}

fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
