//! Trains with each objective on the Fashion-MNIST images built into the program: training learns, resumes to the same bits after a
//! crash, and stops when it diverges.

use crate::common::{gpu, own_gpu};
use lapidary::Error;
use lapidary::gpu::{Gpu, Options};
use lapidary::model::Checkpoint;
use lapidary::train::{
    BEST_FILE, Config, Event, Flow, Material, Outcome, Phase, RunFolder, Step, latest_checkpoint,
    read_checkpoint, train,
};
use std::path::Path;

/// The smallest net and images there are.
const SMALL: [&str; 7] = [
    "data.side=8",
    "stage1.batch=16",
    "stage2.batch=16",
    "stage1.steps=1",
    "stage1.step_size=0.5",
    "ratio.steps=2",
    "checkpoint.keep=1000",
];

pub(crate) fn config(objective: &str, more: &[&str]) -> Config {
    let objective = format!("objective={objective}");
    let sets: Vec<_> = SMALL.iter().chain(&[objective.as_str()]).chain(more).copied().collect();
    Config::preset("fashion-tiny").unwrap().with(&sets).unwrap()
}

/// Trains in a folder, from where it is; where `crash` says so it fails and saves nothing more.
pub(crate) fn run_until(
    out: &Path,
    config: &Config,
    crash: impl FnMut(&Event) -> bool,
) -> lapidary::Result<(Outcome, Vec<Event>)> {
    run_on(gpu(), out, config, crash)
}

fn run_on(
    gpu: &Gpu,
    out: &Path,
    config: &Config,
    mut crash: impl FnMut(&Event) -> bool,
) -> lapidary::Result<(Outcome, Vec<Event>)> {
    let mut folder = match RunFolder::is_begun(out) {
        true => RunFolder::resume(out, config)?,
        false => RunFolder::create(out, config)?,
    };
    let material = Material::load(config)?;
    let mut events = Vec::new();
    let mut observer = |event: &Event| {
        events.push(event.clone());
        if crash(event) { Err(Error::Stopped) } else { Ok(Flow::Continue) }
    };
    let training = train(gpu, config, &material, &mut folder, &mut observer);
    let outcome = pollster::block_on(training)?;
    Ok((outcome, events))
}

/// The same, crashing after so many iterations of this process.
pub(crate) fn run(
    out: &Path,
    config: &Config,
    crash: usize,
) -> lapidary::Result<(Outcome, Vec<Event>)> {
    let mut over = 0;
    run_until(out, config, |event| {
        over += usize::from(matches!(event, Event::Step(_)));
        over >= crash
    })
}

pub(crate) fn steps(events: &[Event]) -> Vec<&Step> {
    fn step(event: &Event) -> Option<&Step> {
        if let Event::Step(step) = event { Some(step) } else { None }
    }
    events.iter().filter_map(step).collect()
}

fn trained(objective: &str, more: &[&str]) -> Vec<Event> {
    let folder = tempfile::tempdir().unwrap();
    let config = config(objective, more);
    run(&folder.path().join("run"), &config, usize::MAX).unwrap().1
}

/// Iterations in which an objective is to learn something: 60, or as `LAPIDARY_TRAIN_STEPS` says.
fn learning(stage: &str) -> String {
    let steps = std::env::var("LAPIDARY_TRAIN_STEPS").unwrap_or("60".into());
    format!("stage{stage}.iterations={steps}")
}

/// Mean of what `pick` sees over the first and over the last fifth of the iterations.
fn ends(events: &[Event], pick: impl Fn(&Step) -> Option<f32>) -> [f32; 2] {
    let values: Vec<f32> = steps(events).into_iter().map(|step| pick(step).unwrap()).collect();
    let fifth = values.len() / 5;
    let parts = [&values[..fifth], &values[values.len() - fifth..]];
    parts.map(|part| part.iter().sum::<f32>() / part.len() as f32)
}

fn falls(what: &str, [first, last]: [f32; 2], by: f32) {
    assert!(last < first - by, "{what}: from {first} to {last}");
}

#[test]
fn trades_learns() {
    let events = trained("trades", &[&learning("1"), "trades.beta=2"]);
    falls("CE", ends(&events, |step| step.loss_ce), 0.1);
    let whole = |step: &Step| Some(step.loss_ce? + 2.0 * step.loss_kl?);
    falls("the loss", ends(&events, whole), 0.1);
    assert!(steps(&events).iter().all(|step| step.loss_kl.unwrap() > 0.0), "the attack moves");
}

#[test]
fn ratio_learns() {
    let events = trained("ratio", &[&learning("1")]);
    falls("CE", ends(&events, |step| step.loss_ce), 0.1);
    let whole = |step: &Step| Some(step.loss_ce? + step.loss_uniform?);
    falls("the loss", ends(&events, whole), 0.1);
}

const JEM: [&str; 9] = [
    "stage1.iterations=0",
    "stage2.iterations=200",
    "stage2.optimiser=adam",
    "stage2.learning_rate=5e-4",
    "stage2.warm_up=0",
    "stage2.weight_decay=0",
    "jem.steps=3",
    "jem.buffer=200",
    "jem.alpha=2",
];

#[test]
fn jem_learns() {
    let events = trained("jem", &[&JEM[..], &[&learning("2")]].concat());
    falls("CE", ends(&events, |step| step.loss_ce), 0.1);
    let whole = |step: &Step| Some(step.loss_ce? + step.energy_gap?);
    falls("the loss", ends(&events, whole), 0.1);
}

#[test]
fn jem_that_diverges_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let absurd = ["stage2.learning_rate=0.5", "jem.max_gap=50", "checkpoint.every=1"];
    let config = config("jem", &[&JEM[..], &absurd].concat());
    match run(&out, &config, usize::MAX) {
        Err(Error::Diverged { what, last_good, .. }) => {
            assert!(what.contains("energy gap") || what.contains("finite"), "{what}");
            for (name, bytes) in read_checkpoint(last_good.unwrap()).unwrap() {
                let checkpoint = Checkpoint::from_bytes(Path::new(&name), &bytes).unwrap();
                let mut values = checkpoint.weights.iter().flat_map(|(_, tensor)| &tensor.data);
                assert!(values.all(|value| value.is_finite()), "{name}");
            }
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn last(out: &Path) -> Vec<(String, Vec<u8>)> {
    read_checkpoint(latest_checkpoint(out).unwrap().unwrap().1).unwrap()
}

/// Crashes at each of the moments, and goes on.
#[test]
fn every_objective_goes_on_exactly() {
    let adam = ["stage1.optimiser=adamw", "stage1.learning_rate=1e-3", "stage2.optimiser=adam"];
    let jem = ["jem.steps=3", "jem.buffer=40", "jem.alpha=2", "stage2.learning_rate=1e-3"];
    let dat = ["stage2.r1=0.1", "stage2.score=class-logit", "stage2.micro_batch=8"];
    let cases: [(&str, &[&str], &[usize]); 4] = [
        ("trades", &adam, &[3]),
        ("ratio", &[], &[2]),
        ("jem", &[&adam[..], &jem].concat(), &[4, 1]),
        ("dat", &[&dat[..], &["validate.every=3", "validate.images=40"]].concat(), &[5]),
    ];
    for (objective, more, crashes) in cases {
        let short = ["stage1.iterations=3", "stage2.iterations=3", "checkpoint.every=2"];
        let config = config(objective, &[&short[..], more].concat());
        let folder = tempfile::tempdir().unwrap();
        let [whole, broken] = ["whole", "broken"].map(|name| folder.path().join(name));
        run(&whole, &config, usize::MAX).unwrap();
        for &crash in crashes {
            assert!(matches!(run(&broken, &config, crash), Err(Error::Stopped)), "{objective}");
        }
        run(&broken, &config, usize::MAX).unwrap();
        assert!(last(&broken) == last(&whole), "{objective}: a run that crashed differs");
    }
}

/// A checkpoint records which kernels its run was made with. A resumed run takes them, on a device that knows none of them and
/// measures nothing, and ends with the same files; one with static choices takes no others, whatever the device knows.
#[test]
fn a_run_goes_on_with_its_kernels() {
    use lapidary::gpu::{Preferences, Tune};
    let open = |tuning| {
        let tuning_budget = std::time::Duration::from_secs(3);
        let preferences = Preferences { tuning, tuning_budget, ..Preferences::default() };
        pollster::block_on(Gpu::new(&Options { preferences, ..Options::from_env() })).unwrap()
    };
    let short = ["stage1.iterations=3", "stage2.iterations=3", "checkpoint.every=2"];
    let config = config("dat", &short);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let after = |count: usize| {
        let mut over = 0;
        move |event: &Event| {
            over += usize::from(matches!(event, Event::Step(_)));
            over >= count
        }
    };
    let choices = |files: &[(String, Vec<u8>)]| {
        let (_, state) = files.iter().find(|(name, _)| name == "state.safetensors").unwrap();
        let read = Checkpoint::from_bytes("state.safetensors", state).unwrap();
        read.metadata.other["choices"].clone()
    };
    let measuring = open(Tune::On);
    run_on(&measuring, &at("whole"), &config, |_| false).unwrap();
    let whole = last(&at("whole"));
    assert!(choices(&whole).contains("conv2d"), "{}", choices(&whole));
    assert!(matches!(run_on(&measuring, &at("broken"), &config, after(5)), Err(Error::Stopped)));
    let other = open(Tune::Auto);
    run_on(&other, &at("broken"), &config, |_| false).unwrap();
    assert_eq!(other.measured(), None);
    assert!(last(&at("broken")) == whole, "a run that went on differs");

    let still = open(Tune::Off);
    assert!(matches!(run_on(&still, &at("static"), &config, after(3)), Err(Error::Stopped)));
    run_on(&measuring, &at("static"), &config, |_| false).unwrap();
    assert_eq!(choices(&last(&at("static"))), still.choices_in_use());
}

#[test]
fn diverged_training_goes_back_and_on_with_half_the_rate() {
    let folder = tempfile::tempdir().unwrap();
    let absurd = [
        "stage1.iterations=20",
        "stage1.learning_rate=100",
        "stage1.weight_decay=1",
        "stage1.momentum=0.99",
        "checkpoint.every=1",
        "checkpoint.roll_backs=40",
    ];
    let config = config("at", &absurd);
    let (outcome, events) = run(&folder.path().join("run"), &config, usize::MAX).unwrap();
    assert!(outcome.finished);
    let back = |event: &&Event| matches!(event, Event::Note { text } if text.contains("half"));
    let times = events.iter().filter(back).count();
    assert!(times > 0);
    let rate = steps(&events).last().unwrap().learning_rate.unwrap();
    assert!(rate < 100.0 * 0.5_f32.powi(times as i32), "{rate} after {times}");
}

/// Killed between a roll-back and the checkpoint after it, a run goes on as one that nothing interrupts: at the same rate,
/// from the same step.
#[test]
fn a_roll_back_survives_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let absurd = [
        "stage1.iterations=20",
        "stage1.learning_rate=100",
        "stage1.weight_decay=1",
        "stage1.momentum=0.99",
        "checkpoint.every=1",
        "checkpoint.roll_backs=40",
    ];
    let config = config("at", &absurd);
    let [whole, broken] = ["whole", "broken"].map(|name| folder.path().join(name));
    let (_, events) = run(&whole, &config, usize::MAX).unwrap();
    let is_back = |event: &Event| matches!(event, Event::Note { text } if text.contains("half"));
    let times = events.iter().filter(|event| is_back(event)).count();
    assert!(times > 1, "the second may go further back");
    // Each process crashes an iteration after the first time that it went back.
    let mut crashes = 0;
    loop {
        let mut back = false;
        let ended = run_until(&broken, &config, |event| {
            back |= is_back(event);
            back && matches!(event, Event::Step(_))
        });
        match ended {
            Ok(_) => break,
            Err(Error::Stopped) if crashes < times => crashes += 1,
            Err(error) => panic!("{error} after {crashes} crashes"),
        }
    }
    assert_eq!(crashes, times);
    assert!(last(&broken) == last(&whole), "a run that crashed after it went back differs");
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, broken] = ["whole", "broken"].map(|name| folder.path().join(name));
    let config = config("at", &["stage1.iterations=6", "checkpoint.every=2"]);
    run(&whole, &config, usize::MAX).unwrap();
    run(&broken, &config, usize::MAX).unwrap();
    let (step, path) = latest_checkpoint(&broken).unwrap().unwrap();
    assert_eq!(step, 6);
    let state = path.join("state.safetensors");
    let mut bytes = std::fs::read(&state).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&state, bytes).unwrap();
    let (_, events) = run(&broken, &config, usize::MAX).unwrap();
    let said = |event: &Event| matches!(event, Event::Note { text } if text.contains("step 4"));
    assert!(events.iter().any(said), "{events:?}");
    assert!(last(&broken) == last(&whole));
}

#[test]
fn training_ends_where_it_is_told_to() {
    let long = ["stage1.iterations=1000", "checkpoint.every=1000"];
    // Iterations, and the images that went through their updates. Of 16 images each, a second passes for every one that
    // TRADES and RATIO draw, and stage 2 makes one of two that it draws; but what counts are those that are drawn.
    let short = ["stage1.iterations=1", "stage2.iterations=1000", "checkpoint.every=1000"];
    let cases = [
        ("dat", &long[..], "stop.images=40", 3, 48),
        ("trades", &long, "stop.images=40", 3, 96),
        ("ratio", &long, "stop.images=40", 3, 96),
        ("dat", &short, "stop.images=70", 3, 16 + 2 * 48),
        ("dat", &long, "stop.epochs=0.011", 3, 48), // of 3,000 images
        ("dat", &long, "stop.minutes=1e-6", 0, 0),
    ];
    for (objective, more, stop, iterations, images) in cases {
        let folder = tempfile::tempdir().unwrap();
        let config = config(objective, &[more, &[stop]].concat());
        let (outcome, events) = run(&folder.path().join("run"), &config, usize::MAX).unwrap();
        assert_eq!((steps(&events).len(), outcome.images), (iterations, images), "{stop}");
        let key = stop.split('=').next().unwrap();
        assert!(told(&events, key), "{stop}: {events:?}");
    }

    // Weights that do not change get no better: the first validation is the best, and two more are enough.
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let plateau =
        ["stop.plateau=2", "validate.every=2", "validate.images=40", "stage1.learning_rate=0"];
    let config = config("at", &[&long[..], &plateau].concat());
    let (outcome, events) = run(&out, &config, usize::MAX).unwrap();
    assert!(outcome.finished);
    let judged: Vec<_> = steps(&events).iter().map(|step| step.pgd_accuracy.is_some()).collect();
    assert_eq!(judged, [false, true, false, true, false, true]);
    let best = Checkpoint::read(out.join(BEST_FILE)).unwrap();
    assert_eq!(best.metadata.step, Some(2));
    assert!(told(&events, "stage1 ends after 6 of 1000 iterations: 2 validations"));
    // It stays ended.
    assert!(steps(&run(&out, &config, usize::MAX).unwrap().1).is_empty());
}

/// Whether a note with these words was reported.
pub(crate) fn told(events: &[Event], words: &str) -> bool {
    events.iter().any(|event| matches!(event, Event::Note { text } if text.contains(words)))
}

/// Where stage 1 learns no more stage 2 begins, and the same after a crash between the two.
#[test]
fn a_plateau_ends_its_stage_alone() {
    let plateau = [
        "stage1.iterations=1000",
        "stage1.learning_rate=0",
        "stage2.iterations=2",
        "stop.plateau=1",
        "validate.every=1",
        "validate.images=16",
        "evaluate.batch=16",
        "checkpoint.every=1",
    ];
    let config = config("dat", &plateau);
    let folder = tempfile::tempdir().unwrap();
    let [whole, broken] = ["whole", "broken"].map(|name| folder.path().join(name));
    let (_, events) = run(&whole, &config, usize::MAX).unwrap();
    let done: Vec<_> = steps(&events).iter().map(|step| (step.phase, step.iteration)).collect();
    let wanted = [(Phase::Stage1, 1), (Phase::Stage1, 2), (Phase::Stage2, 1), (Phase::Stage2, 2)];
    assert_eq!(done, wanted);
    assert!(told(&events, "stage1 ends after 2 of 1000 iterations: 1 validations"), "{events:?}");
    let log = RunFolder::read_log(&whole).unwrap();
    assert!(told(&log, "stop.plateau"));
    assert_eq!(latest_checkpoint(&whole).unwrap().unwrap().0, 1002);
    let ended = |event: &Event| told(std::slice::from_ref(event), "stop.plateau");
    assert!(matches!(run_until(&broken, &config, ended), Err(Error::Stopped)));
    run(&broken, &config, usize::MAX).unwrap();
    assert!(last(&broken) == last(&whole), "a run that crashed between the stages differs");
}

/// An optimiser's step on the device says by itself that weights changed: what was made before it, over weights and averages,
/// gives the logits of what is made after it, and nothing is read back or made for that.
#[test]
fn programs_follow_an_optimiser() {
    use lapidary::eval::Classifier;
    use lapidary::model::{Activation, BatchSize, Network, WideResNet};
    use lapidary::train::{Learner, Optimiser, Sources, Update};
    pollster::block_on(async {
        let model = Network::from(WideResNet::new(10, 1, 1, 10, Activation::Relu, None).unwrap());
        let sgd = Optimiser::Sgd { momentum: 0.9, weight_decay: 5e-4 };
        let gpu = own_gpu();
        let mut learner = Learner::new(&gpu, &model, &model.initial(0), sgd).await.unwrap();
        let pixels: Vec<f32> = (0..4 * 256).map(|i| (i % 97) as f32 / 97.0).collect();
        let images = gpu.upload(&pixels).await.unwrap();
        let labels = gpu.upload(&[3u32, 1, 4, 1]).await.unwrap();
        let classified = (&images, &labels);
        let size = BatchSize { images: 4, side: 16 };
        let sources = Sources { classified, contrastive: None, batch: size };
        let mut update = Update::classifier(&learner, sources).await.unwrap();
        let mut live = Classifier::new(&model, &learner.live, size).await.unwrap();
        let mut average = Classifier::new(&model, &learner.average, size).await.unwrap();
        let live_before = live.logits(&pixels).await.unwrap();
        average.logits(&pixels).await.unwrap();
        for _ in 0..3 {
            update.step(&mut learner, 1e-2).await.unwrap();
            let [mut new_live, mut new_average] = [
                Classifier::new(&model, &learner.live, size).await.unwrap(),
                Classifier::new(&model, &learner.average, size).await.unwrap(),
            ];
            let logits = live.logits(&pixels).await.unwrap();
            assert_ne!(logits, live_before);
            assert_eq!(logits, new_live.logits(&pixels).await.unwrap());
            let of_old = average.logits(&pixels).await.unwrap();
            assert_eq!(of_old, new_average.logits(&pixels).await.unwrap());
        }
        let before = gpu.counts();
        update.gradients(0, 1).await.unwrap();
        learner.step(1e-2).await.unwrap();
        let after = gpu.counts();
        let unchanged = lapidary::gpu::Counts { submissions: after.submissions, ..before };
        assert_eq!(after, unchanged, "a step makes and reads nothing");
        assert!(after.submissions <= before.submissions + 3);
    });
}
