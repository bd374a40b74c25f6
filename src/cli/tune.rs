//! `tune`: measures which kernels are the fastest on an adapter, and reads or writes the result as a file.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use pollster::block_on;

use super::args;
use super::bench::{Made, network};
use super::out;
use super::session::Session;
use crate::Error;
use crate::files;
use crate::gpu::{Gpu, Preferences, Tune};
use crate::model::checkpoint::write_atomically;
use crate::model::{BatchSize, Network};
use crate::train::{read_named, zoo};

/// Runs the command `tune`: reads a table of fastest kernels, measures a network's steps, lists what is known, and writes the
/// table.
pub fn run(session: &Session, args: &args::Tune) -> anyhow::Result<()> {
    args.export.iter().try_for_each(|path| out::check(path))?;
    let gpu = session.gpu()?;
    let preferences = Preferences {
        tuning: Tune::On,
        tuning_budget: Duration::from_secs(args.seconds.into()),
        ..gpu.preferences().as_ref().clone()
    };
    let gpu = gpu.preferring(preferences);
    let mut text = format!("{}\n", gpu.adapter());
    if let Some(file) = &args.import {
        let table = files::read(file, files::room(file)?)?;
        match gpu.keep_measured(&table) {
            Ok(count) => writeln!(text, "{count} choices of kernels read from {}", file.display())?,
            Err(error) => {
                session.progress().line(&format!("{} is ignored: {error}", file.display()));
            }
        }
    }
    if let Some(model) = &args.model {
        let (network, usual) = named(model)?;
        let size = BatchSize { images: args.batch, side: args.side.unwrap_or(usual) };
        for what in [args::Step::Pgd, args::Step::Train] {
            block_on(Made::step(&gpu, &network, size, what))?;
        }
    }
    list(&mut text, &gpu)?;
    if let Some(file) = &args.export {
        let table = gpu.measured().ok_or_else(|| {
            let reason = "nothing was measured on this adapter yet: name the MODEL whose kernels are to be measured";
            Error::bad_file(file, reason)
        })?;
        write_atomically(file, table.as_bytes())?;
        writeln!(text, "table    {}", file.display())?;
    }
    super::print(&text)
}

/// Finds a network and its side, in a checkpoint or by name.
fn named(model: &str) -> crate::Result<(Network, u32)> {
    let path = Path::new(model);
    if !path.is_file() && zoo::name(path).is_none() {
        return network(model);
    }
    let checkpoint = read_named(path)?;
    Ok((Network::from_checkpoint(&checkpoint)?, checkpoint.metadata.side.unwrap_or(32)))
}

fn list(text: &mut String, gpu: &Gpu) -> std::fmt::Result {
    let choices = gpu.choices();
    for (key, name) in choices.iter() {
        writeln!(text, "{name:<14} {key}")?;
    }
    for dropped in gpu.dropped_candidates() {
        writeln!(text, "{dropped}")?;
    }
    writeln!(text, "{} shapes are measured", choices.iter().count())
}
