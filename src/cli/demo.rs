//! `demo`: trains a small network on the Fashion-MNIST images built into the program, by the preset fashion-demo, and writes the
//! run's report.

use super::args;
use super::session::Session;
use super::train;
use crate::train::{Config, RunFolder};

const PRESET: &str = "fashion-demo";

/// Runs the command `demo`, which trains, evaluates and samples a small network and writes a report.
pub fn run(session: &Session, args: &args::Demo) -> anyhow::Result<()> {
    let mut changes = args.set.clone();
    changes.extend(args.seed.map(|seed| format!("seed={seed}")));
    let config = session.in_precision(&Config::preset(PRESET)?.with(&changes)?)?;
    if args.show_plan {
        return train::show_plan(session, &config);
    }
    let out = args.out.clone().unwrap_or_else(|| RunFolder::unused("runs", PRESET));
    train::whole_run(session, &config, &out, false)
}
