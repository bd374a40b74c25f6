//! Reads one file of reference values: its header, its tensors, and the rule by which results are compared with it.

use lapidary::graph::Shape;
use lapidary::model::{self, StateDict};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::path::{Path, PathBuf};

/// Why a case gave no results.
#[derive(Debug)]
pub enum Fault {
    /// The library does not have this op or parameter yet.
    Unsupported(String),
    /// The file is not as README says, or the library refused.
    Broken(String),
}

impl From<lapidary::Error> for Fault {
    fn from(error: lapidary::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// Results by the names that the file's reference values have.
pub type Results = BTreeMap<String, Vec<f32>>;

/// The result of a case.
pub type Outcome<T = Results> = Result<T, Fault>;

/// 4-byte words: numbers, or labels.
#[derive(Debug)]
pub struct Tensor {
    sides: Vec<usize>,
    words: Vec<u32>,
}

impl Tensor {
    /// As `lapidary` has it: vectors are numbers for each channel, matrices are images by channels.
    pub fn shape(&self) -> Outcome<Shape> {
        let side = |i: usize| self.sides.get(i).map_or(1, |&side| side as u32);
        Ok(match self.sides.len() {
            0 | 1 => Shape::vector(side(0))?,
            2 => Shape::matrix(side(0), side(1))?,
            4 => Shape::new(side(0), side(1), side(2), side(3))?,
            _ => return Err(Fault::Broken(format!("a tensor of sides {:?}", self.sides))),
        })
    }

    /// As models hold theirs.
    pub fn weight(&self) -> Outcome<model::Tensor> {
        Ok(model::Tensor::new(self.sides.clone(), self.numbers().to_vec())?)
    }

    pub fn words(&self) -> &[u32] {
        &self.words
    }

    pub fn numbers(&self) -> &[f32] {
        bytemuck::cast_slice(&self.words)
    }
}

/// All tensors of a file's bytes, which have 4-byte words.
fn tensors(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let held = file.iter().filter(|(_, view)| matches!(view.dtype(), Dtype::F32 | Dtype::I32));
    Ok(held
        .map(|(name, view)| {
            let words = bytemuck::pod_collect_to_vec(view.data());
            (name.to_owned(), Tensor { sides: view.shape().to_vec(), words })
        })
        .collect())
}

/// The tolerance of one tensor, see `within`.
#[derive(Clone, Copy, Debug)]
struct Tolerance {
    relative: f64,
    absolute: f64,
    fraction: f64,
    cap: f64,
}

#[derive(Debug)]
pub struct Case {
    /// Of all cases; weights lie below it too.
    folder: PathBuf,
    pub op: String,
    params: Json,
    tolerances: BTreeMap<String, Tolerance>,
    tensors: BTreeMap<String, Tensor>,
}

impl Case {
    pub fn load(folder: &Path, path: &Path) -> Result<Self, String> {
        let (path, folder) = (folder.join(path), folder.to_owned());
        let bytes = std::fs::read(&path).map_err(|error| error.to_string())?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| error.to_string())?;
        let texts = header.metadata().as_ref().ok_or("no __metadata__")?;
        let text = |key: &str| texts.get(key).ok_or(format!("no {key} in __metadata__"));
        let json = |key: &str| -> Result<Json, String> {
            serde_json::from_str(text(key)?).map_err(|error| format!("{key}: {error}"))
        };
        let tensors = tensors(&bytes)?;
        let mut tolerances = BTreeMap::new();
        for (name, fields) in json("tol")?.as_object().ok_or("tol is no object")? {
            let field = |key: &str| {
                fields.get(key).and_then(Json::as_f64).ok_or(format!("tol: {name} has no {key}"))
            };
            let [relative, absolute] = [field("rtol")?, field("atol")?];
            let [fraction, cap] = [field("frac")?, field("cap")?];
            tolerances.insert(name.clone(), Tolerance { relative, absolute, fraction, cap });
        }
        Ok(Self { folder, op: text("op")?.clone(), params: json("params")?, tolerances, tensors })
    }

    pub fn tensor(&self, name: &str) -> Outcome<&Tensor> {
        self.tensors.get(name).ok_or_else(|| Fault::Broken(format!("the file has no {name}")))
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Returns the rest of each name that starts with `prefix`.
    pub fn names<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.tensors.keys().filter_map(move |name| name.strip_prefix(prefix))
    }

    /// The tensors whose names start with `prefix`, named without it.
    pub fn state(&self, prefix: &str) -> Outcome<StateDict> {
        let named =
            |name: &str| Ok((name.to_owned(), self.tensor(&format!("{prefix}{name}"))?.weight()?));
        self.names(prefix).map(named).collect()
    }

    pub fn param(&self, key: &str) -> Option<&Json> {
        self.params.get(key)
    }

    fn read<T>(&self, key: &str, read: impl Fn(&Json) -> Option<T>) -> Outcome<T> {
        let read = self.params.get(key).and_then(read);
        read.ok_or_else(|| Fault::Broken(format!("params has no {key} of the right type")))
    }

    /// Infinite where the file says "inf".
    pub fn number(&self, key: &str) -> Outcome<f32> {
        self.read(key, |value| match value.as_str() {
            Some("inf") => Some(f32::INFINITY),
            _ => value.as_f64().map(|number| number as f32),
        })
    }

    pub fn count(&self, key: &str) -> Outcome<u32> {
        self.read(key, |value| value.as_u64().and_then(|count| count.try_into().ok()))
    }

    pub fn flag(&self, key: &str) -> Outcome<bool> {
        self.read(key, Json::as_bool)
    }

    pub fn text(&self, key: &str) -> Outcome<&str> {
        let text = self.params.get(key).and_then(Json::as_str);
        text.ok_or_else(|| Fault::Broken(format!("params has no text {key}")))
    }

    pub fn numbers(&self, key: &str) -> Outcome<Vec<f32>> {
        self.read(key, numbers)
    }

    /// Vertical, then horizontal.
    pub fn pair(&self, key: &str) -> Outcome<[u32; 2]> {
        let pair: Vec<_> = self.numbers(key)?.iter().map(|&number| number as u32).collect();
        pair.try_into().map_err(|_| Fault::Broken(format!("{key} is no pair")))
    }

    /// The file that `params.weights` names.
    pub fn weights_file(&self) -> Outcome<PathBuf> {
        Ok(self.folder.join(self.text("weights")?))
    }

    /// Err with a line for each `out.` and `grad.` tensor that is missing or outside its tolerance.
    pub fn compare(&self, results: &Results) -> Result<(), Vec<String>> {
        let wanted = |name: &str| name.starts_with("out.") || name.starts_with("grad.");
        let mut wrong = Vec::new();
        for (name, reference) in self.tensors.iter().filter(|(name, _)| wanted(name)) {
            let verdict = match (results.get(name), self.tolerances.get(name)) {
                (None, _) => Err("was not computed".to_owned()),
                (_, None) => Err("has no tolerance in the file".to_owned()),
                (Some(given), Some(tolerance)) => tolerance.check(given, reference.numbers()),
            };
            wrong.extend(verdict.err().map(|why| format!("{name} {why}")));
        }
        if self.tolerances.is_empty() {
            wrong.push("the file asks for nothing".into());
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

/// The largest root mean square of a tensor's difference from PyTorch's double precision in mixed precision, as a share of the
/// tensor's: of values, and of gradients, in which rectifiers near 0 fall on either side. Weights after iterations are values.
const IN_MIXED_PRECISION: [f64; 2] = [0.02, 0.25];

impl Case {
    /// Err with a line for each `out.` and `grad.` tensor that is missing or differs by more than mixed precision may.
    pub fn compare_roughly(&self, results: &Results) -> Result<(), Vec<String>> {
        let [of_values, of_gradients] = IN_MIXED_PRECISION;
        let bound = |name: &str| match name {
            _ if name.starts_with("out.") => Some(of_values),
            _ if name.starts_with("grad.") => Some(of_gradients),
            _ => None,
        };
        let root =
            |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
        let mut wrong = Vec::new();
        for (name, reference) in &self.tensors {
            let Some(bound) = bound(name) else { continue };
            let Some(given) = results.get(name) else {
                wrong.push(format!("{name} was not computed"));
                continue;
            };
            let wanted = reference.numbers();
            let mut both = given.iter().zip(wanted);
            let off = root(&mut both.by_ref().map(|(a, b)| f64::from(*a) - f64::from(*b)));
            let all = root(&mut wanted.iter().map(|v| f64::from(*v)));
            if given.len() != wanted.len() || off.is_nan() || off > bound * all + 1e-6 {
                wrong.push(format!("{name} differs by {off:.2e} of {all:.2e}"));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

/// A list of numbers.
pub fn numbers(value: &Json) -> Option<Vec<f32>> {
    value.as_array()?.iter().map(|number| number.as_f64().map(|number| number as f32)).collect()
}

impl Tolerance {
    /// |a - b| <= atol + rtol |b|, which `frac` of the elements may miss by up to `cap`. NaN is never within.
    fn check(self, given: &[f32], reference: &[f32]) -> Result<(), String> {
        if given.len() != reference.len() {
            return Err(format!("has {} values, want {}", given.len(), reference.len()));
        }
        let (mut outside, mut beyond_cap) = (0, 0);
        let mut worst: Option<(f64, usize, f32, f32, f64, f64)> = None;
        for (i, (&a, &b)) in given.iter().zip(reference).enumerate() {
            let difference = (f64::from(a) - f64::from(b)).abs();
            let bound = self.absolute + self.relative * f64::from(b).abs();
            if difference.is_finite() && difference <= bound {
                continue;
            }
            outside += 1;
            beyond_cap += usize::from(difference.is_nan() || difference > self.cap);
            // NaN is worse than anything.
            let excess = if difference.is_nan() { f64::INFINITY } else { difference / bound };
            if worst.is_none_or(|(most, ..)| excess > most) {
                worst = Some((excess, i, a, b, difference, bound));
            }
        }
        let allowed = (self.fraction * reference.len() as f64).floor() as usize;
        let Some((_, i, a, b, difference, bound)) = worst else { return Ok(()) };
        if outside <= allowed && beyond_cap == 0 {
            return Ok(());
        }
        let mut text =
            format!("[{i}] is {a:e}, want {b:e}: off by {difference:.2e}, bound {bound:.2e}; ");
        let _ = write!(text, "{outside} of {} outside, {allowed} allowed", reference.len());
        if allowed > 0 {
            let _ = write!(text, " up to {:.2e}, {beyond_cap} beyond that", self.cap);
        }
        Err(text)
    }
}

impl Fault {
    pub fn unsupported<T>(what: impl Display) -> Outcome<T> {
        Err(Self::Unsupported(what.to_string()))
    }
}
