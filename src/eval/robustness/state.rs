//! The state of an interrupted robustness evaluation as JSON: its settings, the result of each image, and where it goes on.

use super::super::rounding::{changed, complete, rounding};
use super::super::sealed::{seal, unseal};
use super::{AttackName, AttackResult, Point};
use crate::files;
use crate::gpu::Preferences;
use crate::model::checkpoint::write_atomically;
use crate::{Error, Result};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

const FORMAT: &str = "lapidary attack state 2";
/// The advice in messages about an unusable state.
const REMEDY: &str = "remove the file to start again";

/// The state of an evaluation between two batches, to be saved. Give it to [`AutoAttack::run`](super::AutoAttack::run) to go on:
/// images that are finished are not attacked again, and the result is that of an evaluation that was never interrupted.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Settings, and checksums of weights, images and labels.
    pub(super) identity: Map<String, Value>,
    pub(super) points: Vec<Point>,
    /// The misclassified versions of the images that an attack broke, by index.
    pub(super) broken: BTreeMap<usize, Vec<f32>>,
    /// The results of finished attacks and, at the end, of the unfinished one.
    pub(super) results: Vec<AttackResult>,
    /// For each attack, the number of images it started from, and how many had a zero gradient.
    pub(super) flat: BTreeMap<AttackName, [usize; 2]>,
    /// Number of the attack and its round.
    pub(super) attack: usize,
    pub(super) round: u32,
    /// The images that no attack had broken when the round began, and how many the round has done.
    pub(super) standing: Vec<usize>,
    pub(super) done: usize,
    pub(super) seconds: f64,
    pub(super) busy_seconds: f64,
}

impl State {
    /// Returns the share of images that are classified correctly and not broken so far.
    pub fn robust_accuracy(&self) -> f64 {
        self.count(|point| point == Point::Robust) as f64 / self.points.len().max(1) as f64
    }

    pub(super) fn count(&self, which: impl Fn(Point) -> bool) -> usize {
        self.points.iter().filter(|&&point| which(point)).count()
    }

    /// Err, saying which setting differs, unless this is of an evaluation of `identity`.
    pub(super) fn check(&self, identity: &Map<String, Value>) -> Result<()> {
        let Some((key, given, wanted)) = changed(&self.identity, identity) else { return Ok(()) };
        // PGD's settings are kept as Rust writes a structure.
        let plain =
            |value: &Value| value.to_string().replace("RestartedPgd { ", "").replace(" }", "");
        Err(Error::mismatch(
            "attack state",
            format_args!("an evaluation with {key} {}", plain(given)),
            format_args!("one with {key} {}: {REMEDY}", plain(wanted)),
        ))
    }

    /// Reads the state of an interrupted robustness evaluation from a file; `None` where there is no such file yet.
    ///
    /// # Errors
    /// `BadFile` for a file that cannot be read, and as [`State::from_json`].
    pub fn read(path: impl AsRef<Path>) -> Result<Option<Self>> {
        let path = path.as_ref();
        // Anything else of that name that is no file is refused as such.
        if !path.exists() {
            return Ok(None);
        }
        let text = files::read_text(path)?;
        Self::from_json(&text).map(Some).map_err(|error| Error::bad_file(path, error))
    }

    /// Writes the state of a robustness evaluation to a file, which is there whole or not at all.
    ///
    /// # Errors
    /// `BadFile` where it cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        write_atomically(path, self.to_json().as_bytes())
    }

    /// Returns the state of a robustness evaluation as JSON, the content of its file.
    pub fn to_json(&self) -> String {
        let point = |point: &Point| match point {
            Point::Wrong => "wrong",
            Point::Robust => "robust",
            Point::Broken(attack) => attack.name(),
        };
        let result = |result: &AttackResult| {
            json!({
                "attack": result.attack.name(),
                "tried": result.tried,
                "broken": result.broken,
                "robust_accuracy": result.robust_accuracy,
                "seconds": result.seconds,
            })
        };
        let images: Map<_, _> =
            self.broken.iter().map(|(at, image)| (at.to_string(), hex(image).into())).collect();
        let flat: Map<_, _> =
            self.flat.iter().map(|(attack, counts)| (attack.to_string(), json!(counts))).collect();
        let all = json!({
            "format": FORMAT,
            "evaluation": self.identity,
            "robust_accuracy": self.robust_accuracy(),
            "results": self.results.iter().map(result).collect::<Vec<_>>(),
            "points": self.points.iter().map(point).collect::<Vec<_>>(),
            "zero_gradients": flat,
            "attack": self.attack,
            "round": self.round,
            "standing": self.standing,
            "done": self.done,
            "seconds": self.seconds,
            "busy_seconds": self.busy_seconds,
            "images": images,
        });
        seal(&all.to_string())
    }

    /// Reads the state of an interrupted robustness evaluation from JSON. Err for JSON of another kind, for a file that was changed
    /// since it was written, and for one whose parts contradict each other.
    pub fn from_json(text: &str) -> Result<Self> {
        let all: Value = serde_json::from_str(text).map_err(|error| {
            let given = format_args!("text that is not JSON ({error})");
            Error::mismatch("attack state", given, format_args!("JSON: {REMEDY}"))
        })?;
        if all.get("format").and_then(Value::as_str) != Some(FORMAT) {
            let given = all.get("format").cloned().unwrap_or_default();
            let wanted = format_args!("{FORMAT}: {REMEDY}");
            return Err(Error::mismatch("attack state", format_args!("format {given}"), wanted));
        }
        let damaged = |why| {
            let wanted = format_args!("the file as it was written: {REMEDY}");
            Error::mismatch("attack state", why, wanted)
        };
        unseal(text).map_err(damaged)?;
        let contrary = || {
            let given = "a file with parts missing, out of place or contradictory";
            let wanted = format_args!("a sound {FORMAT}: {REMEDY}");
            Error::mismatch("attack state", given, wanted)
        };
        Self::parse(&all).filter(Self::holds_together).ok_or_else(contrary)
    }

    /// Whether its parts say the same of the images.
    fn holds_together(&self) -> bool {
        let broken_by = |attack| self.count(|point| point == Point::Broken(attack));
        let results = &self.results;
        let of = |attack| -> usize {
            results
                .iter()
                .filter(|result| result.attack == attack)
                .map(|result| result.broken)
                .sum()
        };
        let mut lengths = self.broken.values().map(Vec::len);
        let first = lengths.next();
        AttackName::ALL.into_iter().all(|attack| broken_by(attack) == of(attack))
            && results.iter().all(|result| result.broken <= result.tried)
            && lengths.all(|length| Some(length) == first)
            && self.broken.values().flatten().all(|value| (0.0..=1.0).contains(value))
            && self.standing.is_sorted_by(|a, b| a < b)
            && self.done <= self.standing.len()
    }

    /// Checks that the state is of this many images with this many values.
    pub(super) fn fits(&self, images: usize, words: usize) -> Result<()> {
        let of = self.broken.values().next().map_or(words, Vec::len);
        if (self.points.len(), of) != (images, words) {
            let given = format_args!("{} images of {of} values", self.points.len());
            let wanted = format_args!("{images} images of {words} values: {REMEDY}");
            return Err(Error::mismatch("attack state", given, wanted));
        }
        Ok(())
    }

    fn parse(all: &Value) -> Option<Self> {
        let number = |value: &Value| Some(value.as_u64()? as usize);
        let points: Vec<Point> =
            all.get("points")?.as_array()?.iter().map(point).collect::<Option<_>>()?;
        let results = all.get("results")?.as_array()?.iter().map(|result| {
            Some(AttackResult {
                attack: result.get("attack")?.as_str()?.parse().ok()?,
                tried: number(result.get("tried")?)?,
                broken: number(result.get("broken")?)?,
                robust_accuracy: result.get("robust_accuracy")?.as_f64()?,
                seconds: result.get("seconds")?.as_f64()?,
            })
        });
        let flat = all.get("zero_gradients")?.as_object()?.iter().map(|(attack, counts)| {
            let [a, b] = &counts.as_array()?[..] else { return None };
            Some((attack.parse().ok()?, [number(a)?, number(b)?]))
        });
        let images = all.get("images")?.as_object()?.iter().map(|(at, image)| {
            let at = at.parse().ok().filter(|&at: &usize| at < points.len())?;
            Some((at, values(image.as_str()?)?))
        });
        let standing = all
            .get("standing")?
            .as_array()?
            .iter()
            .map(|at| number(at).filter(|&at| at < points.len()));
        let broken: BTreeMap<_, _> = images.collect::<Option<_>>()?;
        // A changed image for each that was broken, and no other.
        let whole = points
            .iter()
            .enumerate()
            .all(|(at, point)| matches!(point, Point::Broken(_)) == broken.contains_key(&at));
        whole.then_some(())?;
        let mut identity = all.get("evaluation")?.as_object()?.clone();
        complete(&mut identity, rounding(&Preferences::default()));
        Some(Self {
            identity,
            results: results.collect::<Option<_>>()?,
            flat: flat.collect::<Option<_>>()?,
            attack: number(all.get("attack")?)?,
            round: number(all.get("round")?)? as u32,
            standing: standing.collect::<Option<_>>()?,
            done: number(all.get("done")?)?,
            seconds: all.get("seconds")?.as_f64()?,
            busy_seconds: all.get("busy_seconds")?.as_f64()?,
            broken,
            points,
        })
    }
}

fn point(value: &Value) -> Option<Point> {
    match value.as_str()? {
        "wrong" => Some(Point::Wrong),
        "robust" => Some(Point::Robust),
        attack => attack.parse().ok().map(Point::Broken),
    }
}

/// The bits of each number, eight digits each: nothing is lost.
fn hex(image: &[f32]) -> String {
    let mut text = String::with_capacity(8 * image.len());
    for value in image {
        // Writing to a string does not fail.
        _ = write!(text, "{:08x}", value.to_bits());
    }
    text
}

fn values(text: &str) -> Option<Vec<f32>> {
    let (digits, rest) = text.as_bytes().as_chunks::<8>();
    let value = |digits: &[u8; 8]| {
        let digits = std::str::from_utf8(digits).ok()?;
        u32::from_str_radix(digits, 16).ok().map(f32::from_bits)
    };
    rest.is_empty().then(|| digits.iter().map(value).collect())?
}
