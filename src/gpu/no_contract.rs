//! Stands in for `contract.rs`, which compares a kernel's declaration with its WGSL, in web pages, which have no naga to read a
//! shader with. The browser's own validation of pipelines has to suffice: it compares the size of the parameters, which the
//! pipeline's layout states, with the shader's.

use super::Kernel;
use crate::Result;

/// There is nothing to compare with.
pub(super) fn check(_kernel: &Kernel) -> Result<()> {
    Ok(())
}
