//! The preferences that change the bits of results, as facts by which kept results are recognised.

use crate::gpu::{Filtering, Preferences};
use serde_json::{Map, Value};

/// Says how the preferences have results rounded. Which kernels an adapter takes by itself, or as tuning measured them, is not said.
pub(crate) fn rounding(preferences: &Preferences) -> [(&'static str, Value); 3] {
    let filter = match preferences.filtering {
        Filtering::Auto => "auto",
        Filtering::Off => "off",
        Filtering::Two => "2",
        Filtering::Four => "4",
    };
    let transformed = match preferences.most_transformed {
        u64::MAX => "all".into(),
        bytes => bytes.into(),
    };
    [
        ("precision", preferences.precision.to_string().into()),
        ("winograd", filter.into()),
        ("transformed-weights", transformed),
    ]
}

/// Adds to kept facts what they lack where they were kept before they had these: the default preferences.
pub(crate) fn complete(facts: &mut Map<String, Value>) {
    for (key, value) in rounding(&Preferences::default()) {
        facts.entry(key).or_insert(value);
    }
}
