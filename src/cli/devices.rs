//! `devices` and `--list`: the adapters, in the order in which they are taken.

use std::fmt::Write;

use super::session::Session;
use crate::Error;
use crate::gpu::adapters;

/// Lists all adapters; an adapter that was asked for must be among them.
pub fn run(session: &Session) -> anyhow::Result<()> {
    let found = pollster::block_on(adapters())?;
    if found.is_empty() {
        return Err(Error::NoAdapter("none found".into()).into());
    }
    let chosen =
        if session.names_adapter() { Some(session.gpu()?.adapter().name.clone()) } else { None };
    let mut text = String::new();
    for (number, adapter) in found.iter().enumerate() {
        let taken = chosen.as_ref().map_or(number == 0, |name| *name == adapter.name);
        let subgroup = adapter.subgroup.map_or("none".into(), |size| size.to_string());
        let yes = |has| if has { "yes" } else { "no" };
        writeln!(text, "{}{number}  {adapter}", if taken { '*' } else { ' ' })?;
        writeln!(text, "    driver      {}", adapter.driver)?;
        writeln!(
            text,
            "    memory      {} MiB in a buffer, {} MiB in a binding",
            adapter.max_buffer >> 20,
            adapter.max_binding >> 20
        )?;
        writeln!(text, "    bindings    {} storage buffers a stage", adapter.storage_buffers)?;
        writeln!(
            text,
            "    subgroup    {subgroup}; f16 {}; timestamps {}",
            yes(adapter.f16),
            yes(adapter.timestamps)
        )?;
    }
    super::print(&text)
}
