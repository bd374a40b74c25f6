//! Chooses which of an op's kernels runs for a given shape: the default one, or the one that was measured to be the fastest on
//! this device.

use crate::{Error, Result};
use std::collections::BTreeMap;

/// Variants that are measured for one shape, at most: each costs its pipelines.
const MOST: usize = 16;

/// A choice between kernels that an op asks for while it records its launches; see
/// [`Recording::choose`](super::Recording::choose).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The family of kernels and the shape that the question is about.
    pub key: String,
    /// The names of the kernel variants to choose between.
    pub candidates: Vec<String>,
    /// The index in `candidates` of the kernel variant that is taken by default.
    pub default: usize,
}

impl Question {
    /// Makes a question which kernel of a family to take, for the numbers that distinguish the family's problems. Err for no
    /// candidates, more than sixteen, or a default that is not among them.
    pub fn new(
        family: &'static str,
        shape: &[u32],
        candidates: &[&'static str],
        default: usize,
    ) -> Result<Self> {
        if candidates.len() > MOST || default >= candidates.len() {
            let given =
                format_args!("kernel {default} as the default of {} kernels", candidates.len());
            let wanted = format_args!("1 to {MOST} kernels, the default among them");
            return Err(Error::mismatch(family, given, wanted));
        }
        let sides: Vec<_> = shape.iter().map(u32::to_string).collect();
        let key = format!("{family} {}", sides.join("x"));
        Ok(Self {
            key,
            candidates: candidates.iter().map(|&name| name.to_owned()).collect(),
            default,
        })
    }

    /// Returns the index of the kernel variant that is taken: the measured choice, or the default where nothing was measured or
    /// where the choice, as of another version, is not among the candidates.
    pub fn answer(&self, choices: &Choices) -> usize {
        let named = choices.0.get(&self.key);
        let place = |name: &String| self.candidates.iter().position(|known| known == name);
        named.and_then(place).unwrap_or(self.default)
    }
}

/// The kernels that tuning chose: the name of a variant for a family and shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices(BTreeMap<String, String>);

impl Choices {
    /// Returns whether tuning has measured the kernels of this question.
    pub fn has(&self, question: &Question) -> bool {
        self.0.contains_key(&question.key)
    }

    /// Returns the choices with `candidate` added as the answer to `question`.
    pub fn with(&self, question: &Question, candidate: usize) -> Self {
        let mut all = self.0.clone();
        if let Some(name) = question.candidates.get(candidate) {
            all.insert(question.key.clone(), name.clone());
        }
        Self(all)
    }

    /// Adds an answer by its name, whatever that is.
    pub(super) fn insert(&mut self, key: String, name: String) {
        self.0.insert(key, name);
    }

    /// Returns the choices of `other`, completed by those of `self` that it lacks.
    pub(super) fn overlaid(&self, other: &Self) -> Self {
        let all = self.0.iter().chain(&other.0);
        Self(all.map(|(key, name)| (key.clone(), name.clone())).collect())
    }

    /// Goes over the choices: kernel family and shape, and the name of the chosen variant.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, name)| (key.as_str(), name.as_str()))
    }
}
