//! Compares the compilers' figures for each kernel with the committed ones in `compiled.json`: a kernel that networks run by
//! default may not become worse without a change of that file.

use crate::figures::{Compiled, Figures, Results};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The part of its share of multiply-adds that a kernel may lose.
const LOSS: f64 = 0.05;

/// By chip.
type Baseline = BTreeMap<String, Chip>;

#[derive(Debug, Serialize, Deserialize)]
struct Chip {
    /// The driver's version: another one may compile otherwise, for better or worse.
    driver: String,
    kernels: BTreeMap<String, Held>,
}

/// What is held of a kernel; a list of six numbers in the file, so that it takes one line there. The first three may not become
/// worse; `lapidary bench --predict` reads all of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "[u32; 6]", into = "[u32; 6]")]
struct Held {
    spills: u32,
    occupancy: u32,
    /// Multiply-adds in ten-thousandths of the issued instructions of the hot loop; 0 where there are none.
    share: u32,
    /// Invocations of a workgroup, and of a subgroup.
    invocations: u32,
    lanes: u32,
    /// Instructions of the whole program where no loop multiplies and adds; 0 where one does.
    straight: u32,
}

impl From<[u32; 6]> for Held {
    fn from([spills, occupancy, share, invocations, lanes, straight]: [u32; 6]) -> Self {
        Self { spills, occupancy, share, invocations, lanes, straight }
    }
}

impl From<Held> for [u32; 6] {
    fn from(held: Held) -> Self {
        let Held { spills, occupancy, share, invocations, lanes, straight } = held;
        [spills, occupancy, share, invocations, lanes, straight]
    }
}

impl Held {
    fn of(kernel: &Compiled) -> Self {
        let share = kernel.hot.as_ref().map_or(0.0, |hot| hot.share());
        let straight = kernel.hot.as_ref().filter(|hot| hot.whole).map_or(0, |hot| hot.issued);
        let &Figures { spills, occupancy, invocations, lanes, .. } = &kernel.figures;
        let share = (1e4 * share).round() as u32;
        Self { spills, occupancy, share, invocations, lanes, straight }
    }

    /// Describes each figure that is worse than it was.
    fn losses(&self, was: &Self) -> Vec<String> {
        let mut losses = Vec::new();
        if self.spills > was.spills {
            losses.push(format!("{} spills instead of {}", self.spills, was.spills));
        }
        if self.occupancy < was.occupancy {
            losses.push(format!("occupancy {} instead of {}", self.occupancy, was.occupancy));
        }
        if f64::from(self.share) < f64::from(was.share) * (1.0 - LOSS) {
            let share = |held: &Self| f64::from(held.share) / 1e4;
            losses.push(format!("share {:.2} instead of {:.2}", share(self), share(was)));
        }
        losses
    }
}

pub fn check(folder: &Path, path: &Path, chips: &[String], renew: bool) -> Result<()> {
    let results: Vec<Results> =
        chips.iter().map(|chip| Results::read(folder, chip)).collect::<Result<_>>()?;
    if renew {
        let made: Baseline = results.iter().map(|each| (each.chip.clone(), chip(each))).collect();
        fs::write(path, lines(&made)?)?;
        println!("{}: written", path.display());
        return Ok(());
    }
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let baseline: Baseline =
        serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    let mut failures = 0;
    for each in &results {
        let held = baseline.get(&each.chip);
        let held = held.with_context(|| format!("the baseline has no chip {}", each.chip))?;
        let same_driver = held.driver == each.driver;
        let found = compare(each, held);
        for line in &found {
            println!("{}: {line}", each.chip);
        }
        if same_driver {
            failures += found.len();
        } else {
            let (was, is) = (&held.driver, &each.driver);
            println!(
                "{}: the baseline is of {was}, this is {is}: differences do not fail",
                each.chip
            );
        }
    }
    let kernels: usize = results.iter().map(|each| each.kernels.len()).sum();
    if failures > 0 {
        bail!(
            "{failures} of {kernels} compiled kernels are worse than {} says. If that is meant: --renew",
            path.display()
        );
    }
    println!(
        "{kernels} compiled kernels: none that runs by default is worse than {}",
        path.display()
    );
    Ok(())
}

/// JSON with a line for each kernel, so that a change of one is a change of one line.
fn lines(baseline: &Baseline) -> Result<String> {
    let mut chips = Vec::new();
    for (name, chip) in baseline {
        let mut kernels = Vec::new();
        for (label, held) in &chip.kernels {
            kernels.push(format!(
                "    {}: {}",
                serde_json::to_string(label)?,
                serde_json::to_string(held)?
            ));
        }
        let (name, driver) = (serde_json::to_string(name)?, serde_json::to_string(&chip.driver)?);
        let kernels = kernels.join(",\n");
        chips.push(format!(
            "{name}: {{\n  \"driver\": {driver},\n  \"kernels\": {{\n{kernels}\n  }}\n}}"
        ));
    }
    Ok(format!("{{\n{}\n}}\n", chips.join(",\n")))
}

/// The kernels that networks run by default, or in half precision where there are cooperative matrices.
fn run(results: &Results) -> impl Iterator<Item = &Compiled> {
    let compiles = |kernel: &&Compiled| kernel.failure.is_none() && kernel.percent > 0.0;
    results.kernels.iter().filter(move |kernel| kernel.default || compiles(kernel))
}

fn chip(results: &Results) -> Chip {
    let kernels = run(results).map(|kernel| (kernel.label.clone(), Held::of(kernel)));
    Chip { driver: results.driver.clone(), kernels: kernels.collect() }
}

/// A line for each kernel that became worse, or that is new.
fn compare(results: &Results, held: &Chip) -> Vec<String> {
    let mut lines = Vec::new();
    for kernel in run(results) {
        if let Some(failure) = &kernel.failure {
            lines.push(format!("{}: does not compile: {failure}", kernel.label));
            continue;
        }
        match held.kernels.get(&kernel.label) {
            None => lines.push(format!("{}: not in the baseline", kernel.label)),
            Some(was) => {
                let losses = Held::of(kernel).losses(was);
                if !losses.is_empty() {
                    lines.push(format!("{}: {}", kernel.label, losses.join(", ")));
                }
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(spills: u32, occupancy: u32, share: u32) -> Held {
        Held { spills, occupancy, share, invocations: 64, lanes: 32, straight: 0 }
    }

    #[test]
    fn what_is_worse_is_told() {
        let was = held(0, 20, 8000);
        assert!(held(0, 20, 7700).losses(&was).is_empty(), "4 % less is within the bound");
        assert!(held(0, 24, 9000).losses(&was).is_empty(), "better is no loss");
        assert_eq!(held(3, 20, 8000).losses(&was), ["3 spills instead of 0"]);
        assert_eq!(held(0, 16, 8000).losses(&was), ["occupancy 16 instead of 20"]);
        assert_eq!(held(0, 20, 7500).losses(&was), ["share 0.75 instead of 0.80"]);
    }
}
