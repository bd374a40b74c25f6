//! `convert`: writes a checkpoint of another tool as safetensors, or a network as ONNX. It uses no GPU.

use std::fmt::Write;
use std::path::Path;

use super::args;
use super::exit::Failure;
use super::session::Session;
use crate::Error;
use crate::model::checkpoint::{FilePrecision, Renames, StateDictChoice};
use crate::model::onnx::export;
use crate::model::{Activation, Checkpoint, Network, Normalisation, Parameter, StateDict};
use crate::train::{find, zoo};

/// Runs the command `convert`: reads, completes and writes a checkpoint, and prints what was read and what was left out.
pub fn run(_session: &Session, args: &args::Convert) -> anyhow::Result<()> {
    let format = Format::of(&args.out)?;
    let part = args.weights.as_deref().map(StateDictChoice::from).unwrap_or_default();
    let renames = Renames { rename: args.rename.clone(), drop: args.drop.clone() };
    let mut checkpoint = match zoo::name(&args.file) {
        Some(_) if args.weights.is_some() || !args.rename.is_empty() || !args.drop.is_empty() => {
            let text = "--weights, --rename and --drop are for files: a network of the zoo has a single set of weights, already under this program's names";
            return Err(Failure::Usage(text.into()).into());
        }
        Some(name) => zoo::checkpoint(name)?,
        None => Checkpoint::read_renamed(find(&args.file)?, &part, &renames)?,
    };
    checkpoint.check_finite()?;
    complete(&mut checkpoint, args)?;
    let mut text = String::new();
    let mut fact = |name: &str, value: String| writeln!(text, "{name:<14}{value}");
    fact("read", checkpoint.source.display().to_string())?;
    if let Some(part) = checkpoint.metadata.other.get("part") {
        fact("part", part.clone())?;
    }
    for note in &checkpoint.notes {
        fact("note", note.clone())?;
    }

    let net = Network::meant_by(&checkpoint)?;
    if net.asks_activation() && !checkpoint.metadata.tells_activation() {
        return Err(Failure::Usage(format!(
            "{} is a {net}, whose tensors do not say which activation follows its normalisation layers: --activation relu or --activation silu is needed",
            checkpoint.source.display()
        ))
        .into());
    }
    if let Some(asked) = args.activation.map(Activation::from)
        && asked.name() != net.activation()
    {
        let (asked, own) = (asked.name(), net.activation());
        fact("note", format!("--activation {asked} has no effect: a {net} has {own}"))?;
    }
    if args.no_strict {
        for line in
            checkpoint.weights.differences(&net.parameters()).iter().flat_map(|all| all.lines())
        {
            fact("not strict", line.trim_start().into())?;
        }
        checkpoint.weights = fitting(checkpoint.weights, &net.parameters());
    }
    // What is missing no option can make up for.
    checkpoint.check(&net.parameters())?;
    let (activation, channels, classes) = (net.activation(), net.channels(), net.classes());
    fact("network", format!("{net}, {activation}, {channels} channels in, {classes} classes"))?;
    let (side, fit) = (checkpoint.metadata.side, checkpoint.metadata.fit.take());
    let class_names = class_names(&mut checkpoint, &args.class_names, classes)?;
    let (preset, step, other) = (
        checkpoint.metadata.preset.take(),
        checkpoint.metadata.step.take(),
        std::mem::take(&mut checkpoint.metadata.other),
    );
    checkpoint.metadata =
        crate::model::Metadata { side, fit, class_names, preset, step, other, ..net.metadata() };

    let precision = if args.f16 { FilePrecision::F16 } else { FilePrecision::F32 };
    match format {
        Format::Safetensors => checkpoint.write_as(&args.out, precision)?,
        Format::Onnx => export(&net, &checkpoint, &args.out, precision)?,
    }
    let bytes =
        std::fs::metadata(&args.out).map_err(|error| Error::bad_file(&args.out, error))?.len();
    let numbers = if args.f16 { "float16" } else { "float32" };
    fact("written", format!("{}, {numbers}, {bytes} bytes", args.out.display()))?;
    super::print(&text)
}

/// The names that are given, or else the file's.
fn class_names(
    checkpoint: &mut Checkpoint,
    given: &[String],
    classes: u32,
) -> anyhow::Result<Option<Vec<String>>> {
    if given.is_empty() {
        let names = checkpoint.metadata.class_names.take();
        if let Some(names) = names.as_ref().filter(|names| names.len() != classes as usize) {
            let words = format!(
                "the file has names for {} classes, but its network has {classes}: --class-names with {classes} names is needed",
                names.len()
            );
            return Err(Failure::Usage(words).into());
        }
        return Ok(names);
    }
    if given.len() != classes as usize || given.iter().any(|name| name.trim().is_empty()) {
        let words = format!(
            "--class-names has {} names, but the network has {classes} classes: one name for each is needed",
            given.iter().filter(|name| !name.trim().is_empty()).count()
        );
        return Err(Failure::Usage(words).into());
    }
    Ok(Some(given.to_vec()))
}

/// The format of a file, told by its extension.
enum Format {
    Safetensors,
    Onnx,
}

impl Format {
    fn of(path: &Path) -> Result<Self, Failure> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("safetensors") => Ok(Self::Safetensors),
            Some("onnx") => Ok(Self::Onnx),
            _ => {
                let given = path.display();
                Err(Failure::Usage(format!(
                    "{given}: the file to write has to end in .safetensors or .onnx"
                )))
            }
        }
    }
}

/// Adds what the arguments say. Err if nothing says how images are normalised: a guess would give a network that
/// runs, and is wrong.
fn complete(checkpoint: &mut Checkpoint, args: &args::Convert) -> anyhow::Result<()> {
    let told = checkpoint.metadata.normalisation.is_some();
    if told && (args.no_normalisation || args.mean.is_some()) {
        checkpoint.notes.retain(|note| !note.starts_with("normalisation taken from"));
        let instead =
            if args.no_normalisation { "left out" } else { "replaced by --mean and --std" };
        checkpoint.notes.push(format!("the file's own normalisation is {instead}"));
    }
    let takes_others = Network::meant_by(checkpoint).is_ok_and(|net| net.asks_activation());
    let metadata = &mut checkpoint.metadata;
    if let (Some(now), Some(before)) = (args.activation, metadata.activation)
        && Activation::from(now) != before
        && takes_others
    {
        checkpoint
            .notes
            .push(format!("the file's activation, {}, is replaced by --activation", before.name()));
    }
    metadata.side = args.side.or(metadata.side);
    if metadata.side.is_none() {
        checkpoint.notes.push(
            "the images' side is not known: give --side here to store it, or later to each command"
                .into(),
        );
    }
    metadata.activation = args.activation.map(Into::into).or(metadata.activation);
    match (&args.mean, &args.std) {
        (Some(mean), Some(std)) => {
            metadata.normalisation = Some(Normalisation { mean: mean.clone(), std: std.clone() });
        }
        _ if args.no_normalisation => metadata.normalisation = None,
        _ if metadata.tells_normalisation() => {}
        _ => {
            return Err(Failure::Usage(format!(
                "{} does not say how images are normalised: --mean and --std are needed, as \
                 --mean 0.4914,0.4822,0.4465 --std 0.2470,0.2435,0.2616, or --no-normalisation",
                checkpoint.source.display()
            ))
            .into());
        }
    }
    let given = metadata.normalisation.as_ref();
    if let Some(Normalisation { mean, std }) = given.and_then(Normalisation::of_bytes) {
        let list = |all: Vec<f32>| {
            all.iter().map(|number| format!("{number:.4}")).collect::<Vec<_>>().join(",")
        };
        let whose =
            if args.mean.is_some() { "--mean and --std" } else { "the file's mean and std" };
        return Err(Failure::Usage(format!(
            "{whose} are so large that they fit pixels of 0 to 255, but images here are in [0, 1]: --mean {} --std {} is \
             likely meant",
            list(mean),
            list(std)
        ))
        .into());
    }
    Ok(())
}

/// The tensors that are the model's, in name and shape.
fn fitting(mut weights: StateDict, parameters: &[Parameter]) -> StateDict {
    let fits = |parameter: &Parameter| {
        let tensor = weights.remove(&parameter.name)?;
        (tensor.shape == parameter.shape).then(|| (parameter.name.clone(), tensor))
    };
    parameters.iter().filter_map(fits).collect()
}
