//! The trained networks that come with the program, under names like `zoo:NAME`: `models/zoo.toml` says what they are, and their
//! files are built in, so that nothing is ever fetched.

use std::path::Path;

use serde::Deserialize;

use crate::model::Checkpoint;
use crate::{Error, Result};

#[cfg_attr(
    not(any(feature = "cli", test)),
    allow(dead_code, reason = "the program alone shows them")
)]
const LIST: &str = include_str!("../../models/zoo.toml");
/// By their names in the list.
const FILES: [(&str, &[u8]); 3] = [
    ("fashion-demo", include_bytes!("../../data/fashion-demo/model.safetensors")),
    ("fashion-plain", include_bytes!("../../data/fashion-plain/model.safetensors")),
    ("fashion-show", include_bytes!("../../data/fashion-show/model.safetensors")),
];
/// The prefix of a zoo network's name in place of a path.
const PREFIX: &str = "zoo:";

/// The content of `zoo.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(
    not(any(feature = "cli", test)),
    allow(dead_code, reason = "the program alone shows them")
)]
struct Zoo {
    network: Vec<Entry>,
}

/// A network of the zoo.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "the program alone shows them"))]
pub(crate) struct Entry {
    /// The network's name, as it stands after `zoo:`.
    pub name: String,
    /// The path of the network's file in the repository.
    pub file: String,
    /// The SHA-256 of the network's file, in hexadecimal digits.
    pub sha256: String,
    /// The architecture of the network and the side of its images.
    pub architecture: String,
    /// The data that the network was trained on.
    pub data: String,
    /// The licence of the network's weights.
    pub licence: String,
    /// The path of the page about the network in the repository.
    pub card: String,
    /// The measured numbers of the network, such as its accuracy.
    pub number: Vec<Number>,
}

/// A measured number of a network.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "the program alone shows them"))]
pub(crate) struct Number {
    /// The name of the measured quantity.
    pub what: String,
    /// The measured value of the quantity.
    pub value: f64,
    /// The command line of this program that measures the quantity.
    pub command: String,
}

/// The list, in its order.
#[cfg_attr(
    not(any(feature = "cli", test)),
    allow(dead_code, reason = "the program alone shows them")
)]
pub(crate) fn zoo() -> Result<Vec<Entry>> {
    let zoo: Zoo =
        toml::from_str(LIST).map_err(|error| Error::bad_file("models/zoo.toml", error))?;
    Ok(zoo.network)
}

/// The name that a path means, if it means one of the zoo's.
pub(crate) fn name(path: &Path) -> Option<&str> {
    path.to_str()?.strip_prefix(PREFIX)
}

/// The bytes of a network's file.
///
/// # Errors
/// `BadFile` where no network has this name; the message lists those that there are.
pub(crate) fn bytes(name: &str) -> Result<&'static [u8]> {
    let found = FILES.iter().find(|(known, _)| *known == name);
    found.map(|(_, bytes)| *bytes).ok_or_else(|| {
        let known = FILES.map(|(name, _)| format!("{PREFIX}{name}")).join(", ");
        Error::bad_file(
            format!("{PREFIX}{name}"),
            format!("no network of this name comes with the program; there are {known}"),
        )
    })
}

/// Reads a network's file.
pub(crate) fn checkpoint(name: &str) -> Result<Checkpoint> {
    Checkpoint::from_bytes(format!("{PREFIX}{name}"), bytes(name)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Pretrained;

    #[test]
    fn every_entry_has_its_file_and_its_card() {
        let entries = zoo().unwrap();
        let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, FILES.map(|(name, _)| name));
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        for entry in &entries {
            let file = std::fs::read(repository.join(&entry.file)).unwrap();
            assert!(
                file == bytes(&entry.name).unwrap(),
                "{}: another file is built in",
                entry.name
            );
            let card = std::fs::read_to_string(repository.join(&entry.card)).unwrap();
            assert!(card.contains(&format!("zoo:{}", entry.name)), "{}", entry.card);
            assert!(card.contains(&entry.sha256), "{}: its checksum", entry.card);
            let Pretrained { network, checkpoint } =
                Pretrained::from_checkpoint(checkpoint(&entry.name).unwrap()).unwrap();
            let side = checkpoint.metadata.side.unwrap();
            let of = format!("{network}, {side}x{side}");
            assert!(entry.architecture.starts_with(&of), "{}: {of}", entry.architecture);
            assert!(!entry.number.is_empty() && entry.number.iter().all(|n| n.value.is_finite()));
            let commands =
                entry.number.iter().all(|number| number.command.starts_with("lapidary "));
            assert!(commands, "{}", entry.name);
        }
    }

    #[cfg(unix)]
    #[test]
    fn files_have_the_checksums_that_the_list_says() {
        for entry in zoo().unwrap() {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(&entry.file);
            let output = std::process::Command::new("sha256sum").arg(file).output().unwrap();
            let found = String::from_utf8(output.stdout).unwrap();
            assert_eq!(
                found.split_whitespace().next(),
                Some(entry.sha256.as_str()),
                "{}",
                entry.name
            );
        }
    }

    #[test]
    fn an_unknown_name_is_told_the_known_ones() {
        let error = bytes("nosuch").unwrap_err().to_string();
        assert!(error.contains("zoo:nosuch") && error.contains("zoo:fashion-demo"), "{error}");
        assert_eq!(name(Path::new("zoo:a")), Some("a"));
        assert_eq!(name(Path::new("zoo/a")), None);
    }
}
