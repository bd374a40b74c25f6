//! Shuffles the images of each epoch: the order is a permutation that is a pure function of (seed, purpose, epoch).

use std::sync::{Arc, Mutex, PoisonError};

use super::seed::Random;

/// The most images whose order lies in memory: 16 MB.
const IN_MEMORY: u32 = 1 << 22;

/// The order in which a stream of batches goes through images, as permutations of `0..len`, one for each epoch. The last two stay
/// in memory, because batches straddle the border of two. Those of very large sets are computed, an image at a time.
pub struct EpochOrder {
    seed: u64,
    purpose: String,
    len: u32,
    recent: Mutex<Recent>,
}

type Recent = [Option<(u64, Arc<[u32]>)>; 2];

impl EpochOrder {
    pub fn new(seed: u64, purpose: String, len: u32) -> Self {
        Self { seed, purpose, len, recent: Mutex::default() }
    }

    /// Returns the image at a position in the endless sequence of all epochs.
    pub fn image_at(&self, position: u64) -> Option<u32> {
        let len = u64::from(self.len);
        let epoch = position.checked_div(len)?;
        if self.len > IN_MEMORY {
            let mut random = Random::new(self.seed, &self.purpose, epoch, 0);
            return Some(permuted(&mut random, (position % len) as u32, self.len));
        }
        self.epoch(epoch).get((position % len) as usize).copied()
    }

    fn epoch(&self, epoch: u64) -> Arc<[u32]> {
        // A thread that panicked here left at worst an old entry behind, never a wrong one.
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let [even, odd] = &mut *recent;
        let slot = if epoch.is_multiple_of(2) { even } else { odd };
        match slot {
            Some((of, order)) if *of == epoch => Arc::clone(order),
            _ => {
                let mut order: Vec<u32> = (0..self.len).collect();
                Random::new(self.seed, &self.purpose, epoch, 0).shuffle(&mut order);
                let order: Arc<[u32]> = order.into();
                *slot = Some((epoch, Arc::clone(&order)));
                order
            }
        }
    }
}

/// Returns the place of `index` in a pseudo-random permutation of `0..len` that needs no memory: a Feistel network (Luby
/// and Rackoff 1988) over the smallest even number of bits that holds `len`, repeated until the result is below `len`.
fn permuted(random: &mut Random, index: u32, len: u32) -> u32 {
    let half = (u32::BITS - len.saturating_sub(1).leading_zeros()).div_ceil(2).max(1);
    let mask = (1_u64 << half) - 1;
    let keys: [u64; 6] = std::array::from_fn(|_| random.bits());
    let mut value = u64::from(index);
    loop {
        let (mut left, mut right) = (value >> half, value & mask);
        for key in keys {
            // The finaliser of splitmix64 (Steele, Lea and Flood 2014).
            let mut mixed = right ^ key;
            mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            (left, right) = (right, left ^ ((mixed ^ mixed >> 31) & mask));
        }
        value = left << half | right;
        if value < u64::from(len) {
            return value as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_epoch_is_another_permutation_whatever_the_order_of_questions() {
        let order = EpochOrder::new(3, "test".into(), 50);
        let epoch =
            |e: u64| (0..50).map(|i| order.image_at(e * 50 + i).unwrap()).collect::<Vec<_>>();
        let (zero, one, many) = (epoch(0), epoch(1), epoch(1 << 40));
        assert_eq!(
            (&zero, &one),
            (&epoch(0), &epoch(1)),
            "asked again after another epoch took the slot"
        );
        for permutation in [&zero, &one, &many] {
            let mut sorted = permutation.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..50).collect::<Vec<_>>());
        }
        assert!(zero != one && one != many && zero != many);
    }

    #[test]
    fn computed_permutations_are_such_too() {
        for len in [1, 2, 5, 64, 1000] {
            let epoch = |e| -> Vec<u32> {
                let place = |i| permuted(&mut Random::new(1, "test", e, 0), i, len);
                (0..len).map(place).collect()
            };
            let mut sorted = epoch(0);
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..len), "{len}");
            assert!(len < 10 || epoch(0) != epoch(1));
        }
        let order = EpochOrder::new(0, "test".into(), 79_302_017);
        let first: Vec<u32> = (0..100).map(|i| order.image_at(i).unwrap()).collect();
        assert!(
            first.iter().max().unwrap() > &60_000_000 && first.iter().min().unwrap() < &20_000_000
        );
    }

    #[test]
    fn no_images_no_position() {
        assert_eq!(EpochOrder::new(0, String::new(), 0).image_at(0), None);
    }
}
