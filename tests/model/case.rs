//! Reads golden files, reference values from PyTorch: tensors, parameters, and the rule by which results are compared (the
//! folder's README describes it).

use lapidary::model::{Activation, Checkpoint, Network};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::PathBuf;

pub struct Case {
    name: String,
    pub params: Json,
    tolerances: Json,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

/// A file of the golden folder, if it is there: `LAPIDARY_GOLDEN`, the shared one, or the committed part.
pub fn file(name: &str) -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folders = [
        std::env::var_os("LAPIDARY_GOLDEN").map(PathBuf::from),
        Some(root.join("../shared/golden")),
        Some(root.join("tests/golden/cases")),
    ];
    let found =
        folders.into_iter().flatten().map(|folder| folder.join(name)).find(|path| path.exists());
    if found.is_none() {
        println!("{name}: not here, left out");
    }
    found
}

impl Case {
    pub fn open(name: &str) -> Option<Self> {
        let bytes = std::fs::read(file(&format!("{name}.safetensors"))?).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let strings = header.metadata().clone().unwrap();
        let json = |key: &str| serde_json::from_str(&strings[key]).unwrap();
        let mut tensors = BTreeMap::new();
        for (name, view) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
            let words = view.data().as_chunks::<4>().0.iter();
            let numbers = match view.dtype() {
                Dtype::F32 => words.map(|&word| f32::from_le_bytes(word)).collect(),
                _ => words.map(|&word| i32::from_le_bytes(word) as f32).collect(),
            };
            tensors.insert(name, (view.shape().to_vec(), numbers));
        }
        let (params, tolerances) = (json("params"), json("tol"));
        Some(Self { name: name.into(), params, tolerances, tensors })
    }

    pub fn shape(&self, tensor: &str) -> &[usize] {
        &self.tensors.get(tensor).unwrap_or_else(|| panic!("{}: no {tensor}", self.name)).0
    }

    pub fn get(&self, tensor: &str) -> &[f32] {
        &self.tensors.get(tensor).unwrap_or_else(|| panic!("{}: no {tensor}", self.name)).1
    }

    /// One of several of the same shape that lie in one tensor.
    pub fn part(&self, tensor: &str, at: usize) -> &[f32] {
        let size: usize = self.shape(tensor)[1..].iter().product();
        &self.get(tensor)[at * size..(at + 1) * size]
    }

    pub fn names(&self, prefix: &str) -> Vec<String> {
        let all = self.tensors.keys().filter_map(|name| name.strip_prefix(prefix));
        all.map(str::to_owned).collect()
    }

    pub fn labels(&self) -> Vec<u32> {
        self.get("in.labels").iter().map(|&label| label as u32).collect()
    }

    pub fn number(&self, key: &str) -> f32 {
        match &self.params[key] {
            Json::String(text) => text.parse().unwrap(),
            number => number.as_f64().unwrap_or_else(|| panic!("{}: {key}", self.name)) as f32,
        }
    }

    pub fn text(&self, key: &str) -> &str {
        self.params[key].as_str().unwrap()
    }

    pub fn activation(&self) -> Activation {
        Activation::parse(self.text("act")).unwrap()
    }

    /// The case's model and weights.
    pub fn model(&self) -> (Network, Checkpoint) {
        let checkpoint = Checkpoint::read(file(self.text("weights")).unwrap()).unwrap();
        (Network::from_checkpoint(&checkpoint).unwrap(), checkpoint)
    }

    pub fn check(&self, tensor: &str, given: &[f32]) {
        self.compare(tensor, given, self.get(tensor));
    }

    /// Against a part, by the whole tensor's tolerance.
    pub fn check_part(&self, tensor: &str, at: usize, given: &[f32]) {
        self.compare(tensor, given, self.part(tensor, at));
    }

    fn compare(&self, tensor: &str, given: &[f32], wanted: &[f32]) {
        let tolerance = |key: &str| self.tolerances[tensor][key].as_f64().unwrap();
        assert_eq!(given.len(), wanted.len(), "{} {tensor}", self.name);
        let (mut missed, mut worst) = (0, 0f64);
        for (&a, &b) in given.iter().zip(wanted) {
            let (distance, b) = (f64::from(a - b).abs(), f64::from(b));
            if distance.is_nan() || distance > tolerance("atol") + tolerance("rtol") * b.abs() {
                missed += 1;
                worst = if distance.is_nan() { f64::INFINITY } else { worst.max(distance) };
            }
        }
        let allowed = (tolerance("frac") * wanted.len() as f64).floor() as usize;
        assert!(
            missed <= allowed && worst <= tolerance("cap").max(0.0) || missed == 0,
            "{} {tensor}: {missed} of {} differ by up to {worst:.2e}; {allowed} may, by {:.2e}",
            self.name,
            wanted.len(),
            tolerance("cap"),
        );
    }
}
