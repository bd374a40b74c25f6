//! Tests that `lapidary plan`, which predicts the memory of training from tensor shapes alone, does so for what would be trained:
//! the network that `model.weights` names, in the batches that training uses.

use std::fs;

use super::{lapidary, working};

/// Runs the program in a folder, which must end with this code, and returns what it said.
fn refused(folder: &std::path::Path, arguments: &[&str], code: i32) -> String {
    let output = lapidary(folder, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said
}

#[test]
fn plans_are_of_the_weights_that_training_begins_with() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("run")).unwrap();
    fs::copy("data/fashion-demo/model.safetensors", folder.join("run/model.safetensors")).unwrap();
    let with = |weights: &str, more: &[&str]| -> Vec<String> {
        let weights = format!("model.weights={weights}");
        let all = [&["plan", "fashion-tiny", "--set", &weights, "--set", "model.depth=22"], more];
        all.concat().iter().map(|&word| word.to_owned()).collect()
    };
    let words =
        |given: &[String]| working(folder, &given.iter().map(String::as_str).collect::<Vec<_>>());
    // A run's folder is the network in it, and not that of [model].
    let [run, file] = ["run", "run/model.safetensors"].map(|weights| words(&with(weights, &[])));
    for text in [&run, &file] {
        assert!(!text.contains("WRN-22-1"), "{text}");
        assert!(
            text.contains("images of 1 channels and 10 classes, as the network in run"),
            "{text}"
        );
    }
    let memory = |text: &str| {
        text.lines().filter(|line| line.contains("MiB")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(memory(&run), memory(&file));
    // What is not there is said to be missing.
    let text = words(&with("nowhere.pth", &[]));
    assert!(text.contains("WRN-22-1") && text.contains("nowhere.pth is not there"), "{text}");
    // Images that the network is not for are refused, as training does.
    for (option, number, wanted) in [
        ("--classes", "7", "1 channels and 7 classes"),
        ("--channels", "3", "3 channels and 10 classes"),
    ] {
        let given = with("run", &[option, number]);
        let said = refused(folder, &given.iter().map(String::as_str).collect::<Vec<_>>(), 3);
        assert!(
            said.contains("the network has 1 channels and 10 classes") && said.contains(wanted),
            "{said}"
        );
    }
}

#[test]
fn plans_refuse_the_micro_batches_that_training_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let parts = ["--set", "stage1.micro_batch=8"];
    let [plan, train] = [&["plan", "fashion-tiny"][..], &["train", "fashion-tiny", "--out", "run"]];
    for command in [plan, train] {
        let said = refused(folder.path(), &[command, &parts].concat(), 2);
        assert!(said.contains("stage1.micro_batch") && said.contains("batch norm"), "{said}");
    }
    assert!(!folder.path().join("run").exists(), "refused before a folder is made");
    let joined = ["--set", "stage1.sync_batch_norm=true"];
    let text = working(folder.path(), &[plan, &parts, &joined].concat());
    assert!(text.contains("8 at once"), "{text}");
}

/// Files that are no pictures are found out when they are decoded, which a plan does not do.
#[test]
fn a_shown_plan_decodes_no_picture() {
    let folder = tempfile::tempdir().unwrap();
    for class in ["a", "b", "c"] {
        let class = folder.path().join("photos").join(class);
        fs::create_dir_all(&class).unwrap();
        fs::write(class.join("1.png"), "no picture").unwrap();
    }
    let sets = ["--set", "data.train=photos", "--set", "data.ood=nowhere"];
    let shown = ["train", "fashion-tiny", "--show-plan"];
    let text = working(folder.path(), &[&shown[..], &sets].concat());
    assert_eq!(text.matches("peak memory").count(), 4, "{text}");
    let trained = lapidary(folder.path(), &[&shown[..2], &sets].concat());
    assert_eq!(trained.status.code(), Some(3), "{trained:?}");
}
