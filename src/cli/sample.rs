//! `sample`: images of a class, as a grid, with the way there beside it.

use anyhow::bail;

use super::args;
use super::session::Session;

/// Draws samples from a checkpoint.
pub fn run(session: &Session, args: &args::Sample) -> anyhow::Result<()> {
    if let Some(path) = &args.checkpoint {
        super::inspect::exists(path)?;
    }
    let _gpu = session.gpu()?;
    // Engine: load, draw from `args.start`, then `pictures::Grid` into `args.out` and the trajectory beside it.
    bail!("sampling is not there yet")
}
