//! Draws the subset of a test set that is evaluated: equally many images of each class, and the same ones each time.

use crate::data::Random;
use std::collections::BTreeMap;

/// The seed of the draw, the same for all evaluations, so that they take the same images of a set. It is one for all, so
/// that every evaluation of a set takes the same images.
const SEED: u64 = 0;

/// Draws `count` images of a set, or all if it has fewer, and returns their indices in increasing order. Classes get equal
/// numbers, except those that have too few; images are drawn at random within a class, the same each time. A smaller draw is
/// part of a larger one.
///
/// The first of a set that lies in class folders are of one class.
pub fn drawn(labels: &[u32], count: usize) -> Vec<usize> {
    if count >= labels.len() {
        return (0..labels.len()).collect();
    }
    let mut classes = BTreeMap::<u32, Vec<usize>>::new();
    for (at, &label) in labels.iter().enumerate() {
        classes.entry(label).or_default().push(at);
    }
    let mut ranked = Vec::with_capacity(labels.len());
    for (class, places) in &classes {
        let mut keyed: Vec<_> = places
            .iter()
            .map(|&at| (Random::new(SEED, "evaluation/drawn", 0, at as u64).bits(), at))
            .collect();
        keyed.sort_unstable();
        ranked.extend(keyed.into_iter().enumerate().map(|(rank, (_, at))| (rank, *class, at)));
    }
    // The first of each class, then the second of each, and so on.
    ranked.sort_unstable();
    let mut places: Vec<_> = ranked.into_iter().take(count).map(|(.., at)| at).collect();
    places.sort_unstable();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_drawn_evenly() {
        // In class folders' order, of which the second class has few.
        let labels: Vec<u32> = [(0, 50), (1, 4), (2, 50)]
            .into_iter()
            .flat_map(|(label, count)| std::iter::repeat_n(label, count))
            .collect();
        let places = drawn(&labels, 30);
        let of = |class| places.iter().filter(|&&at| labels[at] == class).count();
        assert_eq!([of(0), of(1), of(2)], [13, 4, 13]);
        assert!(places.is_sorted_by(|a, b| a < b));
        assert!(drawn(&labels, 9).iter().all(|at| places.contains(at)), "part of more");
        assert_ne!(places[..13], (0..13).collect::<Vec<_>>()[..], "at random within a class");
        assert_eq!(drawn(&labels, 1000), (0..104).collect::<Vec<_>>());
    }
}
