//! Reads networks from ONNX files: the operators of convolutional classifiers, as exporters write them, become the layers of an
//! [`Imported`] network. Operator sets 11 to 24 are read; those from 13 to 21 have been tested.
//!
//! A file is data here: operators become layers, or the file is refused with a list of the unknown operators and how often each
//! occurs. Nothing is allocated for what the file says before that is compared with its length ([`messages`], [`tensors`]).

mod build;
mod channels;
mod elementwise;
mod messages;
mod nodes;
mod patterns;
mod sides;
mod tensors;
mod whole;
mod windows;

use super::super::imported::{Imported, MOST_LAYERS};
use super::super::{Metadata, StateDict};
use crate::error::listed;
use crate::files::{Checked, Input};
use crate::graph::Shape;
use build::{Builder, Finished, Images, Known, Layout, Map};
use messages::{Fact, Graph, Model, Node, OperatorSet, ValueInfo, level, short};
use prost::bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Seek};
use std::path::Path;
use std::rc::Rc;
use tensors::{Constant, Numbers, Store, shown};
use whole::Whole;

/// The operator sets whose operators have the meaning implemented here.
const OPERATOR_SETS: std::ops::RangeInclusive<i64> = 11..=24;

/// Sides of images where the file leaves them open: above what the deepest network halves.
const OPEN_SIDE: u32 = 64;

/// Returns whether a file with these first bytes can be ONNX: they must be the format's version and then a field of a model.
pub fn begins(first: &[u8; 9]) -> bool {
    matches!(first, [0x08, 1..=0x7f, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42 | 0x72, ..])
        && !first.ends_with(b"{")
}

/// The network, weights and metadata of an ONNX file.
#[derive(Debug)]
pub struct Import {
    pub metadata: Metadata,
    pub weights: StateDict,
    pub notes: Vec<String>,
}

/// Reads a network from an ONNX file; numbers that lie in files beside it are looked for in `folder`.
pub fn read<R: Read + Seek>(input: &mut Input<R>, folder: Option<&Path>) -> Checked<Import> {
    let length = input.length();
    input.section(0, length)?;
    let bytes = Bytes::from(input.bytes(length)?);
    let model: Model = level("an ONNX model", &bytes, &[8, 14, 25])?;
    expect_operators(&model)?;
    let graph = model.graph.as_ref().ok_or("the ONNX file has no graph, or is cut off")?;
    let graph: Graph = level("an ONNX graph", graph, &[1, 5, 11, 12, 15])?;
    if !graph.sparse.is_empty() {
        return Err("the ONNX file holds sparse tensors, which are not read".into());
    }
    let nodes = known_operators(&graph.nodes)?;
    let mut known = HashMap::new();
    for tensor in &graph.tensors {
        let (name, constant) = Constant::new(tensor)?;
        known.insert(name.clone(), known_constant(name, constant));
    }
    let (images, side, name, layout) = images(&graph, &known)?;
    let channels = images.channels();
    known.insert(name, Known::Images(Images::new(layout, channels as usize)));
    let mut builder = Builder::new(images, Store::new(length, folder));
    for node in nodes {
        builder.node(&node, &mut known).map_err(|reason| {
            let name = if node.name.is_empty() { node.outputs.first() } else { Some(&node.name) };
            let name = name.map_or_else(String::new, |name| format!(" {}", shown(name)));
            format!("operator {}{name} cannot be read: {reason}", shown(&node.operator))
        })?;
    }
    let logits = logits(&graph, &known, &mut builder)?;
    let classes = builder.shape(Map { value: logits, layout: Layout::Matrix })?.channels();
    let Finished { layers, weights, normalisation, notes } = builder.finish(logits);
    let ours = facts(&model)?;
    // Files of others have it among their first layers, or do not say it.
    let told = normalisation.is_some() || ours.architecture.is_some();
    let network = Imported::new(layers, images.channels(), classes, normalisation);
    let described = network.map_err(|error| error.to_string())?.metadata();
    let metadata = Metadata {
        architecture: described.architecture.filter(|_| told),
        side: side.or(ours.side),
        class_names: ours.class_names,
        fit: ours.fit,
        preset: ours.preset,
        ..described
    };
    Ok(Import { metadata, weights, notes })
}

/// Err unless the file says one of the sets of operators that are read.
fn expect_operators(model: &Model) -> Checked<()> {
    let mut said = None;
    for set in model.operators.iter().take(64) {
        let OperatorSet { domain, version } = short("a set of operators", set)?;
        said = said.or(ours(&domain).then_some(version));
    }
    let version =
        said.ok_or("the file does not say its operator set: it is cut off, or not an ONNX file")?;
    if OPERATOR_SETS.contains(&version) {
        return Ok(());
    }
    let (first, last) = (OPERATOR_SETS.start(), OPERATOR_SETS.end());
    Err(format!(
        "operator set {version} is not read, only {first} to {last}: export the network with one of these"
    ))
}

/// Whether a domain's operators are those of the ONNX standard.
fn ours(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

/// Reads all nodes. Err with names and counts of unknown operators.
fn known_operators(nodes: &[Bytes]) -> Checked<Vec<Node>> {
    if nodes.len() > MOST_LAYERS {
        return Err(format!(
            "the network has {} nodes, but at most {MOST_LAYERS} are read",
            nodes.len()
        ));
    }
    let mut unknown: BTreeMap<String, usize> = BTreeMap::new();
    let mut all = Vec::new();
    for node in nodes {
        let node: Node = level("a node", node, &[1, 2, 5])?;
        if !ours(&node.domain) || !nodes::KNOWN.contains(&node.operator.as_str()) {
            let domain =
                if ours(&node.domain) { String::new() } else { format!("{}.", node.domain) };
            *unknown.entry(shown(&format!("{domain}{}", node.operator))).or_default() += 1;
        }
        all.push(node);
    }
    if unknown.is_empty() {
        return Ok(all);
    }
    let mut unknown: Vec<_> = unknown.into_iter().collect();
    unknown.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let counted: Vec<_> = unknown.iter().map(|(name, count)| format!("{name} ({count})")).collect();
    Err(format!("the network has operators that are not read: {}", listed(&counted)))
}

fn known_constant(name: String, constant: Constant) -> Known {
    match constant.numbers {
        Numbers::Whole(numbers) => Known::Whole(Whole {
            numbers: numbers.into_iter().map(Some).collect(),
            sides: constant.sides,
        }),
        _ => Known::Constant(name, Rc::new(constant)),
    }
}

/// Shape of the images, their side where the file says one, name and layout: the one input that is no constant.
fn images(
    graph: &Graph,
    known: &HashMap<String, Known>,
) -> Checked<(Shape, Option<u32>, String, Layout)> {
    let mut found = Vec::new();
    for input in &graph.inputs {
        let info: ValueInfo = short("an input", input)?;
        if !known.contains_key(&info.name) {
            found.push(info);
        }
    }
    let names: Vec<String> = found.iter().take(9).map(|info| shown(&info.name)).collect();
    let [ValueInfo { name, kind }] = &found[..] else {
        if names.is_empty() {
            return Err(
                "the network has no input but constants, where images have to be one".into()
            );
        }
        return Err(format!(
            "the network has the inputs {}, but images have to be the only one",
            names.join(", ")
        ));
    };
    let tensor = kind.as_ref().and_then(|kind| kind.tensor.as_ref());
    let tensor =
        tensor.ok_or_else(|| format!("the network's input {} is not a tensor", shown(name)))?;
    if ![1, 10, 11, 16].contains(&tensor.kind) {
        return Err(format!(
            "the network's input images have ONNX's type {}, but have to be floats in [0, 1]",
            tensor.kind
        ));
    }
    let sides = tensor.shape.as_ref().map(|shape| shape.sides.iter().map(|side| side.number));
    let sides: Vec<Option<i64>> = sides.into_iter().flatten().collect();
    let number =
        |side: Option<i64>| side.and_then(|side| u32::try_from(side).ok()).filter(|&side| side > 0);
    let [batch, a, b, c] = sides[..] else {
        return Err(format!(
            "the network's input images have {} dimensions, but have to have 4: [N, C, H, W] or [N, H, W, C]",
            sides.len()
        ));
    };
    let usual = |side: Option<i64>| number(side).filter(|side| [1, 3].contains(side));
    let possible = |side: Option<i64>| number(side).filter(|side| (1..=4).contains(side));
    // Of sides that can be both, the one that most networks have for channels.
    let first = usual(a).or_else(|| possible(a).filter(|_| usual(c).is_none()));
    let (layout, channels, height, width) = match (first, possible(c)) {
        (Some(channels), _) => (Layout::Nchw, channels, b, c),
        (None, Some(channels)) => (Layout::Nhwc, channels, a, b),
        _ => {
            return Err(
                "the network's input images have no fixed number of channels from 1 to 4".into()
            );
        }
    };
    let side = |side| number(side).filter(|&side| side <= 16_384);
    let square = side(height).filter(|_| side(height) == side(width));
    let [height, width] = [height, width].map(|given| side(given).unwrap_or(OPEN_SIDE));
    let batch = number(batch).filter(|&batch| batch <= 1024).unwrap_or(1);
    let shape = Shape::new(batch, channels, height, width).map_err(|error| error.to_string())?;
    Ok((shape, square, name.clone(), layout))
}

/// Finds the first output with one number for each class, before any softmax; notes say what was left out.
fn logits(graph: &Graph, known: &HashMap<String, Known>, builder: &mut Builder) -> Checked<usize> {
    let mut found = None;
    let mut others = Vec::new();
    for output in &graph.outputs {
        let ValueInfo { name, .. } = short("an output", output)?;
        let (map, softmax) = match known.get(&name) {
            Some(Known::Softmax(map)) => (*map, true),
            Some(Known::Map(map)) => (*map, false),
            _ => {
                others.push(shown(&name));
                continue;
            }
        };
        if found.is_some() || builder.shape(map)?.pixels() != 1 {
            others.push(shown(&name));
            continue;
        }
        if softmax {
            builder.notes.push("the softmax at the end is left out, to have logits".into());
        }
        found = Some(map.value);
    }
    if !others.is_empty() {
        others.truncate(9);
        builder.notes.push(format!("outputs left out: {}", others.join(", ")));
    }
    found.ok_or_else(|| "none of the network's outputs has one number for each class".into())
}

/// Reads the metadata that this library writes into its own ONNX files.
fn facts(model: &Model) -> Checked<Metadata> {
    let mut strings = BTreeMap::new();
    for fact in &model.facts {
        let Fact { key, value } = short("an entry of the metadata", fact)?;
        if key.starts_with("lapidary.") {
            strings.insert(key, value);
        }
    }
    Metadata::from_file(strings, &mut Vec::new())
}
