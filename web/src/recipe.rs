//! The settings of a training that a page asks for, as the JavaScript package sends them.

use lapidary::data::Augment;
use lapidary::ops::Norm;
use lapidary::{Error, Result};
use serde_json::Value;

/// The settings of a training in a page; the JavaScript package has filled in and checked each.
pub struct Recipe {
    /// Whether contrastive images are made beside the attacked ones: `dat`, and not `at`.
    pub dual: bool,
    pub steps: u64,
    pub batch: u32,
    pub learning_rate: f64,
    /// The norm in which the radius of the attack's ball is measured.
    pub norm: Norm,
    /// The radius of the attack's ball.
    pub eps: f32,
    /// The largest number of gradient steps that contrastive images take.
    pub contrastive_steps: u32,
    /// The L2 length of the gradient steps that contrastive images take.
    pub step_size: f32,
    pub augment: Augment,
    pub seed: u64,
    pub class_names: Vec<String>,
    /// Whether the network's last layer is made anew for these classes.
    pub new_head: bool,
}

impl Recipe {
    /// Reads the settings from the JSON object that the JavaScript package makes. Err for what it never sends.
    pub fn parse(text: &str) -> Result<Self> {
        let json: Value = serde_json::from_str(text)
            .map_err(|error| Error::mismatch("training", error, "a JSON object"))?;
        let at = |key: &str| json.get(key).unwrap_or(&Value::Null);
        let wrong = |key: &str, wanted: &str| {
            Error::mismatch("training", format_args!("{key} {}", at(key)), wanted)
        };
        let number = |key: &str| at(key).as_f64().ok_or_else(|| wrong(key, "a number"));
        let whole = |key: &str| at(key).as_u64().ok_or_else(|| wrong(key, "a whole number"));
        let small = |key: &str| Ok::<_, Error>(u32::try_from(whole(key)?).unwrap_or(u32::MAX));
        let names = at("classNames").as_array().ok_or_else(|| wrong("classNames", "a list"))?;
        Ok(Self {
            dual: match at("objective").as_str() {
                Some("dat") => true,
                Some("at") => false,
                _ => return Err(wrong("objective", "dat or at")),
            },
            norm: match at("norm").as_str() {
                Some("l2") => Norm::L2,
                Some("linf") => Norm::Linf,
                _ => return Err(wrong("norm", "l2 or linf")),
            },
            steps: whole("steps")?,
            batch: small("batch")?,
            learning_rate: number("learningRate")?,
            eps: number("eps")? as f32,
            contrastive_steps: small("contrastiveSteps")?,
            step_size: number("stepSize")? as f32,
            augment: Augment::parse(at("augment").as_str().unwrap_or_default())?,
            seed: whole("seed")?,
            class_names: names.iter().filter_map(|name| name.as_str().map(Into::into)).collect(),
            new_head: at("newHead").as_bool().unwrap_or(false),
        })
    }
}
