//! Stands in for `bounds.rs` in web pages, without reports of indices out of range: a page has no naga to put tests into a shader
//! with, and browsers keep their own checks.

use super::{Buffer, Gpu};
use crate::Result;

/// Stands in for the reports, of which there are none.
#[derive(Debug, Default)]
pub(super) struct Reports;

impl Reports {
    /// Does nothing, as this build has no shader reports.
    pub async fn prepare(&self, _gpu: &Gpu) -> Result<()> {
        Ok(())
    }

    /// Returns no buffer, as this build has no shader reports.
    pub fn buffer(&self) -> Option<&Buffer> {
        None
    }
}

impl Gpu {
    /// There are no reports.
    pub(super) async fn expect_no_reports(&self) -> Result<()> {
        Ok(())
    }
}
