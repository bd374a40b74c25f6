//! `inspect`: describes the network in a checkpoint: architecture, metadata and tensors. It uses no GPU.

use std::fmt::Write;

use super::args;
use super::session::Session;
use super::terminal::printable;
use crate::model::{Kind, Layer, Network};

use crate::ops::{Conv2d, MaxPool, Pad, Unary};
use crate::train::read_named;

/// Runs the command `inspect`, which prints a network's architecture, metadata and tensors.
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
        // Shown above in full, and below as a table.
        if !["mean", "std", "layers"].contains(&key) {
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
    if let Some(layers) = &checkpoint.metadata.layers {
        write!(text, "\n{}", layer_table(layers)?)?;
    }
    writeln!(text)?;
    for (name, shape, count) in &rows {
        writeln!(text, "{name:<names$}  {shape:<shapes$}  {count:>9}")?;
    }
    super::print(&text)
}

/// A line for each layer of an imported network: its number, its operation with the settings, the numbers of the layers that
/// it reads (0 are the images), and its tensors.
fn layer_table(layers: &[Layer]) -> Result<String, std::fmt::Error> {
    let mut rows = vec![["layer", "operation", "reads", "tensors"].map(str::to_owned)];
    for (number, layer) in (1..).zip(layers) {
        let number: usize = number;
        let operation = [layer.kind.name().0.to_owned(), settings(layer.kind)];
        let reads: Vec<String> = layer.inputs.iter().map(usize::to_string).collect();
        let tensors: Vec<String> = layer.weights.iter().map(|(name, _)| printable(name)).collect();
        rows.push([
            number.to_string(),
            operation.join(" ").trim_end().to_owned(),
            reads.join(", "),
            tensors.join(", "),
        ]);
    }
    let [first, second, third] = [0, 1, 2].map(|at| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    });
    let mut text = String::new();
    for [number, operation, reads, tensors] in &rows {
        let line = format!("{number:>first$}  {operation:<second$}  {reads:<third$}  {tensors}");
        writeln!(text, "{}", line.trim_end())?;
    }
    Ok(text)
}

/// The settings of a layer's operation in words; empty where it has none.
fn settings(kind: Kind) -> String {
    match kind {
        Kind::Conv { conv: Conv2d { stride: [sy, sx], padding: [py, px] }, groups } => {
            let groups = if groups == 1 { String::new() } else { format!(", {groups} groups") };
            format!("stride {sy}x{sx}, padding {py}x{px}{groups}")
        }
        Kind::BatchNorm { eps } | Kind::LayerNorm { eps } => format!("eps {eps}"),
        Kind::Scale { factor } => format!("by {factor}"),
        Kind::Unary(Unary::LeakyRelu { slope }) => format!("slope {slope}"),
        Kind::Unary(Unary::Elu { alpha }) => format!("alpha {alpha}"),
        Kind::MaxPool(MaxPool { kernel, stride, padding }) => {
            format!("{kernel}x{kernel}, stride {stride}, padding {padding}")
        }
        Kind::AvgPool { kernel } => format!("{kernel}x{kernel}, stride {kernel}"),
        Kind::LocalMean { reach } => format!("{0}x{0}, stride 1", 2 * reach + 1),
        Kind::Pad(Pad { top, bottom, left, right }) => {
            format!("top {top}, bottom {bottom}, left {left}, right {right}")
        }
        _ => String::new(),
    }
}

#[test]
fn layers_are_a_table() {
    let layers = ["conv 0 / 2 2 1 1 1 / stem.weight@8x3x3x3", "relu 1 / /", "add 1 2 / /"];
    let layers: Vec<Layer> = layers.iter().map(|line| line.parse().unwrap()).collect();
    let wanted = "\
layer  operation                     reads  tensors
    1  conv stride 2x2, padding 1x1  0      stem.weight
    2  relu                          1
    3  add                           1, 2
";
    assert_eq!(layer_table(&layers).unwrap(), wanted);
}
