//! No contract: a page has no naga to read a shader with. What the browser says of a pipeline has to do, and the size of the
//! parameters, which the pipeline's layout holds against the shader.

use super::Kernel;
use crate::Result;

/// There is nothing to compare with.
pub(super) fn check(_kernel: &Kernel) -> Result<()> {
    Ok(())
}
