//! Which of an op's variants is taken for a shape: the static choice, or the one that was the fastest on this device.

use super::Gpu;
use super::sealed::{seal, unseal};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// Variants that are measured for one shape, at most: each costs its pipelines.
const MOST: usize = 6;

/// What an op asks while it records its launches; see [`Recording::choose`](super::Recording::choose).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Kernel family and shape.
    pub key: String,
    /// The variants.
    pub candidates: Vec<&'static str>,
    /// The static choice among them.
    pub default: usize,
}

impl Question {
    /// Err for no candidates, more than six, or a default that is none of them.
    pub(super) fn new(
        family: &'static str,
        shape: &[u32],
        candidates: &[&'static str],
        default: usize,
    ) -> Result<Self> {
        if candidates.len() > MOST || default >= candidates.len() {
            let given = format_args!("default {default} of {} variants", candidates.len());
            return Err(Error::mismatch(family, given, format_args!("one of at most {MOST}")));
        }
        let sides: Vec<_> = shape.iter().map(u32::to_string).collect();
        let key = format!("{family} {}", sides.join("x"));
        Ok(Self { key, candidates: candidates.to_vec(), default })
    }

    /// The variant that is taken. A name that is none of the candidates, as of another version, is not.
    pub fn answer(&self, choices: &Choices) -> usize {
        let named = choices.0.get(&self.key);
        let place = |name: &String| self.candidates.iter().position(|known| known == name);
        named.and_then(place).unwrap_or(self.default)
    }
}

/// Measured choices: the name of a variant for a family and shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices(BTreeMap<String, String>);

impl Choices {
    /// Whether this was measured.
    pub fn has(&self, question: &Question) -> bool {
        self.0.contains_key(&question.key)
    }

    /// The same with this answer.
    pub fn with(&self, question: &Question, candidate: usize) -> Self {
        let mut all = self.0.clone();
        if let Some(&name) = question.candidates.get(candidate) {
            all.insert(question.key.clone(), name.to_owned());
        }
        Self(all)
    }

    /// Family and shape, and the variant.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, name)| (key.as_str(), name.as_str()))
    }
}

/// A device's.
#[derive(Debug, Default)]
pub(super) struct Tuning {
    on: AtomicBool,
    choices: Mutex<Arc<Choices>>,
}

impl Gpu {
    /// Whether programs that are made from now on measure the variants that their ops name, and take what was measured.
    /// Without, which is how a device begins, all choices are static, and the bits are those of any other start.
    pub fn tune(&self, on: bool) {
        self.tuning.on.store(on, Relaxed);
    }

    /// What was measured, if that is to be taken.
    pub fn choices(&self) -> Option<Arc<Choices>> {
        let on = self.tuning.on.load(Relaxed);
        self.tuning.choices.lock().ok().filter(|_| on).map(|choices| choices.clone())
    }

    /// Adds an answer.
    pub(crate) fn decide(&self, question: &Question, candidate: usize) {
        if let Ok(mut choices) = self.tuning.choices.lock() {
            *choices = Arc::new(choices.with(question, candidate));
        }
    }

    /// Takes what [`Gpu::measured`] gave at some other time. False, and nothing is taken, for whatever else is given: cut
    /// off, damaged, or of another adapter, driver or version.
    pub fn keep_measured(&self, kept: &[u8]) -> bool {
        let contents = unseal(&self.choices_key(), kept);
        let read = contents.and_then(|contents| serde_json::from_slice(contents).ok());
        let Some(serde_json::Value::Object(read)) = read else { return false };
        let named = |(key, name): (&String, &serde_json::Value)| {
            Some((key.clone(), name.as_str()?.to_owned()))
        };
        if let Ok(mut choices) = self.tuning.choices.lock() {
            let mut all = choices.0.clone();
            all.extend(read.iter().filter_map(named));
            *choices = Arc::new(Choices(all));
        }
        true
    }

    /// What was measured so far, to be kept. `None` for nothing.
    pub fn measured(&self) -> Option<Vec<u8>> {
        let choices = self.tuning.choices.lock().ok()?.clone();
        let named = choices.iter().map(|(key, name)| (key.to_owned(), name.into()));
        let contents = serde_json::Value::Object(named.collect()).to_string();
        (!choices.0.is_empty()).then(|| seal(&self.choices_key(), contents.as_bytes()))
    }

    fn choices_key(&self) -> String {
        format!("choices; {}", self.fingerprint())
    }
}
