//! Reads Adreno's instructions as ir3, the compiler of Mesa's Turnip, prints them.

use super::{Count, Program, linear, note};

/// The code follows a header and ends at the first comment behind it.
pub fn parse(text: &str) -> Program {
    let comment = |line: &&str| line.starts_with([';', '@']) || line.contains("Native");
    let begun = text.lines().skip_while(|line| comment(line) || line.trim().is_empty());
    let rows = begun.take_while(|line| !line.starts_with(';'));
    let rows = rows.filter(|line| !comment(line)).map(str::trim);
    linear(
        rows,
        |row| {
            let (name, rest) = row.split_once(':')?;
            let name = name.strip_prefix('l')?;
            name.bytes().all(|byte| byte.is_ascii_digit()).then_some((name, rest))
        },
        |row| {
            let to = row.split_once("#l")?.1;
            Some(to.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default())
        },
        |row| row.split_whitespace().any(|word| matches!(word, "jump" | "end")),
    )
}

/// One instruction is issued a cycle; `(rpt2)` repeats one twice more and `(nop3)` waits three cycles.
pub fn count(rows: &[&str]) -> Count {
    let mut count = Count::default();
    for row in rows {
        let times = 1 + flag(row, "(rpt").unwrap_or(0);
        count.issued += flag(row, "(nop").unwrap_or(0);
        let op = without_flags(row).split_whitespace().next().unwrap_or("nop");
        let base = op.split('.').next().unwrap_or_default();
        let memory = ["ld", "st", "isam", "resinfo"].iter().any(|start| base.starts_with(start));
        count.issued += if memory { 1 } else { times };
        if op.starts_with("mad.f32") || op.starts_with("mad.f16") {
            count.multiply_adds += times;
        }
        if memory {
            note(&mut count.memory, op);
        }
        count.branches += u32::from(matches!(base, "br" | "brac" | "brao" | "braa" | "jump"));
    }
    count
}

/// The row behind its flags, which stand in brackets in front of the operation, with or without spaces.
fn without_flags(mut row: &str) -> &str {
    while let Some((_, rest)) = row.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        row = rest.trim_start();
    }
    row
}

/// The digit behind a flag's name.
fn flag(row: &str, name: &str) -> Option<u32> {
    row.split_once(name)?.1.chars().next()?.to_digit(10)
}
