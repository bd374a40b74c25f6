//! `models`: lists the trained networks that come with the program, or describes one.

use std::fmt::Write;

use super::args;
use super::exit::Failure;
use crate::train::zoo;

/// Runs the command `models`, which lists the networks that come with the program, or describes one.
pub fn run(args: &args::Models) -> anyhow::Result<()> {
    let entries = zoo::zoo()?;
    let mut text = String::new();
    match &args.name {
        None => {
            let width = entries.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
            for entry in &entries {
                let size = zoo::bytes(&entry.name)?.len().div_ceil(1000);
                let zoo::Entry { name, architecture, data, licence, .. } = entry;
                writeln!(text, "zoo:{name:<width$}  {architecture}, {size} kB, {licence}: {data}")?;
            }
        }
        Some(name) => {
            let name = name.strip_prefix("zoo:").unwrap_or(name);
            let Some(entry) = entries.iter().find(|entry| entry.name == name) else {
                let known: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
                let words = format!(
                    "models {name}: no network of this name comes with the program; there are {}",
                    known.join(", ")
                );
                return Err(Failure::Usage(words).into());
            };
            let facts = [
                ("checkpoint", format!("zoo:{name}")),
                ("architecture", entry.architecture.clone()),
                ("trained on", entry.data.clone()),
                ("licence", entry.licence.clone()),
                ("file", entry.file.clone()),
                ("sha256", entry.sha256.clone()),
                ("card", entry.card.clone()),
            ];
            for (what, value) in facts {
                writeln!(text, "{what:<14}{value}")?;
            }
            for number in &entry.number {
                let zoo::Number { what, value, command } = number;
                writeln!(text, "{value:<14}{what}: {command}")?;
            }
        }
    }
    super::print(&text)
}
