//! `eval all`: measures accuracy, robustness, out-of-distribution detection, calibration and samples of one network, part by
//! part. What is finished is kept in state.json and never done again; the report is made of that file and the pictures beside it.

mod parts;

use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use pollster::block_on;
use serde_json::{Value, json};

use super::args;
use super::evaluate::{self, Drawn};
use super::evaluate_state::State;
use super::exit::Failure;
use super::eyes::Eyes;
use super::progress::Progress;
use super::report_all;
use super::rounding;
use super::session::Session;
use super::stop::Stop;
use crate::attack::check_radius;
use crate::data::{Checksum, Prepared};
use crate::eval::Classifier;
use crate::eval::corruption;
use crate::files;
use crate::gpu::Gpu;
use crate::model::checkpoint::write_atomically;
use crate::model::{BatchSize, DeviceWeights};
use crate::report::pictures::Sheet;
use crate::train::Loaded;
use crate::train::{Event, Phase};
use crate::world::World;
use crate::{Error, Result};

/// The network, data and device that all parts share.
struct Evaluation<'a> {
    session: &'a Session,
    gpu: Gpu,
    args: &'a args::EvalAll,
    loaded: &'a Loaded,
    test: Prepared,
    weights: DeviceWeights,
    classifier: Classifier,
    eyes: Option<Eyes>,
    progress: Progress,
    stop: Asked,
    state: State,
    world: &'a World,
}

/// Checks whether a signal asks to stop. Several ranks stop together between two parts, so that none is left waiting in
/// the middle of one. One of several ranks is not to leave the others waiting in the middle of a part: they stop together
/// between two.
struct Asked {
    stop: Stop,
    alone: bool,
}

impl Asked {
    fn now(&self) -> bool {
        self.alone && self.stop.asked()
    }
}

/// Runs the command `eval all`.
pub fn run(session: &Session, args: &args::EvalAll) -> anyhow::Result<()> {
    let world = session.world()?;
    let loaded = args.network.load()?;
    let Drawn { test, of, .. } = evaluate::drawn(
        session,
        &loaded,
        args.labelled.data.as_deref(),
        &args.labelled.labels,
        args.images,
    )?;
    let words = test.images().len() / test.len().max(1);
    for &eps in args.eps.iter().chain(&args.autoattack) {
        check_radius(args.norm.into(), eps as f32, words)?;
    }
    let gpu = session.gpu()?;
    session.introduce(&gpu)?;
    let identity = identity(&loaded, (&test, of), args, &gpu)?;
    let same = identity.as_object().into_iter().flatten().filter(|(key, _)| *key != "adapter");
    let same = same.map(|(key, value)| (key.as_str(), value.to_string()));
    world.agree(&same.collect::<Vec<_>>())?;
    let state = State::of_world(world, &args.out, identity)?;
    let stop = Asked { stop: Stop::listen(session.speaks())?, alone: !world.is_shared() };
    let model = &loaded.model;
    let weights =
        block_on(DeviceWeights::upload(&gpu, &model.parameters(), &loaded.checkpoint.weights))?;
    let size = BatchSize { images: args.labelled.batch, side: loaded.side }.at_most(test.len());
    let classifier = block_on(Classifier::new(model, &weights, size))?;
    let eyes = args
        .extractor
        .as_deref()
        .map(|file| Eyes::new(world, &gpu, file, None, 16, None))
        .transpose()?;
    let progress = session.progress();
    let mut evaluation = Evaluation {
        session,
        gpu,
        args,
        loaded: &loaded,
        test,
        weights,
        classifier,
        eyes,
        progress,
        stop,
        state,
        world,
    };
    match evaluation.all() {
        Err(Error::Stopped) => {
            let words = format!(
                "the same command with --out {} resumes the evaluation",
                args.out.display()
            );
            return Err(Failure::Stopped(words).into());
        }
        other => other?,
    }
    evaluation.progress.finish();
    if !world.is_first() {
        return Ok(());
    }
    let name = match &args.network.checkpoint {
        Some(path) => path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
        None => "builtin:fashion-demo".into(),
    };
    let report = report_all::html(&name, &loaded, &evaluation.state, &args.out)?;
    let file = args.out.join("report.html");
    write_atomically(&file, report.as_bytes())?;
    let info = report_all::model_info(&name, &loaded, &evaluation.state);
    let info = serde_json::to_string_pretty(&info)?;
    write_atomically(args.out.join("model_info.json"), info.as_bytes())?;
    super::print(&report_all::summary(&evaluation.state, &file))
}

/// Returns the facts that results depend on: where one of them differs, results do not belong together.
fn identity(
    loaded: &Loaded,
    (test, of): (&Prepared, usize),
    args: &args::EvalAll,
    gpu: &Gpu,
) -> Result<Value> {
    let bytes =
        |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
    let mut weights = Checksum::new();
    for (name, tensor) in loaded.checkpoint.weights.iter() {
        weights = weights.feed(name.bytes()).feed(bytes(&tensor.data));
    }
    let metadata = format!("{:?}", loaded.model.metadata());
    let images = Checksum::new().feed(bytes(test.images()));
    let labels = images.feed(test.labels().iter().flat_map(|label| label.to_le_bytes()));
    let extractor = match &args.extractor {
        Some(file) => {
            let bytes = files::read(file, files::room(file)?)?;
            Some(format!("{:016x}", Checksum::new().feed(bytes).value()))
        }
        None => None,
    };
    let mut facts = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "adapter": gpu.adapter().to_string(),
        "weights": format!("{:016x}", weights.feed(metadata.bytes()).value()),
        "test images": format!("{:016x}", labels.value()),
        "--images": evaluate::drawing(test.len(), of),
        "--eps": args.eps,
        "--norm": format!("{:?}", args.norm),
        "--counterfactual-eps": args.counterfactual_eps,
        "--samples": args.samples,
        "--autoattack": args.autoattack,
        "--batch": args.labelled.batch,
        "--extractor": extractor,
        "data": args.labelled.data.as_deref().unwrap_or(&loaded.config.data.train),
        "out-of-distribution images": loaded.config.data.ood,
        "sampling": [json!(loaded.config.sample.steps), json!(loaded.config.sample.step_size)],
    });
    if let Some(facts) = facts.as_object_mut() {
        facts.extend(rounding::facts(gpu.preferences()));
    }
    Ok(facts)
}

impl Evaluation<'_> {
    fn all(&mut self) -> Result<()> {
        self.part("clean", Self::clean)?;
        for &eps in &self.args.eps {
            self.part(&format!("robust {eps}"), |all| all.robust(eps))?;
        }
        self.part("out of distribution", Self::out_of_distribution)?;
        let corruptions = if self.args.no_corruptions { &[][..] } else { &corruption::ALL[..] };
        for &corruption in corruptions {
            self.part(&format!("corruption {corruption}"), |all| all.corrupted(corruption))?;
        }
        self.part("samples", Self::samples)?;
        if self.eyes.is_some() {
            self.part("generation", Self::generation)?;
        }
        self.part("counterfactuals", Self::counterfactuals)?;
        match self.args.autoattack {
            Some(eps) => self.part("autoattack", |all| all.auto_attack(eps)),
            None => Ok(()),
        }
    }

    /// Measures a part unless it is done, and saves the result.
    fn part(&mut self, name: &str, measure: impl FnOnce(&mut Self) -> Result<Value>) -> Result<()> {
        if self.state.get(name).is_some() {
            return Ok(());
        }
        if self.world.any(self.stop.stop.asked())? {
            return Err(Error::Stopped);
        }
        self.world.reached(format!("part {name}"));
        self.progress.line(name);
        let began = Instant::now();
        let mut result = measure(self)?;
        if let Value::Object(fields) = &mut result {
            fields.insert("seconds".into(), began.elapsed().as_secs_f64().into());
        }
        self.state.put(name, result)
    }

    /// A bar over images.
    fn begin(&mut self, phase: Phase, total: usize) {
        self.progress.event(&Event::Phase { phase, done: 0, total: total as u64 });
    }

    /// The size of batches for so many images, those of all ranks: numbers do not depend on how many ranks share them.
    fn size(&self, images: usize) -> BatchSize {
        BatchSize { images: self.args.labelled.batch, side: self.loaded.side }.at_most(images)
    }

    fn write(&self, name: &str, sheet: &Sheet) -> Result<()> {
        self.keep(name, &sheet.draw()?.png()?)
    }

    /// Writes a file beside the report, on rank 0.
    fn keep(&self, name: &str, bytes: &[u8]) -> Result<()> {
        match self.world.is_first() {
            true => write_atomically(self.args.out.join(name), bytes),
            false => Ok(()),
        }
    }

    /// This rank's part of so many images, and these of all.
    fn part_of<'b>(&self, images: &'b [f32], count: usize) -> (Range<usize>, &'b [f32]) {
        let words = images.len() / count.max(1);
        let share = self.world.share(count);
        let part = images.get(share.start * words..share.end * words).unwrap_or_default();
        (share, part)
    }

    /// The logits of images. Each rank computes its part; all are told the whole.
    fn logits(&mut self, images: &[f32], count: usize) -> Result<Vec<f32>> {
        let (share, part) = self.part_of(images, count);
        let logits = block_on(self.classifier.logits(part));
        let logits = logits.map_err(|error| error.among(&share.collect::<Vec<_>>()))?;
        self.world.joined(logits)
    }

    /// The share of all images that are classified correctly, where it is `right` of this rank's `count`.
    fn share_of_all(&self, right: f64, count: usize) -> Result<f64> {
        if !self.world.is_shared() {
            return Ok(right);
        }
        let numbers = vec![(right * count as f64).round() as u64, count as u64];
        let all = self.world.joined(numbers)?;
        let sum = |at: usize| all.iter().skip(at).step_by(2).sum::<u64>() as f64;
        Ok(sum(0) / sum(1).max(1.0))
    }
}

/// Returns the bytes of a picture in the folder, for reports; `None` where it is not there.
pub fn picture(folder: &Path, name: &str) -> Option<Vec<u8>> {
    std::fs::read(folder.join(name)).ok()
}
