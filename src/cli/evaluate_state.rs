//! Keeps the finished parts of `eval all` in one file, state.json, which also names the network and the settings that they were
//! measured with.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::rounding;
use crate::eval::rounding::changed;
use crate::eval::sealed::{seal, unseal};
use crate::files;
use crate::model::checkpoint::write_atomically;
use crate::world::World;
use crate::{Error, Result};

const FILE: &str = "state.json";

/// The finished parts of an evaluation, as state.json has them.
#[derive(Debug)]
pub struct State {
    file: PathBuf,
    identity: Value,
    parts: Map<String, Value>,
    /// Whether this process writes the file.
    writes: bool,
}

impl State {
    /// Opens the folder of an evaluation, new or with finished parts in it.
    ///
    /// # Errors
    /// `BadFile` where its parts were measured with another network or other settings than `identity` says; the message
    /// names the first difference.
    pub fn open(folder: &Path, identity: Value) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|error| Error::bad_file(folder, error))?;
        let file = folder.join(FILE);
        if !file.exists() {
            return Ok(Self { file, identity, parts: Map::new(), writes: true });
        }
        let bad = |reason: String| Error::bad_file(&file, reason);
        let unusable = |why: String| bad(format!("{why}; remove this file to start again"));
        let text = files::read_text(&file)?;
        let text = unseal(&text).map_err(unusable)?;
        let kept: Value =
            serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))?;
        let Some(Value::Object(parts)) = kept.get("parts").cloned() else {
            return Err(unusable("the file holds no results".into()));
        };
        let mut before = kept.get("of").and_then(Value::as_object).cloned().unwrap_or_default();
        rounding::complete(&mut before);
        let now = identity.as_object();
        if let Some((key, was, now)) = now.and_then(|now| changed(&before, now)) {
            let reason = format!(
                "its results are of another evaluation, with {key} {was}, but now {key} is {now}; choose another folder or remove this file"
            );
            return Err(bad(reason));
        }
        Ok(Self { file, identity, parts, writes: true })
    }

    /// Opens the state of an evaluation for all processes: rank 0 opens the folder and writes, the others get its content.
    ///
    /// # Errors
    /// The errors of [`State::open`], in rank 0.
    pub fn of_world(world: &World, folder: &Path, identity: Value) -> Result<Self> {
        if !world.is_shared() {
            return Self::open(folder, identity);
        }
        if world.is_first() {
            let state = Self::open(folder, identity)?;
            world.broadcast(serde_json::to_vec(&state.parts).unwrap_or_default())?;
            return Ok(state);
        }
        let parts = serde_json::from_slice(&world.broadcast(Vec::new())?);
        let wrong = |error| {
            let what =
                format!("the first process sent finished parts that cannot be decoded: {error}");
            Error::bug("evaluation", what)
        };
        let (file, parts) = (folder.join(FILE), parts.map_err(wrong)?);
        Ok(Self { file, identity, parts, writes: false })
    }

    /// Returns the result of a part.
    pub fn get(&self, part: &str) -> Option<&Value> {
        self.parts.get(part)
    }

    /// Returns the parts whose names begin with `prefix`, each with the rest of its name.
    pub fn starting<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.parts.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value)))
    }

    /// Returns the facts, such as network and data, that all parts of the evaluation depend on.
    pub fn identity(&self) -> &Value {
        &self.identity
    }

    /// Returns all finished parts.
    pub fn parts(&self) -> &Map<String, Value> {
        &self.parts
    }

    /// Adds the result of a finished part, on disk too.
    pub fn put(&mut self, part: &str, result: Value) -> Result<()> {
        self.parts.insert(part.into(), result);
        if !self.writes {
            return Ok(());
        }
        let all = json!({ "of": self.identity, "parts": self.parts });
        let text = serde_json::to_string_pretty(&all).unwrap_or_default();
        write_atomically(&self.file, seal(&text).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_kept_and_others_refused() {
        let folder = tempfile::tempdir().unwrap();
        let of = |batch: u32| json!({ "weights": "ab", "--batch": batch });
        let mut state = State::open(folder.path(), of(64)).unwrap();
        state.put("robust 0.5", json!({ "accuracy": 0.25 })).unwrap();
        let again = State::open(folder.path(), of(64)).unwrap();
        assert_eq!(again.get("robust 0.5").unwrap()["accuracy"], 0.25);
        assert_eq!(again.starting("robust ").count(), 1);
        let error = State::open(folder.path(), of(32)).unwrap_err().to_string();
        assert!(error.contains("--batch 64, but now --batch is 32"), "{error}");

        // A better number than was measured.
        let file = folder.path().join(FILE);
        let text = std::fs::read_to_string(&file).unwrap().replace("0.25", "0.75");
        std::fs::write(&file, text).unwrap();
        let error = State::open(folder.path(), of(64)).unwrap_err().to_string();
        assert!(
            error.contains("changed or damaged") && error.contains("remove this file"),
            "{error}"
        );
    }
}
