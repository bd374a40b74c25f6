//! `inspect`: describes the network in a checkpoint: architecture, metadata and tensors. It uses no GPU.

use std::fmt::Write;

use super::args;
use super::session::Session;
use super::terminal::printable;
use crate::model::Network;
use crate::train::read_named;

/// Prints architecture, metadata and tensors.
pub fn run(_session: &Session, args: &args::Inspect) -> anyhow::Result<()> {
    let checkpoint = read_named(&args.file)?;
    let mut text = String::new();
    // Names and strings are the file's: escape sequences in them must not reach a terminal.
    let mut fact =
        |name: &str, value: String| writeln!(text, "{:<14}{}", printable(name), printable(&value));
    fact("file", checkpoint.source.display().to_string())?;
    match Network::from_checkpoint(&checkpoint) {
        Ok(net) => {
            let (channels, classes) = (net.channels(), net.classes());
            let activation = net.activation();
            let shown = format!("{net}, {activation}, {channels} channels in, {classes} classes");
            fact("architecture", shown)?;
            if let Some(by) = Network::told_by(&checkpoint) {
                fact("told by", by)?;
            }
            if net.asks_activation() && !checkpoint.metadata.tells_activation() {
                fact("activation", "not in the file: convert asks for it".into())?;
            }
            fact("parameters", net.count().to_string())?;
            let normalisation = net.normalisation();
            let untold = if checkpoint.metadata.tells_normalisation() {
                "none"
            } else {
                "not in the file: convert asks for it"
            };
            let shown = normalisation.map_or(untold.into(), |by| {
                format!("(x - mean) / std, mean {:?}, std {:?}", by.mean, by.std)
            });
            fact("normalisation", shown)?;
        }
        Err(error) => fact("architecture", format!("not recognised: {error}"))?,
    }
    if let Err(error) = checkpoint.check_finite() {
        fact("unsound", error.to_string())?;
    }
    for note in &checkpoint.notes {
        fact("note", note.clone())?;
    }
    for (key, value) in checkpoint.metadata.to_strings() {
        let key = key.strip_prefix("lapidary.").unwrap_or(&key);
        // Shown above, in full.
        if key != "mean" && key != "std" {
            fact(key, value)?;
        }
    }
    let tensors = &checkpoint.weights;
    let values: usize = tensors.iter().map(|(_, tensor)| tensor.data.len()).sum();
    fact("tensors", format!("{}, {values} values", tensors.len()))?;
    let rows: Vec<_> = tensors
        .iter()
        .map(|(name, tensor)| (printable(name), format!("{:?}", tensor.shape), tensor.data.len()))
        .collect();
    let width = |of: fn(&(String, String, usize)) -> usize| rows.iter().map(of).max().unwrap_or(0);
    let (names, shapes) = (width(|row| row.0.len()), width(|row| row.1.len()));
    writeln!(text)?;
    for (name, shape, count) in &rows {
        writeln!(text, "{name:<names$}  {shape:<shapes$}  {count:>9}")?;
    }
    super::print(&text)
}
