//! Prints the compilers' figures for the kernels as a table: a row for each kernel, a column for each chip.

use crate::figures::{Compiled, Results};
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::Path;

pub fn print(folder: &Path, chips: &[String]) -> Result<()> {
    let results: Vec<Results> =
        chips.iter().map(|chip| Results::read(folder, chip)).collect::<Result<_>>()?;
    for each in &results {
        let checks = if each.checked { ", with browsers' checks" } else { "" };
        println!("- {}: {} ({}{checks})", each.chip, each.device, each.driver);
    }
    println!("\n| kernel | % | {} |", chips.join(" | "));
    println!("|---|---|{}", "---|".repeat(chips.len()));
    let columns: Vec<BTreeMap<&str, &Compiled>> = results
        .iter()
        .map(|each| each.kernels.iter().map(|kernel| (kernel.label.as_str(), kernel)).collect())
        .collect();
    for kernel in results.first().map_or(&[][..], |first| &first.kernels) {
        let label = kernel.label.as_str();
        let cells =
            columns.iter().map(|column| column.get(label).map_or("-".into(), |it| cell(it)));
        let name = if kernel.default { label.to_owned() } else { format!("*{label}*") };
        println!("| {name} | {:.1} | {} |", kernel.percent, cells.collect::<Vec<_>>().join(" | "));
    }
    Ok(())
}

/// Registers, spills, occupancy, workgroup memory, code, and of the hot loop the share of multiply-adds.
fn cell(kernel: &Compiled) -> String {
    if kernel.failure.is_some() {
        return "does not compile".into();
    }
    let figures = &kernel.figures;
    let mut words = vec![format!("{}r", figures.registers)];
    if figures.spills > 0 {
        words.push(format!("**{} spilt**", figures.spills));
    }
    words.push(format!("{}w", figures.occupancy));
    if figures.workgroup_bytes > 0 {
        words.push(format!("{:.1}K", f64::from(figures.workgroup_bytes) / 1024.0));
    }
    words.push(format!("{:.1}K", f64::from(figures.code) / 1024.0));
    match &kernel.hot {
        Some(hot) if hot.multiply_adds > 0 => {
            let whole = if hot.whole { " no loop" } else { "" };
            let (products, matrices) = match hot.matrix {
                0 => (hot.multiply_adds, ""),
                matrix => (matrix, " matrices"),
            };
            let (issued, share) = (hot.issued, hot.share());
            words.push(format!("{products}/{issued}={share:.2}{matrices}{whole}"));
        }
        _ => {}
    }
    words.join(" ")
}
