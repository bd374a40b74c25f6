//! `doctor`: embedded cases on the adapter.

use anyhow::bail;

use super::session::Session;

/// Says what fails on the adapter.
pub fn run(session: &Session) -> anyhow::Result<()> {
    let _gpu = session.gpu()?;
    bail!("the embedded cases are not there yet")
}
