//! No texels: wgpu gives browsers no subgroups, without which they do not pay, and a page's file is small without them.

use super::{Gpu, Words};
use crate::{Error, Result};

/// There is none.
#[derive(Debug)]
pub(super) enum Texels {}

/// There is none.
#[derive(Debug)]
pub(super) enum Copy {}

impl Texels {
    pub async fn new(_: &Gpu, rows: u32) -> Result<Self> {
        Err(Error::mismatch("texels", format_args!("{rows} rows"), "none in a browser"))
    }

    pub fn copy(&self, _: &wgpu::Buffer, _: Words) -> Copy {
        match *self {}
    }

    pub fn resource(&self) -> wgpu::BindingResource<'_> {
        match *self {}
    }
}

impl Copy {
    pub fn record(&self, _: &mut wgpu::CommandEncoder) {
        match *self {}
    }
}
