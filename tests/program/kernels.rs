//! Tests the commands about adapters and kernels: `devices`, `doctor`, `bench`, `tune` and the cache of pipelines.

use std::path::Path;
use std::process::Command;

use super::{failing, lapidary, refused, working};

#[test]
fn adapters_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let output = lapidary(folder.path(), &["devices"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("driver"), "{text}");
    assert_eq!(lapidary(folder.path(), &["--list"]).stdout, text.into_bytes());
}

#[test]
fn the_adapter_is_well() {
    let folder = tempfile::tempdir().unwrap();
    let said = working(folder.path(), &["doctor", "--report", "report.json"]);
    assert_eq!(said.matches("\nok ").count(), 12, "{said}");
    let text = std::fs::read_to_string(folder.path().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["lapidary"], env!("CARGO_PKG_VERSION"));
    assert_eq!(report["cases"].as_array().unwrap().len(), 12);
    assert!(report["cases"][0]["good"].as_bool().unwrap() && report["error"].is_null(), "{text}");
    let device = &report["device"];
    assert!(said.starts_with(device["name"].as_str().unwrap()), "{text}");
    let limits = device["limits"].as_object().unwrap();
    assert!(
        limits.len() > 20 && limits["max_storage_buffers_per_shader_stage"].as_u64() >= Some(8),
        "{text}"
    );
    for path in [folder.path(), &std::env::current_dir().unwrap(), &std::env::home_dir().unwrap()] {
        assert!(!text.contains(path.to_str().unwrap()), "{} in {text}", path.display());
    }
}

/// No adapter is worth a report too.
#[test]
fn a_report_tells_that_there_is_no_adapter() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["doctor", "--report", "report.json", "--adapter", "nosuch"];
    assert_eq!(lapidary(folder.path(), &arguments).status.code(), Some(4));
    let text = std::fs::read_to_string(folder.path().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(report["device"].is_null() && report["error"].as_str().unwrap().contains("nosuch"));
    assert!(!report["adapters"].as_array().unwrap().is_empty());
}

/// What scripts read from `bench`: positive numbers, no more than the peak, kernels and layers that add up, a trace and a
/// table of all launches.
#[test]
fn bench_says_what_scripts_read() {
    let folder = tempfile::tempdir().unwrap();
    let step =
        ["bench", "--model", "wrn-10-1", "--side", "16", "--batch", "4", "--runs", "1", "--json"];
    let arguments = [&step[..], &["--layers", "--profile", "trace.json", "--quiet"]].concat();
    let output = lapidary(folder.path(), &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let positive = [
        "pgd_step_ms",
        "gflops",
        "peak_gflops",
        "peak_fraction",
        "memory_bytes",
        "launches",
        "pipelines_ms",
    ];
    for key in positive {
        assert!(told[key].as_f64().unwrap() > 0.0, "{key} of {told}");
    }
    let plan = [&step[..7], &["--show-plan"]].concat();
    assert!(working(folder.path(), &plan).contains("peak memory"));
    let parts = told["memory"].as_object().unwrap().values();
    let parts: u64 = parts.map(|bytes| bytes.as_u64().unwrap()).sum();
    assert_eq!(parts, told["memory_bytes"].as_u64().unwrap(), "{told}");
    assert!(told["peak_fraction"].as_f64().unwrap() < 1.0, "{told}");
    assert!(!told["adapter"].as_str().unwrap().is_empty());
    let trace = std::fs::read(folder.path().join("trace.json")).unwrap();
    let trace: serde_json::Value = serde_json::from_slice(&trace).unwrap();
    let launches = trace["traceEvents"].as_array().unwrap().len() as u64;
    for table in ["kernels", "layers"] {
        let rows = told[table].as_array().unwrap().iter();
        assert_eq!(rows.map(|row| row["launches"].as_u64().unwrap()).sum::<u64>(), launches);
    }
    let layers = told["layers"].as_array().unwrap();
    assert!(layers.iter().any(|row| row["layer"] == "block3.layer.0.conv2"), "{told}");
    let table = std::fs::read_to_string(folder.path().join("trace.csv")).unwrap();
    assert_eq!(table.lines().count() as u64, 1 + launches);
    let columns = |line: &str| line.split(',').count();
    assert!(table.lines().all(|line| columns(line) == 11), "{table}");
    let said = failing(&["bench", "--model", "wrn-16"], 2);
    assert!(said.contains("convnext-base"), "{said}");
    failing(&["bench", "--what", "step"], 2);
}

/// The second start takes the pipelines of the first, and a damaged file is replaced. Measured choices are exported as a
/// table and imported again; a table that is damaged or of another device is ignored with a note.
#[test]
fn tables_of_choices_go_out_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let measure = ["tune", "wrn-10-1", "--batch", "2", "--side", "8", "--seconds", "15"];
    let made = working(folder.path(), &[&measure[..], &["--export", "table.json"]].concat());
    let table = std::fs::read_to_string(at("table.json")).unwrap();
    let read: serde_json::Value = serde_json::from_str(&table).unwrap();
    let choices = read["choices"].as_object().unwrap();
    assert!(!choices.is_empty() && read["crc32"].is_string(), "{table}");
    assert!(made.contains(&format!("{} shapes are measured", choices.len())), "{made}");

    let taken =
        working(folder.path(), &["tune", "--import", "table.json", "--export", "again.json"]);
    assert!(
        taken.contains(&format!("{} choices of kernels read from table.json", choices.len())),
        "{taken}"
    );
    assert_eq!(std::fs::read_to_string(at("again.json")).unwrap(), table);

    let damaged = table.replacen("\"crc32\": \"", "\"crc32\": \"0", 1);
    std::fs::write(at("damaged.json"), damaged).unwrap();
    std::fs::write(at("short.json"), &table[..table.len() / 2]).unwrap();
    let mut foreign = read.as_object().unwrap().clone();
    foreign.remove("crc32");
    foreign.insert("device".into(), "another device".into());
    let sum = crc32fast::hash(serde_json::Value::from(foreign.clone()).to_string().as_bytes());
    foreign.insert("crc32".into(), format!("{sum:08x}").into());
    std::fs::write(at("foreign.json"), serde_json::Value::from(foreign).to_string()).unwrap();
    for (file, why) in [
        ("damaged.json", "damaged"),
        ("short.json", "damaged"),
        ("foreign.json", "\"another device\""),
    ] {
        let output = lapidary(folder.path(), &["tune", "--import", file]);
        let [out, said] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(output.status.success() && out.contains("0 shapes are measured"), "{out}");
        assert!(said.contains(&format!("{file} is ignored")) && said.contains(why), "{said}");
    }
    assert!(refused(folder.path(), &["tune", "--export", "none.json"], 3).contains("MODEL"));

    // The cache has the same: what is known is not measured again, and a damaged file is named.
    let cache = at("cache");
    let cached = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lapidary"));
        command.args(arguments).current_dir(folder.path()).env("LAPIDARY_CACHE", &cache);
        let output = command.output().unwrap();
        assert!(output.status.success());
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap())
    };
    cached(&["tune", "--import", "table.json"]);
    let [out, _] = cached(&["tune"]);
    assert!(out.contains(&format!("{} shapes are measured", choices.len())), "{out}");
    let files = std::fs::read_dir(&cache).unwrap().map(|file| file.unwrap().path());
    let kept = files.into_iter().find(|path| path.to_string_lossy().contains("choices-")).unwrap();
    std::fs::write(&kept, "{}").unwrap();
    let [out, said] = cached(&["tune"]);
    assert!(out.contains("0 shapes are measured"), "{out}");
    assert!(said.contains("choices-") && said.contains("is ignored"), "{said}");
}

#[test]
fn pipelines_are_kept_for_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let run = |cache: &Path, more: &[&str]| {
        let step = ["bench", "--model", "wrn-10-1", "--side", "8", "--batch", "1", "--runs", "1"];
        let output = Command::new(env!("CARGO_BIN_EXE_lapidary"))
            .args(step)
            .args(more)
            .args(["--json", "--quiet"])
            .env("LAPIDARY_CACHE", cache)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let files = std::fs::read_dir(cache).into_iter().flatten().map(|file| file.unwrap().path());
        files.collect::<Vec<_>>()
    };
    let none = folder.path().join("none");
    assert!(run(&none, &["--no-cache"]).is_empty());
    let cache = folder.path().join("cache");
    let files = run(&cache, &[]);
    let [file] = &files[..] else {
        assert!(files.is_empty(), "{files:?}");
        return eprintln!("SKIPPED: the adapter keeps no pipelines");
    };
    let kept = std::fs::read(file).unwrap();
    std::fs::write(file, &kept[..kept.len() / 2]).unwrap();
    assert_eq!(run(&cache, &[]), files);
    let again = std::fs::read(file).unwrap();
    assert!(again.len() > kept.len() / 2 && again.starts_with(&kept[..64]));
}

/// An estimate needs no adapter, and says that it is one. An unknown chip is answered by those that are known.
#[test]
fn bench_estimates_a_step_on_a_chip_that_is_not_here() {
    let folder = tempfile::tempdir().unwrap();
    let step = ["bench", "--model", "wrn-10-1", "--batch", "4", "--adapter", "none at all"];
    let with = |more: &[&'static str]| [&step[..], more].concat();
    let told =
        working(folder.path(), &with(&["--predict", "h100", "--what", "train-step", "--json"]));
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let number = |key: &str| told[key].as_f64().unwrap();
    assert_eq!((&told["estimate"], &told["compiled_for"]), (&true.into(), &"ada".into()));
    assert!(number("floor_ms") > 0.0 && number("ms") >= number("floor_ms"), "{told}");
    let layers = told["layers"].as_array().unwrap();
    let sum: f64 = layers.iter().map(|layer| layer["ms"].as_f64().unwrap()).sum();
    assert!((sum / number("ms") - 1.0).abs() < 1e-9, "{told}");
    let lost = |layer: &serde_json::Value| {
        layer["ms"].as_f64().unwrap() - layer["floor_ms"].as_f64().unwrap()
    };
    assert!(layers.windows(2).all(|pair| lost(&pair[0]) >= lost(&pair[1])), "worst first: {told}");
    for op in ["packed_conv2d", "packed_conv2d_input_gradient", "packed_weight_gradient"] {
        assert!(
            layers.iter().any(|layer| layer["op"] == op && layer["row"] != ""),
            "{op} of {told}"
        );
    }
    let text = working(folder.path(), &with(&["--predict", "M1"]));
    for said in ["estimate, not a measurement", "left out:", "Apple press release", "bound by"] {
        assert!(text.contains(said), "{said} in {text}");
    }
    let said = failing(&with(&["--predict", "voodoo"]), 2);
    assert!(said.contains("rx7900xtx") && said.contains("adreno740"), "{said}");
    failing(&with(&["--predict", "m1", "--winograd", "4"]), 2);
    failing(&with(&["--predict", "m1", "--compare", "torch"]), 2);
}

/// A peer that answers is measured in every round; one that cannot be started is told how to install, and is no failure.
#[test]
#[cfg(unix)]
fn bench_compares_with_what_is_there() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let peer = folder.path().join("peer");
    let script = r#"#!/bin/sh
echo '{"peer": "burn", "version": "1", "device": "none", "variants": ["wgpu"]}'
while read -r line; do
  echo "$* $line" >>"$0.asked"
  echo '{"ms": 2.5, "ready_seconds": 1, "bytes": 4096}'
done
"#;

    std::fs::write(&peer, script).unwrap();
    std::fs::set_permissions(&peer, std::fs::Permissions::from_mode(0o755)).unwrap();
    let step = ["bench", "--model", "wrn-10-1", "--side", "16", "--batch", "4", "--runs", "2"];
    let others = ["--compare", "torch,burn", "--python", "./none", "--burn", "./peer"];
    let output = lapidary(folder.path(), &[&step[..], &others, &["--json", "--quiet"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(told["missing"][0].as_str().unwrap().contains("pip install torch"), "{told}");
    assert_eq!(told["peers"][0]["memory_bytes"], 4096);
    let entries = told["tasks"][0]["entries"].as_array().unwrap();
    let names: Vec<_> = entries.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["lapidary", "burn wgpu"]);
    assert!(entries.iter().all(|entry| entry["runs"].as_array().unwrap().len() == 2), "{told}");
    let ratio = told["pgd_step_ms"].as_f64().unwrap() / 2.5;
    assert_eq!(entries[1]["lapidary_over_this"].as_f64().unwrap(), ratio);
    let asked = std::fs::read_to_string(folder.path().join("peer.asked")).unwrap();
    assert!(asked.starts_with("wrn-10-1 4 16"), "{asked}");
    assert_eq!(asked.matches("time wgpu step").count(), 3, "{asked}");
    failing(&["bench", "--model", "resnet50", "--compare", "torch"], 2);
}
