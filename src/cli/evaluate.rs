//! `eval`: measures accuracy, accuracy under attack, and AUROC against out-of-distribution images. Also loads the test images
//! that other commands measure on.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Instant;

use pollster::block_on;
use serde_json::json;

use super::args;
use super::labels::Labels;
use super::reach;
use super::session::Session;
use crate::Result;
use crate::attack::Pgd;
use crate::data::{Classes, Measured, Prepared, Relabelling, Source};
use crate::eval::{self, measure};
use crate::model::{BatchSize, DeviceWeights};
use crate::train::Loaded;
use crate::train::{Event, Material, Metrics, Phase, Step};

/// Runs the command `eval`, which measures a network's accuracy, accuracy under attack and AUROC.
pub fn run(session: &Session, args: &args::Quick) -> anyhow::Result<()> {
    let loaded = args.network.load()?.fitting(args.fit);
    let Loaded { model, checkpoint, side, config, .. } = &loaded;
    let Drawn { test, of, .. } =
        drawn(session, &loaded, args.labelled.data.as_deref(), &args.labelled.labels, args.count)?;
    let gpu = session.gpu()?;
    let mut progress = session.progress();

    let began = Instant::now();
    let total = test.len() as u64;
    progress.event(&Event::Phase { phase: Phase::Evaluate, done: 0, total });
    let named = if args.ood.is_empty() { vec![config.data.ood.clone()] } else { args.ood.clone() };
    let open = |name: &String| {
        let images = config.data.open(name, model.channels())?;
        for line in images.damaged() {
            progress.line(&format!("left out: {line}"));
        }
        images.measured(config.seed, test.len(), args.labelled.batch as usize)
    };
    let others = named.iter().map(open).collect::<Result<Vec<_>>>()?;
    let counts: Vec<usize> = others.iter().map(Measured::left).collect();
    let weights = block_on(DeviceWeights::upload(&gpu, &model.parameters(), &checkpoint.weights))?;
    let attack = Pgd::attack(args.norm.into(), args.eps as f32, args.steps);
    let settings =
        Pgd { step_size: args.step_size.map_or(attack.step_size, |size| size as f32), ..attack };
    let step_size = args.step_size.unwrap_or(args.eps / 8.0);
    if let Some(note) = reach::note(args.eps, (args.steps, step_size), "--") {
        progress.line(&note);
    }
    let done = |done| {
        progress.event(&Event::Step(Step::new(Phase::Evaluate, done as u64, total)));
        Ok(())
    };
    let sets = (test.images(), test.labels());
    let size = BatchSize { images: args.labelled.batch, side: *side }.at_most(test.len());
    let measured = block_on(measure(model, &weights, sets, others, size, settings, done))?;
    progress.finish();
    let told = named.iter().zip(&counts).zip(&measured.ood_aurocs);
    let told =
        told.map(|((name, images), auroc)| json!({ "of": name, "images": images, "auroc": auroc }));
    let attack = json!({
        "attack": "pgd",
        "norm": format!("{:?}", settings.norm),
        "eps": args.eps,
        "steps": settings.steps,
        "step_size": step_size,
    });
    let more = BTreeMap::from([
        ("images".to_owned(), json!(test.len())),
        ("attack".to_owned(), attack),
        ("ood".to_owned(), json!(told.collect::<Vec<_>>())),
    ]);
    let metrics = Metrics {
        more,
        clean_accuracy: Some(measured.clean_accuracy),
        pgd_accuracy: Some(measured.pgd_accuracy),
        ood_auroc: measured.ood_aurocs.first().copied().flatten(),
        seconds_evaluate: Some(began.elapsed().as_secs_f64()),
        seconds_total: Some(session.started.elapsed().as_secs_f64()),
        adapter: Some(gpu.adapter().to_string()),
        ..Metrics::default()
    };
    if args.json {
        return super::print(&format!("{}\n", serde_json::to_string(&metrics)?));
    }
    let mut text = String::new();
    let attack = format!("{:?}, eps {}, {} steps of PGD", settings.norm, args.eps, args.steps);
    writeln!(
        text,
        "images          {}: {}",
        args.labelled.data.as_ref().unwrap_or(&config.data.train),
        drawing(test.len(), of)
    )?;
    writeln!(text, "clean accuracy  {:5.1} %", 100.0 * measured.clean_accuracy)?;
    writeln!(text, "under attack    {:5.1} %  {attack}", 100.0 * measured.pgd_accuracy)?;
    for ((name, images), auroc) in named.iter().zip(&counts).zip(&measured.ood_aurocs) {
        let auroc = auroc.map_or("none".into(), |auroc| format!("{auroc:.3}"));
        writeln!(text, "AUROC           {auroc:>5}    against {images} of {name}")?;
    }
    super::print(&text)
}

/// The images that a command measures on.
pub struct Drawn {
    /// The chosen images and their labels.
    pub test: Prepared,
    /// The indices of the chosen images among all images.
    pub places: Vec<usize>,
    /// The number of images that there are to choose from.
    pub of: usize,
}

/// Returns the words that say how many of all images are measured on, and how these were chosen.
pub fn drawing(count: usize, of: usize) -> String {
    if count == of {
        return format!("all {of}");
    }
    format!("{count} of {of}, drawn evenly by class, the same each time")
}

/// Loads all test images, as [`drawn`] does.
pub fn images(
    session: &Session,
    loaded: &Loaded,
    data: Option<&str>,
    labels: &Labels,
) -> Result<Prepared> {
    drawn(session, loaded, data, labels, None).map(|drawn| drawn.test)
}

/// Loads the test images: the run's own, or the test part of the named data, or all of it where it is not divided; prints
/// which it was. Of `count` images, [drawn](crate::eval::drawn) evenly by class, no others are decoded. Labels are the network's
/// classes. Err where they are not for this network.
pub fn drawn(
    session: &Session,
    loaded: &Loaded,
    data: Option<&str>,
    labels: &Labels,
    count: Option<u32>,
) -> Result<Drawn> {
    let Loaded { config, model, side, .. } = loaded;
    let mut progress = session.progress();
    let map = labels.class_map()?;
    let named = data.unwrap_or(&config.data.train);
    let source = Source::parse(named)?;
    let known = loaded.known_names().unwrap_or_default();
    let network = Classes { names: &known, count: model.classes() };
    let (mut places, mut of) = (Vec::new(), 0);
    let mut choose = |images: Classes<'_>, labels: &[u32]| {
        let classes = map.relabelling(images, network)?.labels;
        let class = |label: &u32| classes.get(*label as usize).copied().unwrap_or(u32::MAX);
        of = labels.len();
        let labels: Vec<u32> = labels.iter().map(class).collect();
        places = eval::drawn(&labels, count.map_or(of, |count| count as usize));
        Ok(places.clone())
    };
    let (test, names) = if data.is_none() && config.data.held_out > 0.0 && !source.is_divided()? {
        // All of them, where they can be prepared at once: `evaluate.images` is a number for the end of training.
        let mut config = config.clone();
        config.evaluate.images = Prepared::most(model.channels(), *side);
        let found = Material::held_out(&config, &mut choose)?;
        progress.line(&format!("evaluating on {of} images of {named}, held out in training"));
        found
    } else {
        let size = [model.channels(), *side, model.classes()];
        let found =
            source.evaluation_of(size, config.data.fit()?, config.data.max_bad, &mut choose)?;
        let part = match found.part.as_str() {
            "all" => "all, because the data is not divided into train and test".to_owned(),
            part => format!("its part {part}"),
        };
        progress.line(&format!("evaluating on {of} images of {named}: {part}"));
        for note in &found.notes {
            progress.line(&format!("note: {note}"));
        }
        (found.images, found.class_names)
    };
    let images = Classes { names: &names, count: test.classes() };
    let Relabelling { labels, note } = map.relabelling(images, network)?;
    if let Some(note) = note {
        progress.line(&format!("note: {note}"));
    }
    let test = test.relabelled(&labels, model.classes())?;
    Ok(Drawn { test, places, of })
}
