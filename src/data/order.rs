//! The order of images in each epoch: a permutation that is a pure function of (seed, purpose, epoch).

use std::sync::{Arc, Mutex, PoisonError};

use super::seed::Random;

/// Permutations of `0..len`, one an epoch. The last two stay in memory, because batches straddle the border of two.
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

    /// The image at a position of the endless concatenation of all epochs.
    pub fn image_at(&self, position: u64) -> Option<u32> {
        let len = u64::from(self.len);
        let epoch = position.checked_div(len)?;
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
    fn no_images_no_position() {
        assert_eq!(EpochOrder::new(0, String::new(), 0).image_at(0), None);
    }
}
