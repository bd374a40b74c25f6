//! Tests the commands on a training run: `plan`, `train`, `eval`, `sample` and `inspect`.

use super::{PNG, lapidary, refused, working};

#[test]
fn a_run_is_trained_evaluated_sampled_and_inspected() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let said = working(folder, &["train", "fashion-tiny", "--out", "tiny"]);
    assert!(said.contains("clean accuracy") && said.contains("report.html"), "{said}");
    let run = folder.join("tiny");
    let read = |name: &str| std::fs::read(run.join(name)).unwrap();
    for name in ["samples.png", "trajectory.png"] {
        assert!(read(name).starts_with(PNG), "{name}");
    }
    assert!(!read("judge.safetensors").is_empty());
    let report = String::from_utf8(read("report.html")).unwrap();
    assert_eq!(report.matches("data:image/png").count(), 2);
    let metrics: serde_json::Value = serde_json::from_slice(&read("metrics.json")).unwrap();
    assert!(metrics["judge_agreement"].is_number() && metrics["seconds_total"].is_number());

    // A whole run is gone on with: nothing is trained, all else is there again.
    let model = read("model.safetensors");
    std::fs::remove_file(run.join("report.html")).unwrap();
    let changes = ["--set", "data.threads=4", "--max-bad", "5"];
    working(folder, &[&["train", "--resume", "--out", "tiny"], &changes[..]].concat());
    assert!(read("model.safetensors") == model && !read("report.html").is_empty());
    let again: serde_json::Value = serde_json::from_slice(&read("metrics.json")).unwrap();
    for key in ["clean_accuracy", "pgd_accuracy", "judge_agreement", "seconds_stage2"] {
        assert_eq!(again[key], metrics[key], "{key}");
    }

    // The data's identity is the run's; other data is refused.
    let record = String::from_utf8(read("data.json")).unwrap();
    assert!(record.contains("\"checksum\": \"d31450cfb0f9c63b\""), "{record}");
    std::fs::write(run.join("data.json"), record.replace("d31450", "d31451")).unwrap();
    let said = refused(folder, &["train", "--resume", "--out", "tiny"], 3);
    assert!(said.contains("d31451cfb0f9c63b") && said.contains("data.json"), "{said}");

    let steps = ["--steps", "2", "--batch", "250"];
    for checkpoint in ["tiny", "tiny/model.safetensors", "tiny/checkpoints/step-12"] {
        let said = working(folder, &[&["eval", checkpoint, "--json"], &steps[..]].concat());
        let metrics: serde_json::Value = serde_json::from_str(&said).unwrap();
        let clean = metrics["clean_accuracy"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&clean) && metrics["judge_agreement"].is_null(), "{said}");
    }
    std::fs::create_dir(folder.join("pngs")).unwrap();
    std::fs::write(folder.join("pngs/one.png"), read("samples.png")).unwrap();
    for start in ["builtin:fractal", "builtin:noise", "pngs"] {
        let out = format!("{}.png", start.replace(':', "-"));
        let given = ["--count", "3", "--steps", "1", "--class", "dress", "--start", start];
        working(folder, &[&["sample", "tiny", "--out", &out], &given[..]].concat());
        for name in [out.clone(), out.replace(".png", "-trajectory.png")] {
            assert!(std::fs::read(folder.join(&name)).unwrap().starts_with(PNG), "{name}");
        }
    }
    let said = refused(folder, &["sample", "tiny", "--class", "hat"], 2);
    assert!(said.contains("ankle boot"), "{said}");
    let said = working(folder, &["inspect", "tiny", "--adapter", "nosuch"]);
    for wanted in ["WRN-10-1", "77562", "std", "fashion-tiny", "fc.weight", "[10, 64]"] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}

#[test]
fn what_is_built_in_is_sampled_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    let given = ["--count", "2", "--steps", "1"];
    working(folder.path(), &[&["sample"], &given[..]].concat());
    assert!(std::fs::read(folder.path().join("samples.png")).unwrap().starts_with(PNG));
    let said = working(folder.path(), &["eval", "--steps", "1", "--batch", "250"]);
    assert!(said.contains("AUROC"), "{said}");
}

#[test]
fn pictures_are_classified() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // A trouser, twice as high as wide.
    let leg = |x: u32, y: u32| x > 12 && x < 36 && !(x.abs_diff(24) < 3 && y > 40);
    let picture =
        image::RgbImage::from_fn(48, 96, |x, y| image::Rgb([if leg(x, y) { 220 } else { 0 }; 3]));
    picture.save(folder.join("a.png")).unwrap();
    picture.save(folder.join("b.jpg")).unwrap();
    let said = working(folder, &["classify", "a.png", "b.jpg", "--top", "3"]);
    assert_eq!(said.lines().filter(|line| line.contains('%')).count(), 6, "{said}");
    let said = working(folder, &["classify", "a.png", "b.jpg", "--top", "10", "--json"]);
    let answers: serde_json::Value = serde_json::from_str(&said).unwrap();
    let [a, b] = [0, 1].map(|i| &answers[i]["top"]);
    let sum: f64 =
        a.as_array().unwrap().iter().map(|each| each["probability"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-12, "probabilities have 64 bits: {said}");
    assert_eq!(a[0]["name"], b[0]["name"], "a JPEG of the same picture");
    assert!(a[0]["logit"].as_f64() >= a[1]["logit"].as_f64());
    std::fs::write(folder.join("c.png"), b"no picture").unwrap();
    // A damaged file is an error at the end, and the others are classified.
    let files = ["classify", "a.png", "c.png", "--json"];
    let said = refused(folder, &files, 3);
    assert!(said.contains("c.png"), "{said}");
    let answers: serde_json::Value =
        serde_json::from_slice(&lapidary(folder, &files).stdout).unwrap();
    assert_eq!(answers[0]["top"][0]["name"], a[0]["name"], "{answers}");
    assert!(answers[1]["error"].as_str().unwrap().contains("c.png"), "{answers}");
    // More pictures than are read at once, a third of them damaged; each is named, also where no notes are wanted.
    let quietly = ["classify", "--quiet", "--top", "1"];
    let many = [&quietly[..], &["a.png", "c.png", "b.jpg"].repeat(7)].concat();
    let printed = lapidary(folder, &many);
    let said = String::from_utf8(printed.stdout).unwrap();
    let named: Vec<_> = said.lines().filter(|line| !line.contains('%')).collect();
    assert_eq!((named, printed.status.code()), (["a.png", "b.jpg"].repeat(7), Some(3)), "{said}");
    let said = String::from_utf8_lossy(&printed.stderr);
    let errors = said.lines().filter(|line| line.starts_with("lapidary: c.png: ")).count();
    assert!(errors == 7 + 1 && said.contains("7 of 21 files"), "{said}");
    let said = refused(folder, &["classify", "c.png"], 3);
    assert!(said.contains("c.png"), "{said}");
    let said = working(folder, &["classify", "--show-plan"]);
    assert!(said.contains("peak memory"), "{said}");
}

#[test]
fn plans_are_shown_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let said = working(folder.path(), &["train", "fashion-tiny", "--show-plan"]);
    assert_eq!(said.matches("peak memory").count(), 4, "{said}");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
}

/// The numbers in a table of ranks follow from its rates; a batch has 16 images, so at most 16 ranks.
#[test]
fn ranks_are_planned() {
    let folder = tempfile::tempdir().unwrap();
    let rates = ["--bandwidth", "100Gb/s", "--copies", "10GB/s", "--tflops", "1"];
    let of = [&["plan", "fashion-tiny", "--ranks", "32"][..], &rates].concat();
    let text = working(folder.path(), &of);
    let [stage1, stage2] = ["stage1 at its", "stage2 at its"].map(|head| text.find(head).unwrap());
    let rows = |text: &str| -> Vec<Vec<f64>> {
        let row = |line: &str| {
            let cells = line.split_whitespace().map(|cell| cell.trim_end_matches("ms").parse());
            cells.collect::<Result<Vec<f64>, _>>().ok().filter(|row| row.len() == 7)
        };
        text.lines().filter_map(row).collect()
    };
    for part in [&text[stage1..stage2], &text[stage2..]] {
        let rows = rows(part);
        let column = |at: usize| rows.iter().map(|row| row[at]).collect::<Vec<_>>();
        assert_eq!(column(0), [1.0, 2.0, 4.0, 8.0, 16.0], "{text}");
        assert_eq!(column(1), [16.0, 8.0, 4.0, 2.0, 1.0]);
        let falls = |column: Vec<f64>| column.windows(2).all(|pair| pair[1] <= pair[0]);
        assert!(falls(column(2)) && falls(column(6)) && column(6)[0] == 1.0, "{text}");
        assert!(part.contains("32 cannot share a batch of 16 images"), "{text}");
    }
}
