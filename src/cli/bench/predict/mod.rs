//! `bench --predict`: estimates how long a step would take on a chip that is not here, from its compiler's figures for the
//! kernels (`compiled.rs`) and from its published figures (`chip.rs`). The step's kernels are chosen, and its memory is laid
//! out, as for an adapter of that chip; nothing runs.

mod chip;
mod compiled;
mod estimate;
mod told;

use super::network;
use crate::attack::Pgd;
use crate::cli::args::{self, Step};
use crate::cli::session::Session;
use crate::gpu::{Filtering, Preferences};
use crate::graph::Plan;
use crate::model::{BatchSize, Network};
use crate::train::plan_update;
use crate::{Error, Result};
use chip::Chip;
use compiled::Compiled;
use estimate::Estimate;
use told::Told;

/// Prints the estimate of a step on the chip of this name.
pub fn run(session: &Session, args: &args::Bench, name: &str) -> anyhow::Result<()> {
    let preferences = &session.options().preferences;
    let asked = match preferences.filtering {
        Filtering::Two => Some("2"),
        Filtering::Four => Some("4"),
        Filtering::Auto | Filtering::Off => None,
    };
    if let Some(value) = asked {
        return Err(Error::BadConfig {
            key: "--winograd".into(),
            value: value.into(),
            allowed:
                "auto or off with --predict, which counts the operations of direct convolutions"
                    .into(),
        }
        .into());
    }
    let chip = Chip::named(name)?;
    let compiled = Compiled::of(&chip.compiled)?;
    let (network, usual) = network(&args.model)?;
    let size = BatchSize { images: args.batch, side: args.side.unwrap_or(usual) };
    let plan = plan(&network, size, args.what, &chip, preferences)?;
    let estimate = Estimate::new(&plan, &chip, &compiled);
    let summary = plan.summary();
    let told = Told { args, size, name, chip: &chip, compiled: &compiled, estimate, summary };
    if args.json {
        return crate::cli::print(&format!("{}\n", told.json()));
    }
    crate::cli::print(&told.text()?)
}

/// The launches of a step on an adapter of this chip.
fn plan(
    network: &Network,
    size: BatchSize,
    what: Step,
    chip: &Chip,
    preferences: &Preferences,
) -> Result<Plan> {
    let adapter = chip.adapter(preferences.precision);
    match what {
        Step::Pgd => Pgd::default().plan(network, size, &adapter, preferences),
        Step::Sample => Pgd::sample(20, 0.1).plan(network, size, &adapter, preferences),
        Step::Train => plan_update(network, size, &adapter, preferences),
    }
}

#[cfg(test)]
mod tests;
