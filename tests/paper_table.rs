//! Tests `lapidary paper-table`, which compares training methods in one table, with next to no training: the table is complete,
//! finished runs are not done again, and the runs of another comparison are refused. It needs an adapter.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail so")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// A hundred passes a row, as few as there may be, and a tenth of these.
const FEW: [&str; 8] =
    ["paper-table", "--quick", "--budget", "100", "--images", "20", "--samples", "20"];

fn compare(out: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lapidary"));
    command.args(FEW).args(more).arg("--out").arg(out).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Row, measure, seeds, mean of table.csv; measures with commas are of further sets of images.
fn table(out: &Path) -> Vec<(String, String, f64)> {
    let text = fs::read_to_string(out.join("table.csv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("row,measure,seeds,mean,standard_error"));
    let plain = lines.filter(|line| !line.contains('"'));
    let row = |line: &str| {
        let fields: Vec<_> = line.split(',').collect();
        assert_eq!((fields.len(), fields[2]), (5, "1"), "{line}");
        (fields[0].to_owned(), fields[1].to_owned(), fields[3].parse().unwrap())
    };
    plain.map(row).collect()
}

#[test]
fn every_row_comes_into_the_table_once() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("table");
    // Two rows first, then all: what was measured stays.
    let first = compare(&out, &["--rows", "at,dat-t4"]);
    assert!(first.status.success(), "{}", said(&first));
    let numbers = out.join("at-0/numbers.json");
    let before = fs::metadata(&numbers).unwrap().modified().unwrap();
    let all = compare(&out, &[]);
    assert!(all.status.success(), "{}", said(&all));
    assert_eq!(fs::metadata(&numbers).unwrap().modified().unwrap(), before);

    let found = table(&out);
    let rows = ["standard", "at", "trades", "ratio", "jem", "dat-t4", "dat-t8", "dat-t12"];
    let shares = [
        "clean",
        "pgd_l2",
        "pgd_linf",
        "precision",
        "recall",
        "judge",
        "ece",
        "auroc",
        "auroc_hidden",
        "counterfactual",
    ];
    for row in rows {
        let of = |measure: &str| {
            let mut values = found.iter().filter(|each| each.0 == row && each.1 == measure);
            values.next().map(|each| each.2)
        };
        for share in shares {
            assert!(of(share).is_some_and(|value| (0.0..=1.0).contains(&value)), "{row} {share}");
        }
        // An attack breaks what is right and mends nothing.
        assert!(of("pgd_l2") <= of("clean") && of("pgd_linf") <= of("clean"), "{row}");
        assert!(of("fd").is_some_and(|value| value.is_finite() && value >= 0.0), "{row}");
        assert!(of("seconds").is_some_and(|value| value > 0.0), "{row}");
    }
    let markdown = fs::read_to_string(out.join("table.md")).unwrap();
    assert_eq!(markdown.lines().filter(|line| line.contains("| 1 |")).count(), rows.len());
    let svg = fs::read_to_string(out.join("figure.svg")).unwrap();
    assert_eq!(svg.matches("<circle").count(), rows.len());
    let runs = fs::read_to_string(out.join("runs.csv")).unwrap();
    assert!(runs.contains("dat-t12,0,\"AUROC, builtin:noise\","), "{runs}");

    let other = compare(&out, &["--attack-images", "1"]);
    assert_eq!(other.status.code(), Some(3));
    assert!(
        said(&other).contains("attack images 0, but now attack images is 1"),
        "{}",
        said(&other)
    );
}

/// Each comparison ends where its adapter is looked for, after its folder was.
#[test]
fn a_table_is_of_one_precision() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("table");
    let code = |more: &[&str]| {
        let output = compare(&out, &[&["--adapter", "nosuch"], more].concat());
        (output.status.code(), said(&output))
    };
    assert_eq!(code(&[]).0, Some(4));
    for (option, value, was) in [("--precision", "mixed", "single"), ("--tune", "on", "auto")] {
        let (code, said) = code(&[option, value]);
        assert_eq!(code, Some(3), "{said}");
        let wanted = format!("{option} \"{was}\", but now {option} is \"{value}\"");
        assert!(said.contains(&wanted), "{said}");
    }
    // One that was begun before these options counted is of their usual values.
    let file = out.join("comparison.json");
    let mut all: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let fields = all.as_object_mut().unwrap();
    for option in ["--precision", "--winograd", "--transformed-weights", "--tune"] {
        fields.remove(option).unwrap();
    }
    fs::write(&file, all.to_string()).unwrap();
    assert_eq!(code(&[]).0, Some(4));
    assert_eq!(code(&["--precision", "mixed"]).0, Some(3));
}

#[test]
fn what_cannot_be_compared_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let unknown = compare(folder.path(), &["--rows", "gan"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(said(&unknown).contains("--rows gan") && said(&unknown).contains("dat-t12"));
    let colour = compare(folder.path(), &["--set", "colour"]);
    assert_eq!(colour.status.code(), Some(2));
    assert!(said(&colour).contains("--data"));
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing is begun");
}
