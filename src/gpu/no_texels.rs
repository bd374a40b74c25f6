//! Stands in for `texels.rs`, which copies buffers to textures, in web pages: wgpu gives browsers no subgroups, without which
//! reading textures instead of buffers is not faster, and the page's file is smaller without these copies.

use super::{Gpu, Words};
use crate::{Error, Result};

/// Stands in for textures, of which there are none.
#[derive(Debug)]
pub(super) enum Texels {}

/// Stands in for copies to textures, of which there are none.
#[derive(Debug)]
pub(super) enum Copy {}

impl Texels {
    pub async fn new(_: &Gpu, rows: u32, _half: bool) -> Result<Self> {
        Err(Error::bug(
            "texels",
            format_args!("{rows} rows of a texture were asked for in a browser"),
        ))
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
