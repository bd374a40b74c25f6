//! Assigns memory to the values of a computation graph: values whose lifetimes do not overlap share a buffer.
//!
//! Whole buffers are shared rather than ranges of one arena, because wgpu refuses a buffer that is
//! bound for reading and for writing in one dispatch. Largest first, each value takes the smallest
//! free buffer that holds it (Pisarchyk and Lee 2020, arXiv 2001.03288, "greedy by size"). Of values of one size, the one that
//! the fewest buffers can hold comes first, as in the colouring of graphs (Brelaz 1979, doi 10.1145/359094.359101): otherwise
//! another value could take the only buffer that can hold it, and it would need a new one.
//!
//! Masks may also lie in the unused rest of a large buffer, behind values that the buffer holds at the same time, where no launch
//! binds both and writes one of them. A network keeps many masks for long, while its later, smaller maps fill only a part of the
//! buffers that its first maps needed.

use super::Value;
use crate::gpu::PART_ALIGNMENT;
use std::collections::BTreeSet;

/// The first and last launch at which a value must hold its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    pub first: usize,
    pub last: usize,
}

impl Life {
    /// Returns whether the value is made before launch `at` and read from there on.
    pub fn crosses(self, at: usize) -> bool {
        self.first < at && self.last >= at
    }

    fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// A value's demand for memory: its size and lifetime.
#[derive(Clone, Debug)]
pub struct Demand {
    pub value: Value,
    pub words: u32,
    pub life: Life,
    /// Whether the value may lie behind other values in a shared buffer.
    pub anywhere: bool,
    /// Values that may not lie in the same buffer as this one while both live.
    pub apart: BTreeSet<Value>,
}

/// Values in one buffer, with their first words.
struct Shared<'a> {
    words: u32,
    held: Vec<(u32, &'a Demand)>,
}

impl Shared<'_> {
    /// The first word at which there is room.
    fn room(&self, demand: &Demand) -> Option<u32> {
        let met = || self.held.iter().filter(|(_, other)| other.life.overlaps(demand.life));
        if met().any(|(_, other)| demand.apart.contains(&other.value)) {
            return None;
        }
        let behind = met()
            .filter(|_| demand.anywhere)
            .map(|(first, other)| (first + other.words).next_multiple_of(PART_ALIGNMENT));
        let free = |&first: &u32| {
            let end = u64::from(first) + u64::from(demand.words);
            end <= self.words.into()
                && met().all(|&(from, other)| end <= from.into() || first >= from + other.words)
        };
        std::iter::once(0).chain(behind).filter(free).min()
    }
}

/// Returns the sizes of the shared buffers in words, and for each value, in the order of `demands`, the index of its buffer and
/// of its first word there.
pub fn share(demands: &[Demand]) -> (Vec<u32>, Vec<(usize, u32)>) {
    let mut order: Vec<(usize, &Demand)> = demands.iter().enumerate().collect();
    order.sort_by_key(|(_, demand)| std::cmp::Reverse(demand.words));
    let mut buffers: Vec<Shared> = Vec::new();
    let mut places = vec![(0, 0); demands.len()];
    for equals in order.chunk_by(|(_, a), (_, b)| a.words == b.words) {
        // Where each could lie, a list as long as that of the buffers.
        let rooms = |demand: &Demand| buffers.iter().map(|buffer| buffer.room(demand)).collect();
        let mut waiting: Vec<(usize, &Demand, Vec<Option<u32>>)> =
            equals.iter().map(|&(i, demand)| (i, demand, rooms(demand))).collect();
        let choices = |rooms: &[Option<u32>]| rooms.iter().flatten().count();
        while let Some(next) =
            (0..waiting.len()).min_by_key(|&at| waiting.get(at).map(|(_, _, rooms)| choices(rooms)))
        {
            let (i, demand, rooms) = waiting.remove(next);
            // Sizes fall, so the last buffer with room is the smallest.
            let found = rooms.iter().enumerate().rev().find_map(|(at, room)| Some((at, (*room)?)));
            let (at, first) = found.unwrap_or((buffers.len(), 0));
            if at == buffers.len() {
                buffers.push(Shared { words: demand.words, held: Vec::new() });
            }
            if let (Some(slot), Some(buffer)) = (places.get_mut(i), buffers.get_mut(at)) {
                buffer.held.push((first, demand));
                *slot = (at, first);
                for (_, other, rooms) in &mut waiting {
                    rooms.resize(rooms.len().max(at + 1), None);
                    if let Some(room) = rooms.get_mut(at) {
                        *room = buffer.room(other);
                    }
                }
            }
        }
    }
    (buffers.into_iter().map(|buffer| buffer.words).collect(), places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(value: usize, words: u32, [first, last]: [usize; 2]) -> Demand {
        let (value, apart) = (Value { graph: 0, number: value }, BTreeSet::new());
        Demand { value, words, life: Life { first, last }, anywhere: false, apart }
    }

    #[test]
    fn values_share_only_when_their_lives_are_apart() {
        let values = [
            demand(0, 8, [0, 2]),
            demand(1, 4, [1, 3]),
            demand(2, 8, [3, 4]),
            demand(3, 2, [4, 5]),
            demand(4, 6, [2, 3]),
        ];
        let (buffers, places) = share(&values);
        for (i, a) in values.iter().enumerate() {
            assert!(buffers[places[i].0] >= a.words && places[i].1 == 0);
            for (j, b) in values.iter().enumerate().skip(i + 1) {
                assert!(places[i] != places[j] || !a.life.overlaps(b.life), "{i} and {j}");
            }
        }
        assert_eq!(buffers, [8, 6, 4]);
    }

    /// In the order of their numbers value 3 would take the only buffer that value 5 can have.
    #[test]
    fn who_has_no_choice_comes_first() {
        let values = [
            demand(0, 8, [6, 8]),
            demand(1, 8, [7, 8]),
            demand(2, 8, [0, 1]),
            demand(3, 4, [2, 5]),
            demand(4, 4, [3, 4]),
            demand(5, 4, [5, 7]),
            demand(6, 8, [0, 1]),
            demand(7, 8, [0, 1]),
        ];
        assert_eq!(share(&values).0, [8, 8, 8]);
    }

    #[test]
    fn masks_lie_behind_small_maps() {
        let mut values = [
            demand(0, 800, [0, 1]),
            demand(1, 800, [1, 2]),
            demand(2, 300, [3, 5]),
            demand(3, 200, [4, 6]),
            demand(4, 100, [3, 7]),
        ];
        assert_eq!(share(&values).0, [800, 800, 100]);
        values[4].anywhere = true;
        // In the last of equal buffers, where value 2 lies: behind its 300 words, at the next alignment.
        let (buffers, found) = share(&values);
        assert_eq!((buffers, found[4]), (vec![800, 800], (found[2].0, 320)));
        values[4].apart.insert(Value { graph: 0, number: 2 });
        values[2].apart.insert(Value { graph: 0, number: 4 });
        let (buffers, found) = share(&values);
        assert_eq!((buffers, found[4]), (vec![800, 800], (found[3].0, 256)));
        values[4].apart.insert(Value { graph: 0, number: 3 });
        values[3].apart.insert(Value { graph: 0, number: 4 });
        assert_eq!(share(&values).0, [800, 800, 100]);
    }
}
