//! Finds the loops in a kernel's machine code: the innermost one with most multiply-adds is the hot one.

use super::{Count, Program};
use std::collections::{BTreeMap, BTreeSet};

/// Returns the instructions of the hot loop, or of the whole program where no loop multiplies and adds.
pub fn hottest(program: &Program, count: fn(&[&str]) -> Count) -> Count {
    let of = |blocks: &BTreeSet<usize>| {
        let rows = blocks.iter().filter_map(|&block| program.blocks.get(block)).flatten();
        count(&rows.map(String::as_str).collect::<Vec<_>>())
    };
    let loops = natural_loops(program);
    let counted: Vec<Count> = loops.values().map(of).collect();
    let busy_inside = |body: &BTreeSet<usize>| {
        let mut others = loops.values().zip(&counted);
        others.any(|(other, count)| {
            count.multiply_adds > 0 && other.len() < body.len() && other.is_subset(body)
        })
    };
    let innermost = loops.values().zip(&counted).filter(|(body, _)| !busy_inside(body));
    let best = innermost.map(|(_, count)| count).max_by_key(|count| count.multiply_adds);
    match best {
        Some(best) if best.multiply_adds > 0 => best.clone(),
        _ => Count { whole: true, ..of(&(0..program.blocks.len()).collect()) },
    }
}

/// The blocks of each natural loop, by the loop's head (Aho, Lam, Sethi and Ullman, Compilers, 9.6.6).
fn natural_loops(program: &Program) -> BTreeMap<usize, BTreeSet<usize>> {
    let mut before: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut after: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &(from, to) in &program.edges {
        before.entry(to).or_default().push(from);
        after.entry(from).or_default().push(to);
    }
    let order = reverse_postorder(&after);
    let place: BTreeMap<usize, usize> = (0..).zip(&order).map(|(at, &block)| (block, at)).collect();
    let dominator = dominators(&order, &place, &before);
    let dominates = |head: usize, mut block: usize| {
        while place.get(&block) > place.get(&head) {
            block = dominator.get(&block).copied().unwrap_or(head);
        }
        block == head
    };
    let mut loops: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for &(tail, head) in &program.edges {
        let reached = place.contains_key(&tail) && place.contains_key(&head);
        if !reached || !dominates(head, tail) {
            continue;
        }
        let body = loops.entry(head).or_default();
        body.insert(head);
        let mut open = vec![tail];
        while let Some(block) = open.pop() {
            if body.insert(block) {
                let reached = |block: &&usize| place.contains_key(block);
                open.extend(before.get(&block).into_iter().flatten().filter(reached));
            }
        }
    }
    loops
}

/// The blocks that block 0 reaches, each before those that it leads to as far as there is no loop.
fn reverse_postorder(after: &BTreeMap<usize, Vec<usize>>) -> Vec<usize> {
    let next = |block: usize| after.get(&block).map_or(&[][..], Vec::as_slice).iter();
    let (mut order, mut seen) = (Vec::new(), BTreeSet::from([0]));
    let mut stack = vec![(0, next(0))];
    while let Some((block, rest)) = stack.last_mut() {
        match rest.next() {
            Some(&to) if seen.insert(to) => stack.push((to, next(to))),
            Some(_) => {}
            None => {
                order.push(*block);
                stack.pop();
            }
        }
    }
    order.reverse();
    order
}

/// The immediate dominator of each block (Cooper, Harvey and Kennedy 2001, A Simple, Fast Dominance Algorithm).
fn dominators(
    order: &[usize],
    place: &BTreeMap<usize, usize>,
    before: &BTreeMap<usize, Vec<usize>>,
) -> BTreeMap<usize, usize> {
    let mut dominator = BTreeMap::from([(0, 0)]);
    let mut changed = true;
    while changed {
        changed = false;
        for &block in order.iter().skip(1) {
            let mut common = None;
            for &from in before.get(&block).into_iter().flatten() {
                if !dominator.contains_key(&from) {
                    continue;
                }
                common = Some(match common {
                    None => from,
                    Some(other) => meet(from, other, place, &dominator),
                });
            }
            if let Some(common) = common
                && dominator.insert(block, common) != Some(common)
            {
                changed = true;
            }
        }
    }
    dominator
}

/// The last block that dominates both.
fn meet(
    mut a: usize,
    mut b: usize,
    place: &BTreeMap<usize, usize>,
    dominator: &BTreeMap<usize, usize>,
) -> usize {
    let up = |block: usize| dominator.get(&block).copied().unwrap_or(0);
    while a != b {
        if place.get(&a) > place.get(&b) {
            a = up(a);
        } else {
            b = up(b);
        }
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(rows: &[&str]) -> Count {
        let multiply_adds = rows.iter().filter(|row| row.starts_with("fma")).count() as u32;
        Count { multiply_adds, issued: rows.len() as u32, ..Count::default() }
    }

    /// An outer loop over blocks 1 to 4 with an inner one over 2 and 3.
    #[test]
    fn the_innermost_loop_counts() {
        let blocks = [vec!["mov"], vec!["fma", "mov"], vec!["fma", "fma", "load"], vec!["branch"]];
        let tail = [vec!["fma", "branch"], vec!["store"]];
        let blocks = blocks.into_iter().chain(tail);
        let blocks = blocks.map(|rows| rows.into_iter().map(str::to_owned).collect()).collect();
        let edges = vec![(0, 1), (1, 2), (2, 3), (3, 2), (3, 4), (4, 1), (4, 5)];
        let found = hottest(&Program { blocks, edges }, count);
        assert_eq!((found.multiply_adds, found.issued, found.whole), (2, 4, false));
    }

    #[test]
    fn without_a_loop_it_is_the_whole() {
        let blocks = vec![vec!["fma".to_owned(), "store".to_owned()], vec![]];
        let found = hottest(&Program { blocks, edges: vec![(0, 1)] }, count);
        assert_eq!((found.multiply_adds, found.issued, found.whole), (1, 2, true));
    }
}
