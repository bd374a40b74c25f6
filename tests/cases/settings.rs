//! Tests that settings which were once accepted and changed nothing, or the wrong thing, do what they say or are refused.

use std::fs;
use std::path::Path;

use crate::common::own_gpu;
use crate::distances::{extractor, photo, put};
use crate::reading::{longs, npy, npz};
use crate::runs::{run, small};
use crate::{answer, lapidary, working};
use lapidary::Error;
use lapidary::data::{Fit, OodImages};
use lapidary::train::{Data, Event, Material, RunFolder};

/// An archive of `count` colour images with labels of two classes.
fn colours(path: &Path, count: usize, [height, width]: [usize; 2]) {
    let bytes = (0..count * height * width * 3).map(|i| (i * i % 251) as u8).collect::<Vec<_>>();
    let images = npy("|u1", false, &[count, height, width, 3], &bytes);
    let labels: Vec<i64> = (0..count as i64).map(|i| i % 2).collect();
    npz(path, &[("images", images), ("labels", longs(&labels))]);
}

/// With an empty `data.fit` training once put zeros around arrays of `data.ood`, and what reads the network's file cropped them.
#[test]
fn images_of_no_class_come_to_the_side_as_the_networks_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let [train, ood] = ["train", "ood"].map(|name| folder.path().join(format!("{name}.npz")));
    colours(&train, 8, [8, 8]);
    colours(&ood, 4, [12, 20]);
    let [from, others] = [("train", &train), ("ood", &ood)]
        .map(|(key, path)| format!("data.{key}={}", path.display()));
    let config = small(&["data.held_out=2", &from, &others]);
    let material = Material::load(&config).unwrap();
    assert_eq!(material.fit, Fit::Crop);
    let of = |images: &OodImages| images.measured(0, 4, 4).unwrap().all().unwrap();
    let fitted = |fit: Fit| {
        let data = Data { fit: fit.to_string(), ..config.data.clone() };
        of(&data.open_ood(3).unwrap())
    };
    assert_eq!(of(&material.ood), fitted(material.fit));
    assert_ne!(of(&material.ood), fitted(Fit::Letterbox));
}

/// Images beyond `evaluate.images` were once kept from training and not measured.
#[test]
fn all_images_that_are_kept_to_validate_with_are_measured() {
    let folder = tempfile::tempdir().unwrap();
    let config = small(&["validate.every=1", "validate.images=37", "evaluate.images=16"]);
    let mut seen = Vec::new();
    run(&folder.path().join("run"), &config, &own_gpu(), |event| {
        if let Event::Step(step) = event {
            seen.extend(step.clean_accuracy.map(f64::from));
        }
    })
    .unwrap();
    let whole = |share: f64| (37.0 * share - (37.0 * share).round()).abs() < 1e-4;
    assert!(seen.len() == 7 && seen.iter().all(|&share| whole(share)), "{seen:?}");
    assert!(seen.iter().any(|&share| 0.0 < share && share < 1.0), "{seen:?}");
}

/// Earlier versions began runs with settings that nothing reads: these runs go on, and no other begins so.
#[test]
fn begun_runs_go_on_with_settings_that_nothing_reads() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    run(&out, &small(&["objective=trades"]), &own_gpu(), |_| ()).unwrap();
    let unread = small(&["objective=trades", "stage1.attack=momentum-best"]);
    fs::write(out.join("config.toml"), unread.to_toml().unwrap()).unwrap();
    run(&out, &unread, &own_gpu(), |_| ()).unwrap();
    let refused = RunFolder::create(folder.path().join("other"), &unread).unwrap_err();
    assert!(
        matches!(&refused, Error::BadConfig { key, .. } if key == "stage1.attack"),
        "{refused}"
    );
}

/// `eval` once took at most `evaluate.images` of a run's held-out pictures, and called them all.
#[test]
fn all_pictures_that_were_held_out_are_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for number in 0..12 {
        let class = ["cat", "dog"][number as usize % 2];
        put(&here.join(format!("photos/{class}/{number}.png")), photo(number, 20, 16));
    }
    let changes = [
        "data.train=photos",
        "data.side=8",
        "data.fit=letterbox",
        "data.held_out=6",
        "stage1.iterations=1",
        "stage1.batch=4",
        "stage1.steps=1",
        "stage2.iterations=0",
        "judge.iterations=0",
        "sample.count=1",
        "sample.steps=1",
        "evaluate.images=2",
        "validate.every=0",
        "data.max_bad=0",
    ];
    let sets = changes.iter().flat_map(|&set| ["--set", set]);
    let words: Vec<_> = ["train", "fashion-tiny", "--out", "run"].into_iter().chain(sets).collect();
    working(here, &words);
    let told = answer(here, &["eval", "run", "--steps", "1", "--json"]);
    assert_eq!(told["images"], 6, "{told}");
    let told = answer(here, &["eval", "run", "--steps", "1", "--json", "--count", "4"]);
    assert_eq!(told["images"], 4, "{told}");

    // Of pictures on disk only those that are measured are decoded: no other may be damaged unseen.
    let seen = (0..12).filter(|number| {
        let file = here.join(format!("photos/{}/{number}.png", ["cat", "dog"][number % 2]));
        let before = std::fs::read(&file).unwrap();
        std::fs::write(&file, b"no picture").unwrap();
        let args = ["eval", "run", "--steps", "1", "--count", "4", "--quiet"];
        let output = lapidary(here, &args);
        std::fs::write(&file, before).unwrap();
        !output.status.success()
    });
    assert_eq!(seen.count(), 4);
}

/// `--side` was once ignored where samples are pictures, and features of another precision were taken from the cache.
#[test]
fn sides_and_precisions_count_where_samples_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for number in 0..4 {
        put(&here.join(format!("png/{number}.png")), photo(number, 64, 64));
    }
    colours(&here.join("real.npz"), 4, [12, 12]);
    for (command, what) in [
        (
            &["generation", "png", "--reference", "png"][..],
            "the samples and the reference's images are picture files",
        ),
        (&["features", "png"][..], "these images are picture files"),
    ] {
        let more = ["--side", "32", "--extractor", "none.safetensors"];
        let output = lapidary(here, &[&["eval"], command, &more].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--side 32") && said.contains(what), "{said}");
    }

    extractor(&here.join("lite0.safetensors"));
    let kept = || fs::read_dir(here.join("seen")).unwrap().count();
    let compared = |more: &[&str]| {
        let fixed = ["eval", "generation", "png", "--reference", "real.npz", "--json"];
        let with = ["--extractor", "lite0.safetensors", "--cache", "seen"];
        answer(here, &[&fixed[..], &with, more].concat())
    };
    let told = compared(&["--side", "16"]);
    assert_eq!(
        (&told["reference"]["sizes"], &told["samples"]["sizes"]),
        (&"16×16".into(), &"64×64".into())
    );
    assert_eq!(kept(), 2);
    // Adapters that compute on the CPU ignore it, but it was asked for.
    compared(&["--side", "16", "--precision", "half-weights"]);
    assert_eq!(kept(), 4);
    compared(&["--side", "16"]);
    assert_eq!(kept(), 4);
}
