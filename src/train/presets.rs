//! The built-in training configurations (presets), and setting single keys in them; wrong types and unknown keys are found here.

use toml::{Table, Value};

use super::config::{Config, bad, flatten};
use crate::{Error, Result};

/// Name and text of each. One that names another preset says what differs from it.
const PRESETS: [(&str, &str); 24] = [
    ("fashion-demo", include_str!("../../configs/fashion-demo.toml")),
    ("cifar10-at", include_str!("../../configs/cifar10-at.toml")),
    ("cifar10-dat-t40", include_str!("../../configs/cifar10-dat-t40.toml")),
    ("cifar10-dat-t50", include_str!("../../configs/cifar10-dat-t50.toml")),
    ("cifar10-jem", include_str!("../../configs/cifar10-jem.toml")),
    ("cifar10-ratio", include_str!("../../configs/cifar10-ratio.toml")),
    ("cifar10-small", include_str!("../../configs/cifar10-small.toml")),
    ("cifar10-small-at", include_str!("../../configs/cifar10-small-at.toml")),
    ("cifar10-small-ratio", include_str!("../../configs/cifar10-small-ratio.toml")),
    ("cifar10-small-trades", include_str!("../../configs/cifar10-small-trades.toml")),
    ("cifar100-dat-t45", include_str!("../../configs/cifar100-dat-t45.toml")),
    ("cifar100-dat-t50", include_str!("../../configs/cifar100-dat-t50.toml")),
    ("fashion-at", include_str!("../../configs/fashion-at.toml")),
    ("fashion-jem", include_str!("../../configs/fashion-jem.toml")),
    ("fashion-ratio", include_str!("../../configs/fashion-ratio.toml")),
    ("fashion-show", include_str!("../../configs/fashion-show.toml")),
    ("fashion-tiny", include_str!("../../configs/fashion-tiny.toml")),
    ("fashion-trades", include_str!("../../configs/fashion-trades.toml")),
    ("fashion-wrn", include_str!("../../configs/fashion-wrn.toml")),
    ("imagenet-convnext-l-t110", include_str!("../../configs/imagenet-convnext-l-t110.toml")),
    ("imagenet-rn50-t15", include_str!("../../configs/imagenet-rn50-t15.toml")),
    ("imagenet-rn50-t30", include_str!("../../configs/imagenet-rn50-t30.toml")),
    ("imagenet-wrn50-4-t30", include_str!("../../configs/imagenet-wrn50-4-t30.toml")),
    ("imagenet-wrn50-4-t65", include_str!("../../configs/imagenet-wrn50-4-t65.toml")),
];

/// Returns the names of the presets.
pub fn preset_names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|(name, _)| *name)
}

/// The presets' names, as a message about another name lists them.
pub(super) fn names() -> String {
    format!("one of {}", preset_names().collect::<Vec<_>>().join(", "))
}

/// A preset with all that it takes from others.
pub(super) fn table(name: &str) -> Result<Table> {
    let found = PRESETS.iter().find(|(preset, _)| *preset == name);
    let (_, text) = found.ok_or_else(|| bad("preset", format!("{name:?}"), &names()))?;
    let own: Table = text.parse().map_err(|error| {
        bad(&format!("the preset {name}"), format!("unreadable ({error})"), "TOML")
    })?;
    let base = own.get("preset").and_then(Value::as_str).unwrap_or(name);
    if base == name {
        return Ok(own);
    }
    let mut all = table(base)?;
    for (key, value) in own.into_iter().filter(|(key, _)| key != "preset") {
        match (all.get_mut(&key), value) {
            (Some(Value::Table(ours)), Value::Table(theirs)) => ours.extend(theirs),
            (_, value) => {
                all.insert(key, value);
            }
        }
    }
    all.insert("preset".into(), name.into());
    Ok(all)
}

/// Returns all keys with values of their types: those of the demo preset, those it leaves out, and optional ones.
pub(super) fn schema() -> Result<Table> {
    let demo: Config = table("fashion-demo")?.try_into().map_err(|error| {
        bad("the preset fashion-demo", format!("unreadable ({error})"), "a whole configuration")
    })?;
    let mut all = demo.to_table()?;
    let optional = [
        ("evaluate", "step_size"),
        ("stage1", "beta1"),
        ("stage1", "beta2"),
        ("stage2", "beta1"),
        ("stage2", "beta2"),
    ];
    let optional = optional.map(|(name, key)| (name, key, Value::Float(0.0)));
    // Files leave these out where they say nothing.
    let unsaid = [
        ("data", "fit", Value::String(String::new())),
        ("stage1", "sync_batch_norm", Value::Boolean(false)),
    ];
    for (name, key, like) in optional.into_iter().chain(unsaid) {
        if let Some(Value::Table(table)) = all.get_mut(name) {
            table.insert(key.into(), like);
        }
    }
    Ok(all)
}

/// Puts one value in its place.
pub(super) fn set(all: &mut Table, schema: &Table, key: &str, value: Value) -> Result<()> {
    let (name, inner, known) = match key.split_once('.') {
        None => (key, None, Some(schema)),
        Some((table, name)) => (name, Some(table), schema.get(table).and_then(Value::as_table)),
    };
    let Some(like) = known.and_then(|known| known.get(name)) else {
        let allowed = known.unwrap_or(schema).keys().cloned().collect::<Vec<_>>().join(", ");
        let missing = match inner {
            Some(table) if known.is_none() => format!("table {table}"),
            _ => name.to_owned(),
        };
        return Err(bad(
            key,
            value,
            &format!("under one of the keys {allowed}: there is no {missing}"),
        ));
    };
    if let (Value::Table(_), Value::Table(_)) = (like, &value) {
        return Ok(()); // a heading with nothing below it
    }
    let value = of_type(key, value, like)?;
    let target = match inner {
        None => all,
        Some(table) => {
            let entry = all.entry(table).or_insert_with(|| Table::new().into());
            entry.as_table_mut().ok_or_else(|| bad(table, "a single value", "a table of keys"))?
        }
    };
    target.insert(name.to_owned(), value);
    Ok(())
}

/// The value as one of the type of `like`: whole numbers serve as real ones, and so does `a/b` as a text.
fn of_type(key: &str, value: Value, like: &Value) -> Result<Value> {
    let wanted = match (like, &value) {
        (Value::Float(_), Value::Float(_))
        | (Value::String(_), Value::String(_))
        | (Value::Boolean(_), Value::Boolean(_)) => return Ok(value),
        (Value::Float(_), Value::Integer(whole)) => return Ok(Value::Float(*whole as f64)),
        (Value::Float(_), Value::String(text)) => match fraction(text) {
            Some(number) => return Ok(Value::Float(number)),
            None => "a number",
        },
        (Value::Integer(_), Value::Integer(0..)) => return Ok(value),
        (Value::Float(_), _) => "a number",
        (Value::Integer(_), _) => "a whole number, 0 or more",
        (Value::Boolean(_), _) => "true or false",
        (Value::Table(_), _) => "a table of keys",
        _ => "a text",
    };
    Err(bad(key, value, wanted))
}

/// Parses `0.5`, `8/255` or `1e-3`; `None` for anything else and for numbers that are not finite.
pub fn fraction(text: &str) -> Option<f64> {
    let number = match text.split_once('/') {
        Some((over, under)) => {
            over.trim().parse::<f64>().ok()? / under.trim().parse::<f64>().ok()?
        }
        None => text.trim().parse().ok()?,
    };
    number.is_finite().then_some(number)
}

/// Finds the key that makes reading fail: the first that does so alone when put into a preset.
pub(super) fn culprit(all: &Table, schema: &Table, whole: &toml::de::Error) -> Error {
    for (key, value) in flatten(all) {
        let Ok(mut alone) = table("fashion-demo") else { break };
        if let Err(error) = set(&mut alone, schema, &key, value.clone()) {
            return error;
        }
        if let Err(error) = alone.try_into::<Config>() {
            // serde's own words list what an enumeration allows.
            let allowed = error.message().split("expected ").last().unwrap_or_default().to_owned();
            return bad(&key, value, &allowed);
        }
    }
    bad("config", whole.message(), "a whole configuration")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every key that a file may leave out can be written, and can be set by `--set`.
    #[test]
    fn keys_that_files_leave_out_can_be_set() {
        let unsaid = [
            ("data", "fit", "\"stretch\""),
            ("stage1", "sync_batch_norm", "true"),
            ("stage1", "beta1", "0.5"),
            ("stage1", "beta2", "0.5"),
            ("stage2", "beta1", "0.5"),
            ("stage2", "beta2", "0.5"),
            ("evaluate", "step_size", "0.25"),
        ];
        let plain = Config::preset("fashion-demo").unwrap();
        for (name, key, value) in unsaid {
            let change = format!("{name}.{key}={value}");
            let set = plain.with(&[&change]).unwrap();
            let text = format!("preset = \"fashion-demo\"\n[{name}]\n{key} = {value}\n");
            assert_eq!(Config::parse(&text, "test.toml").unwrap(), set, "{change}");
            assert_eq!(Config::parse(&set.to_toml().unwrap(), "test.toml").unwrap(), set);
            assert_ne!(set, plain, "{change}");
        }
    }

    /// The tables of stages are read without a check for unknown keys, so presets must not have any.
    #[test]
    fn presets_have_known_keys_alone() {
        let schema = schema().unwrap();
        for name in preset_names() {
            let all = table(name).unwrap();
            for (key, value) in flatten(&all) {
                set(&mut all.clone(), &schema, &key, value).unwrap();
            }
        }
    }
}
