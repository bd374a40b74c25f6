//! `lapidary devices`, and the option `--list` of all commands: list the adapters in the order of preference, and mark the one
//! that is used.

use std::fmt::Write;

use serde_json::{Value, json};

use super::args;
use super::session::Session;
use crate::gpu::{Adapter, AdapterKind, adapters, passed_over};

/// Runs the command `devices`: lists the adapters that commands choose from, and marks the chosen one; an adapter that was asked
/// for must be among them.
pub fn run(session: &Session, args: &args::Devices) -> anyhow::Result<()> {
    let options = session.options();
    let found = pollster::block_on(adapters(options))?;
    let taken = options.choose(&found)?;
    let on_cpu = found.get(taken).is_some_and(|adapter| adapter.kind == AdapterKind::Cpu);
    let others = if on_cpu { pollster::block_on(passed_over(options)) } else { Vec::new() };
    if args.json {
        let all: Vec<_> =
            found.iter().enumerate().map(|(i, adapter)| entry(adapter, i == taken)).collect();
        let all = json!({ "adapters": all, "passed_over": others });
        return super::print(&format!("{all:#}\n"));
    }
    let mut text = String::new();
    for (number, adapter) in found.iter().enumerate() {
        let subgroup = adapter.subgroup.map_or("none".into(), |size| size.to_string());
        let yes = |has| if has { "yes" } else { "no" };
        writeln!(text, "{}{number}  {adapter}", if number == taken { '*' } else { ' ' })?;
        writeln!(text, "    driver      {}", adapter.driver)?;
        let place = if adapter.pci.is_empty() { "none" } else { &adapter.pci };
        writeln!(text, "    PCI         {place}; {}", adapter.id)?;
        writeln!(
            text,
            "    memory      {} MiB in a buffer, {} MiB in a binding",
            adapter.max_buffer >> 20,
            adapter.max_binding >> 20
        )?;
        writeln!(text, "    bindings    {} storage buffers in a stage", adapter.storage_buffers)?;
        writeln!(
            text,
            "    subgroup    {subgroup}; f16 {}; timestamps {}",
            yes(adapter.f16),
            yes(adapter.timestamps)
        )?;
    }
    for other in others {
        writeln!(text, "{other}")?;
    }
    super::print(&text)
}

fn entry(adapter: &Adapter, taken: bool) -> Value {
    json!({
        "name": adapter.name,
        "backend": adapter.backend,
        "kind": format!("{:?}", adapter.kind),
        "driver": adapter.driver,
        "pci": adapter.pci,
        "id": adapter.id,
        "max_buffer": adapter.max_buffer,
        "max_binding": adapter.max_binding,
        "storage_buffers": adapter.storage_buffers,
        "subgroup": adapter.subgroup,
        "f16": adapter.f16,
        "timestamps": adapter.timestamps,
        "taken": taken,
    })
}
