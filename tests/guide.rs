//! Runs every `sh` block of `docs/` as it stands, page by page, in a folder with the files that the page supposes: `photos`
//! in two classes, `pictures` in CIFAR-10's ten, divided into train and test, and a `model.pth`; for the tutorial the `photos`
//! of `examples/fashion_photos.rs`. There are two exceptions: `train`, `plan` and `eval` get fewer iterations, and
//! an `attack` that lists no attacks gets two steps of PGD. Other tests or CI run the blocks that are marked `elsewhere`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail so")]
#![cfg(unix)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use lapidary::train::Config;

#[path = "../examples/fashion_photos.rs"]
#[allow(dead_code, reason = "its main is the example's")]
mod fashion_photos;

/// Settings that shorten `train` in a page's commands to seconds.
const FEW: &[&str] = &[
    "stage1.iterations=3",
    "stage1.batch=8",
    "stage1.steps=1",
    "stage2.iterations=2",
    "stage2.batch=8",
    "stage2.max_T=2",
    "judge.iterations=2",
    "judge.batch=8",
    "sample.count=4",
    "sample.steps=2",
    "evaluate.steps=2",
    "evaluate.images=16",
];

/// The folders of `pictures`, in the order of CIFAR-10's labels, which is that of their letters.
const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// The page's `sh` blocks, in their order.
fn blocks(page: &str) -> Vec<&str> {
    let fences = page.split("```").skip(1).step_by(2);
    fences.filter_map(|block| block.strip_prefix("sh\n")).collect()
}

/// A photograph of a class: stripes, as wide as the class says.
fn photograph(path: &Path, class: u32, number: u32) {
    let wave = |x: u32, y: u32| {
        let phase = (x * (class + 1) + y * number) as f32 / 9.0;
        (127.0 + 120.0 * phase.sin()) as u8
    };
    let pixel = |x, y| image::Rgb([wave(x, y), wave(y, x), (20 * class) as u8]);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::RgbImage::from_fn(64, 48, pixel).save(path).unwrap();
}

/// Runs a page's commands in a folder with photographs of cats and dogs.
fn run(page: &str) {
    run_with(page, |photos| {
        for (class, name) in (0..).zip(["cat", "dog"]) {
            (0..20).for_each(|i| photograph(&photos.join(format!("{name}/{i}.jpg")), class, i));
        }
    });
}

fn run_with(page: &str, photographs: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    photographs(&at("photos"));
    for (class, name) in (0..).zip(CLASSES) {
        for part in ["train", "test"] {
            let path = |i: u32| at(&format!("pictures/{part}/{name}/{i}.png"));
            (0..4).for_each(|i| photograph(&path(i), class, i));
        }
    }
    let legacy = include_bytes!("golden/cases/formats/legacy.pth");
    fs::write(at("model.pth"), legacy).unwrap();

    let program = env!("CARGO_BIN_EXE_lapidary");
    let few: String = FEW.iter().map(|change| format!(" --set {change}")).collect();
    fs::create_dir(at("bin")).unwrap();
    let script = format!(
        "#!/bin/sh\ncase \"$1 $2\" in 'train '* | 'plan '*) few='{few}' ;; 'eval all') ;; 'eval '*) few='--steps 2' ;; esac\ncase \"$*\" in *--attacks*) ;; 'attack '*) few='--attacks pgd --pgd-steps 2' ;; esac\nexec '{program}' \"$@\" $few\n"
    );
    fs::write(at("bin/lapidary"), script).unwrap();
    fs::set_permissions(at("bin/lapidary"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", at("bin").display(), std::env::var("PATH").unwrap());
    let blocks = blocks(page);
    assert!(!blocks.is_empty());
    for block in blocks {
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", block]).current_dir(folder.path()).env("PATH", &path);
        let output = shell.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{block}\n{said}");
    }
    for made in ["runs/photos/report.html", "runs/first/report.html", "cats.png", "report.json"] {
        assert!(!page.contains(made) || at(made).is_file(), "{made}");
    }
}

#[test]
fn the_guides_commands_work() {
    run(include_str!("../docs/guide.md"));
}

#[test]
fn the_checkpoint_pages_commands_work() {
    run(include_str!("../docs/checkpoints.md"));
}

#[test]
fn the_tutorials_commands_work() {
    run_with(include_str!("../docs/tutorial.md"), |photos| {
        assert_eq!(fashion_photos::write(photos, 60).unwrap(), 180);
    });
}

#[test]
fn the_cookbooks_commands_work() {
    run(include_str!("../docs/cookbook.md"));
}

#[test]
fn tuning() {
    run(include_str!("../docs/tuning.md"));
}

/// The keys of a configuration's text, each with its table in front.
fn keys(text: &str) -> BTreeSet<String> {
    let (mut table, mut found) = (String::new(), BTreeSet::new());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, _)) = line.strip_prefix('[').and_then(|line| line.split_once(']')) {
            table = format!("{name}.");
        } else if let Some((key, _)) = line.split_once(" = ") {
            found.insert(format!("{table}{key}"));
        }
    }
    found
}

/// The guide's table of other keys has all that the demo's preset does not explain, and no others.
#[test]
fn the_guide_has_all_other_keys() {
    let unsaid = [
        "data.fit=stretch",
        "stage1.sync_batch_norm=true",
        "stage1.beta1=0.5",
        "stage1.beta2=0.5",
        "stage2.beta1=0.5",
        "stage2.beta2=0.5",
        "evaluate.step_size=0.25",
    ];
    let all = Config::preset("fashion-demo").unwrap().with(&unsaid).unwrap().to_toml().unwrap();
    let others = &keys(&all) - &keys(include_str!("../configs/fashion-demo.toml"));
    let (_, section) = include_str!("../docs/guide.md").split_once("## Other keys\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|line| line.split('|').nth(1));
    let told = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned);
    assert_eq!(told.collect::<BTreeSet<_>>(), others);
}

/// The walks through the code name places that are there: a file to add to, a line to add before.
#[test]
fn the_first_ops_places_are_there() {
    let page = include_str!("../docs/extending.md");
    let mut places = 0;
    for block in page.split("```").skip(1).step_by(2) {
        let (mark, body) = block.split_once('\n').unwrap();
        if let Some((_, path)) = mark.split_once(" append=") {
            assert!(Path::new(path).is_file(), "{path}");
        }
        if let Some((_, path)) = mark.split_once(" lines=") {
            let text = fs::read_to_string(path).unwrap();
            for line in body.lines() {
                let (_, place) = line.split_once("before `").unwrap();
                let place = place.trim_end_matches('`');
                assert!(text.contains(place), "{path} has no {place}");
                places += 1;
            }
        }
    }
    assert_eq!(places, 5);
}

/// What the guide asks of people with a GPU: with a tiny network and without the tests, a report that is JSON, with a row of
/// times, and nothing run twice.
#[test]
fn the_gpu_report_goes_on_where_it_was_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let report = || {
        let output = Command::new("scripts/gpu-report")
            .args(["--no-tests", "--networks", "wrn-10-1:2:8", "--out"])
            .arg(folder.path())
            .env("LAPIDARY", env!("CARGO_BIN_EXE_lapidary"))
            .env("LAPIDARY_CACHE", "off")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        let json = fs::read(folder.path().join("report.json")).unwrap();
        (said, serde_json::from_slice::<serde_json::Value>(&json).unwrap())
    };
    let (_, first) = report();
    let step = &first["steps"]["pgd-wrn-10-1"];
    assert_eq!(step["status"], 0, "{step}");
    assert!(step["printed"]["pgd_step_ms"].as_f64().unwrap() > 0.0, "{step}");
    let page = fs::read_to_string(folder.path().join("report.md")).unwrap();
    let row = page.lines().find(|line| line.starts_with("| wrn-10-1 | 2 | 8 |")).unwrap();
    assert!(!row.contains(" - "), "{row}");
    // What was not finished is run again, and that alone.
    fs::remove_file(folder.path().join("steps/doctor.status")).unwrap();
    let (said, second) = report();
    assert!(said.contains("gpu-report: devices: done by an earlier run"), "{said}");
    assert!(said.contains("gpu-report: doctor ("), "{said}");
    assert_eq!(second["steps"]["pgd-wrn-10-1"], first["steps"]["pgd-wrn-10-1"]);
}

/// No page is forgotten, and no block has a mark that nobody knows.
#[test]
fn all_pages_are_run() {
    for entry in fs::read_dir("docs").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        let page = fs::read_to_string(&path).unwrap();
        let run = ["guide.md", "tutorial.md", "cookbook.md", "checkpoints.md", "tuning.md"];
        let run = run.contains(&name);
        assert_eq!(!blocks(&page).is_empty(), run, "{name}");
        let marks = page.split("```").skip(1).step_by(2).filter_map(|block| block.lines().next());
        for mark in marks.filter(|mark| mark.starts_with("sh")) {
            assert!(["sh", "sh elsewhere"].contains(&mark), "{name}: {mark}");
        }
    }
}
