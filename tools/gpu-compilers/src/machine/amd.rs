//! Reads AMD's instructions as ACO, Mesa's compiler, prints them.

use super::{Count, Program, linear, note};

pub fn parse(text: &str) -> Program {
    let rows = text.lines().map(|row| row.split(';').next().unwrap_or_default().trim());
    linear(
        rows.filter(|row| !row.is_empty()),
        |row| {
            let (name, rest) = row.split_once(':')?;
            (name.starts_with("BB") && !name.contains(' ')).then_some((name, rest))
        },
        |row| {
            let (op, to) = row.split_once(char::is_whitespace)?;
            let jumps = op.starts_with("s_branch") || op.starts_with("s_cbranch");
            jumps.then_some(to.trim()).filter(|to| to.starts_with("BB"))
        },
        |row| ["s_branch", "s_endpgm", "s_setpc"].iter().any(|op| row.starts_with(op)),
    )
}

/// Vector instructions take the slots: scalar ones, loads and waits are issued beside them. Two that are paired
/// (`v_dual_... :: v_dual_...`) take one slot, so a share of up to 2 is possible.
pub fn count(rows: &[&str]) -> Count {
    let mut count = Count::default();
    for row in rows {
        let op = row.split_whitespace().next().unwrap_or_default();
        let halves = row.split("::").filter_map(|half| half.split_whitespace().next());
        let products = halves.filter(|op| multiplies_and_adds(op)).count() as u32;
        count.multiply_adds += if op.starts_with("v_pk_fma") { 2 } else { products };
        count.matrix += u32::from(op.contains("wmma"));
        if op.starts_with("v_") {
            count.issued += 1;
        }
        count.branches += u32::from(op.starts_with("s_cbranch"));
        count.divisions += u32::from(op.starts_with("v_rcp_iflag"));
        let memory = ["buffer_", "global_", "image_", "scratch_", "ds_", "s_load", "s_buffer"];
        if memory.iter().any(|start| op.starts_with(start)) {
            note(&mut count.memory, op);
        }
    }
    count
}

fn multiplies_and_adds(op: &str) -> bool {
    let bare = op.trim_start_matches("v_").trim_start_matches("dual_");
    let known = ["fma", "mad", "mac", "dot", "wmma", "swmmac", "pk_fma"];
    known.iter().any(|start| bare.starts_with(start))
        && ["f32", "f16", "wmma", "swmmac"].iter().any(|kind| bare.contains(kind))
}
