//! Tests that evaluations by several processes give the numbers and files of one process, interrupted or not.

use crate::{PATIENCE, alone, lapidary, said, scale, succeeds};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const COUNTS: [usize; 2] = [0, 4];

/// Without what times tell, and the checksum over them.
fn timeless(mut value: Value) -> Value {
    let told = ["seconds", "busy_seconds", "images_per_second", "checksum"];
    match &mut value {
        Value::Object(fields) => {
            fields.retain(|key, _| !told.contains(&key.as_str()));
            fields.values_mut().for_each(|field| *field = timeless(field.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = timeless(item.take())),
        _ => {}
    }
    value
}

fn json(bytes: &[u8]) -> Value {
    timeless(serde_json::from_slice(bytes).unwrap())
}

#[test]
fn attacks_come_to_the_same_points_and_images() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let count = (20 * scale()).to_string();
    let mut all = Vec::new();
    for ranks in COUNTS {
        let out = folder.path().join(format!("{ranks}.safetensors"));
        let mut command = lapidary(ranks);
        command.args(["attack", "--eps", "0.6", "--count", &count, "--batch", "8", "--json"]);
        command.arg("--out").arg(&out);
        let output = succeeds(&mut command);
        all.push((json(&output.stdout), std::fs::read(out).unwrap()));
    }
    assert!(all[0].0["robust_accuracy"].as_f64().unwrap() < 1.0, "{}", all[0].0);
    assert!(all[0] == all[1], "{} {}", all[0].0, all[1].0);
}

#[test]
fn an_interrupted_attack_goes_on_with_another_number_of_ranks() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.json");
    let attack = |ranks: usize, state: Option<&Path>| {
        let mut command = lapidary(ranks);
        command.args(["attack", "--eps", "0.6", "--count", "24", "--batch", "8", "--json"]);
        state.map(|state| command.arg("--state").arg(state));
        command
    };
    let whole = json(&succeeds(&mut attack(0, None)).stdout);
    let mut command = attack(2, Some(&state));
    let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while !state.exists() && child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // Ranks whose launcher is killed find out by themselves.
    std::thread::sleep(Duration::from_secs(2));
    let resumed = json(&succeeds(&mut attack(4, Some(&state))).stdout);
    assert_eq!(resumed, whole);
}

fn samples(ranks: usize, out: &Path, count: u32) -> Vec<u8> {
    others(ranks, out, count, "0")
}

/// Samples of another seed are other ones.
fn others(ranks: usize, out: &Path, count: u32, seed: &str) -> Vec<u8> {
    let count = (count * scale()).to_string();
    let mut command = lapidary(ranks);
    command.args(["sample", "--count", &count, "--steps", "3", "--seed", seed, "--out"]).arg(out);
    succeeds(&mut command);
    std::fs::read(out).unwrap()
}

#[test]
fn samples_are_the_same_files_and_as_far_from_real_images() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: String| folder.path().join(name);
    for kind in ["npz", "tar"] {
        let [one, four] = COUNTS.map(|ranks| samples(ranks, &at(format!("{ranks}.{kind}")), 50));
        assert!(one == four, "{kind}");
    }
    let lite0 = lite0(folder.path());
    let files = ["0.npz", "real.npz"].map(|name| at(name.into()));
    others(4, &files[1], 50, "1");
    let seen = COUNTS.map(|ranks| {
        let mut command = lapidary(ranks);
        command.args(["eval", "generation", "--json"]).arg(&files[0]);
        command.arg("--reference").arg(&files[1]).arg("--extractor").arg(&lite0);
        command.arg("--cache").arg(at(format!("seen-{ranks}")));
        json(&succeeds(&mut command).stdout)
    });
    assert!(seen[0]["distance"].as_f64().unwrap() > 0.0, "{}", seen[0]);
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn interrupted_samples_go_on() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let [whole, out] = ["whole.npz", "part.npz"].map(|name| folder.path().join(name));
    let wanted = samples(0, &whole, 150);
    let kept = folder.path().join(".part.npz.kept");
    let count = (150 * scale()).to_string();
    let mut command = lapidary(2);
    command.args(["sample", "--count", &count, "--steps", "3", "--out"]).arg(&out);
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    let length = || std::fs::metadata(&kept).map_or(0, |about| about.len());
    while length() < 1000 && child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!out.exists() || output.status.success(), "{}", said(&output));
    std::thread::sleep(Duration::from_secs(2));
    assert!(samples(4, &out, 150) == wanted);
    assert!(!kept.exists());
}

#[test]
fn all_of_a_network_is_the_same() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let reports = COUNTS.map(|ranks| {
        let out = folder.path().join(ranks.to_string());
        let mut command = lapidary(ranks);
        command.args(["eval", "all", "--images", "20", "--samples", "10", "--batch", "8"]);
        command.args(["--eps", "0.5", "--out"]);
        succeeds(command.arg(&out));
        let state = std::fs::read_to_string(out.join("state.json")).unwrap();
        let start = state.find('{').unwrap();
        let end = state.rfind('}').unwrap();
        let pictures = ["samples.png", "counterfactuals.png"];
        (
            json(&state.as_bytes()[start..=end]),
            pictures.map(|name| std::fs::read(out.join(name)).unwrap()),
        )
    });
    assert!(reports[0].0["parts"]["clean"]["accuracy"].as_f64().unwrap() > 0.1);
    assert_eq!(reports[0].0, reports[1].0);
    assert!(reports[0].1 == reports[1].1);
}

/// EfficientNet-Lite0 with made-up weights.
fn lite0(folder: &Path) -> PathBuf {
    use lapidary::data::Random;
    use lapidary::model::{Checkpoint, Extractor, StateDict, Tensor};
    let mut weights = StateDict::default();
    for (number, parameter) in (0..).zip(Extractor::EfficientNetLite0.parameters()) {
        let mut random = Random::new(1, "extractor", 0, number);
        let fan = parameter.shape.iter().skip(1).product::<usize>().max(1);
        let data = match parameter.name.rsplit('.').next() {
            Some("running_var") => vec![1.0; parameter.count()],
            Some("weight") if parameter.shape.len() > 1 => {
                let scale = (3.0 / fan as f64).sqrt();
                (0..parameter.count()).map(|_| random.uniform(-scale, scale) as f32).collect()
            }
            Some("weight") => vec![1.0; parameter.count()],
            _ => vec![0.0; parameter.count()],
        };
        weights.insert(parameter.name.clone(), Tensor { shape: parameter.shape.clone(), data });
    }
    let file = folder.join("lite0.safetensors");
    let checkpoint = Checkpoint { weights, source: "made".into(), ..Checkpoint::default() };
    std::fs::write(&file, checkpoint.to_bytes().unwrap()).unwrap();
    file
}
