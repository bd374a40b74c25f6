//! Which values may share a buffer: those whose lifetimes do not overlap.
//!
//! Whole buffers are shared rather than ranges of one arena, because wgpu refuses a buffer that is
//! bound for reading and for writing in one dispatch. Largest first, each value takes the smallest
//! free buffer that holds it (Pisarchyk and Lee 2020, arXiv 2001.03288, "greedy by size").

/// The first and last launch at which a value must hold its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    pub first: usize,
    pub last: usize,
}

impl Life {
    /// Whether it is made before launch `at` and read from there on.
    pub fn crosses(self, at: usize) -> bool {
        self.first < at && self.last >= at
    }

    fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// Sizes of the buffers, and the buffer of each value, for values of so many words and such a life.
pub fn share(values: &[(u32, Life)]) -> (Vec<u32>, Vec<usize>) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(values.get(i).map(|&(words, _)| words)));
    let mut buffers: Vec<(u32, Vec<Life>)> = Vec::new();
    let mut places = vec![0; values.len()];
    for i in order {
        let Some(&(words, life)) = values.get(i) else { continue };
        let free = |(_, (_, lives)): &(usize, &(u32, Vec<Life>))| {
            lives.iter().all(|other| !life.overlaps(*other))
        };
        // Sizes fall, so the last free buffer is the smallest.
        let found = buffers.iter().enumerate().filter(free).map(|(place, _)| place).next_back();
        let place = found.unwrap_or(buffers.len());
        match buffers.get_mut(place) {
            Some((_, lives)) => lives.push(life),
            None => buffers.push((words, vec![life])),
        }
        if let Some(slot) = places.get_mut(i) {
            *slot = place;
        }
    }
    (buffers.into_iter().map(|(words, _)| words).collect(), places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_share_only_when_their_lives_are_apart() {
        let life = |first, last| Life { first, last };
        let values =
            [(8, life(0, 2)), (4, life(1, 3)), (8, life(3, 4)), (2, life(4, 5)), (6, life(2, 3))];
        let (buffers, places) = share(&values);
        for (i, a) in values.iter().enumerate() {
            assert!(buffers[places[i]] >= a.0);
            for (j, b) in values.iter().enumerate().skip(i + 1) {
                assert!(places[i] != places[j] || !a.1.overlaps(b.1), "{i} and {j}");
            }
        }
        assert_eq!(buffers, [8, 6, 4]);
    }
}
