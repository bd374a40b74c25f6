//! Counts the instructions in the hot loop of a kernel's machine code. One file for each instruction set says how its
//! disassembly is split into instructions and what each of them counts as; `flow` finds the loop.

mod agx;
mod amd;
mod flow;
mod ir3;
mod nak;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Instructions in basic blocks, and the edges between these.
#[derive(Debug, Default)]
pub struct Program {
    blocks: Vec<Vec<String>>,
    edges: Vec<(usize, usize)>,
}

/// The kinds of instructions that are counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Count {
    /// Multiply-adds of single or half precision; a matrix instruction counts as one.
    pub multiply_adds: u32,
    /// Instructions that take a slot of the vector units, or any slot where a unit issues one instruction a cycle.
    pub issued: u32,
    /// Instructions of cooperative matrices.
    pub matrix: u32,
    /// Divisions of integers, by the instructions that only those use.
    pub divisions: u32,
    pub branches: u32,
    /// Loads and stores, by the instruction's name, in which the width stands.
    pub memory: BTreeMap<String, u32>,
    /// Whether there is no loop with multiply-adds, so that this is the whole program.
    pub whole: bool,
}

impl Count {
    /// Multiply-adds in parts of what is issued: a bound of what the unit reaches of its peak, without any stall. Where there are
    /// instructions of cooperative matrices, these alone.
    pub fn share(&self) -> f64 {
        let products = if self.matrix > 0 { self.matrix } else { self.multiply_adds };
        f64::from(products) / f64::from(self.issued.max(1))
    }
}

/// A reader of one instruction set.
struct Set {
    /// The end of the name under which the driver reports its disassembly.
    file: &'static str,
    parse: fn(&str) -> Program,
    count: fn(&[&str]) -> Count,
}

static SETS: [Set; 4] = [
    Set { file: "Assembly.txt", parse: amd::parse, count: amd::count },
    Set { file: "NAK-assembly.txt", parse: nak::parse, count: nak::count },
    Set { file: "IR3-Assembly.txt", parse: ir3::parse, count: ir3::count },
    Set { file: "agx.txt", parse: agx::parse, count: agx::count },
];

/// The hot loop of the code that lies in `folder` under this stem, if a driver wrote some that is known.
pub fn hot_loop(folder: &Path, stem: &str) -> Option<Count> {
    SETS.iter().find_map(|set| {
        let text = fs::read(folder.join(format!("{stem}.{}", set.file))).ok()?;
        let program = (set.parse)(&String::from_utf8_lossy(&text));
        Some(flow::hottest(&program, set.count))
    })
}

/// One block an instruction. `label` tells a row's label and what is behind it, `jump` the label that a row jumps to;
/// a row that `ends` is not followed by the next.
fn linear<'a>(
    rows: impl Iterator<Item = &'a str>,
    label: impl Fn(&'a str) -> Option<(&'a str, &'a str)>,
    jump: impl Fn(&'a str) -> Option<&'a str>,
    ends: impl Fn(&str) -> bool,
) -> Program {
    let (mut program, mut labels, mut jumps) = (Program::default(), BTreeMap::new(), Vec::new());
    for mut row in rows {
        if let Some((name, rest)) = label(row) {
            labels.insert(name, program.blocks.len());
            row = rest.trim();
        }
        if row.is_empty() {
            continue;
        }
        let at = program.blocks.len();
        jumps.extend(jump(row).map(|to| (at, to)));
        if !ends(row) {
            program.edges.push((at, at + 1));
        }
        program.blocks.push(vec![row.to_owned()]);
    }
    let known = |(at, to): (usize, &str)| labels.get(to).map(|&to| (at, to));
    program.edges.extend(jumps.into_iter().filter_map(known));
    program.blocks.push(Vec::new());
    program
}

/// Adds one to a name's number.
fn note(memory: &mut BTreeMap<String, u32>, name: &str) {
    *memory.entry(name.to_owned()).or_default() += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hot(
        parse: fn(&str) -> Program,
        count: fn(&[&str]) -> Count,
        text: &str,
    ) -> (u32, u32, bool) {
        let found = flow::hottest(&parse(text), count);
        (found.multiply_adds, found.issued, found.whole)
    }

    /// Scalar instructions and waits take no vector slot; a pair takes one.
    #[test]
    fn amd() {
        let text = "BB0:\n s_mov_b32 s0, 0 ; be800080\nBB1:\n buffer_load_b128 v[0:3], v4, s[0:3], 0 offen\n \
                    s_waitcnt vmcnt(0)\n v_fmac_f32_e32 v5, v0, v1\n \
                    v_dual_fmac_f32 v6, v0, v2 :: v_dual_fmac_f32 v7, v1, v2\n v_add_nc_u32_e32 v4, 16, v4\n \
                    s_cbranch_scc1 BB1\nBB2:\n s_endpgm\n";
        assert_eq!(hot(amd::parse, amd::count, text), (3, 3, false));
    }

    #[test]
    fn nvidia_by_nak() {
        let text = "block 0 L0 [] -> {\n    r0 = mov 0x0 // delay=1\n} -> [1]\nblock 1 L1 [0, 1] -> {\n    \
                    r4..8 = ld.global.a64.strong.gpu.b128 [r2..4]\n    r8 = ffma r4 r5 r8 // delay=4\n    \
                    r9 = ffma r4 r6 r9\n    @p0 bra L1\n} -> [1, 2]\nblock 2 L2 [1] -> {\n    exit\n}\n";
        assert_eq!(hot(nak::parse, nak::count, text), (2, 4, false));
        let memory = flow::hottest(&nak::parse(text), nak::count).memory;
        assert_eq!(memory, BTreeMap::from([("ld.global.b128".to_owned(), 1)]));
    }

    /// Flags stand before the operation, glued to it or not.
    #[test]
    fn adreno() {
        let text = "; header\nmov.f32f32 r0.x, c0.x\nl1:\n(ss)(rpt2)mad.f32 r1.x, (r)r2.x, r3.x, (r)r1.x\n\
                    (nop2) mad.f32 r0.x, r1.x, r2.x, r0.x\nldg.u32 r4.x, g[r5.x], 4\nbr p0.x, #l1\nend\n; stats\n";
        assert_eq!(hot(ir3::parse, ir3::count, text), (4, 8, false));
    }

    /// The jump goes back to address 6; the first program is the preamble.
    #[test]
    fn apple() {
        let text = "   0: 0e04c2803300  mov r0, 1\n   0: 0e04c2803300  mov r0, 1\n   6: 0e04c2803300  device_load r1\n   \
                    c: 0e04c2803300  ffma32 r2, r1, r1, r2\n  12: 0e04c2803300  jmp_exec_any -12\n  18: 8800  stop\n";
        assert_eq!(hot(agx::parse, agx::count, text), (1, 3, false));
    }
}
