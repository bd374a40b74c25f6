//! Reads Apple's instructions as the compiler of Mesa's Honeykrisp disassembles them. Apple's own compiler makes other code.

use super::{Count, Program, note};
use std::collections::BTreeMap;

/// Rows as `1a2: 0e04c2803300  fadd r1, r2`; a jump tells its distance. A file has the preamble and the program, each
/// from address 0; the longer one is the program.
pub fn parse(text: &str) -> Program {
    let mut programs: Vec<Vec<(i64, &str)>> = vec![Vec::new()];
    for line in text.lines() {
        let Some((address, instruction)) = row(line) else { continue };
        if address == 0 {
            programs.push(Vec::new());
        }
        if let Some(program) = programs.last_mut() {
            program.push((address, instruction));
        }
    }
    let rows = programs.into_iter().max_by_key(Vec::len).unwrap_or_default();
    let places: BTreeMap<i64, usize> = (0..).zip(&rows).map(|(at, row)| (row.0, at)).collect();
    let mut edges: Vec<_> = (0..rows.len()).map(|at| (at, at + 1)).collect();
    for (at, (address, instruction)) in rows.iter().enumerate() {
        let mut words = instruction.split_whitespace();
        if !words.next().is_some_and(|op| op.starts_with("jmp_")) {
            continue;
        }
        let distance = words.next().and_then(|word| word.trim_end_matches(',').parse::<i64>().ok());
        edges.extend(distance.and_then(|by| places.get(&(address + by))).map(|&to| (at, to)));
    }
    let mut blocks: Vec<_> = rows.into_iter().map(|(_, row)| vec![row.to_owned()]).collect();
    blocks.push(Vec::new());
    Program { blocks, edges }
}

/// Address and instruction of a row.
fn row(line: &str) -> Option<(i64, &str)> {
    let (address, rest) = line.trim_start().split_once(": ")?;
    let address = i64::from_str_radix(address, 16).ok()?;
    let (code, instruction) = rest.trim_start().split_once(char::is_whitespace)?;
    let hexadecimal = code.len() >= 4 && code.bytes().all(|byte| byte.is_ascii_hexdigit());
    hexadecimal.then_some((address, instruction.trim()))
}

/// One instruction is issued a cycle.
pub fn count(rows: &[&str]) -> Count {
    let mut count = Count::default();
    for row in rows {
        let op = row.split_whitespace().next().unwrap_or_default();
        count.issued += 1;
        let products = ["ffma", "fmadd", "fma", "hfma", "hmadd"];
        count.multiply_adds += u32::from(products.iter().any(|start| op.starts_with(start)));
        count.matrix += u32::from(op.starts_with("simd_matrix"));
        count.branches += u32::from(op.starts_with("jmp_"));
        let memory = ["lload", "lstore", "stack_", "load", "store", "texture"];
        if memory.iter().any(|start| op.starts_with(start)) {
            note(&mut count.memory, op);
        }
    }
    count
}
