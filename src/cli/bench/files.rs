//! Writes the files of `bench --profile`: the GPU time of each kernel launch in a step, as a table and as a trace for a viewer.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::gpu::{Gpu, Timing};
use crate::model::checkpoint::write_atomically;
use crate::{Error, Result};

/// Writes FILE.json, which browsers' trace viewers read (chrome://tracing, ui.perfetto.dev), with the launches one after
/// another, and FILE.csv. Err without timestamps.
pub fn write(path: &Path, gpu: &Gpu, timings: &[Timing]) -> Result<()> {
    if timings.is_empty() {
        let (given, wanted) = ("no timestamps".into(), "a timestamp query".into());
        return Err(Error::MissingLimit { adapter: gpu.adapter().name.clone(), given, wanted });
    }
    write_atomically(named(path, "json"), trace(timings).to_string().as_bytes())?;
    write_atomically(named(path, "csv"), table(timings).as_bytes())
}

/// FILE with this end, in the place of `.json` or `.csv` alone: a dot elsewhere is of the name.
fn named(path: &Path, end: &str) -> PathBuf {
    let known = path.extension().is_some_and(|other| other == "json" || other == "csv");
    let mut name = if known { path.with_extension("") } else { path.to_owned() }.into_os_string();
    name.push(".");
    name.push(end);
    name.into()
}

#[cfg(test)]
#[test]
fn a_dot_in_the_name_stays() {
    for (given, csv) in [("prof.v1", "prof.v1.csv"), ("a/prof.json", "a/prof.csv"), ("p", "p.csv")]
    {
        assert_eq!(named(Path::new(given), "csv"), Path::new(csv));
    }
}

fn trace(timings: &[Timing]) -> Value {
    let mut at = 0.0;
    let event = |timing: &Timing| {
        let start = at;
        at += timing.milliseconds * 1e3;
        let part = timing.part.as_deref();
        json!({
            "name": timing.kernel,
            "cat": part.map_or("", |part| part.op),
            "ph": "X",
            "pid": 0,
            "tid": 0,
            "ts": start,
            "dur": timing.milliseconds * 1e3,
            "args": {
                "layer": part.map(|part| part.layer.as_str()),
                "node": part.map(|part| part.node),
                "grid": timing.grid,
                "flop": timing.flops,
                "bytes": timing.bytes,
            },
        })
    };
    let events: Vec<Value> = timings.iter().map(event).collect();
    json!({ "traceEvents": events, "displayTimeUnit": "ms" })
}

/// Names have no commas.
fn table(timings: &[Timing]) -> String {
    let mut text = "dispatch,node,layer,op,kernel,x,y,z,ms,flop,bytes\n".to_owned();
    for (at, timing) in timings.iter().enumerate() {
        let part = timing.part.as_deref();
        let [x, y, z] = timing.grid;
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{at},{},{},{},{},{x},{y},{z},{:.6},{},{}",
            part.map_or(String::new(), |part| part.node.to_string()),
            part.map_or("", |part| part.layer.as_str()),
            part.map_or("", |part| part.op),
            timing.kernel,
            timing.milliseconds,
            timing.flops,
            timing.bytes,
        );
    }
    text
}
