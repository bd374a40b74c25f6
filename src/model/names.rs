//! Translates tensors' names of other implementations (timm, robustness, ...) into the names used here, and reads from
//! them facts about a network that shapes do not show: each naming scheme is recognised by a tensor that only it has.

use super::{Activation, Metadata, Variant};
use std::collections::BTreeSet;

/// A way of writing a network.
struct Scheme {
    /// The name of the scheme, for messages.
    name: &'static str,
    /// Tensor names that must all be there, and one that must not.
    marks: &'static [&'static str],
    without: &'static str,
    /// Translates one name; None for a tensor that is no part of the network.
    rename: fn(&str) -> Option<String>,
    variant: Option<Variant>,
    activation: Option<Activation>,
}

const SCHEMES: [Scheme; 5] = [
    Scheme {
        name: "a wide residual network as DeepMind writes it: SiLU unless told otherwise, and convolutions of stride 2 \
               padded below and to the right only",
        marks: &["init_conv.weight", "layer.0.block.0.conv_0.weight"],
        without: "",
        rename: deepmind,
        variant: Some(Variant::DeepMind),
        activation: Some(Activation::Silu),
    },
    Scheme {
        name: "a wide residual network as JEM writes it: biases, no normalisation layers, LeakyReLU of slope 0.2",
        marks: &["layer1.0.conv1.bias", "layer1.0.conv2.bias", "layer2.0.shortcut.0.bias"],
        without: "layer1.0.bn1.weight",
        rename: jem,
        variant: Some(Variant::Jem),
        activation: Some(Activation::LeakyRelu),
    },
    Scheme {
        name: "a residual network with pre-activation blocks",
        marks: &["layer1.0.bn1.weight", "layer1.0.conv2.weight", "layer2.0.shortcut.0.weight"],
        without: "layer2.0.shortcut.1.weight",
        rename: preact,
        variant: None,
        activation: None,
    },
    Scheme {
        name: "a residual network for small images: shortcut and linear where torchvision has downsample and fc",
        marks: &["layer1.0.bn1.weight", "layer2.0.shortcut.1.weight", "linear.weight"],
        without: "",
        rename: shortcut,
        variant: None,
        activation: None,
    },
    Scheme {
        name: "a wide residual network of RobustBench's, whose sub_block1 is never run",
        marks: &["sub_block1.layer.0.conv1.weight", "block1.layer.0.conv1.weight"],
        without: "",
        rename: |name| (!name.starts_with("sub_block1.")).then(|| name.into()),
        variant: None,
        activation: None,
    },
];

/// Renames tensors that follow a known scheme, and adds facts to the metadata that the scheme implies and the metadata
/// leave open. The returned note names the scheme.
pub fn unify<T>(tensors: &mut Vec<(String, T)>, metadata: &mut Metadata) -> Option<String> {
    let names: BTreeSet<&str> = tensors.iter().map(|(name, _)| name.as_str()).collect();
    let meant = |scheme: &&Scheme| {
        scheme.marks.iter().all(|mark| names.contains(mark)) && !names.contains(scheme.without)
    };
    let Scheme { name, rename, variant, activation, .. } = SCHEMES.iter().find(meant)?;
    // JEM's network has a last layer of its own that is replaced by this one.
    let replaced = names.contains("class_output.weight");
    tensors.retain(|(name, _)| !(replaced && name.starts_with("linear.")));
    let renamed = tensors.drain(..).filter_map(|(name, tensor)| Some((rename(&name)?, tensor)));
    *tensors = renamed.collect();
    metadata.variant = metadata.variant.or(*variant);
    metadata.activation = metadata.activation.or(*activation);
    Some(format!("written as {name}"))
}

/// `block1.layer.0.` of a stage and a place.
fn block(stage: u32, place: &str) -> String {
    format!("block{stage}.layer.{place}.")
}

/// Splits a name into the numbers that follow `first` and `second`, and the rest.
fn numbered<'a>(name: &'a str, first: &str, second: &str) -> Option<(u32, &'a str, &'a str)> {
    let (stage, rest) = name.strip_prefix(first)?.split_once('.')?;
    let (place, rest) = rest.strip_prefix(second)?.split_once('.')?;
    place.parse::<u32>().ok()?;
    Some((stage.parse().ok().filter(|&stage: &u32| stage < 100)?, place, rest))
}

fn replaced(rest: &str, pairs: &[(&str, &str)]) -> String {
    let found =
        pairs.iter().find_map(|(from, to)| Some(format!("{to}{}", rest.strip_prefix(from)?)));
    found.unwrap_or_else(|| rest.into())
}

fn deepmind(name: &str) -> Option<String> {
    const INNER: [(&str, &str); 5] = [
        ("batchnorm_0.", "bn1."),
        ("conv_0.", "conv1."),
        ("batchnorm_1.", "bn2."),
        ("conv_1.", "conv2."),
        ("shortcut.", "convShortcut."),
    ];
    const OUTER: [(&str, &str); 3] =
        [("init_conv.", "conv1."), ("batchnorm.", "bn1."), ("logits.", "fc.")];
    Some(match numbered(name, "layer.", "block.") {
        Some((stage, place, rest)) => block(stage + 1, place) + &replaced(rest, &INNER),
        None => replaced(name, &OUTER),
    })
}

fn jem(name: &str) -> Option<String> {
    if name.starts_with("energy_output.") {
        return None;
    }
    Some(match numbered(name, "layer", "") {
        Some((stage, place, rest)) => {
            block(stage, place) + &replaced(rest, &[("shortcut.0.", "convShortcut.")])
        }
        None => replaced(name, &[("class_output.", "fc."), ("linear.", "fc.")]),
    })
}

fn preact(name: &str) -> Option<String> {
    Some(match numbered(name, "layer", "") {
        Some((stage, place, rest)) => {
            format!("layer{stage}.{place}.") + &replaced(rest, &[("shortcut.0.", "convShortcut.")])
        }
        None => replaced(name, &[("linear.", "fc.")]),
    })
}

fn shortcut(name: &str) -> Option<String> {
    Some(match numbered(name, "layer", "") {
        Some((stage, place, rest)) => {
            format!("layer{stage}.{place}.") + &replaced(rest, &[("shortcut.", "downsample.")])
        }
        None => replaced(name, &[("linear.", "fc.")]),
    })
}
