//! Tests the rules of run folders: only one process at a time writes to one, and its configuration is fixed once training has
//! started, except for what a resumed run may change, such as more iterations.

use super::{lapidary, working};
use crate::common::own_gpu;
use lapidary::gpu::Gpu;
use lapidary::model::Network;
use lapidary::train::{
    Config, Event, Flow, Material, Outcome, RunFolder, check_stages, latest_checkpoint,
    read_checkpoint, train,
};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const SMALL: [&str; 13] = [
    "data.side=8",
    "stage1.iterations=4",
    "stage1.batch=16",
    "stage1.steps=1",
    "stage2.iterations=3",
    "stage2.batch=16",
    "stage2.steps=1",
    "judge.iterations=0",
    "sample.count=1",
    "sample.steps=1",
    "evaluate.images=16",
    "validate.every=0",
    "checkpoint.every=2",
];

pub fn small(more: &[&str]) -> Config {
    let sets: Vec<_> = SMALL.iter().chain(more).copied().collect();
    Config::preset("fashion-tiny").unwrap().with(&sets).unwrap()
}

/// Arguments of `train` into `out`.
fn training<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let sets = SMALL.iter().chain(more).flat_map(|&set| ["--set", set]);
    ["train", "fashion-tiny", "--out", out].into_iter().chain(sets).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn run(
    out: &Path,
    config: &Config,
    gpu: &Gpu,
    mut seen: impl FnMut(&Event),
) -> lapidary::Result<Outcome> {
    let mut folder = match RunFolder::is_begun(out) {
        true => RunFolder::resume(out, config)?,
        false => RunFolder::create(out, config)?,
    };
    let material = Material::load(config)?;
    let mut observer = |event: &Event| {
        seen(event);
        Ok(Flow::Continue)
    };
    pollster::block_on(train(gpu, config, &material, &mut folder, &mut observer))
}

fn last(out: &Path) -> (u64, Vec<(String, Vec<u8>)>) {
    let (step, path) = latest_checkpoint(out).unwrap().unwrap();
    (step, read_checkpoint(path).unwrap())
}

/// Two processes in one folder would take each other's checkpoints away.
#[test]
fn a_second_process_is_told_who_trains() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lapidary"));
    command.args(training("run", &["stage1.iterations=100000"])).current_dir(here);
    let mut first = command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while !here.join("run/log.jsonl").exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "it never began");
        std::thread::sleep(Duration::from_millis(20));
    }
    let second = lapidary(here, &training("run", &["stage1.iterations=100000"]));
    let number = format!("process {} on ", first.id());
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(second.status.code(), Some(3), "{}", said(&second));
    assert!(said(&second).contains(&number) && said(&second).contains("since 20"), "{second:?}");
    // However it ended, the folder is free.
    drop(RunFolder::resume(here.join("run"), &RunFolder::read_config(here.join("run")).unwrap()));
    let config = RunFolder::read_config(here.join("run")).unwrap();
    let held = RunFolder::resume(here.join("run"), &config).unwrap();
    assert!(RunFolder::resume(here.join("run"), &config).is_err());
    drop(held);
}

/// After a start that failed, for example because data were missing, the folder takes another configuration.
#[test]
fn a_failed_start_fixes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let failed = lapidary(folder.path(), &training("run", &["data.train=nosuch"]));
    assert_eq!(failed.status.code(), Some(3), "{}", said(&failed));
    working(folder.path(), &training("run", &[]));
    let config = RunFolder::read_config(folder.path().join("run")).unwrap();
    assert_eq!(config, small(&[]));
    // Now it is fixed.
    let other = lapidary(folder.path(), &training("run", &["stage2.alpha=0.55"]));
    assert_eq!(other.status.code(), Some(2));
    assert!(said(&other).contains("stage2.alpha"), "{}", said(&other));
}

/// A finished run goes on where it is given more iterations, and not with fewer than are over.
#[test]
fn a_finished_run_takes_more_iterations() {
    let folder = tempfile::tempdir().unwrap();
    let [grown, whole] = ["grown", "whole"].map(|name| folder.path().join(name));
    let gpu = own_gpu();
    let constant = ["stage2.decay_from=1", "stage2.warm_up=0"];
    run(&grown, &small(&constant), &gpu, |_| ()).unwrap();
    assert_eq!(last(&grown).0, 7);
    let more = small(&[&constant[..], &["stage2.iterations=6"]].concat());
    let mut told = Vec::new();
    let outcome = run(&grown, &more, &gpu, |event| told.push(event.clone())).unwrap();
    let steps = told.iter().filter(|event| matches!(event, Event::Step(_))).count();
    assert_eq!((last(&grown).0, steps, outcome.finished), (10, 3, true));
    assert_eq!(RunFolder::read_config(&grown).unwrap(), more);
    // At a rate that does not depend on their number, it is the run that would have had them from the begin.
    run(&whole, &more, &gpu, |_| ()).unwrap();
    assert!(last(&grown) == last(&whole));
    for fewer in ["stage2.iterations=5", "stage1.iterations=5"] {
        let refused = RunFolder::resume(&grown, &more.with(&[fewer]).unwrap()).unwrap_err();
        assert!(refused.to_string().contains("iterations"), "{refused}");
    }
}

/// A resume that is refused, as for other data, leaves a finished run as it was; one that goes on keeps what it was given.
#[test]
fn a_refused_resume_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (out, gpu) = (folder.path().join("run"), own_gpu());
    let before = small(&[]);
    run(&out, &before, &gpu, |_| ()).unwrap();
    std::fs::write(out.join("metrics.json"), "{}").unwrap();
    let data = out.join("data.json");
    let sound = std::fs::read_to_string(&data).unwrap();
    let mut other: serde_json::Value = serde_json::from_str(&sound).unwrap();
    other["checksum"] = "0123456789abcdef".into();
    std::fs::write(&data, other.to_string()).unwrap();
    let more = small(&["stage2.iterations=5", "sample.steps=3"]);
    let refused = run(&out, &more, &gpu, |_| ()).unwrap_err();
    assert!(refused.to_string().contains("checksum"), "{refused}");
    assert!(out.join("metrics.json").is_file());
    assert_eq!(RunFolder::read_config(&out).unwrap(), before);
    std::fs::write(&data, sound).unwrap();
    run(&out, &more, &gpu, |_| ()).unwrap();
    assert_eq!(RunFolder::read_config(&out).unwrap(), more);
    // Also keys that change no batch.
    let free = more.with(&["sample.steps=2"]).unwrap();
    run(&out, &free, &gpu, |_| ()).unwrap();
    assert_eq!(RunFolder::read_config(&out).unwrap(), free);
}

/// Balls in which all images lie are refused for the images that are there, before anything trains.
#[test]
fn balls_of_grey_images_are_smaller() {
    let config = Config::preset("fashion-tiny").unwrap();
    let wide = config.with(&["data.side=16", "evaluate.eps=20"]).unwrap();
    check_stages(&wide, &wide.network([3, 10], None).unwrap()).unwrap();
    let grey = check_stages(&wide, &wide.network([1, 10], None).unwrap()).unwrap_err();
    assert!(grey.to_string().contains("evaluate.eps"), "{grey}");
    assert!(config.with(&["stage2.alpha=1e-46"]).is_err(), "0 in single precision");
    assert!(config.with(&["stage1.eps=0"]).is_err(), "steps that go nowhere");
    assert!(config.with(&["jem.alpha=0"]).is_err(), "steps of no length");
    let never = config.with(&["stop.plateau=2", "validate.every=0"]).unwrap_err().to_string();
    assert!(never.contains("stop.plateau") && never.contains("validate.every"), "{never}");
    assert!(config.with(&["stage1.eps=0", "stage1.steps=0"]).is_ok());
}

/// Rows of iterations that a crash took are not in the log beside those that replace them, and seconds go on.
#[test]
fn the_log_after_a_resume_is_of_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let (config, gpu) = (small(&[]), own_gpu());
    let mut folder = RunFolder::create(&out, &config).unwrap();
    let material = Material::load(&config).unwrap();
    let mut over = 0;
    let mut crash = |event: &Event| {
        over += u32::from(matches!(event, Event::Step(_)));
        if over == 6 { Err(lapidary::Error::Stopped) } else { Ok(Flow::Continue) }
    };
    let crashed = pollster::block_on(train(&gpu, &config, &material, &mut folder, &mut crash));
    assert!(crashed.is_err());
    drop(folder);
    // The last checkpoint is of 4 iterations: rows 5 and 6 are lost.
    let before = rows(&out);
    assert_eq!(before.len(), 6);
    let outcome = run(&out, &config, &gpu, |event| {
        if let Event::Phase { done: 0, .. } = event {
            assert_eq!(rows(&out), before[..4]);
        }
    });
    let outcome = outcome.unwrap();
    let after = rows(&out);
    assert_eq!(after.len(), 7);
    assert_eq!(after[..4], before[..4]);
    let table = std::fs::read_to_string(out.join("log.csv")).unwrap();
    assert_eq!(table.lines().count(), 8, "{table}");
    let stage1 = f64::from(after[3].1);
    assert!(outcome.seconds.stage1 >= 0.99 * stage1 && outcome.seconds_before >= 0.99 * stage1);
    assert!(after[4..].is_sorted_by(|a, b| a.1 <= b.1), "{after:?}");
    // All of a run that is over, of which nothing is left to do, is still known.
    let again = run(&out, &config, &gpu, |_| ()).unwrap();
    assert_eq!(again.images, 4 * 16 + 3 * 3 * 16);
    assert!(again.seconds.stage1 >= 0.99 * stage1 && again.seconds.stage2 > 0.0);
}

/// Number and seconds of each iteration that the log's lines tell of, without leaving out any.
fn rows(out: &Path) -> Vec<(u64, f32)> {
    let text = std::fs::read_to_string(out.join("log.jsonl")).unwrap();
    let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
    let row = |event| match event {
        Event::Step(step) => Some((step.iteration, step.seconds.unwrap())),
        _ => None,
    };
    lines.filter_map(row).collect()
}

/// The device goes in the middle of training: it is opened again, and the end is that of a run that nothing disturbed.
#[test]
fn a_lost_device_is_opened_again_twice() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, lost, hopeless] =
        ["whole", "lost", "hopeless"].map(|name| folder.path().join(name));
    let config = small(&[]);
    run(&whole, &config, &own_gpu(), |_| ()).unwrap();
    let losing = |out: &Path, times: u32| {
        let (device, mut steps, mut losses, mut told) = (own_gpu(), 0, 0, 0);
        let outcome = run(out, &config, &device, |event| {
            steps += u32::from(matches!(event, Event::Step(_)));
            told +=
                u32::from(matches!(event, Event::Note { text } if text.contains("opened again")));
            if steps >= 3 * (losses + 1) && losses < times {
                losses += 1;
                device.current().device().destroy();
            }
        });
        (outcome, told)
    };
    let (outcome, told) = losing(&lost, 2);
    assert!(outcome.unwrap().finished);
    assert_eq!(told, 2);
    assert!(last(&lost) == last(&whole));
    let (outcome, told) = losing(&hopeless, 3);
    assert!(matches!(outcome, Err(lapidary::Error::DeviceLost(_))), "{outcome:?}");
    assert_eq!(told, 2);
    // What it had reached is there for the next start.
    run(&hopeless, &config, &own_gpu(), |_| ()).unwrap();
    assert!(last(&hopeless) == last(&whole));
}

/// Networks whose ops have no second derivative: said before anything trains, by all that would train them.
#[test]
fn what_stage_2_cannot_train_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for command in [&["plan", "imagenet-rn50-t15"][..], &["train", "imagenet-convnext-l-t110"]] {
        let began = Instant::now();
        let output = lapidary(folder.path(), &[command, &["--set", "stage2.r1=1"]].concat());
        let text = said(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("stage2.r1") && text.contains("derivative"), "{text}");
        assert!(began.elapsed() < Duration::from_secs(60));
    }
    assert!(!folder.path().join("runs").exists(), "no folder of a run that cannot be");
    let config = small(&["stage2.r1=1"]);
    assert!(check_stages(&config, &config.network([1, 10], None).unwrap()).is_ok());
    let resnet = Network::named("resnet50", 3, 10, None).unwrap();
    assert!(check_stages(&config, &resnet).is_err());
}

/// The largest presets, with neither data nor weights on the disk.
#[test]
fn plans_of_big_presets_answer_from_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let open = ["plan", "imagenet-rn50-t15", "--set", "stage2.micro_batch=0"];
    let text = working(folder.path(), &open);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    // As many at once as its authors take need a larger buffer than some adapters have: then another number is named.
    let given = lapidary(folder.path(), &open[..2]);
    let fits = given.status.success() || said(&given).contains("stage2.micro_batch = ");
    assert!(fits, "{}", said(&given));
    for words in ["20000 iterations of 512 images", "MiB", "3 channels and 1000 classes", "--time"]
    {
        assert!(text.contains(words), "{text}");
    }
    // Folders that macOS and file managers leave behind are no classes.
    for name in
        ["data/train/cat", "data/train/dog", "data/train/__MACOSX", "data/train/.thumbnails"]
    {
        std::fs::create_dir_all(folder.path().join(name)).unwrap();
    }
    let text = working(folder.path(), &["plan", "fashion-tiny", "--set", "data.train=data"]);
    assert!(text.contains("3 channels and 2 classes"), "{text}");
    // By shapes as by a device that has it all: within a quarter.
    let tiny = |more: &[&str]| working(folder.path(), &[&["plan", "fashion-tiny"], more].concat());
    let memory = |text: &str| -> Vec<f64> {
        let before = text.split(" MiB").map(|part| part.rsplit([' ', ';']).next().unwrap());
        before.filter_map(|word| word.parse().ok()).collect()
    };
    let (shapes, measured) = (memory(&tiny(&[])), memory(&tiny(&["--time"])));
    assert_eq!((shapes.len(), measured.len()), (2, 2), "{shapes:?} {measured:?}");
    for (shapes, measured) in shapes.iter().zip(&measured) {
        assert!((shapes / measured - 1.0).abs() < 0.25, "{shapes} MiB, measured {measured}");
    }
}

/// A folder that is taken away is not made again in part: the run ends there and says so.
#[test]
fn a_removed_run_is_not_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut removed = false;
    let ended = run(&out, &small(&["stage1.iterations=20"]), &own_gpu(), |event| {
        if matches!(event, Event::Step(step) if step.iteration == 3) && !removed {
            std::fs::remove_dir_all(&out).unwrap();
            removed = true;
        }
    });
    let error = ended.unwrap_err();
    assert!(matches!(error, lapidary::Error::BadFile { .. }), "{error}");
    assert!(!out.exists(), "{error}");
}

/// A divided folder is planned by the classes of its training part, however that is written.
#[test]
fn plans_count_the_classes_that_are_learnt() {
    let folder = tempfile::tempdir().unwrap();
    for class in ["Train/a", "Train/b", "Train/c", "Test/a"] {
        std::fs::create_dir_all(folder.path().join("data").join(class)).unwrap();
    }
    let arguments = ["plan", "fashion-tiny", "--set", "data.train=data"];
    let told = working(folder.path(), &arguments);
    assert!(told.contains("3 channels and 3 classes"), "{told}");
}
