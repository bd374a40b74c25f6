//! `eval`: accuracy, accuracy under attack, AUROC.

use anyhow::bail;

use super::args;
use super::session::Session;

/// Measures a checkpoint.
pub fn run(session: &Session, args: &args::Eval) -> anyhow::Result<()> {
    if let Some(path) = &args.checkpoint {
        super::inspect::exists(path)?;
    }
    let _gpu = session.gpu()?;
    // Engine: load, `args.step_size.unwrap_or(args.eps / 8.0)`, print a table or, with `args.json`, one flat object with
    // the keys of `train::Metrics`.
    bail!("evaluation is not there yet")
}
