//! Lists the preferences that change how results are rounded (precision, Winograd filters, memory for transformed weights), and
//! compares those that were kept beside results with those of now, so that only results rounded in the same way are used
//! together.

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

/// Adds to kept facts what they lack where they were kept before they had these: the usual values.
pub(crate) fn complete<K: Into<String>>(
    kept: &mut Map<String, Value>,
    usual: impl IntoIterator<Item = (K, Value)>,
) {
    for (key, value) in usual {
        kept.entry(key).or_insert(value);
    }
}

/// Returns the first fact that was kept with another value than it has now, as (key, kept, now); null where none was kept.
pub(crate) fn changed<'a>(
    kept: &'a Map<String, Value>,
    now: &'a Map<String, Value>,
) -> Option<(&'a str, &'a Value, &'a Value)> {
    let each = |(key, now): (&'a String, &'a Value)| {
        let was = kept.get(key).unwrap_or(&Value::Null);
        (was != now).then_some((key.as_str(), was, now))
    };
    now.iter().find_map(each)
}
