//! Reads NVIDIA's instructions as NAK, the compiler of Mesa's NVK, prints them. NVIDIA's own compiler makes other code: take
//! registers and shares of instructions as a hint only.

use super::{Count, Program, note};

/// Blocks as `block 3 L3 [1, 2] -> {`, with the blocks before each.
pub fn parse(text: &str) -> Program {
    let mut program = Program::default();
    for line in text.lines() {
        if let Some(header) = line.strip_prefix("block").filter(|rest| rest.contains("] ->")) {
            let number = header.trim_start_matches(".u").split_whitespace().next();
            let number: usize = number.and_then(|word| word.parse().ok()).unwrap_or_default();
            let inside = header.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
            let before = inside.map_or("", |(before, _)| before);
            let before = before.split([' ', ',']).filter_map(|word| word.parse().ok());
            program.edges.extend(before.map(|from: usize| (from, number)));
            program.blocks.push(Vec::new());
        } else if !line.starts_with('}')
            && !line.trim().is_empty()
            && let Some(block) = program.blocks.last_mut()
        {
            block.push(line.split("//").next().unwrap_or_default().trim().to_owned());
        }
    }
    program
}

/// One instruction is issued a cycle, of whatever kind.
pub fn count(rows: &[&str]) -> Count {
    let mut count = Count::default();
    for row in rows {
        let body = match row.split_once('=') {
            Some((_, body)) => body.trim(),
            None if row.starts_with('@') => row.split_once(' ').map_or("", |(_, rest)| rest).trim(),
            None => row,
        };
        let op = body.split_whitespace().next().unwrap_or("nop");
        let base = op.split('.').next().unwrap_or_default();
        count.issued += 1;
        match base {
            "ffma" | "fmad" => count.multiply_adds += 1,
            "hfma2" => count.multiply_adds += 2,
            "hmma" => {
                count.multiply_adds += 1;
                count.matrix += 1;
            }
            "bra" | "brx" | "brk" | "cont" => count.branches += 1,
            "ld" | "st" | "ldg" | "stg" | "lds" | "sts" | "ldl" | "stl" | "ldc" | "ldsm" => {
                note(&mut count.memory, &without_scopes(op));
            }
            "i2f" | "f2i" if op.contains("u32") => count.divisions += 1,
            _ => {}
        }
    }
    count
}

/// The operation with its width, without the words that tell who else sees the memory.
fn without_scopes(op: &str) -> String {
    let dropped = ["a64", "a32", "constant", "weak", "strong", "gpu", "cta", "sys", "reg", "lane"];
    let kept: Vec<_> = op.split('.').filter(|word| !dropped.contains(word)).collect();
    kept.join(".")
}
