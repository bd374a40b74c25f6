//! Says which of an op's kernels is taken for a shape: the static choice, or the one that was the fastest on this device.

use crate::{Error, Result};
use std::collections::BTreeMap;

/// Variants that are measured for one shape, at most: each costs its pipelines.
const MOST: usize = 16;

/// What an op asks while it records its launches; see [`Recording::choose`](super::Recording::choose).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Kernel family and shape.
    pub key: String,
    /// The variants.
    pub candidates: Vec<String>,
    /// The static choice among them.
    pub default: usize,
}

impl Question {
    /// For a family of kernels and the numbers that tell its problems apart. Err for no candidates, more than sixteen, or a
    /// default that is none of them.
    pub fn new(
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
        Ok(Self {
            key,
            candidates: candidates.iter().map(|&name| name.to_owned()).collect(),
            default,
        })
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
        if let Some(name) = question.candidates.get(candidate) {
            all.insert(question.key.clone(), name.clone());
        }
        Self(all)
    }

    /// The same with this answer by its name, whatever that is.
    pub(super) fn insert(&mut self, key: String, name: String) {
        self.0.insert(key, name);
    }

    /// The choices of `other`, and those of these that `other` does not have.
    pub(super) fn overlaid(&self, other: &Self) -> Self {
        let all = self.0.iter().chain(&other.0);
        Self(all.map(|(key, name)| (key.clone(), name.clone())).collect())
    }

    /// Family and shape, and the variant.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, name)| (key.as_str(), name.as_str()))
    }
}
