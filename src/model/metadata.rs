//! The metadata of a checkpoint: architecture, normalisation, class names and all else that it holds beside the weights.

use super::imported::{Layer, MOST_LAYERS};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// The prefix of this program's keys in a file's metadata.
const OURS: &str = "lapidary.";

/// The largest side of images that anybody has a network for.
const MOST_SIDE: u32 = 16_384;

/// The activation function after each normalisation layer of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Activation {
    /// ReLU: max(x, 0).
    #[default]
    Relu,
    /// SiLU, also called swish: x / (1 + exp(-x)).
    Silu,
    /// Leaky ReLU with slope 0.2: max(x, 0.2 x), as in JEM's networks.
    LeakyRelu,
}

impl Activation {
    /// Returns the activation's name in checkpoints and configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Silu => "silu",
            Self::LeakyRelu => "leaky-relu",
        }
    }

    /// Reads an activation's name: `relu`, `silu` or `swish`, `leaky-relu`.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "relu" => Some(Self::Relu),
            "silu" | "swish" => Some(Self::Silu),
            "leaky-relu" => Some(Self::LeakyRelu),
            _ => None,
        }
    }
}

/// A variant of wide residual networks that differs from the usual one in more than its sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The variant of Gowal and others 2020 (arXiv 2010.03593), whose convolutions of stride 2 pad with zeros below and to the
    /// right only.
    DeepMind,
    /// The variant of Grathwohl and others 2020 (arXiv 1912.03263): no normalisation layers, biases, the stride in a
    /// block's second convolution, and a shortcut that takes the block's input before any activation.
    Jem,
}

impl Variant {
    /// Returns the variant's name in checkpoints.
    pub fn name(self) -> &'static str {
        match self {
            Self::DeepMind => "deepmind",
            Self::Jem => "jem",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::DeepMind, Self::Jem].into_iter().find(|variant| variant.name() == name)
    }
}

/// The normalisation of a network's input, (x - mean) / std for each channel. It belongs to the model, so that no caller can
/// apply it twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalisation {
    /// The mean to subtract, one number for each channel.
    pub mean: Vec<f32>,
    /// The standard deviation of each channel, above 0.
    pub std: Vec<f32>,
}

impl Normalisation {
    /// Returns the same normalisation for images in \[0, 1\], if its numbers can only be meant for pixels of 0 to 255; else None.
    pub fn of_bytes(&self) -> Option<Self> {
        // No mean of images in [0, 1] is above 1, and what divides by more than 2 makes next to nothing of them.
        let large =
            self.mean.iter().any(|&mean| mean > 1.0) || self.std.iter().any(|&std| std > 2.0);
        let less = |all: &[f32]| all.iter().map(|number| number / 255.0).collect();
        large.then(|| Self { mean: less(&self.mean), std: less(&self.std) })
    }
}

/// The stem of a ConvNeXt: the first layers, which read the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stem {
    /// One 4x4 convolution of stride 4 ("patchify").
    Patch,
    /// 3x3 convolutions, each followed by a layer norm and a GELU.
    Convs {
        /// The number of output channels of each convolution.
        channels: Vec<u32>,
        /// The stride of each convolution.
        strides: Vec<u32>,
    },
}

/// What a checkpoint says about its network beside the weights. All is optional: files of other tools have only some of it, and
/// the tensors' shapes show the rest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// The architecture: `wrn`, `preact-resnet`, `resnet`, `convnext` or `imported`.
    pub architecture: Option<String>,
    /// The variant of a wide residual network; none for the usual one.
    pub variant: Option<Variant>,
    /// The number of layers of a wide residual network, such as 34 of WRN-34-10.
    pub depth: Option<u32>,
    /// The widening factor of a wide residual network, such as 10 of WRN-34-10.
    pub width: Option<u32>,
    /// The number of blocks in each stage of a ResNet or ConvNeXt.
    pub depths: Option<Vec<u32>>,
    /// The number of channels in each stage of a ConvNeXt; in a ResNet, a fourth of the channels that each stage puts out.
    pub dims: Option<Vec<u32>>,
    /// The base width of a ResNet, from which its blocks' inner channels follow: in the first stage these are `base_width` ·
    /// `dims[0]` / 64.
    pub base_width: Option<u32>,
    /// The stem, which is the first layers of the network: set for a ConvNeXt, and for a ResNet only if it is one convolution for
    /// small images.
    pub stem: Option<Stem>,
    /// Whether a ResNet has blocks of two convolutions, and not bottlenecks.
    pub basic: Option<bool>,
    /// Whether a pre-activation ResNet normalises its last feature maps.
    pub closing: Option<bool>,
    /// The layers of an imported network, from images to logits.
    pub layers: Option<Vec<Layer>>,
    /// The number of classes, which is the number of logits.
    pub classes: Option<u32>,
    /// The names of the classes, by label.
    pub class_names: Option<Vec<String>>,
    /// The number of channels of the images.
    pub channels: Option<u32>,
    /// The activation function after each normalisation layer.
    pub activation: Option<Activation>,
    /// The normalisation of the input; `None` where the network takes images as they are.
    pub normalisation: Option<Normalisation>,
    /// The height and width of the images that the network was trained on.
    pub side: Option<u32>,
    /// How pictures of other sizes are fitted to `side`: the name of a `data::Fit`.
    pub fit: Option<String>,
    /// The configuration or preset that the network was trained with.
    pub preset: Option<String>,
    /// The number of training iterations that were done before the file was written.
    pub step: Option<u64>,
    /// The version of lapidary that wrote the file.
    pub version: Option<String>,
    /// All other keys in the file's metadata, with their texts.
    pub other: BTreeMap<String, String>,
}

impl Metadata {
    /// Returns whether the file says how images are normalised: a file of this program does (without a mean and deviation in it,
    /// there is no normalisation); a file of another program only by naming a mean and deviation.
    pub fn tells_normalisation(&self) -> bool {
        self.normalisation.is_some() || self.architecture.is_some()
    }

    /// Returns whether the file says which activation follows normalisation layers: a file of this program does, even if no
    /// activation is named in it; a file of another program only by naming it.
    pub fn tells_activation(&self) -> bool {
        self.activation.is_some() || self.architecture.is_some()
    }

    /// Returns the metadata as the strings of a safetensors header.
    pub fn to_strings(&self) -> BTreeMap<String, String> {
        // Through f64, whose decimals give the same f32 back.
        let numbers = |values: &[f32]| {
            let values: Vec<f64> = values.iter().map(|&value| value.into()).collect();
            Json::from(values).to_string()
        };
        let mut strings = self.other.clone();
        let mut set = |key: &str, value: Option<String>| {
            value.map(|value| strings.insert(format!("{OURS}{key}"), value));
        };
        set("architecture", self.architecture.clone());
        set("variant", self.variant.map(|variant| variant.name().into()));
        set("basic", self.basic.map(|basic| basic.to_string()));
        set("closing", self.closing.map(|closing| closing.to_string()));
        set("depth", self.depth.map(|depth| depth.to_string()));
        set("widen", self.width.map(|width| width.to_string()));
        let list = |list: &Vec<u32>| Json::from(list.clone()).to_string();
        set("depths", self.depths.as_ref().map(list));
        set("dims", self.dims.as_ref().map(list));
        set("base_width", self.base_width.map(|width| width.to_string()));
        set("stem", self.stem.as_ref().map(|stem| stem.to_json().to_string()));
        let lines = |layers: &Vec<Layer>| {
            layers.iter().map(Layer::to_string).collect::<Vec<_>>().join("\n")
        };
        set("layers", self.layers.as_ref().map(lines));
        set("classes", self.classes.map(|classes| classes.to_string()));
        set(
            "class_names",
            self.class_names.as_ref().map(|names| Json::from(names.clone()).to_string()),
        );
        set("channels", self.channels.map(|channels| channels.to_string()));
        set("act", self.activation.map(|activation| activation.name().into()));
        set("mean", self.normalisation.as_ref().map(|normalisation| numbers(&normalisation.mean)));
        set("std", self.normalisation.as_ref().map(|normalisation| numbers(&normalisation.std)));
        set("side", self.side.map(|side| side.to_string()));
        set("fit", self.fit.clone());
        set("preset", self.preset.clone());
        set("step", self.step.map(|step| step.to_string()));
        set("version", self.version.clone());
        strings
    }

    /// Reads metadata from the strings in a file's header. Keys that begin with `lapidary.` are this program's; in files
    /// of its first versions, which have a key `lapidary`, all keys are. Another program's value under the same key is
    /// taken if it is valid; if not, it stays among the other strings, with a note. Err, with the reason, for an invalid
    /// value of this program.
    pub fn from_file(
        strings: BTreeMap<String, String>,
        notes: &mut Vec<String>,
    ) -> Result<Self, String> {
        if strings.contains_key("lapidary") || strings.contains_key("params") {
            return Self::from_strings(strings);
        }
        let architecture = strings.get("architecture").map(String::as_str);
        if let (Some("wrn" | "preact-resnet" | "resnet" | "convnext"), Ok(metadata)) =
            (architecture, Self::from_strings(strings.clone()))
        {
            return Ok(metadata);
        }
        let (ours, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            strings.into_iter().partition(|(key, _)| key.starts_with(OURS));
        if !ours.is_empty() {
            let bare = |(key, value): (String, String)| match key.strip_prefix(OURS) {
                Some("version") => ("lapidary".to_owned(), value),
                Some(key) => (key.to_owned(), value),
                None => (key, value),
            };
            let metadata = Self::from_strings(ours.into_iter().map(bare).collect())?;
            return Ok(Self {
                other: others.into_iter().chain(metadata.other).collect(),
                ..metadata
            });
        }
        // Each alone, so that one that is not meant for us leaves the rest; a mean is nothing without its deviation.
        let mut found = Self::default();
        let mut left = others;
        for keys in [&["mean", "std"][..], &["side"], &["class_names"], &["act"]] {
            let some: BTreeMap<_, _> = keys
                .iter()
                .filter_map(|&key| Some((key.to_owned(), left.get(key)?.clone())))
                .collect();
            if some.is_empty() {
                continue;
            }
            match Self::from_strings(some) {
                Ok(Self { normalisation, side, class_names, activation, .. }) => {
                    found.normalisation = found.normalisation.or(normalisation);
                    found.side = found.side.or(side);
                    found.class_names = found.class_names.or(class_names);
                    found.activation = found.activation.or(activation);
                    keys.iter().for_each(|&key| drop(left.remove(key)));
                }
                Err(reason) => notes.push(format!("ignored {reason}")),
            }
        }
        Ok(Self { other: left, ..found })
    }

    /// Reads metadata from keys without the prefix `lapidary.`, or from those of the golden test files, whose `params` is a JSON
    /// object with the same keys. Err, with the reason, for an invalid value.
    pub fn from_strings(mut strings: BTreeMap<String, String>) -> Result<Self, String> {
        let params = match strings.remove("params").map(|text| (serde_json::from_str(&text), text))
        {
            Some((Ok(Json::Object(params)), _)) => params,
            Some((_, text)) => {
                strings.insert("params".into(), text);
                Default::default()
            }
            None => Default::default(),
        };
        let mut take = |key: &str| -> Option<Json> {
            let Some(text) = strings.remove(key) else { return params.get(key).cloned() };
            Some(serde_json::from_str(&text).unwrap_or(Json::String(text)))
        };
        let [architecture, arch] = ["architecture", "arch"].map(|key| take(key).map(text));
        let [preset, version, fit, fit_before] =
            ["preset", "lapidary", "fit", "lapidary.fit"].map(|key| take(key).map(text));
        let normalisation = match (take("mean"), take("std")) {
            (None | Some(Json::Null), None | Some(Json::Null)) => None,
            (mean, std) => {
                Some(Normalisation { mean: numbers("mean", mean)?, std: numbers("std", std)? })
            }
        };
        let activation = take("act").map(text);
        let unknown =
            |name: &String| format!("metadata: act is {name}, not relu, silu or leaky-relu");
        let parsed = activation.map(|name| Activation::parse(&name).ok_or_else(|| unknown(&name)));
        let variant = take("variant").map(text);
        let unknown = |name: String| format!("metadata: variant {name}, not deepmind or jem");
        let variant = variant.map(|name| Variant::parse(&name).ok_or_else(|| unknown(name)));
        let [basic, closing] = ["basic", "closing"].map(|key| {
            let bool = |json: Json| {
                json.as_bool().ok_or(format!("metadata: {key} is neither true nor false"))
            };
            take(key).map(bool).transpose()
        });
        let [depth, width, classes, side, step, base_width] =
            ["depth", "widen", "classes", "side", "step", "base_width"].map(|key| (key, take(key)));
        // Of a ResNet the golden files call depths layers, and dims channels; an imported network's are lines.
        let [depths, layers, dims, channels] =
            ["depths", "layers", "dims", "channels"].map(&mut take);
        let (layers, lines) = match layers {
            Some(Json::String(lines)) => (None, Some(lines)),
            layers => (layers, None),
        };
        let lines =
            lines.map(|lines| lines.lines().take(MOST_LAYERS + 1).map(str::parse).collect());
        let lines: Option<Vec<Layer>> =
            lines.transpose().map_err(|reason: String| format!("metadata: {reason}"))?;
        let (channels, dims) = match channels {
            Some(Json::Array(list)) => (None, dims.or(Some(Json::Array(list)))),
            channels => (channels, dims),
        };
        let (depths, dims) = (counts("depths", depths.or(layers))?, counts("dims", dims)?);
        let class_names = take("class_names").map(names).transpose()?;
        let stem = take("stem").map(|json| Stem::from_json(&json)).transpose()?;
        Ok(Self {
            architecture: architecture.or(arch),
            variant: variant.transpose()?,
            basic: basic?,
            closing: closing?,
            depth: count(depth)?,
            width: count(width)?,
            layers: lines,
            classes: count(classes)?,
            class_names,
            depths,
            dims,
            base_width: count(base_width)?,
            stem,
            channels: count(("channels", channels))?,
            activation: parsed.transpose()?,
            normalisation,
            side: count(side)?.map(sensible).transpose()?,
            fit: fit.or(fit_before),
            preset,
            step: count(step)?,
            version,
            other: strings,
        })
    }
}

impl Stem {
    /// `"patch"`, or lists of channels and strides.
    pub(super) fn to_json(&self) -> Json {
        match self {
            Self::Patch => "patch".into(),
            Self::Convs { channels, strides } => {
                serde_json::json!({ "channels": channels, "strides": strides })
            }
        }
    }

    fn from_json(json: &Json) -> Result<Self, String> {
        if json.as_str() == Some("patch") {
            return Ok(Self::Patch);
        }
        let list = |key| counts(key, json.get(key).cloned()).ok().flatten();
        match (list("channels"), list("strides")) {
            (Some(channels), Some(strides)) => Ok(Self::Convs { channels, strides }),
            _ => Err(format!(
                "metadata: stem is {json}, but has to be `patch` or lists of channels and strides"
            )),
        }
    }
}

/// Turns JSON into text: a string as it is, anything else as its JSON, for example a preset named `10`.
fn text(json: Json) -> String {
    match json {
        Json::String(text) => text,
        other => other.to_string(),
    }
}

fn names(json: Json) -> Result<Vec<String>, String> {
    let name = |json: &Json| json.as_str().map(str::to_owned);
    let names = json.as_array().and_then(|list| list.iter().map(name).collect());
    names.ok_or_else(|| format!("metadata: class_names is {json}, but has to be a list of strings"))
}

fn count<T: TryFrom<u64>>((key, json): (&str, Option<Json>)) -> Result<Option<T>, String> {
    let Some(json) = json else { return Ok(None) };
    let number = json.as_u64().and_then(|number| T::try_from(number).ok());
    number.map(Some).ok_or_else(|| {
        format!(
            "metadata: {key} is {json}, but has to be a whole number from 0 to below 2^{}",
            8 * size_of::<T>()
        )
    })
}

/// Checks a side of images. Err if it is 0 or above MOST_SIDE.
fn sensible(side: u32) -> Result<u32, String> {
    let wrong = || format!("metadata: side is {side}, not 1 to {MOST_SIDE}");
    (1..=MOST_SIDE).contains(&side).then_some(side).ok_or_else(wrong)
}

fn counts(key: &str, json: Option<Json>) -> Result<Option<Vec<u32>>, String> {
    let Some(json) = json else { return Ok(None) };
    let number = |json: &Json| json.as_u64().and_then(|number| number.try_into().ok());
    let list = json.as_array().and_then(|list| list.iter().map(number).collect());
    list.map(Some).ok_or_else(|| {
        format!(
            "metadata: {key} is {json}, but has to be a list of whole numbers from 0 to below 2^32"
        )
    })
}

fn numbers(key: &str, json: Option<Json>) -> Result<Vec<f32>, String> {
    let values = json.as_ref().and_then(Json::as_array).map(|values| {
        values.iter().map(|value| value.as_f64().map(|value| value as f32)).collect()
    });
    let wrong = || {
        let given = json.as_ref().map_or("missing".into(), Json::to_string);
        format!("metadata: {key} is {given}, not a list of numbers")
    };
    values.flatten().ok_or_else(wrong)
}
