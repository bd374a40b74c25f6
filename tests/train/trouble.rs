//! Tests trouble with files while a run trains (a disk that fills, data that goes and comes back, damaged pictures,
//! checkpoints with NaN) and memory that is short.

#![allow(clippy::print_stderr, reason = "a person wants to know what was not run")]

use crate::objectives::{config, last, run, run_until, steps, told};
use lapidary::Error;
use lapidary::gpu::{Gpu, Options};
use lapidary::model::Checkpoint;
use lapidary::train::{Config, Event, Material, RunFolder, STATE_FILE, plans, read_checkpoint};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Three classes of four pictures of 24 pixels, which an augmentation of whole pictures leaves on disk.
fn photographs(folder: &Path) {
    for i in 0..12_u32 {
        let class = folder.join(["ant", "bee", "cow"][i as usize % 3]);
        fs::create_dir_all(&class).unwrap();
        let pixel = |x, y| image::Rgb([x * i, y * 10, (x ^ y) * 8].map(|value| value as u8));
        let picture = image::RgbImage::from_fn(24, 24, pixel);
        picture.save(class.join(format!("{i:02}.png"))).unwrap();
    }
}

fn on_photographs(data: &Path, more: &[&str]) -> Config {
    let named = [format!("data.train={}", data.display()), format!("data.ood={}", data.display())];
    let fixed = [
        "data.held_out=3",
        "data.classify=resized-crop",
        "data.starts=resized-crop",
        "data.threads=2",
        "stage2.iterations=14",
        "checkpoint.every=5",
    ];
    let named = named.iter().map(String::as_str);
    config("dat", &named.chain(fixed).chain(more.iter().copied()).collect::<Vec<_>>())
}

#[test]
fn data_that_goes_stops_it_and_it_goes_on_when_that_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let [data, away, whole, broken] =
        ["data", "away", "whole", "broken"].map(|name| folder.path().join(name));
    photographs(&data);
    let config = on_photographs(&data, &[]);
    run(&whole, &config, usize::MAX).unwrap();
    let mut over = 0;
    let stopped = run_until(&broken, &config, |event| {
        over += usize::from(matches!(event, Event::Step(_)));
        if over == 7 && data.exists() {
            fs::rename(&data, &away).unwrap();
        }
        false
    });
    match stopped {
        Err(Error::BadFile { path, reason }) => {
            assert!(path.starts_with(&data) && reason.contains("gone"), "{path:?}: {reason}");
        }
        other => panic!("{other:?}"),
    }
    assert!((7..20).contains(&over), "{over} iterations");
    assert!(run(&broken, &config, usize::MAX).is_err(), "no data, no run");
    fs::rename(&away, &data).unwrap();
    let (_, events) = run(&broken, &config, usize::MAX).unwrap();
    assert_eq!(steps(&events).len(), 20 - over, "it goes on where it stopped");
    assert!(last(&broken) == last(&whole));
}

#[test]
fn damaged_pictures_are_told_recorded_and_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [data, others, out] = ["data", "others", "run"].map(|name| folder.path().join(name));
    photographs(&data);
    photographs(&others);
    for name in ["ant/00.png", "bee/04.png"] {
        fs::write(others.join(name), b"no picture").unwrap();
    }
    let ood = format!("data.ood={}", others.display());
    let short = ["stage1.iterations=1", "stage2.iterations=8", "data.max_bad=2", &ood];
    let config = on_photographs(&data, &short);
    let (_, events) = run(&out, &config, usize::MAX).unwrap();
    for name in ["00.png", "04.png"] {
        assert!(told(&events, name), "{name} in {events:?}");
    }
    let record = fs::read_to_string(out.join("data.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["ood_damaged"].as_array().unwrap().len(), 2, "{record}");
    assert_eq!(record["damaged"].as_array().unwrap().len(), 0, "{record}");
    assert_eq!(record["ood_checksum"].as_str().unwrap().len(), 16, "{record}");

    let strict = config.with(&["data.max_bad=1"]).unwrap();
    let refused = run(&folder.path().join("strict"), &strict, usize::MAX).unwrap_err();
    assert!(refused.to_string().contains("data.max_bad"), "{refused}");
    fs::write(others.join("cow/02.png"), b"another file").unwrap();
    let refused = run(&out, &config, usize::MAX).unwrap_err().to_string();
    assert!(refused.contains("data.json") && refused.contains("ood_checksum"), "{refused}");
}

/// A driver that computes wrongly may leave such a checkpoint: its file is sound, but its values are NaN.
#[test]
fn a_checkpoint_of_no_numbers_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, broken] = ["whole", "broken"].map(|name| folder.path().join(name));
    let config = config("at", &["stage1.iterations=6", "checkpoint.every=2"]);
    run(&whole, &config, usize::MAX).unwrap();
    assert!(run(&broken, &config, 5).is_err());
    let path = broken.join("checkpoints/step-4");
    let mut files = read_checkpoint(&path).unwrap();
    for (name, bytes) in files.iter_mut().filter(|(name, _)| name == STATE_FILE) {
        let mut state = Checkpoint::from_bytes(path.join(name), bytes).unwrap();
        let mut bias = state.weights.get("live.fc.bias").unwrap().clone();
        bias.data[0] = f32::NAN;
        state.weights.insert("live.fc.bias", bias);
        *bytes = state.to_bytes().unwrap();
    }
    let files: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let folder = RunFolder::resume(&broken, &config).unwrap();
    folder.write_checkpoint(4, &files).unwrap();
    drop(folder);
    let (_, events) = run(&broken, &config, usize::MAX).unwrap();
    assert!(told(&events, "resumed from step 2") && told(&events, "live.fc.bias"), "{events:?}");
    assert!(last(&broken) == last(&whole));
}

/// A file system of 3 MiB, in a name space of its own so that nothing is left of it: the third checkpoint does not fit. With
/// more room the run goes on and ends as one that always had it.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_and_then_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"
        set -e
        mount -t tmpfs -o size=3m tmpfs "$1"
        shift
        touch mounted
        set +e
        "$@" >told.txt 2>first.txt; echo $? >first.code
        ls disk/run/checkpoints >listed.txt
        mount -o remount,size=64m "$PWD/disk"
        "$@" >told.txt 2>second.txt; echo $? >second.code
        cp -r disk/run ended
    "#;
    fs::create_dir(folder.path().join("disk")).unwrap();
    let train = [env!("CARGO_BIN_EXE_lapidary"), "train", "fashion-tiny", "--out"];
    let sets = [
        "checkpoint.every=1",
        "checkpoint.keep=100",
        "data.threads=1",
        "judge.iterations=0",
        "sample.count=1",
        "sample.per_class=1",
        "evaluate.images=16",
    ];
    let sets = sets.iter().flat_map(|set| ["--set", set]);
    let ways: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];
    for way in ways {
        let mut command = Command::new("unshare");
        command.args(way).args(["sh", "-c", script, "sh"]).arg(folder.path().join("disk"));
        command.args(train).arg("disk/run").args(sets.clone()).current_dir(folder.path());
        let ended = command.status().unwrap();
        if folder.path().join("mounted").exists() {
            assert!(ended.success(), "{ended}");
            break;
        }
    }
    if !folder.path().join("mounted").exists() {
        // Not in silence: `a_full_disk_ends_it_and_what_was_saved_goes_on` has the same with files that may not grow.
        eprintln!(
            "SKIPPED: no file system may be mounted here, as root or in a name space of the user"
        );
        return;
    }
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("first.code").trim(), "3", "{}", read("first.txt"));
    assert!(read("first.txt").contains("No space left"), "{}", read("first.txt"));
    let kept = read("listed.txt");
    assert!(kept.contains("step-1") && !kept.contains("step-12"), "{kept}");
    assert_eq!(read("second.code").trim(), "0", "{}", read("second.txt"));

    let roomy = folder.path().join("roomy");
    let output = Command::new(train[0]).args(&train[1..]).arg(&roomy).args(sets).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        last(&folder.path().join("ended")) == last(&roomy),
        "a run that waited for room differs"
    );
}

/// With WebGPU's least limits a batch of stage 2 is more than a buffer's binding: it goes through in parts.
#[test]
fn what_no_buffer_holds_goes_in_parts() {
    let gpu =
        pollster::block_on(Gpu::new(&Options { minimal: true, ..Options::from_env() })).unwrap();
    // 16 channels of 128×128 pixels are 1 MiB an image, of three times the batch; 128 MiB can be bound.
    let sets =
        ["data.side=128", "stage1.iterations=0", "stage2.batch=64", "data.ood=builtin:noise"];
    let planned = |more: &[&str]| {
        let config = config("dat", &[&sets[..], more].concat());
        let material = Material::load(&config).unwrap();
        let plans = pollster::block_on(plans(&gpu, &config, &material)).unwrap();
        plans.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    let names = planned(&[]);
    assert_eq!(names[0], "stage 2: update, once an iteration, in 2 parts of 32 images");
    assert!(planned(&["stage2.micro_batch=4"])[1].ends_with("in 16 parts of 4 images"));
    assert_eq!(gpu.adapter().max_binding, 128 << 20);
}
