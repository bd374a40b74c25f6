//! Tests training configurations and run folders: which ones are refused, and what survives a crash.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail so")]

use std::fs;

use lapidary::Error;
use lapidary::train::{
    Config, Event, Material, Metrics, Phase, RunFolder, Step, latest_checkpoint, preset_names,
    read_checkpoint,
};

fn tiny() -> Config {
    Config::preset("fashion-tiny").unwrap()
}

/// Key, value and what is allowed, of a `BadConfig`.
fn refused(result: lapidary::Result<Config>) -> (String, String, String) {
    match result {
        Err(Error::BadConfig { key, value, allowed }) => (key, value, allowed),
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn presets_are_whole_and_read_back() {
    for name in preset_names() {
        let config = Config::preset(name).unwrap();
        assert_eq!(config.preset, name);
        assert_eq!(config.evaluate.step_size(), config.evaluate.eps / 8.0);
        assert_eq!(Config::parse(&config.to_toml().unwrap(), "again.toml").unwrap(), config);
    }
    let demo = Config::preset("fashion-demo").unwrap();
    assert_eq!((demo.stage2.start_t, demo.stage2.max_t, demo.stage1.schedule.batch), (2, 8, 64));
    // Three presets deep.
    let large = Config::preset("imagenet-wrn50-4-t65").unwrap();
    let stage = &large.stage2;
    assert_eq!(
        (stage.max_t, stage.auc_threshold, stage.alpha, stage.schedule.batch),
        (65, 0.2, 2.0, 512)
    );
    assert_eq!((large.data.side, large.model.architecture.as_str()), (224, "wide-resnet50-4"));
    let folder = fs::read_dir("configs").unwrap();
    assert_eq!(folder.count(), preset_names().count(), "a file that is no preset");
}

#[test]
fn a_file_says_only_what_differs() {
    let text = "preset = \"fashion-tiny\"\n[stage2]\nalpha = 1\neps = \"8/255\"\nnorm = \"linf\"\n";
    let config = Config::parse(text, "mine.toml").unwrap();
    let mut expected = tiny();
    (expected.stage2.alpha, expected.stage2.pgd.eps) = (1.0, 8.0 / 255.0);
    expected.stage2.pgd.norm = lapidary::ops::Norm::Linf;
    assert_eq!(config, expected);
}

#[test]
fn unknown_keys_list_their_table() {
    for text in ["[stage2]\nalhpa = 1", "[stage2.alpha]\nx = 1", "[stage3]\nx = 1", "[stage3]"] {
        let text = format!("preset = \"fashion-tiny\"\n{text}\n");
        let (key, _, allowed) = refused(Config::parse(&text, "mine.toml"));
        assert!(key.starts_with("stage"), "{key}");
        assert!(allowed.contains("alpha") || allowed.contains("stage2"), "{key}: {allowed}");
    }
    let (key, value, allowed) = refused(tiny().with(&["stage1.iteration=10"]));
    assert_eq!((key.as_str(), value.as_str()), ("stage1.iteration", "10"));
    assert!(allowed.contains("iterations") && !allowed.contains("alpha"));
}

#[test]
fn values_out_of_range_and_of_the_wrong_type() {
    let cases = [
        ("stage1.batch=0", "1 to 65535"),
        ("stage1.batch=-1", "whole number"),
        ("stage1.batch=99999999999", ""),
        ("stage1.batch=1.5", "whole number"),
        ("stage1.eps=nan", "0 to 1000000"),
        ("stage1.eps=inf", "0 to 1000000"),
        ("stage1.eps=1/0", "a number"),
        ("stage1.eps=true", "a number"),
        ("stage1.norm=l3", "`l2`"),
        ("stage1.attack=fgsm", "`momentum-best`"),
        ("stage2.start_T=9", "0 to 2"),
        ("stage2.auc_threshold=1.1", "0 to 1"),
        ("model.depth=12", "6n + 4"),
        ("model.activation=gelu", "`silu`"),
        ("data.side=18", "multiple of 4"),
        ("data.train=builtin:cifar", "builtin:fashion"),
        ("data.ood=", "builtin:fractal"),
        ("seed=-1", "whole number"),
        ("stage1=3", "table"),
        ("checkpoint.every=0", "1 to"),
        ("objective=gan", "`jem`"),
        ("stage1.optimiser=lion", "`adamw`"),
        ("stage2.beta2=1", "0 to"),
        ("stage2.score=energy", "`class-logit`"),
        ("stage2.micro_batch=5", "a divisor of the batch of 16"),
        ("jem.reinit=2", "0 to 1"),
        ("jem.lr=1", "max_gap"),
        ("stop.epochs=-1", "0 to"),
        ("preset=fashion-demo", "given as the argument CONFIG"),
    ];
    for (change, wanted) in cases {
        let (key, _, allowed) = refused(tiny().with(&[change]));
        assert_eq!(key, change.split('=').next().unwrap());
        assert!(allowed.contains(wanted), "{change}: {allowed}");
    }
    assert_eq!(refused(tiny().with(&["stage1.batch"])).0, "--set");
    assert_eq!(refused(Config::preset("fashion")).0, "preset");
    assert_eq!(refused(Config::parse("seed = 1", "mine.toml")).0, "preset");
    let error = Config::parse("preset = \"fashion-tiny\"\nseed = = 1", "mine.toml").unwrap_err();
    assert!(error.to_string().starts_with("mine.toml: line 2: "), "{error}");
}

#[test]
fn set_reads_numbers_fractions_and_texts() {
    let changes = ["stage1.eps = 8/255", "stage1.attack=momentum-best", "data.train=a=b", "seed=7"];
    let config = tiny().with(&changes).unwrap();
    assert_eq!(config.stage1.pgd.eps, 8.0 / 255.0);
    assert_eq!(config.stage1.attack, lapidary::train::StageAttack::MomentumBest);
    assert_eq!((config.data.train.as_str(), config.seed), ("a=b", 7));
}

#[test]
fn a_run_is_begun_once_and_resumed_with_its_own_configuration() {
    let parent = tempfile::tempdir().unwrap();
    let path = RunFolder::unused(parent.path(), "run");
    assert_eq!(path, parent.path().join("run"));
    drop(RunFolder::create(&path, &tiny()).unwrap());
    assert_eq!(RunFolder::unused(parent.path(), "run"), parent.path().join("run-2"));
    assert!(matches!(RunFolder::create(&path, &tiny()), Err(Error::BadFile { .. })));
    assert_eq!(RunFolder::read_config(&path).unwrap(), tiny());
    let folder = RunFolder::resume(&path, &tiny()).unwrap();
    folder.write_checkpoint(1, &[("model.safetensors", vec![1])]).unwrap();
    drop(folder);

    let other = tiny().with(&["seed=1", "stage2.alpha=0.5", "evaluate.step_size=0.1"]).unwrap();
    let error = RunFolder::resume(&path, &other).unwrap_err();
    assert!(matches!(error, Error::BadConfig { .. }));
    for key in ["seed", "stage2.alpha", "evaluate.step_size"] {
        assert!(error.to_string().contains(key), "{error}");
    }
    assert!(!error.to_string().contains("stage1"), "{error}");
    let missing = RunFolder::resume(parent.path().join("none"), &tiny());
    assert!(matches!(missing, Err(Error::BadFile { .. })));
}

#[test]
fn incomplete_checkpoints_are_ignored() {
    let parent = tempfile::tempdir().unwrap();
    let run = RunFolder::create(parent.path().join("run"), &tiny()).unwrap();
    assert_eq!(run.latest().unwrap(), None);
    for step in [2, 4, 10] {
        let files = [("model.safetensors", vec![step as u8; 5]), ("state.safetensors", vec![])];
        run.write_checkpoint(step, &files).unwrap();
    }
    let all = run.path().join("checkpoints");
    // The last two are kept, by number and not by name.
    let mut kept: Vec<_> = fs::read_dir(&all)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    kept.sort();
    assert_eq!(kept, ["step-10", "step-4"]);

    // What a crash or a bad copy leaves: a partial folder, one without its list, files too short.
    fs::create_dir(all.join(".step-12.tmp")).unwrap();
    fs::create_dir(all.join("step-14")).unwrap();
    fs::create_dir(all.join("step-x")).unwrap();
    assert_eq!(run.latest().unwrap().unwrap().0, 10);
    fs::write(all.join("step-10/model.safetensors"), [10; 4]).unwrap();
    assert!(matches!(read_checkpoint(all.join("step-10")), Err(Error::BadFile { .. })));
    let (step, path) = latest_checkpoint(run.path()).unwrap().unwrap();
    assert_eq!((step, &path), (4, &all.join("step-4")));
    let files = read_checkpoint(&path).unwrap();
    let expected =
        [("model.safetensors".to_owned(), vec![4; 5]), ("state.safetensors".into(), vec![])];
    assert_eq!(files, expected);

    // A run that goes on from there: the same step is replaced, leftovers and later steps go.
    run.write_checkpoint(4, &[("model.safetensors", vec![7])]).unwrap();
    assert_eq!(read_checkpoint(&path).unwrap()[0].1, [7]);
    run.write_checkpoint(6, &[("model.safetensors", vec![8])]).unwrap();
    let mut kept: Vec<_> = fs::read_dir(&all)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    kept.sort();
    assert_eq!(kept, ["step-4", "step-6", "step-x"]);
}

/// Of the old and the new checkpoint of one step there is always one whole, wherever a crash falls.
#[test]
fn a_checkpoint_that_was_being_replaced_is_there_again() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("run");
    let run = RunFolder::create(&path, &tiny()).unwrap();
    run.write_checkpoint(4, &[("model.safetensors", vec![4])]).unwrap();
    drop(run);
    let all = path.join("checkpoints");
    fs::rename(all.join("step-4"), all.join(".step-4.old")).unwrap();
    fs::create_dir(all.join(".step-4.tmp")).unwrap();
    let run = RunFolder::resume(&path, &tiny()).unwrap();
    assert_eq!(run.latest().unwrap(), Some((4, all.join("step-4"))));
    drop(run);
    // One that was left over after the new one took its place is not put back over that.
    fs::create_dir(all.join(".step-4.old")).unwrap();
    drop(RunFolder::resume(&path, &tiny()).unwrap());
    assert_eq!(read_checkpoint(all.join("step-4")).unwrap()[0].1, [4]);
}

#[test]
fn manifests_do_not_lead_out_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    for list in ["{\"../secret\": 1}", "{\"..\": 1}", "{\"\": 0}", "[1]", "", "{\"a\": -1}"] {
        fs::write(folder.path().join("files.json"), list).unwrap();
        assert!(matches!(read_checkpoint(folder.path()), Err(Error::BadFile { .. })), "{list}");
    }
}

#[test]
fn logs_survive_a_cut_line_and_a_resume() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("run");
    let step = |iteration, loss| {
        let mut step = Step::new(Phase::Stage1, iteration, 6);
        step.loss_ce = Some(loss);
        Event::Step(step)
    };
    let begin = Event::Phase { phase: Phase::Stage1, done: 0, total: 6 };
    let mut run = RunFolder::create(&path, &tiny()).unwrap();
    for event in [&begin, &step(1, 2.0), &step(2, 1.5), &step(3, 1.25)] {
        run.log(event).unwrap();
    }
    let saved = Event::Saved { step: 2, path: "step-2".into() };
    run.log(&saved).unwrap();
    drop(run);

    let log = path.join("log.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    assert_eq!(
        text.lines().nth(1).unwrap(),
        r#"{"event":"step","phase":"stage1","iteration":1,"total":6,"loss_ce":2.0}"#
    );
    fs::write(&log, format!("{text}{}", r#"{"event":"step","pha"#)).unwrap();

    let mut run = RunFolder::resume(&path, &tiny()).unwrap();
    run.log(&step(3, 1.0)).unwrap();
    let expected = [begin, step(1, 2.0), step(2, 1.5), saved, step(3, 1.0)];
    assert_eq!(RunFolder::read_log(&path).unwrap(), expected);
}

#[test]
fn metrics_are_flat_and_null_where_nothing_was_measured() {
    let parent = tempfile::tempdir().unwrap();
    let run = RunFolder::create(parent.path(), &tiny()).unwrap();
    let mut metrics =
        Metrics { clean_accuracy: Some(0.5), t_reached: Some(3), ..Metrics::default() };
    metrics.more.insert("seed".into(), 7.into());
    run.write_metrics(&metrics).unwrap();
    let text = fs::read_to_string(run.path().join("metrics.json")).unwrap();
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&read["clean_accuracy"], &read["t_reached"], &read["seed"]),
        (&0.5.into(), &3.into(), &7.into())
    );
    assert!(read["judge_agreement"].is_null() && read.get("judge_agreement").is_some());
    assert!(read.as_object().unwrap().values().all(|value| !value.is_object()));
    assert_eq!(serde_json::from_str::<Metrics>(&text).unwrap(), metrics);
    // Nothing half written stays behind.
    let names = fs::read_dir(run.path()).unwrap().map(|e| e.unwrap().file_name());
    assert!(names.into_iter().all(|name| !name.to_string_lossy().ends_with(".tmp")));
}

#[test]
fn a_run_may_begin_with_a_checkpoint() {
    let config = tiny().with(&["model.weights=data/fashion-plain/model.safetensors"]).unwrap();
    let material = Material::load(&config).unwrap();
    let model = material.model(&config).unwrap();
    // The file's, whatever `model.depth` says.
    assert_eq!(model.to_string(), "WRN-10-1");
    let file = lapidary::model::Checkpoint::read("data/fashion-plain/model.safetensors").unwrap();
    assert_eq!(material.weights(&model, 0), file.weights);

    let path = "tests/golden/cases/weights/wrn10_1.safetensors";
    let error = Material::load(&tiny().with(&[format!("model.weights={path}")]).unwrap());
    let error = error.unwrap_err().to_string();
    assert!(error.contains(path) && error.contains("3 channels and 10 classes"), "{error}");
}
