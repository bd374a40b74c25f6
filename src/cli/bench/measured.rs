//! Prints what `bench` measured of one step of a network, as tables for people or as one JSON object.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::made::median;
use crate::cli::args;
use crate::gpu::{Gpu, Timing};
use crate::graph::Summary;
use crate::ops::Peak;

/// The measurements of a network's step on an adapter.
pub struct Measured<'a> {
    pub args: &'a args::Bench,
    pub side: u32,
    pub gpu: &'a Gpu,
    pub peak: Peak,
    /// The seconds from the start of the preparation to the end of the first step.
    pub ready: f64,
    /// The number of compute pipelines, and the milliseconds that making them took.
    pub pipelines: (u64, f64),
    /// The bytes of all device buffers that were made for the step.
    pub memory: u64,
    /// The milliseconds of a step, one number for each measurement.
    pub times: Vec<f64>,
    /// The time of each kernel launch of a step; empty where the adapter has no timestamps.
    pub timings: Vec<Timing>,
    pub plan: &'a Summary,
}

/// Launches in a step that belong together.
#[derive(Default)]
struct Row {
    launches: usize,
    milliseconds: f64,
    flops: u64,
    bytes: u64,
}

impl Row {
    fn add(&mut self, timing: &Timing) {
        self.launches += 1;
        self.milliseconds += timing.milliseconds;
        self.flops += timing.flops;
        self.bytes += timing.bytes;
    }

    fn gflops(&self) -> f64 {
        self.flops as f64 / self.milliseconds.max(1e-9) * 1e-6
    }

    fn gigabytes(&self) -> f64 {
        self.bytes as f64 / self.milliseconds.max(1e-9) * 1e-6
    }
}

impl Measured<'_> {
    fn median(&self) -> f64 {
        median(&self.times)
    }

    fn gflops(&self) -> f64 {
        self.plan.flops as f64 / self.median() * 1e-6
    }

    /// Why a share may be above the whole, where one is.
    fn above_peak(&self) -> Option<String> {
        let launches = self.timings.iter().filter(|timing| timing.flops > 0).map(|timing| {
            let mut row = Row::default();
            row.add(timing);
            row.gflops()
        });
        let most = launches.fold(self.gflops(), f64::max);
        (self.peak_fraction(most) > 1.0).then(|| {
            "more than 100 % of the peak: operations are those of direct convolutions, of which Winograd's filtering takes fewer, \
             and the peak is what one plain kernel reached beside whatever else ran on this machine: a lower bound"
                .to_owned()
        })
    }

    fn peak_fraction(&self, gflops: f64) -> f64 {
        gflops * 1e9 / self.peak.flops
    }

    /// The launches summed up by kernel, the longest first.
    fn kernels(&self) -> Vec<(&'static str, Row)> {
        let mut rows: BTreeMap<_, Row> = BTreeMap::new();
        for timing in &self.timings {
            rows.entry(timing.kernel).or_default().add(timing);
        }
        let mut rows: Vec<_> = rows.into_iter().collect();
        rows.sort_by(|(_, a), (_, b)| b.milliseconds.total_cmp(&a.milliseconds));
        rows
    }

    /// Sums up launches by node in the order they run: the layer, if the node is part of one, and the op.
    fn layers(&self) -> Vec<(&str, &'static str, Row)> {
        let mut rows: BTreeMap<usize, (&str, &'static str, Row)> = BTreeMap::new();
        for timing in &self.timings {
            let Some(part) = &timing.part else { continue };
            let row = rows.entry(part.node);
            row.or_insert_with(|| (&part.layer, part.op, Row::default())).2.add(timing);
        }
        rows.into_values().collect()
    }

    /// Returns the measurements as the JSON object that `--json` prints.
    pub fn json(&self) -> Value {
        let adapter = self.gpu.adapter();
        let plan = self.plan;
        let row = |names: &[(&str, &str)], row: &Row| -> Value {
            let names = names.iter().map(|&(key, name)| (key.to_owned(), name.into()));
            let numbers = [
                ("launches", row.launches.into()),
                ("ms", row.milliseconds.into()),
                ("gflops", row.gflops().into()),
                ("bytes", row.bytes.into()),
                ("gigabytes_per_second", row.gigabytes().into()),
                ("peak_fraction", self.peak_fraction(row.gflops()).into()),
            ];
            let numbers = numbers.into_iter().map(|(key, number)| (key.to_owned(), number));
            Value::Object(names.chain(numbers).collect())
        };
        let mut all = json!({
            "model": self.args.model,
            "batch": self.args.batch,
            "side": self.side,
            "what": self.args.what.name(),
            "adapter": adapter.to_string(),
            "driver": adapter.driver,
            "version": env!("CARGO_PKG_VERSION"),
            "runs": self.times,
            "tuned": self.gpu.measures(),
            "ready_seconds": self.ready,
            "pipelines": self.pipelines.0,
            "pipelines_ms": self.pipelines.1,
            "gflop": plan.flops as f64 * 1e-9,
            "gflops": self.gflops(),
            "peak_gflops": self.peak.flops * 1e-9,
            "peak_fraction": self.peak_fraction(self.gflops()),
            "note": self.above_peak(),
            "copy_gigabytes_per_second": self.peak.bytes * 1e-9,
            "traffic_bytes": plan.traffic_bytes,
            "memory_bytes": self.memory,
            "memory": {
                "weights_bytes": plan.weight_bytes,
                "packed_weights_bytes": plan.kept_bytes,
                "activations_masks_workspace_bytes": plan.work_bytes(),
                // Images, labels, and in training gradients, momenta and averages.
                "other_bytes": self.other(),
            },
            "launches": plan.dispatches,
        });
        if let Value::Object(fields) = &mut all {
            let key = format!("{}_ms", self.args.what.name().replace('-', "_"));
            fields.insert(key, self.median().into());
            let kernels = self.kernels();
            let kernels = kernels.iter().map(|(kernel, each)| row(&[("kernel", kernel)], each));
            fields.insert("kernels".into(), kernels.collect());
            if self.args.layers {
                let layers = self.layers();
                let layers = layers
                    .iter()
                    .map(|(layer, op, each)| row(&[("layer", layer), ("op", op)], each));
                fields.insert("layers".into(), layers.collect());
            }
        }
        all
    }

    fn other(&self) -> u64 {
        let plan = self.plan;
        let known = plan.weight_bytes + plan.kept_bytes + plan.work_bytes();
        self.memory.saturating_sub(known)
    }

    /// Returns the measurements as tables of text.
    pub fn text(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        let args::Bench { model, batch, what, .. } = self.args;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        writeln!(
            text,
            "{what} of {model}, batch {batch}, {0}×{0}, on {1}",
            self.side,
            self.gpu.adapter()
        )?;
        let bound = |least: fn(f64, f64) -> f64| {
            self.times.iter().copied().reduce(least).unwrap_or(f64::NAN)
        };
        writeln!(
            text,
            "{:.2} ms, median of {} ({:.2} to {:.2}); ready after {:.1} s, of which {} pipelines {:.1} s",
            self.median(),
            self.times.len(),
            bound(f64::min),
            bound(f64::max),
            self.ready,
            self.pipelines.0,
            self.pipelines.1 * 1e-3
        )?;
        writeln!(
            text,
            "{:.2} GFLOP, {:.1} GFLOP/s: {:.1} % of the {:.1} that multiplications in registers reach here",
            self.plan.flops as f64 * 1e-9,
            self.gflops(),
            100.0 * self.peak_fraction(self.gflops()),
            self.peak.flops * 1e-9
        )?;
        if let Some(note) = self.above_peak() {
            writeln!(text, "{note}")?;
        }
        writeln!(
            text,
            "{:.1} MB read and written by {} launches, which a copy does in {:.2} ms ({:.1} GB/s)",
            self.plan.traffic_bytes as f64 * 1e-6,
            self.plan.dispatches,
            self.plan.traffic_bytes as f64 / self.peak.bytes * 1e3,
            self.peak.bytes * 1e-9,
        )?;
        writeln!(
            text,
            "{:.1} MiB of memory: weights {:.1}, packed weights {:.1}, activations, masks and workspace {:.1}, other {:.1}",
            mib(self.memory),
            mib(self.plan.weight_bytes),
            mib(self.plan.kept_bytes),
            mib(self.plan.work_bytes()),
            mib(self.other())
        )?;
        if self.timings.is_empty() {
            writeln!(text, "no table of launches: the adapter has no timestamps")?;
            return Ok(text);
        }
        let names = |(layer, op, row): (&str, &'static str, Row)| match layer {
            "" => (op.to_owned(), row),
            layer => (format!("{layer} {op}"), row),
        };
        let rows: Vec<_> = match self.args.layers {
            true => self.layers().into_iter().map(names).collect(),
            false => self.kernels().into_iter().map(|(name, row)| (name.to_owned(), row)).collect(),
        };
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max(8);
        writeln!(
            text,
            "\n{:<width$} {:>8} {:>9} {:>9} {:>7} {:>8} {:>7}",
            if self.args.layers { "layer" } else { "kernel" },
            "launches",
            "ms",
            "GFLOP/s",
            "of peak",
            "MB",
            "GB/s"
        )?;
        for (name, row) in rows {
            writeln!(
                text,
                "{name:<width$} {:>8} {:>9.3} {:>9.1} {:>5.1} % {:>8.2} {:>7.2}",
                row.launches,
                row.milliseconds,
                row.gflops(),
                100.0 * self.peak_fraction(row.gflops()),
                row.bytes as f64 * 1e-6,
                row.gigabytes()
            )?;
        }
        Ok(text)
    }
}
