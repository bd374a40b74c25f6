//! `attack`: measures accuracy under AutoAttack, or under a list of attacks.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use pollster::block_on;
use serde_json::{Value, json};

use super::args;
use super::attack_pictures::{Pictures, read};
use super::attack_progress::AttackProgress;
use super::evaluate::{self, Drawn};
use super::exit::Failure;
use super::out;
use super::reach;
use super::session::Session;
use super::stop::Stop;
use crate::eval::{AttackName, AutoAttack, RestartedPgd, RobustAccuracy, State, Version};
use crate::model::checkpoint::{safetensors, write_atomically};
use crate::model::{StateDict, Tensor};
use crate::train::Loaded;
use crate::world::World;
use crate::{Error, Result};

/// Runs the command `attack`, which attacks images and says how many stay correctly classified.
pub fn run(session: &Session, args: &args::Attack) -> anyhow::Result<()> {
    let world = session.world()?;
    if world.is_first() {
        args.out.iter().chain(&args.state).try_for_each(|path| out::check(path))?;
    }
    let (network, paths) = args.network_and_pictures();
    let loaded = Loaded::new(network, args.side)?;
    let Loaded { model, checkpoint, side, .. } = &loaded;
    let settings = settings(args, model.classes())?;
    settings.check(model.classes(), (model.channels() * side * side) as usize)?;
    let given = match paths {
        [] => {
            let (data, labels) = (args.labelled.data.as_deref(), &args.labelled.labels);
            Given::Labelled(evaluate::drawn(session, &loaded, data, labels, args.count)?)
        }
        paths => Given::Pictures(read(paths, &loaded, args)?),
    };
    let pgd = (args.pgd_steps, args.pgd_step_size.unwrap_or(args.eps / 8.0));
    let short = reach::note(args.eps, pgd, "--pgd-");
    if let Some(note) = short.filter(|_| settings.attacks.contains(&AttackName::Pgd)) {
        session.progress().line(&note);
    }
    let state = of_first(world, args.state.as_deref())?;
    let gpu = session.gpu()?;
    session.introduce(&gpu)?;
    let weights = session.weights(&gpu, model, checkpoint)?;
    let (Drawn { test, places, of }, mut pictures) = match given {
        Given::Labelled(drawn) => (drawn, None),
        Given::Pictures(images) => {
            let batch = args.labelled.batch;
            let (pictures, drawn) =
                Pictures::new(paths, images, (&loaded, &weights), batch, world)?;
            (drawn, Some(pictures))
        }
    };
    let stop = Stop::listen(session.speaks())?;
    let mut progress = AttackProgress::new(session.progress(), &settings, model.classes());

    let watch = |at: &crate::eval::Progress| {
        progress.show(at);
        if let (Some(state), Some(path), true) = (at.state, &args.state, world.is_first()) {
            state.write(path)?;
        }
        world.reached(format!("{} at {:.0} %", at.attack, 100.0 * at.done));
        if stop.asked() { Err(Error::Stopped) } else { Ok(()) }
    };
    let sets = (test.images(), test.labels());
    let evaluated = settings.run_in(world, model, &weights, (sets, *side), state, watch);
    let evaluated = block_on(evaluated);
    progress.finish();
    let evaluated = evaluated.map_err(|error| error.among(&places));
    let result = evaluated.map_err(|error| explained(error, args.state.as_deref()))?;
    if !world.is_first() {
        return Ok(());
    }
    if let Some(path) = &args.out {
        write_images(path, &result, (test.labels(), &places), [model.channels(), *side])?;
    }
    let adapter = gpu.adapter().to_string();
    if args.json {
        let mut told = as_json(&result, args.eps, &places, &adapter);
        if let (Some(pictures), Some(told)) = (&mut pictures, told.as_object_mut()) {
            told.insert("pictures".into(), pictures.json(&result)?);
        }
        return super::print(&format!("{told}\n"));
    }
    let mut text = as_text(&result, of, &adapter)?;
    if let Some(pictures) = &mut pictures {
        text += &pictures.text(&result)?;
    }
    super::print(&text)
}

/// The images to attack.
enum Given {
    /// Images with labels.
    Labelled(Drawn),
    /// Pictures, whose labels are what the network sees in them.
    Pictures(Vec<f32>),
}

fn settings(args: &args::Attack, classes: u32) -> anyhow::Result<AutoAttack> {
    let eps = args.eps as f32;
    let own = if args.attacks.is_empty() { Version::for_classes(classes) } else { Version::Custom };
    let version = args.version.map_or(own, Version::from);
    if version != Version::Custom && !args.attacks.is_empty() {
        return Err(Failure::Usage(
            "--attacks lists the attacks itself: leave --version out, or set it to custom".into(),
        )
        .into());
    }
    let mut settings = AutoAttack::new(version, args.norm.into(), eps);
    settings.attacks.extend(&args.attacks);
    // Other than where they are not given.
    let differs = args.pgd_steps != args::PGD_STEPS
        || args.pgd_step_size.is_some()
        || args.pgd_restarts != args::PGD_RESTARTS
        || args.pgd_loss != args::LossName::Ce
        || args.pgd_momentum != 0.0
        || args.pgd_targeted;
    if differs && !settings.attacks.contains(&AttackName::Pgd) {
        let words = "the options --pgd-... belong to the attack pgd, which would not run: name it with --attacks, such as --attacks pgd";
        return Err(Failure::Usage(words.into()).into());
    }
    let pgd = RestartedPgd {
        steps: args.pgd_steps,
        step_size: args.pgd_step_size.map_or(eps / 8.0, |size| size as f32),
        restarts: args.pgd_restarts,
        momentum: args.pgd_momentum as f32,
        loss: args.pgd_loss.into(),
        targeted: args.pgd_targeted,
    };
    Ok(AutoAttack { seed: args.seed, batch: args.labelled.batch, pgd, ..settings })
}

/// Reads the state's file in rank 0 and sends it to all ranks: the others need not see the file.
fn of_first(world: &World, path: Option<&Path>) -> Result<Option<State>> {
    let state = if world.is_first() { path.map(State::read).transpose()?.flatten() } else { None };
    if !world.is_shared() {
        return Ok(state);
    }
    let text = world.broadcast(state.map_or(Vec::new(), |state| state.to_json().into_bytes()))?;
    let text = String::from_utf8_lossy(&text);
    if text.is_empty() { Ok(None) } else { State::from_json(&text).map(Some).map_err(unreadable) }
}

fn unreadable(reason: impl ToString) -> Error {
    Error::bug(
        "attack state",
        format_args!(
            "the first process sent a state that cannot be decoded: {}",
            reason.to_string()
        ),
    )
}

/// Adds the state's file to an error where it matters.
fn explained(error: Error, state: Option<&Path>) -> anyhow::Error {
    match (error, state) {
        (Error::Stopped, Some(path)) => Failure::Stopped(format!(
            "the same command resumes the attacks from {}",
            path.display()
        ))
        .into(),
        (Error::Stopped, None) => Failure::Stopped(
            "no result was kept: attacks that are run with --state FILE can be resumed".into(),
        )
        .into(),
        (Error::Mismatch { op: "attack state", given, wanted }, Some(path)) => {
            let reason = format!("got {given}; expected {wanted}");
            Error::bad_file(path, reason).into()
        }
        (error, _) => error.into(),
    }
}

/// Images, their labels and places in the set, and whether each is robust, as safetensors.
fn write_images(
    path: &Path,
    result: &RobustAccuracy,
    (labels, places): (&[u32], &[usize]),
    [channels, side]: [u32; 2],
) -> Result<()> {
    let [count, channels, side] = [labels.len(), channels as usize, side as usize];
    let mut tensors = StateDict::default();
    let shape = vec![count, channels, side, side];
    tensors.insert("images", Tensor::new(shape, result.images.clone())?);
    let labels = labels.iter().map(|&label| label as f32).collect();
    tensors.insert("labels", Tensor::new(vec![count], labels)?);
    let places = places.iter().map(|&at| at as f32).collect();
    tensors.insert("places", Tensor::new(vec![count], places)?);
    let robust = |point: &crate::eval::Point| match point {
        crate::eval::Point::Robust => 1.0,
        _ => 0.0,
    };
    let robust = result.points.iter().map(robust).collect();
    tensors.insert("robust", Tensor::new(vec![count], robust)?);
    let about = BTreeMap::from([
        ("norm".to_owned(), format!("{:?}", result.norm)),
        ("eps".to_owned(), result.eps.to_string()),
    ]);
    let mut bytes = Vec::new();
    safetensors::write(&tensors, &about, safetensors::FilePrecision::F32, &mut bytes)
        .map_err(|reason| Error::bad_file(path, reason))?;
    write_atomically(path, &bytes)
}

fn as_json(result: &RobustAccuracy, eps: f64, places: &[usize], adapter: &str) -> Value {
    let attack = |attack: &crate::eval::AttackResult| {
        json!({
            "attack": attack.attack.name(),
            "tried": attack.tried,
            "broken": attack.broken,
            "robust_accuracy": attack.robust_accuracy,
            "seconds": attack.seconds,
        })
    };
    let point = |point: &crate::eval::Point| match point {
        crate::eval::Point::Wrong => "wrong",
        crate::eval::Point::Robust => "robust",
        crate::eval::Point::Broken(attack) => attack.name(),
    };
    json!({
        "version": result.version.name(),
        "norm": format!("{:?}", result.norm),
        "eps": eps,
        "images": result.points.len(),
        "places": places,
        "clean_accuracy": result.clean_accuracy,
        "robust_accuracy": result.robust_accuracy,
        "attacks": result.attacks.iter().map(attack).collect::<Vec<_>>(),
        "points": result.points.iter().map(point).collect::<Vec<_>>(),
        "warnings": result.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "max_perturbation": result.max_perturbation,
        "nan": result.nan,
        "min": result.range[0],
        "max": result.range[1],
        "seconds": result.seconds,
        "busy_seconds": result.busy_seconds,
        "images_per_second": result.images_per_second(),
        "adapter": adapter,
    })
}

fn as_text(result: &RobustAccuracy, of: usize, adapter: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    let count = result.points.len();
    writeln!(text, "images: {}", evaluate::drawing(count, of))?;
    writeln!(text, "version: {}", version(result.version))?;
    writeln!(text, "initial accuracy: {:.2}%", 100.0 * result.clean_accuracy)?;
    for attack in &result.attacks {
        writeln!(
            text,
            "robust accuracy after {:<9} {:6.2}%  broken: {:>5} of {}, in {:.1} s",
            format!("{}:", attack.attack),
            100.0 * attack.robust_accuracy,
            attack.broken,
            attack.tried,
            attack.seconds
        )?;
    }
    for warning in &result.warnings {
        writeln!(text, "warning: {warning}")?;
    }
    writeln!(
        text,
        "{} images in {:.1} s, {:.2} images/s, of which the device worked on attacks {:.1} % of the time (wall time from a batch's first submission to its last read-back), on {adapter}",
        result.points.len(),
        result.seconds,
        result.images_per_second(),
        100.0 * result.busy_seconds / result.seconds.max(f64::MIN_POSITIVE)
    )?;
    writeln!(text, "{result}")?;
    Ok(text)
}

/// Returns the name of the version, with a remark where it needs one.
fn version(version: Version) -> String {
    let list: Vec<_> = version.attacks().iter().map(|attack| attack.name()).collect();
    match version {
        Version::Custom => "custom".into(),
        Version::Standard => format!("standard ({})", list.join(", ")),
        _ => format!("{version} ({}), not AutoAttack's standard version", list.join(", ")),
    }
}
