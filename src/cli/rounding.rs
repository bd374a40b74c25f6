//! Lists the options that change how results are rounded, such as the precision, with their values. They are kept beside results
//! on disk, so that the program uses again only results that were rounded in the same way.

use serde_json::{Map, Value};

use crate::eval::rounding::{self, rounding};
use crate::gpu::{Preferences, Tune};

/// Returns the options that change how results are rounded, with their values.
pub fn facts(preferences: &Preferences) -> Map<String, Value> {
    let tune = match preferences.tuning {
        Tune::Auto => "auto",
        Tune::On => "on",
        Tune::Off => "off",
    };
    let all = rounding(preferences).into_iter().chain([("tune", tune.into())]);
    all.map(|(name, value)| (format!("--{name}"), value)).collect()
}

/// The values of a command without these options.
fn usual() -> Map<String, Value> {
    facts(&Preferences { tuning: Tune::Auto, ..Preferences::default() })
}

/// Adds the options that change how results are rounded, with their usual values, to kept facts that lack them.
pub fn complete(kept: &mut Map<String, Value>) {
    rounding::complete(kept, usual());
}

/// Returns the options that change how results are rounded and whose values are not the usual ones; none where all are, as in
/// what was kept before they counted.
pub fn unusual(preferences: &Preferences) -> Map<String, Value> {
    let usual = usual();
    let all = facts(preferences).into_iter();
    all.filter(|(key, value)| usual.get(key) != Some(value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Filtering, Precision};
    use serde_json::json;

    #[test]
    fn what_is_not_said_is_usual() {
        let auto = Preferences { tuning: Tune::Auto, ..Preferences::default() };
        assert!(unusual(&auto).is_empty());
        let mut before = Map::new();
        complete(&mut before);
        assert_eq!(before, facts(&auto));
        let other = Preferences {
            precision: Precision::Mixed,
            filtering: Filtering::Two,
            most_transformed: 1 << 20,
            tuning: Tune::Off,
            ..auto
        };
        let told = json!({
            "--precision": "mixed",
            "--winograd": "2",
            "--transformed-weights": 1_048_576,
            "--tune": "off",
        });
        assert_eq!(Value::Object(unusual(&other)), told);
        let mut kept = facts(&other);
        complete(&mut kept);
        assert_eq!(kept, facts(&other));
    }
}
