//! Prints the estimate of `bench --predict`, as a table for people or as one JSON object. Both forms state what the estimate is
//! based on and what it leaves out.

use std::fmt::Write;

use serde_json::{Value, json};

use super::chip::Chip;
use super::compiled::Compiled;
use super::estimate::{Estimate, Layer};
use crate::cli::args;
use crate::graph::Summary;
use crate::model::BatchSize;

/// Rows of the table, the worst ones, where not all are asked for.
const ROWS: usize = 24;

const LEFT_OUT: &str = "what starting a launch and waiting for the one before take, what loops around the hot one do, caches and their \
                        bandwidth, bank conflicts, waits in a loop that other subgroups do not hide, spills, clocks below the highest, the optimiser's step";

/// An estimate with the network, step and chip that it is of.
pub struct Told<'a> {
    pub args: &'a args::Bench,
    pub size: BatchSize,
    /// The chip's name on the command line.
    pub name: &'a str,
    pub chip: &'a Chip,
    pub compiled: &'a Compiled,
    pub estimate: Estimate,
    pub summary: &'a Summary,
}

impl Told<'_> {
    /// Seconds of all multiply-adds at full single-precision rate, and of all bytes at full bandwidth.
    fn alone(&self) -> [f64; 2] {
        let adds = self.chip.full_rate(self.summary.flops as f64 / 2.0, false);
        [adds, self.chip.memory(self.summary.traffic_bytes)]
    }

    /// Returns the estimate as the JSON object that `--json` prints.
    pub fn json(&self) -> Value {
        let Self { args, size, chip, estimate, .. } = self;
        let [adds, bytes] = self.alone();
        let lost = estimate.lost();
        let layers = estimate.worst_first().into_iter().map(|layer| {
            json!({
                "layer": layer.layer,
                "op": layer.op,
                "row": layer.row,
                "kernel": layer.kernel,
                "launches": layer.launches,
                "ms": layer.seconds * 1e3,
                "floor_ms": layer.floor * 1e3,
                "bound": layer.bound.to_string(),
                "multiply_adds": layer.multiply_adds,
                "bytes": layer.bytes,
                "reached": layer.reached,
                "workgroups": layer.groups,
                "workgroups_at_once": layer.seats,
                "lost_ms": {
                    "edges": layer.lost.edges * 1e3,
                    "instructions": layer.lost.instructions * 1e3,
                    "workgroups": layer.lost.workgroups * 1e3,
                },
            })
        });
        json!({
            "estimate": true,
            "model": args.model,
            "batch": size.images,
            "side": size.side,
            "what": args.what.name(),
            "chip": self.name.to_lowercase(),
            "chip_name": chip.name,
            "ms": estimate.seconds() * 1e3,
            "floor_ms": estimate.floor() * 1e3,
            "over_floor": estimate.seconds() / estimate.floor(),
            "multiply_adds_ms": adds * 1e3,
            "bytes_ms": bytes * 1e3,
            "lost_ms": {
                "edges": lost.edges * 1e3,
                "instructions": lost.instructions * 1e3,
                "workgroups": lost.workgroups * 1e3,
            },
            "gflop": self.summary.flops as f64 * 1e-9,
            "traffic_bytes": self.summary.traffic_bytes,
            "launches": self.summary.dispatches,
            "memory": {
                "weights_bytes": self.summary.weight_bytes,
                "packed_weights_bytes": self.summary.kept_bytes,
                "activations_masks_workspace_bytes": self.summary.work_bytes(),
            },
            "compiled_for": chip.compiled,
            "compiler": self.compiled.driver,
            "stands_in": Some(&chip.stands_in).filter(|why| !why.is_empty()),
            "sources": chip.sources,
            "kernels_compiled_with_other_constants": estimate.alike,
            "kernels_not_compiled": estimate.unknown,
            "left_out": LEFT_OUT,
            "layers": layers.collect::<Value>(),
        })
    }

    /// Returns the estimate as a table of text.
    pub fn text(&self) -> anyhow::Result<String> {
        let Self { args, size, chip, estimate, .. } = self;
        let mut text = String::new();
        let ms = |seconds: f64| seconds * 1e3;
        writeln!(
            text,
            "estimate, not a measurement: {} of {}, batch {}, {side}×{side}, on {}",
            args.what,
            args.model,
            size.images,
            chip.name,
            side = size.side
        )?;
        let [adds, bytes] = self.alone();
        writeln!(
            text,
            "{:.2} ms, {:.2} times the floor of {:.2} ms: of each layer its multiply-adds at full rate or its bytes at full bandwidth, \
             whichever takes longer",
            ms(estimate.seconds()),
            estimate.seconds() / estimate.floor(),
            ms(estimate.floor())
        )?;
        writeln!(
            text,
            "all {:.1} GFLOP at {:.1} TFLOP/s in single precision {:.2} ms; all {:.1} MB at {} GB/s {:.2} ms; {} launches",
            self.summary.flops as f64 * 1e-9,
            self.summary.flops as f64 / adds * 1e-12,
            ms(adds),
            self.summary.traffic_bytes as f64 * 1e-6,
            chip.gigabytes_per_second,
            ms(bytes),
            self.summary.dispatches
        )?;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        writeln!(
            text,
            "memory: weights {:.1} MiB, packed weights {:.1}, activations, masks and workspace {:.1}",
            mib(self.summary.weight_bytes),
            mib(self.summary.kept_bytes),
            mib(self.summary.work_bytes())
        )?;
        let lost = estimate.lost();
        writeln!(
            text,
            "beyond the floor: instructions that are no multiply-adds {:.2} ms, edges of tiles {:.2}, too few workgroups {:.2}",
            ms(lost.instructions),
            ms(lost.edges),
            ms(lost.workgroups)
        )?;
        let stands_in = match chip.stands_in.as_str() {
            "" => String::new(),
            why => format!(" ({why})"),
        };
        writeln!(
            text,
            "from: the hot loops that {} makes for {}{stands_in}; {}: {} units at {} GHz, {} multiply-adds a clock each \
             ({} TFLOP/s), {} GB/s, {} MiB of cache",
            self.compiled.driver,
            chip.compiled,
            chip.sources.join("; "),
            chip.units,
            chip.clock_ghz,
            chip.multiply_adds,
            chip.tflops,
            chip.gigabytes_per_second,
            chip.cache_mib
        )?;
        writeln!(text, "left out: {LEFT_OUT}")?;
        let names = |kernels: &std::collections::BTreeSet<&str>| {
            kernels.iter().copied().collect::<Vec<_>>().join(", ")
        };
        if !estimate.alike.is_empty() {
            let list = names(&estimate.alike);
            writeln!(
                text,
                "compiled only with other constants, of which the slowest is taken: {list}"
            )?;
        }
        if !estimate.unknown.is_empty() {
            let list = names(&estimate.unknown);
            writeln!(text, "not compiled for this chip, so taken at full rate: {list}")?;
        }
        self.table(&mut text)?;
        Ok(text)
    }

    fn table(&self, text: &mut String) -> anyhow::Result<()> {
        let layers = self.estimate.worst_first();
        let shown = if self.args.layers { layers.len() } else { ROWS.min(layers.len()) };
        let (rows, others) = layers.split_at(shown);
        let name = |layer: &Layer| match layer.layer.as_str() {
            "" => layer.op.to_owned(),
            of => format!("{of} {}", layer.op),
        };
        // Ops without a table of rows are named by their kernel.
        let row = |layer: &Layer| if layer.row.is_empty() { layer.kernel } else { layer.row };
        let width = rows.iter().map(|layer| name(layer).len()).max().unwrap_or(0).max(5);
        let across = rows.iter().map(|layer| row(layer).len()).max().unwrap_or(0).max(3);
        writeln!(
            text,
            "\n{:<width$} {:>9} {:>9} {:>6}  {:<across$} {:>7} {:>10} {:>7}  bound by",
            "layer", "ms", "floor", "times", "row", "reached", "workgroups", "at once"
        )?;
        for layer in rows {
            let reached = match layer.reached {
                Some(reached) => format!("{:.0} %", 100.0 * reached),
                None => "-".into(),
            };
            writeln!(
                text,
                "{:<width$} {:>9.3} {:>9.3} {:>6.2}  {:<across$} {:>7} {:>10} {:>7}  {}",
                name(layer),
                layer.seconds * 1e3,
                layer.floor * 1e3,
                layer.seconds / layer.floor.max(f64::MIN_POSITIVE),
                row(layer),
                reached,
                layer.groups,
                layer.seats,
                layer.bound
            )?;
        }
        if !others.is_empty() {
            let seconds: f64 = others.iter().map(|layer| layer.seconds).sum();
            let floor: f64 = others.iter().map(|layer| layer.floor).sum();
            writeln!(
                text,
                "and {} others: {:.3} ms, floor {:.3}; --layers lists all",
                others.len(),
                seconds * 1e3,
                floor * 1e3
            )?;
        }
        Ok(())
    }
}
