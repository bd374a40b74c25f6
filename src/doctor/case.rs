//! Reads a file with the inputs, reference values and tolerances of a test case, and compares results with the reference values
//! within the tolerances, which `tests/golden/cases/README.md` defines.

use std::collections::BTreeMap;

use safetensors::{Dtype, SafeTensors};
use serde_json::Value as Json;

use crate::graph::Shape;
use crate::{Error, Result};

/// The results of a reference case, by the names that its reference values have.
pub type Results = BTreeMap<String, Vec<f32>>;

/// A reference case of the command `doctor`: inputs, reference values and tolerances.
#[derive(Debug)]
pub struct Case {
    name: &'static str,
    params: Json,
    tolerances: Json,
    tensors: BTreeMap<String, Tensor>,
}

/// An array of numbers or labels, each 4 bytes, that is an input or a reference value of a test case.
#[derive(Debug)]
pub struct Tensor {
    sides: Vec<usize>,
    /// The array's 4-byte words as they lie in the case's file.
    pub words: Vec<u32>,
}

/// Whether a device's results match the reference values, and the array that is furthest from them.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Whether all results are within their tolerance.
    pub good: bool,
    /// The name of the array that is furthest from its reference values, how far it is off, and how far it may be.
    pub worst: String,
}

impl Case {
    /// Parses the bytes of a case's file.
    pub fn new(name: &'static str, bytes: &[u8]) -> Result<Self> {
        let failed = |reason: String| Error::bad_file(name, reason);
        let (_, header) =
            SafeTensors::read_metadata(bytes).map_err(|error| failed(error.to_string()))?;
        let texts = header.metadata().as_ref();
        let json = |key: &str| -> Result<Json> {
            let text = texts.and_then(|texts| texts.get(key)).map_or("", String::as_str);
            serde_json::from_str(text)
                .map_err(|error| failed(format!("its metadata `{key}` cannot be read: {error}")))
        };
        let file = SafeTensors::deserialize(bytes).map_err(|error| failed(error.to_string()))?;
        let held = file.iter().filter(|(_, view)| matches!(view.dtype(), Dtype::F32 | Dtype::I32));
        let tensor = |view: &safetensors::tensor::TensorView| Tensor {
            sides: view.shape().to_vec(),
            words: bytemuck::pod_collect_to_vec(view.data()),
        };
        let tensors = held.map(|(name, view)| (name.to_owned(), tensor(&view))).collect();
        Ok(Self { name, params: json("params")?, tolerances: json("tol")?, tensors })
    }

    /// Returns a parameter of the reference case; null if there is none of this name.
    pub fn param(&self, key: &str) -> &Json {
        self.params.get(key).unwrap_or(&Json::Null)
    }

    /// Returns a parameter of the reference case that is a number.
    pub fn number(&self, key: &str) -> f32 {
        self.param(key).as_f64().map_or(f32::NAN, |number| number as f32)
    }

    /// Returns a parameter of the reference case that is a pair of numbers, vertical then horizontal.
    pub fn pair(&self, key: &str) -> [u32; 2] {
        let at = |i: usize| self.param(key).get(i).and_then(Json::as_u64).unwrap_or(0) as u32;
        [at(0), at(1)]
    }

    /// Returns an input or a reference value of the case by its name.
    pub fn tensor(&self, name: &str) -> Result<&Tensor> {
        let missing = || Error::bad_file(self.name, format!("the file has no array {name}"));
        self.tensors.get(name).ok_or_else(missing)
    }

    /// Returns whether the case has an input or a reference value of this name.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Compares all results with the reference values of the case's file; each result must have a tolerance there.
    pub fn compare(&self, results: &Results) -> Result<Verdict> {
        let mut good = !results.is_empty();
        let mut worst: Option<(f64, String)> = None;
        for (name, given) in results {
            let reference = bytemuck::cast_slice::<u32, f32>(&self.tensor(name)?.words);
            if given.len() != reference.len() {
                let reason = format!(
                    "the computed array {name} has {} values, but the file's has {}",
                    given.len(),
                    reference.len()
                );
                return Err(Error::bad_file(self.name, reason));
            }
            let field = |key: &str| {
                let fields = self.tolerances.get(name);
                let number = fields.and_then(|fields| fields.get(key)).and_then(Json::as_f64);
                number.ok_or_else(|| {
                    Error::bad_file(
                        self.name,
                        format!("the header has no tolerance `{key}` for the array {name}"),
                    )
                })
            };
            let (relative, absolute) = (field("rtol")?, field("atol")?);
            let (fraction, cap) = (field("frac")?, field("cap")?);
            let (mut outside, mut beyond) = (0_usize, 0_usize);
            for (&a, &b) in given.iter().zip(reference) {
                let difference = (f64::from(a) - f64::from(b)).abs();
                let bound = absolute + relative * f64::from(b).abs();
                // NaN is worse than anything.
                let excess = if difference.is_nan() { f64::INFINITY } else { difference / bound };
                outside += usize::from(excess > 1.0);
                beyond += usize::from(excess > 1.0 && (difference.is_nan() || difference > cap));
                if worst.as_ref().is_none_or(|(most, _)| excess > *most) {
                    let text = format!("{name} off by {difference:.1e}, bound {bound:.1e}");
                    worst = Some((excess, text));
                }
            }
            let allowed = (fraction * reference.len() as f64).floor() as usize;
            good &= outside <= allowed && beyond == 0;
        }
        Ok(Verdict { good, worst: worst.map(|(_, text)| text).unwrap_or_default() })
    }
}

impl Tensor {
    /// Returns the array's shape in a graph: a vector is one number for each channel, a matrix is images by channels.
    pub fn shape(&self) -> Result<Shape> {
        let side = |i: usize| self.sides.get(i).map_or(1, |&side| side as u32);
        match self.sides.len() {
            4 => Shape::new(side(0), side(1), side(2), side(3)),
            2 => Shape::matrix(side(0), side(1)),
            _ => Shape::vector(side(0)),
        }
    }

    /// Returns the array's words as floating-point numbers.
    pub fn numbers(&self) -> &[f32] {
        bytemuck::cast_slice(&self.words)
    }
}
