//! Writes and reads, as JSON, the table of the kernels chosen for a device, by tuning or statically; `docs/tuning.md` describes
//! the format.

use super::choices::Choices;
use super::tuning::Dropped;
use serde_json::{Map, Value, json};

/// The version of the format.
const VERSION: u64 = 1;

/// A table of tuning: the chosen answers, and the candidates that were dropped.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// Whether all choices are static, which means the default kernels, and none is to be measured.
    pub fixed: bool,
    pub choices: Choices,
    pub dropped: Vec<Dropped>,
}

/// The result of reading a text as a table.
pub(super) enum Verdict {
    Sound(Table),
    Damaged,
    /// The text is of this other device, driver or version.
    Foreign(String),
}

impl Table {
    pub fn is_empty(&self) -> bool {
        self.choices.iter().next().is_none() && self.dropped.is_empty()
    }

    /// Returns the table as JSON text, for a device.
    pub fn text(&self, device: &str) -> String {
        let choices: Map<_, _> =
            self.choices.iter().map(|(key, name)| (key.to_owned(), name.into())).collect();
        let dropped = self.dropped.iter().map(|Dropped { key, candidate, reason }| {
            json!({ "key": key, "candidate": candidate, "reason": reason })
        });
        let mut all = Map::new();
        all.insert("lapidary_choices".into(), VERSION.into());
        all.insert("device".into(), device.into());
        all.insert("static".into(), self.fixed.into());
        all.insert("choices".into(), choices.into());
        all.insert("dropped".into(), dropped.collect());
        let sum = sum(&all);
        all.insert("crc32".into(), sum.into());
        format!("{:#}\n", Value::Object(all))
    }

    /// Reads a table of chosen kernels from its text; a table of static choices is good for every device.
    pub fn read(text: &[u8], device: &str) -> Verdict {
        match Self::parse(text) {
            None => Verdict::Damaged,
            Some((table, of)) if table.fixed || of == device => Verdict::Sound(table),
            Some((_, of)) => Verdict::Foreign(of),
        }
    }

    /// The table, and the device that it is of.
    fn parse(text: &[u8]) -> Option<(Self, String)> {
        let Ok(Value::Object(mut all)) = serde_json::from_slice(text) else { return None };
        let given = all.remove("crc32")?;
        if given.as_str()? != sum(&all) || all.get("lapidary_choices")?.as_u64()? != VERSION {
            return None;
        }
        let word = |value: &Value| value.as_str().map(str::to_owned);
        let mut table = Self { fixed: all.get("static")?.as_bool()?, ..Self::default() };
        for (key, name) in all.get("choices")?.as_object()? {
            table.choices.insert(key.clone(), word(name)?);
        }
        for each in all.get("dropped")?.as_array()? {
            let [key, candidate, reason] =
                ["key", "candidate", "reason"].map(|name| each.get(name).and_then(word));
            table.dropped.push(Dropped { key: key?, candidate: candidate?, reason: reason? });
        }
        Some((table, word(all.get("device")?)?))
    }
}

/// CRC-32 of the object's shortest text, in hexadecimal digits.
fn sum(all: &Map<String, Value>) -> String {
    format!("{:08x}", crc32fast::hash(Value::Object(all.clone()).to_string().as_bytes()))
}
