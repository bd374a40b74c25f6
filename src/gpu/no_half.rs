//! Stands in for `half.rs` in web pages, which are built without half precision to keep their file small.

use super::Kernel;
use crate::{Error, Result};

impl Kernel {
    /// Returns the kernel's WGSL text. Err if `halves` marks bindings that should hold numbers in half precision, which no
    /// program asks for in a web page.
    pub fn text_with(&self, halves: u32) -> Result<String> {
        match halves {
            0 => Ok(self.text()),
            _ => Err(Error::bug(self.name, "half precision was asked for in a web page")),
        }
    }
}
